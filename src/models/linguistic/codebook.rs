//! The nearest of a set of centres, without the rounding errors of single precision.

use crate::models::nn::product::product;
use candle_core::{D, DType, Result, Tensor};

/// The centres of the codes.
#[derive(Debug, Clone)]
pub struct Codebook {
    /// Centres as columns, [d, codes].
    centres: Tensor,
    /// Half the squared length of each centre, [codes].
    half_squares: Tensor,
}

impl Codebook {
    /// From the centres as rows, [codes, d].
    pub fn new(centres: &Tensor) -> Result<Self> {
        let centres = centres.to_dtype(DType::F64)?;
        Ok(Self {
            half_squares: (centres.sqr()?.sum(D::Minus1)? * 0.5)?,
            centres: centres.t()?.contiguous()?,
        })
    }

    /// The code whose centre has the smallest Euclidean distance to each of `rows` [n, d].
    pub fn nearest(&self, rows: &Tensor) -> Result<Vec<u32>> {
        // |x - c|^2 / 2 without the part that all codes share; in f64, products of f32 values lose nothing that matters.
        let products = product(&rows.to_dtype(DType::F64)?, &self.centres)?;
        let distances = products.neg()?.broadcast_add(&self.half_squares)?;
        distances.argmin(D::Minus1)?.to_vec1()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn tells_centres_apart_whose_difference_drowns_in_f32() {
        let far = 4096.0f32;
        let step = far * f32::EPSILON;
        let centres =
            Tensor::new(&[[far, 0.0], [far + step, 0.0], [far + 2.0 * step, 0.0]], &Device::Cpu).unwrap();
        let rows =
            Tensor::new(&[[far + 2.0 * step, 0.1], [far, -0.1], [far + step, 0.0]], &Device::Cpu).unwrap();
        let codes = Codebook::new(&centres).unwrap().nearest(&rows).unwrap();
        assert_eq!(codes, [2, 0, 1]);
    }

    #[test]
    fn refuses_rows_of_another_width() {
        let centres = Tensor::zeros((3, 4), DType::F32, &Device::Cpu).unwrap();
        let rows = Tensor::zeros((2, 5), DType::F32, &Device::Cpu).unwrap();
        assert!(Codebook::new(&centres).unwrap().nearest(&rows).is_err());
    }
}
