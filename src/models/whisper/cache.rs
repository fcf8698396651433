//! What the decoder remembers of one window: keys and values of the encoder's states and of the text so far.

use candle_core::{Result, Tensor};

/// Keys and values of the encoder's states in one layer, `[heads, s, size]`.
#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) keys: Tensor,
    pub(crate) values: Tensor,
}

/// The state of decoding one window; several texts (beams) can grow side by side.
#[derive(Debug)]
pub(crate) struct Cache {
    memories: Vec<Memory>,
    /// Per layer, `[texts, heads, capacity, size]`; filled up to `length`.
    texts: Vec<Option<(Tensor, Tensor)>>,
    length: usize,
    capacity: usize,
}

impl Cache {
    pub(super) fn new(memories: Vec<Memory>, capacity: usize) -> Self {
        let texts = vec![None; memories.len()];
        Self { memories, texts, length: 0, capacity }
    }

    /// Tokens held.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Texts that grow side by side; none before the first token.
    pub(crate) fn texts(&self) -> usize {
        let first = self.texts.first().and_then(Option::as_ref);
        first.map_or(0, |(keys, _)| keys.dims()[0])
    }

    /// Forgets all but the first `length` tokens.
    pub(crate) fn rewind(&mut self, length: usize) {
        self.length = length.min(self.length);
    }

    /// Replaces the texts by those with the numbers `[texts]`: repeats one text, or keeps the best of several.
    pub(crate) fn select(&mut self, numbers: &Tensor) -> Result<()> {
        for (keys, values) in self.texts.iter_mut().flatten() {
            for buffer in [keys, values] {
                let held = buffer.narrow(2, 0, self.length)?.contiguous()?.index_select(numbers, 0)?;
                if buffer.dim(0)? != held.dim(0)? {
                    let (_, heads, capacity, size) = buffer.dims4()?;
                    *buffer =
                        Tensor::zeros((held.dim(0)?, heads, capacity, size), held.dtype(), held.device())?;
                }
                buffer.slice_set(&held, 2, 0)?;
            }
        }
        Ok(())
    }

    pub(super) fn memory(&self, layer: usize) -> &Memory {
        &self.memories[layer]
    }

    /// Adds keys and values `[texts, heads, t, size]` to a layer and returns all that it holds now.
    pub(super) fn extend(
        &mut self,
        layer: usize,
        keys: &Tensor,
        values: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (texts, heads, count, size) = keys.dims4()?;
        let empty = || Tensor::zeros((texts, heads, self.capacity, size), keys.dtype(), keys.device());
        let slot = &mut self.texts[layer];
        if slot.as_ref().is_some_and(|(held, _)| held.dims()[0] != texts) {
            if self.length > 0 {
                candle_core::bail!("{texts} texts do not continue those of the cache");
            }
            *slot = None;
        }
        let (all_keys, all_values) = match slot {
            Some(held) => held,
            None => slot.insert((empty()?, empty()?)),
        };
        all_keys.slice_set(keys, 2, self.length)?;
        all_values.slice_set(values, 2, self.length)?;
        let length = self.length + count;
        Ok((all_keys.narrow(2, 0, length)?, all_values.narrow(2, 0, length)?))
    }

    /// Counts tokens that every layer has got.
    pub(super) fn advance(&mut self, count: usize) {
        self.length += count;
    }
}
