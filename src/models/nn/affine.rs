//! Linear maps of the networks that run in f32 or as their checkpoint is stored, with what follows them.

use super::activation::Activation;
use super::finish::{Then, finished};
use super::host;
use super::matrix::{Finish, Matrix, Windows};
use super::product::product;
use candle_core::{Result, Tensor};
use candle_nn::VarBuilder;
use std::sync::Arc;

/// `x W^T + b` for `x: [.., in]` and `W: [out, in]`.
#[derive(Debug, Clone)]
pub struct Affine {
    weight: Weight,
    bias: Option<Tensor>,
    dims: (usize, usize),
}

#[derive(Debug, Clone)]
enum Weight {
    /// In f32 on a CPU.
    Arranged(Arc<Matrix>),
    /// `[out, in]`.
    Dense(Tensor),
}

impl Affine {
    /// From `weight` `[out, in]` and `bias` `[out]`.
    pub fn new(weight: &Tensor, bias: Option<Tensor>) -> Result<Self> {
        let dims = weight.dims2()?;
        let weight = if host::is_here(weight) {
            Weight::Arranged(Arc::new(Matrix::new(&weight.t()?)?))
        } else {
            Weight::Dense(weight.contiguous()?)
        };
        let bias = bias.map(|bias| bias.contiguous()).transpose()?;
        Ok(Self { weight, bias, dims })
    }

    /// From `weight` and, where there is one, `bias` of `vb`.
    pub fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let bias = vb.contains_tensor("bias").then(|| vb.get_unchecked("bias")).transpose()?;
        Self::new(&vb.get_unchecked("weight")?, bias)
    }

    /// `(out, in)`.
    pub fn dims(&self) -> (usize, usize) {
        self.dims
    }

    /// `b`.
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.forward_then(x, Then::default())
    }

    /// A function of the result.
    pub fn activated(&self, x: &Tensor, activation: Activation) -> Result<Tensor> {
        self.forward_then(x, Then { activation, ..Then::default() })
    }

    /// `base` and the result together.
    pub fn added(&self, x: &Tensor, base: &Tensor) -> Result<Tensor> {
        self.forward_then(x, Then { base: Some(base), ..Then::default() })
    }

    /// The result and what follows it.
    pub fn forward_then(&self, x: &Tensor, then: Then<'_>) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        let columns = shape.pop().unwrap_or_default();
        let rows = shape.iter().product::<usize>();
        shape.push(self.dims.0);
        match &self.weight {
            Weight::Arranged(matrix) => {
                let (x, bias) = (x.contiguous()?, self.bias.as_ref().map(host::values).transpose()?);
                let base = then.base.map(Tensor::contiguous).transpose()?;
                let (base, gate) =
                    (base.as_ref().map(host::values).transpose()?, then.gate.map(host::values).transpose()?);
                let finish = Finish {
                    bias: bias.as_deref(),
                    activation: then.activation,
                    scale: gate.as_deref(),
                    base: base.as_deref(),
                };
                let mut out = host::zeros(rows * self.dims.0);
                matrix.multiply(Windows::rows(&host::values(&x)?, columns), finish, &mut out)?;
                host::tensor(out, shape)
            }
            Weight::Dense(weight) => {
                let y = product(&x.reshape((rows, columns))?, &weight.t()?)?.reshape(shape)?;
                finished(y, self.bias.as_ref(), then)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;
    use candle_core::DType;

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        let a = a.to_dtype(DType::F64).unwrap();
        (a - b).unwrap().abs().unwrap().max_all().unwrap().to_scalar().unwrap()
    }

    #[test]
    fn equals_the_dense_product_and_what_follows() {
        let f64 = |x: &Tensor| x.to_dtype(DType::F64).unwrap();
        for (inputs, outputs) in [(1, 1), (7, 33), (64, 96), (130, 18)] {
            let (w, b) = (noise(1, (outputs, inputs)), noise(2, outputs));
            let map = Affine::new(&w, Some(b.clone())).unwrap();
            let exact = Affine::new(&f64(&w), Some(f64(&b))).unwrap();
            for rows in [1, 2, 5, 14, 15, 97, 400] {
                let (x, base, gate) =
                    (noise(3, (rows, inputs)), noise(4, (rows, outputs)), noise(5, outputs));
                let found = map.forward(&x).unwrap();
                let wanted = exact.forward(&f64(&x)).unwrap();
                assert!(largest_difference(&found, &wanted) < 1e-4, "{inputs} {outputs} {rows}");
                let then = Then { activation: Activation::GeluTanh, gate: Some(&gate), base: Some(&base) };
                let found = map.forward_then(&x, then).unwrap();
                let (base, gate) = (f64(&base), f64(&gate));
                let then = Then { gate: Some(&gate), base: Some(&base), ..then };
                let wanted = exact.forward_then(&f64(&x), then).unwrap();
                assert!(largest_difference(&found, &wanted) < 1e-4, "{inputs} {outputs} {rows}");
            }
        }
    }

    #[test]
    fn keeps_leading_dimensions_and_refuses_a_wrong_width() {
        let map = Affine::new(&noise(1, (5, 8)), None).unwrap();
        assert_eq!(map.forward(&noise(2, (2, 3, 8))).unwrap().dims(), [2, 3, 5]);
        assert!(map.forward(&noise(2, (2, 3, 7))).is_err());
    }
}
