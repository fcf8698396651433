//! The dimensions of a checkpoint: the published ones, and those of the miniature in `tests/data`.

/// The dimensions of all networks.
pub(crate) struct Sizes {
    pub(crate) llm: Llm,
    pub(crate) flow: Flow,
    pub(crate) vocoder: Vocoder,
    pub(crate) speaker: Speaker,
    pub(crate) paraformer: Paraformer,
    pub(crate) semantic: Semantic,
}

#[derive(Clone, Copy)]
pub(crate) struct Llm {
    pub(crate) width: usize,
    pub(crate) inner: usize,
    pub(crate) heads: usize,
    pub(crate) groups: usize,
    pub(crate) layers: usize,
    pub(crate) vocabulary: usize,
}

pub(crate) struct Flow {
    pub(crate) width: usize,
    pub(crate) heads: usize,
    pub(crate) inner: usize,
    pub(crate) layers: usize,
    pub(crate) up_layers: usize,
    pub(crate) dit_width: usize,
    pub(crate) dit_heads: usize,
    pub(crate) dit_head: usize,
    pub(crate) dit_layers: usize,
    pub(crate) dit_ratio: usize,
}

pub(crate) struct Vocoder {
    pub(crate) base: usize,
    pub(crate) f0_width: usize,
}

pub(crate) struct Speaker {
    pub(crate) head: usize,
    pub(crate) init: usize,
    pub(crate) growth: usize,
    pub(crate) bottleneck: usize,
    pub(crate) cam: usize,
    pub(crate) blocks: [usize; 3],
}

pub(crate) struct Paraformer {
    pub(crate) width: usize,
    pub(crate) inner: usize,
    pub(crate) layers: usize,
    pub(crate) decoder_layers: usize,
    pub(crate) vocabulary: usize,
    pub(crate) codes: usize,
}

pub(crate) struct Semantic {
    pub(crate) width: usize,
    pub(crate) layers: usize,
    pub(crate) codes: usize,
}

impl Sizes {
    /// The published checkpoint.
    pub(crate) fn published() -> Self {
        Self {
            llm: Llm { width: 3072, inner: 8192, heads: 48, groups: 4, layers: 32, vocabulary: 74752 },
            flow: Flow {
                width: 512,
                heads: 8,
                inner: 2048,
                layers: 6,
                up_layers: 4,
                dit_width: 512,
                dit_heads: 8,
                dit_head: 64,
                dit_layers: 16,
                dit_ratio: 4,
            },
            vocoder: Vocoder { base: 512, f0_width: 512 },
            speaker: Speaker {
                head: 32,
                init: 128,
                growth: 32,
                bottleneck: 128,
                cam: 64,
                blocks: [12, 24, 16],
            },
            paraformer: Paraformer {
                width: 512,
                inner: 2048,
                layers: 50,
                decoder_layers: 16,
                vocabulary: 8501,
                codes: 1024,
            },
            semantic: Semantic { width: 1280, layers: 6, codes: 4096 },
        }
    }

    /// The miniature checkpoint.
    pub(crate) fn tiny() -> Self {
        Self {
            llm: Llm { width: 96, inner: 160, heads: 12, groups: 4, layers: 3, vocabulary: 6976 },
            flow: Flow {
                width: 48,
                heads: 4,
                inner: 96,
                layers: 2,
                up_layers: 1,
                dit_width: 48,
                dit_heads: 4,
                dit_head: 16,
                dit_layers: 2,
                dit_ratio: 2,
            },
            vocoder: Vocoder { base: 32, f0_width: 24 },
            speaker: Speaker { head: 8, init: 32, growth: 8, bottleneck: 32, cam: 16, blocks: [3, 4, 3] },
            paraformer: Paraformer {
                width: 32,
                inner: 64,
                layers: 3,
                decoder_layers: 2,
                vocabulary: 68,
                codes: 1024,
            },
            semantic: Semantic { width: 64, layers: 3, codes: 4096 },
        }
    }
}
