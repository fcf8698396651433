//! One step of the model through tensor operations, for a GPU: prompts, and ids where no kernels of our own take the weights.
//!
//! Some twenty operations for each layer, none of which needs anything from the host but its launch: tensors lie in rows (views with
//! gaps would send their strides along), and only the head's logits come back.

use super::cache::Tensors;
use super::kernels::Kernels;
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
    fn gated(&self, x: &Tensor, kernels: Option<&Kernels>) -> candle_core::Result<Tensor> {
        let both = self.expand.forward(x)?;
        if let Some(kernels) = kernels {
            return self.contract.forward(&kernels.gate(&both)?);
        }
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
        let kernels = self.kernels();
        let mut softmax = Vec::with_capacity(conversations.len());
        for cache in conversations.iter_mut() {
            cache.reserve(each)?;
            softmax.push(self.attention.softmax(cache, each, kernels)?);
        }
        let mut x = self.embedding.rows(ids, self.config.hidden_size, self.dtype, &self.device)?; // [n, hidden]
        trace(Point::Embedding, &x);
        for (index, layer) in self.layers.iter().enumerate() {
            let projected = layer.project.forward(&layer.attention_norm.forward(&x)?)?;
            let mixed = self.attention.side_by_side(&projected, index, conversations, &softmax)?;
            x = (x + layer.output.forward(&mixed)?)?;
            x = (&x + layer.gated(&layer.gated_norm.forward(&x)?, kernels)?)?;
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
        // Both ways round a product of 8-bit numbers, or of brain floats, at other places.
        for (kind, accepted) in [(WeightKind::F32, 1e-5), (WeightKind::Bf16, 0.05), (WeightKind::Q8, 0.05)] {
            let (loops, tensors) = (logits(kind), through_tensors(|| logits(kind)));
            assert_eq!(loops.len(), tensors.len());
            let length = |values: &mut dyn Iterator<Item = f32>| values.map(|x| x * x).sum::<f32>().sqrt();
            let difference = length(&mut loops.iter().zip(&tensors).map(|(a, b)| a - b));
            let relative = difference / length(&mut loops.iter().copied());
            assert!(relative < accepted, "{kind}: {relative}");
            assert!(loops.iter().any(|logit| logit.abs() > 0.5), "{kind}: nothing was computed");
        }
    }
}
