//! One step of the model through tensor operations, for a GPU.
//!
//! A decoded token launches some twenty operations for each layer, none of which needs anything from the host but its launch: tensors
//! lie in rows (views with gaps would send their strides along), and only the head's logits come back.

use super::cache::Tensors;
use super::model::{Layer, Model, Point, RmsNorm, Trace};
use crate::error::Result;
use candle_core::Tensor;

impl RmsNorm {
    fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        candle_nn::ops::rms_norm(x, &self.weight, self.eps)
    }
}

impl Layer {
    /// `down(silu(gate x) * up x)`.
    fn gated(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let both = self.expand.forward(x)?;
        let inner = both.dim(1)? / 2;
        let gate = both.narrow(1, 0, inner)?.contiguous()?.silu()?;
        self.contract.forward(&(gate * both.narrow(1, inner, inner)?)?)
    }
}

impl Model {
    /// Reads `ids` behind what the conversations have: as many ids for each, those of the first one first. The hidden states
    /// `[ids, hidden]` after the last norm.
    ///
    /// The weights are read once for all; attention, whose memory each conversation has for itself, is one after the other.
    pub(super) fn step_through_tensors(
        &self,
        conversations: &mut [&mut Tensors],
        ids: &[u32],
        trace: Trace<'_>,
    ) -> Result<Tensor> {
        let each = ids.len() / conversations.len().max(1);
        let mut penalties = Vec::with_capacity(conversations.len());
        for cache in conversations.iter_mut() {
            cache.reserve(each)?;
            penalties.push(self.attention.penalties(cache, each)?);
        }
        let mut x = self.embedding.rows(ids, self.config.hidden_size, self.dtype, &self.device)?; // [n, hidden]
        trace(Point::Embedding, &x);
        for (index, layer) in self.layers.iter().enumerate() {
            let projected = layer.project.forward(&layer.attention_norm.forward(&x)?)?;
            let mixed = self.attention.side_by_side(&projected, index, conversations, &penalties)?;
            x = (x + layer.output.forward(&mixed)?)?;
            x = (&x + layer.gated(&layer.gated_norm.forward(&x)?)?)?;
            trace(Point::Layer(index), &x);
        }
        for cache in conversations.iter_mut() {
            cache.length += each;
        }
        let x = self.norm.forward(&x)?;
        trace(Point::Norm, &x);
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Workspace;
    use super::super::model::tests::{config, random_model};
    use super::super::prefixes::Prefixes;
    use crate::models::nn::host::through_tensors;
    use crate::models::nn::linear::WeightKind;
    use std::ops::ControlFlow;

    /// The logits after two prompts of different lengths, and after one more id behind each in one step.
    fn logits(kind: WeightKind) -> Vec<f32> {
        let model = random_model(&config(), kind);
        let (head, mut work) = (model.unembedding(None).unwrap(), Workspace::default());
        let mut all = Vec::new();
        let mut caches: Vec<_> = [700u32, 3]
            .map(|length| {
                let prompt: Vec<u32> = (0..length).map(|i| i * 31 % 5200).collect();
                let mut cache = Prefixes::new(0).start(&model, &prompt, 1).unwrap();
                let go_on = &mut |_: usize| ControlFlow::Continue(());
                let read = model.prefill(&mut work, &mut cache, &prompt, &head, go_on).unwrap();
                let ControlFlow::Continue(last) = read else { panic!("stopped") };
                all.extend(last.to_vec());
                cache
            })
            .into();
        let mut caches: Vec<_> = caches.iter_mut().collect();
        all.extend(model.decode(&mut work, &mut caches, &[7, 9], &head).unwrap().flatten());
        all
    }

    #[test]
    fn tensors_give_what_loops_give() {
        for (kind, accepted) in [(WeightKind::F32, 1e-4), (WeightKind::Bf16, 0.25), (WeightKind::Q8, 0.25)] {
            let (loops, tensors) = (logits(kind), through_tensors(|| logits(kind)));
            assert_eq!(loops.len(), tensors.len());
            let largest = loops.iter().zip(&tensors).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(largest < accepted, "{kind}: {largest}");
            assert!(loops.iter().any(|logit| logit.abs() > 0.5), "{kind}: nothing was computed");
        }
    }
}
