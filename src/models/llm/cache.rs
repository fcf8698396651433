//! Keys and values of the positions so far.

use super::config::Config;
use super::pages::Pages;
use crate::models::nn::host;
use candle_core::{DType, Device, Result, Tensor};

/// What the model remembers of one conversation.
#[derive(Debug)]
pub struct Cache {
    pub(super) memory: Memory,
}

#[derive(Debug)]
pub(super) enum Memory {
    /// On a CPU.
    Pages(Pages),
    /// On a GPU.
    Tensors(Tensors),
}

impl Cache {
    /// An empty cache; a GPU makes room for `capacity` positions at first.
    pub(super) fn new(config: &Config, capacity: usize, dtype: DType, device: &Device) -> Result<Self> {
        let memory = if host::has_loops(device) {
            Memory::Pages(Pages::new(config, dtype))
        } else {
            Memory::Tensors(Tensors::new(config, capacity, dtype, device)?)
        };
        Ok(Self { memory })
    }

    /// Positions so far.
    pub fn len(&self) -> usize {
        match &self.memory {
            Memory::Pages(pages) => pages.len(),
            Memory::Tensors(tensors) => tensors.length,
        }
    }

    /// Whether nothing was read yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A cache of the first `length` positions, which shares their memory until one of the two goes on; on a GPU, where
    /// results depend on how many positions are read at once, there is none.
    pub fn start(&self, length: usize) -> Option<Self> {
        match &self.memory {
            Memory::Pages(pages) => Some(Self { memory: Memory::Pages(pages.start(length)) }),
            Memory::Tensors(_) => None,
        }
    }

    /// Bytes that it holds on a CPU, shared ones included.
    pub fn bytes(&self) -> usize {
        match &self.memory {
            Memory::Pages(pages) => pages.bytes(),
            Memory::Tensors(_) => 0,
        }
    }
}

/// Keys and values un-repeated, with room to grow in place.
#[derive(Debug)]
pub(super) struct Tensors {
    /// Per layer `[groups, capacity, head size]` twice.
    layers: Vec<(Tensor, Tensor)>,
    pub(super) length: usize,
    pub(super) capacity: usize,
    /// The roots of the distances 0, 1, ..
    pub(super) roots: Vec<f32>,
    /// The negative roots of capacity - 1, .., 1, 0, so that any decoded token's penalties are one slice.
    pub(super) falling: Tensor,
}

/// Positions by which a full cache grows at least.
const GROWTH: usize = 1024;

impl Tensors {
    pub(super) fn new(config: &Config, capacity: usize, dtype: DType, device: &Device) -> Result<Self> {
        let capacity = capacity.max(1);
        let shape = (config.groups(), capacity, config.head_size());
        let empty = || Tensor::zeros(shape, dtype, device);
        let layers = (0..config.num_hidden_layers).map(|_| Ok((empty()?, empty()?)));
        let (roots, falling) = roots(capacity, device)?;
        Ok(Self { layers: layers.collect::<Result<_>>()?, length: 0, capacity, roots, falling })
    }

    /// Makes room for `more` positions; copies what is there only when the capacity is used up.
    pub(super) fn reserve(&mut self, more: usize) -> Result<()> {
        let needed = self.length + more;
        if needed <= self.capacity {
            return Ok(());
        }
        let capacity = needed.max(self.capacity + GROWTH.max(self.capacity / 2));
        for (keys, values) in &mut self.layers {
            for old in [keys, values] {
                let (groups, _, width) = old.dims3()?;
                let new = Tensor::zeros((groups, capacity, width), old.dtype(), old.device())?;
                if self.length > 0 {
                    new.slice_set(&old.narrow(1, 0, self.length)?.contiguous()?, 1, 0)?;
                }
                *old = new;
            }
        }
        self.capacity = capacity;
        (self.roots, self.falling) = roots(capacity, self.falling.device())?;
        Ok(())
    }

    /// Keys and values of one layer with the room behind them, `[groups, capacity, head size]` each.
    pub(super) fn layer(&self, index: usize) -> (&Tensor, &Tensor) {
        let (keys, values) = &self.layers[index];
        (keys, values)
    }

    /// Writes `keys` and `values` `[groups, n, head size]` behind the known positions; returns views of all.
    pub(super) fn append(&self, layer: usize, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let (all_keys, all_values) = self.layer(layer);
        all_keys.slice_set(&keys.contiguous()?, 1, self.length)?;
        all_values.slice_set(&values.contiguous()?, 1, self.length)?;
        let total = self.length + keys.dim(1)?;
        Ok((all_keys.narrow(1, 0, total)?, all_values.narrow(1, 0, total)?))
    }
}

fn roots(capacity: usize, device: &Device) -> Result<(Vec<f32>, Tensor)> {
    let roots: Vec<f32> = (0..capacity).map(|distance| (distance as f32).sqrt()).collect();
    let falling = roots.iter().rev().map(|root| -root).collect();
    Ok((roots, Tensor::from_vec(falling, capacity, device)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;

    fn config() -> Config {
        Config {
            hidden_size: 30,
            num_attention_heads: 6,
            num_attention_groups: Some(3),
            num_hidden_layers: 1,
            ..Config::default()
        }
    }

    #[test]
    fn growing_tensors_keep_what_they_hold() {
        let mut cache = Tensors::new(&config(), 2, DType::F32, &Device::Cpu).unwrap();
        let mut all = Vec::new();
        for n in [2, 1, 3] {
            let new = noise(n as u64, (3, n, 5));
            cache.reserve(n).unwrap();
            all.push(new.clone());
            let (keys, _) = cache.append(0, &new, &new).unwrap();
            cache.length += n;
            let expected = Tensor::cat(&all, 1).unwrap();
            let values = |tensor: &Tensor| tensor.contiguous().unwrap().flatten_all().unwrap();
            assert_eq!(values(&keys).to_vec1::<f32>().unwrap(), values(&expected).to_vec1::<f32>().unwrap());
        }
        assert_eq!(cache.length, 6);
    }
}
