//! Quantised rows that stay in a mapped file: candle multiplies them where they lie.

use bytes::Bytes;
use candle_core::quantized::k_quants::{self, BlockQ4K};
use candle_core::quantized::{GgmlDType, GgmlType, QStorage, QTensor, QuantizedType};
use candle_core::{CpuStorage, Result};
use half::{bf16, f16};
use std::marker::PhantomData;

/// A tensor over `bytes`, blocks of `blocks` in row-major order.
pub(super) fn tensor(bytes: Bytes, blocks: GgmlDType, dims: &[usize]) -> Result<QTensor> {
    let storage = match blocks {
        GgmlDType::Q4K => boxed::<BlockQ4K>(bytes)?,
        GgmlDType::BF16 => boxed::<bf16>(bytes)?,
        other => candle_core::bail!("{other:?} blocks are not mapped"),
    };
    let elements = storage.size() / blocks.type_size() * blocks.block_size();
    if elements != dims.iter().product::<usize>() {
        candle_core::bail!("{elements} elements for a shape of {dims:?}")
    }
    QTensor::new(QStorage::Cpu(storage), dims)
}

fn boxed<T: Plain + Send + Sync + 'static>(bytes: Bytes) -> Result<Box<dyn QuantizedType>> {
    Ok(Box::new(Mapped::<T>::new(bytes)?))
}

/// Blocks that are valid whatever their bytes: integers and floats without gaps between them.
trait Plain: GgmlType {}
impl Plain for BlockQ4K {}
impl Plain for bf16 {}

struct Mapped<T> {
    bytes: Bytes,
    blocks: PhantomData<T>,
}

impl<T: Plain> Mapped<T> {
    fn new(bytes: Bytes) -> Result<Self> {
        let aligned = bytes.as_ptr().cast::<T>().is_aligned();
        if !aligned || !bytes.len().is_multiple_of(size_of::<T>()) {
            candle_core::bail!("{} bytes are not whole, aligned blocks", bytes.len())
        }
        let blocks = PhantomData;
        Ok(Self { bytes, blocks })
    }

    // SAFETY: `new` checked alignment and length, `Plain` types have no invalid bytes, and `Bytes` neither moves nor
    // changes what it holds for as long as `self` is borrowed.
    #[allow(unsafe_code)]
    fn blocks(&self) -> &[T] {
        let count = self.bytes.len() / size_of::<T>();
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr().cast(), count) }
    }
}

impl<T: Plain + Send + Sync> QuantizedType for Mapped<T> {
    fn dtype(&self) -> GgmlDType {
        T::DTYPE
    }

    fn matmul_t(&self, mkn: (usize, usize, usize), lhs: &[f32], dst: &mut [f32]) -> Result<()> {
        k_quants::matmul(mkn, lhs, self.blocks(), dst)
    }

    fn matmul_t_f16(&self, mkn: (usize, usize, usize), lhs: &[f16], dst: &mut [f16]) -> Result<()> {
        k_quants::matmul_f16(mkn, lhs, self.blocks(), dst)
    }

    fn embedding(&self, ids: &[u32], rows: usize, hidden: usize) -> Result<CpuStorage> {
        let per_row = hidden / T::BLCK_SIZE;
        let mut values = vec![0f32; ids.len() * hidden];
        for (values, &id) in values.chunks_exact_mut(hidden).zip(ids) {
            let start = id as usize * per_row;
            let Some(row) = self.blocks().get(start..start + per_row) else {
                candle_core::bail!("row {id} of {rows}")
            };
            T::to_float(row, values);
        }
        Ok(CpuStorage::F32(values))
    }

    fn dequantize(&self, elements: usize) -> Result<CpuStorage> {
        let mut values = vec![0f32; elements];
        T::to_float(self.blocks(), &mut values);
        Ok(CpuStorage::F32(values))
    }

    fn storage_size_in_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    fn block_size(&self) -> usize {
        T::BLCK_SIZE
    }

    // candle fills a tensor only while it makes one; this one is made full.
    fn from_float(&mut self, _: &[f32]) {}

    fn from_float_imatrix(&mut self, _: &[f32], _: &[f32], _: usize) {}

    fn size(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;
    use candle_core::quantized::QMatMul;
    use candle_core::{Device, Module, Tensor};

    #[test]
    fn multiplies_and_looks_up_like_an_owned_tensor() {
        let device = Device::Cpu;
        for (blocks, rows, columns) in [(GgmlDType::Q4K, 48, 512), (GgmlDType::Q4K, 32, 256)] {
            let weight = noise(1, (rows, columns));
            let owned = QTensor::quantize(&weight, blocks).unwrap();
            let bytes = Bytes::copy_from_slice(&owned.data().unwrap());
            let mapped = tensor(bytes, blocks, &[rows, columns]).unwrap();
            let ids = Tensor::new(&[3u32, 0], &device).unwrap();
            let rows = |tensor: &QTensor| tensor.embedding(&ids).unwrap().to_vec2::<f32>().unwrap();
            assert_eq!(rows(&owned), rows(&mapped));
            let x = noise(2, (3, columns));
            let product =
                |tensor| QMatMul::from_qtensor(tensor).unwrap().forward(&x).unwrap().to_vec2::<f32>();
            assert_eq!(product(owned).unwrap(), product(mapped).unwrap());
        }
    }

    #[test]
    fn refuses_bytes_that_are_not_the_shape() {
        let bytes = || Bytes::from(vec![0u8; 144 * 4]);
        assert!(tensor(bytes(), GgmlDType::Q4K, &[4, 256]).is_ok());
        assert!(tensor(bytes(), GgmlDType::Q4K, &[4, 512]).is_err());
        assert!(tensor(bytes().slice(1..), GgmlDType::Q4K, &[4, 256]).is_err());
        assert!(tensor(bytes(), GgmlDType::Q6K, &[4, 256]).is_err());
    }
}
