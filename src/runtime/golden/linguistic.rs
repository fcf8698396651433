//! Golden cases of the linguistic tokenizer: features, encoder layers and codes of recordings, and codes of every length.

use super::recorded::AcousticFile;
use super::{Context, Report};
use crate::audio::fbank::{Window, fbank};
use crate::audio::level::{cap_peak, normalise_energy};
use crate::audio::resample::{Kernel, resample};
use crate::audio::{Features, decode, trim};
use crate::error::{Error, Result};
use crate::models::linguistic::{Chunking, Config, LinguisticTokenizer};
use crate::runtime::weights::Checkpoint;
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::path::Path;

const STAGE: &str = "linguistic";

/// Adds the rows of this stage.
pub(super) fn cases(context: &Context<'_>, report: &mut Report<'_>) -> Result<()> {
    let Some(acoustics) = &context.acoustics else {
        return Ok(());
    };
    let mut clips = Vec::new();
    for clip in acoustics.clips() {
        let Some(file) = acoustics.file(&format!("vq02_{clip}"))? else {
            continue;
        };
        match acoustics.recording(&clip) {
            Some(path) => clips.push((clip, path, file)),
            None => report.skip(STAGE, &clip, "the recording is not here"),
        }
    }
    let (lengths, dither) = (acoustics.file("vq02_lengths")?, acoustics.file("dither")?);
    if clips.is_empty() && lengths.is_none() && dither.is_none() {
        return Ok(());
    }
    let mut config = Config::default();
    let cases = &acoustics.cases["linguistic"];
    config.chunking = chunking(cases).unwrap_or(config.chunking);
    let mut bench = Bench { tokenizer: open(context, config.chunking)?, chunking: config.chunking, report };
    for (clip, path, file) in clips {
        bench.clip(&clip, &trimmed(&path)?, &file)?;
    }
    if let Some(file) = lengths {
        bench.lengths(&file)?;
    }
    if let Some(file) = dither {
        bench.dither(&file)?;
    }
    Ok(())
}

/// The chunk setting that `cases.json` gives a case.
pub(super) fn chunking(case: &Value) -> Option<Chunking> {
    let number = |value: &Value| value.as_u64().map(|number| number as usize);
    Some(Chunking {
        before: number(&case["chunk_size"][0])?,
        rows: number(&case["chunk_size"][1])?,
        after: number(&case["chunk_size"][2])?,
        look_back: number(&case["encoder_chunk_look_back"])?,
    })
}

/// What the tokenizer makes of a recording before its own features: 16 kHz, loud, without silence around.
pub(super) fn trimmed(path: &Path) -> Result<Vec<f32>> {
    let audio = decode::open(path)?.mono();
    let mut samples = audio.samples;
    cap_peak(&mut samples);
    let mut samples = resample(&samples, audio.sample_rate, 16_000, Kernel::Double);
    normalise_energy(&mut samples);
    Ok(trim::trim(&samples))
}

/// A table as a tensor, [rows, columns].
pub(super) fn tensor(features: &Features) -> Result<Tensor> {
    let shape = (features.rows, features.columns);
    Ok(Tensor::from_slice(&features.data, shape, &Device::Cpu)?)
}

/// Rows of features as chunks, [chunks, rows, columns], the last one filled up with zeros.
pub(super) fn in_chunks(features: &Features, chunking: &Chunking) -> Result<Tensor> {
    let chunks = features.rows.div_ceil(chunking.rows);
    let missing = chunks * chunking.rows - features.rows;
    let rows = tensor(features)?.pad_with_zeros(0, 0, missing)?;
    Ok(rows.reshape((chunks, chunking.rows, features.columns))?)
}

/// The features of each chunk, in order.
pub(super) fn each_chunk(features: &Features, chunking: &Chunking) -> Vec<Features> {
    let columns = features.columns;
    let chunks = features.data.chunks(chunking.rows * columns);
    let chunk = |data: &[f32]| Features { data: data.to_vec(), rows: data.len() / columns, columns };
    chunks.map(chunk).collect()
}

fn open(context: &Context<'_>, chunking: Chunking) -> Result<LinguisticTokenizer> {
    let checkpoint = Checkpoint::open(context.models)?;
    let config = Config { chunking, ..checkpoint.linguistic_config()? };
    checkpoint.linguistic(&config, context.device)
}

struct Bench<'a, 'r> {
    tokenizer: LinguisticTokenizer,
    chunking: Chunking,
    report: &'a mut Report<'r>,
}

impl Bench<'_, '_> {
    fn clip(&mut self, clip: &str, samples: &[f32], file: &AcousticFile<'_>) -> Result<()> {
        let frontend = self.tokenizer.frontend();
        let total = frontend.rows(samples.len(), &self.chunking);
        let features = frontend.features(samples, 0..total, &[]);
        self.counts(clip, samples, &features, file)?;
        self.frames(clip, samples, file)?;
        self.check(clip, file, "features", &in_chunks(&features, &self.chunking)?)?;
        let mut layers = Vec::new();
        let mut state = self.tokenizer.encoder().start(self.chunking)?;
        let encoded =
            self.tokenizer.encoder().forward_with(&mut state, &features, |_, x| layers.push(x.clone()))?;
        self.layers(clip, &layers, total, file)?;
        self.check(clip, file, "encoder_chunks", &encoded)?;
        self.check(clip, file, "encoder_rows", &self.tokenizer.new_rows(&encoded, total)?)?;
        self.codes(clip, "ids", samples, file)
    }

    /// Rows of each chunk; a last chunk without features adds nothing.
    fn counts(
        &mut self,
        clip: &str,
        samples: &[f32],
        features: &Features,
        file: &AcousticFile<'_>,
    ) -> Result<()> {
        let chunks = each_chunk(features, &self.chunking);
        let ends = self.frame_ends(samples, chunks.len());
        let mut starts = vec![0];
        starts.extend(&ends);
        let frames = ends.iter().zip(&starts).map(|(end, start)| end - start);
        let counts: [(&str, Vec<usize>); 3] = [
            ("chunk_fbank_rows", frames.collect()),
            ("chunk_feature_rows", chunks.iter().map(|chunk| chunk.rows).collect()),
            ("chunk_encoder_rows", chunks.iter().map(|chunk| chunk.rows + self.chunking.overlap()).collect()),
        ];
        for (name, counts) in counts.into_iter().filter(|(name, _)| file.has(name)) {
            let expected: Vec<i64> = file.whole(name)?.integers();
            let found: Vec<i64> = counts.iter().map(|&count| count as i64).collect();
            self.report.equal(STAGE, &format!("{clip}:{name}"), &expected, &found);
        }
        Ok(())
    }

    /// How many frames there are after each of the first `chunks` chunks.
    fn frame_ends(&self, samples: &[f32], chunks: usize) -> Vec<usize> {
        let stride = self.chunking.rows * self.tokenizer.frontend().row_samples();
        let heard = (1..=chunks).map(|chunk| samples.len().min(chunk * stride));
        heard.map(|heard| fbank(&samples[..heard], Window::Hamming).rows).collect()
    }

    /// `chunkK.fbank`: the frames that chunk K adds.
    fn frames(&mut self, clip: &str, samples: &[f32], file: &AcousticFile<'_>) -> Result<()> {
        let names = file.names();
        let chunks = names.iter().filter_map(|name| chunk_number(name, "fbank").map(|chunk| (name, chunk)));
        let scaled: Vec<f32> = samples.iter().map(|x| x * 32_768.0).collect();
        let frames = tensor(&fbank(&scaled, Window::Hamming))?;
        for (name, chunk) in chunks {
            let ends = self.frame_ends(samples, chunk + 1);
            let start = chunk.checked_sub(1).map_or(0, |former| ends[former]);
            self.check(clip, file, name, &frames.narrow(0, start, ends[chunk] - start)?)?;
        }
        Ok(())
    }

    /// `chunkK.layer_input` and `chunkK.layerN_output`, from the tensors of all depths, [chunks, window, width].
    fn layers(&mut self, clip: &str, depths: &[Tensor], total: usize, file: &AcousticFile<'_>) -> Result<()> {
        for name in file.names() {
            let depth = name.split_once(".layer").and_then(|(_, layer)| match layer {
                "_input" => Some(0),
                _ => layer.strip_suffix("_output")?.parse::<usize>().ok().map(|layer| layer + 1),
            });
            let Some((depth, chunk)) = depth.zip(chunk_number(&name, "layer")) else {
                continue;
            };
            let rows = total.saturating_sub(chunk * self.chunking.rows).min(self.chunking.rows);
            match depths.get(depth) {
                Some(layer) if rows > 0 => {
                    let layer = layer.get(chunk)?.narrow(0, 0, self.chunking.overlap() + rows)?;
                    self.check(clip, file, &name, &layer)?;
                }
                _ => {
                    let error = Error::inference(format!("there is no `{name}`"));
                    self.report.fail(STAGE, &format!("{clip}:{name}"), &error);
                }
            }
        }
        Ok(())
    }

    fn codes(&mut self, clip: &str, name: &str, samples: &[f32], file: &AcousticFile<'_>) -> Result<()> {
        let expected = file.whole(name)?.integers();
        let found: Vec<i64> = self.tokenizer.encode(samples)?.into_iter().map(i64::from).collect();
        self.report.equal(STAGE, &format!("{clip}:{name}"), &expected, &found);
        Ok(())
    }

    /// The beginning of one wave, cut to many lengths.
    fn lengths(&mut self, file: &AcousticFile<'_>) -> Result<()> {
        let wave = file.whole("input")?.floats();
        let cuts = file.whole("samples_and_codes")?.integers();
        let all = file.whole("codes_concatenated")?.integers();
        let mut rest = all.as_slice();
        for cut in cuts.chunks_exact(2) {
            let (samples, codes) = (cut[0] as usize, cut[1] as usize);
            if samples > wave.len() || codes > rest.len() {
                return Err(Error::input("golden `vq02_lengths` asks for more than it holds"));
            }
            let (expected, left) = rest.split_at(codes);
            rest = left;
            let found = self.tokenizer.encode(&wave[..samples])?;
            let found: Vec<i64> = found.into_iter().map(i64::from).collect();
            let case = format!("lengths:{samples} samples");
            self.report.equal(STAGE, &case, expected, &found);
        }
        Ok(())
    }

    /// One piece with and without the stored noise.
    fn dither(&mut self, file: &AcousticFile<'_>) -> Result<()> {
        let (wave, noise) = (file.whole("wave")?.floats(), file.whole("noise")?.floats());
        for (name, noise) in [("features_dither0", &[][..]), ("features_dither1", &noise)] {
            let frontend = self.tokenizer.frontend();
            let rows = frontend.rows(wave.len(), &self.chunking);
            let features = tensor(&frontend.features(&wave, 0..rows, noise))?;
            self.check("dither", file, name, &features)?;
        }
        Ok(())
    }

    fn check(&mut self, clip: &str, file: &AcousticFile<'_>, name: &str, found: &Tensor) -> Result<()> {
        if file.has(name) {
            let case = format!("{clip}:{name}");
            self.report.check(STAGE, &case, &file.expected(name)?, found);
        }
        Ok(())
    }
}

/// K of a name `chunkK.WHAT…`.
fn chunk_number(name: &str, what: &str) -> Option<usize> {
    let (chunk, rest) = name.strip_prefix("chunk")?.split_once('.')?;
    rest.starts_with(what).then(|| chunk.parse().ok())?
}
