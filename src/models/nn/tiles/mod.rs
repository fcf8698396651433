//! Quantised rows in tiles of sixteen, and their products with f32 activations on a CPU.
//!
//! In a tile the values of sixteen rows lie side by side, so that each lane of a register belongs to one row and no
//! sum has to be taken across lanes. A tile is read from one end to the other, at the memory's speed, from a mapped file
//! as well as from memory; it is multiplied with one activation or with hundreds by the same steps in the same order, so
//! that an activation's products do not depend on which others go with it. Those of a prompt meet the values of a tile as brain
//! floats where the processor multiplies these: faster and, as the activations keep more of their digits, nearer to the exact products.

mod activations;
mod q4;
mod q8;

use super::brain::{self, Operands, Outputs, Parts};
use super::simd::amx::Multiplier;
use super::simd::{LANES, Level};
use bytes::Bytes;
use candle_core::quantized::GgmlDType;
use rayon::prelude::*;

pub(super) use activations::Activations;

/// The numbers inside the tiles; both have a scale for each 32 values of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    /// The values of ggml's `Q8_0`: signed bytes.
    Q8,
    /// The values of ggml's `Q4_K`: four bits, under scales and minima of six bits.
    Q4,
}

impl Blocks {
    /// ggml's name for blocks of the same values, row by row.
    pub fn ggml(self) -> GgmlDType {
        match self {
            Self::Q8 => GgmlDType::Q8_0,
            Self::Q4 => GgmlDType::Q4K,
        }
    }

    /// The tiles for rows of these ggml blocks, if there are such.
    pub fn of(ggml: GgmlDType) -> Option<Self> {
        [Self::Q8, Self::Q4].into_iter().find(|blocks| blocks.ggml() == ggml)
    }

    /// Bytes of a tile of rows with `inputs` values, or `None` when rows of such a length have no blocks.
    fn tile_bytes(self, inputs: usize) -> Option<usize> {
        let (values, bytes) = match self {
            Self::Q8 => (q8::VALUES, q8::BYTES),
            Self::Q4 => (q4::VALUES, q4::BYTES),
        };
        inputs.is_multiple_of(values).then_some(inputs / values * bytes)
    }

    /// Bytes of `outputs` rows of `inputs` values in tiles.
    pub fn bytes(self, outputs: usize, inputs: usize) -> Option<usize> {
        self.tile_bytes(inputs)?.checked_mul(outputs.div_ceil(LANES))
    }

    /// The tiles of ggml `rows` of `inputs` values; a last tile that is not full has rows of zeros.
    pub fn arrange(self, rows: &[u8], inputs: usize) -> Vec<u8> {
        let stride = inputs / self.ggml().block_size() * self.ggml().type_size();
        let Some(tile_bytes) = self.tile_bytes(inputs).filter(|&bytes| bytes > 0) else {
            return Vec::new();
        };
        let tiles = rows.len().div_ceil(stride * LANES);
        let mut bytes = vec![0; tiles * tile_bytes];
        let tasks = bytes.par_chunks_mut(tile_bytes).zip(rows.par_chunks(stride * LANES));
        tasks.for_each(|(tile, rows)| match self {
            Self::Q8 => q8::arrange(rows, stride, tile),
            Self::Q4 => q4::arrange(rows, stride, tile),
        });
        bytes
    }
}

/// A matrix of quantised rows in tiles.
#[derive(Debug, Clone)]
pub struct Tiles {
    bytes: Bytes,
    blocks: Blocks,
    outputs: usize,
    inputs: usize,
}

impl Tiles {
    /// `outputs` rows of `inputs` values in `bytes`; an error when these do not hold exactly that.
    pub fn new(bytes: Bytes, blocks: Blocks, outputs: usize, inputs: usize) -> candle_core::Result<Self> {
        if inputs == 0 || blocks.bytes(outputs, inputs) != Some(bytes.len()) {
            candle_core::bail!("{} bytes do not hold {outputs} rows of {inputs} values", bytes.len())
        }
        Ok(Self { bytes, blocks, outputs, inputs })
    }

    /// `(outputs, inputs)`.
    pub(super) fn dims(&self) -> (usize, usize) {
        (self.outputs, self.inputs)
    }

    fn tile_bytes(&self) -> usize {
        self.bytes.len() / self.outputs.div_ceil(LANES).max(1)
    }

    /// The rows `chosen`, in ggml's blocks.
    fn rows(&self, chosen: impl IntoParallelIterator<Item = u32, Iter: IndexedParallelIterator>) -> Vec<u8> {
        let ggml = self.blocks.ggml();
        let stride = self.inputs / ggml.block_size() * ggml.type_size();
        let chosen = chosen.into_par_iter();
        let mut rows = vec![0; chosen.len() * stride];
        rows.par_chunks_mut(stride).zip(chosen).for_each(|(row, index)| {
            let (tile, lane) = (index as usize / LANES, index as usize % LANES);
            let tile = &self.bytes[tile * self.tile_bytes()..][..self.tile_bytes()];
            match self.blocks {
                Blocks::Q8 => q8::row(tile, lane, row),
                Blocks::Q4 => q4::row(tile, lane, row),
            }
        });
        rows
    }

    /// All rows in ggml's blocks.
    pub fn to_ggml(&self) -> Vec<u8> {
        self.rows(0..self.outputs as u32)
    }

    /// A matrix of the rows `chosen`, in their order.
    pub(super) fn select(&self, chosen: &[u32]) -> candle_core::Result<Self> {
        if let Some(row) = chosen.iter().find(|&&row| row as usize >= self.outputs) {
            candle_core::bail!("row {row} is outside {:?}", self.dims())
        }
        let rows = self.rows(chosen.par_iter().copied());
        let bytes = self.blocks.arrange(&rows, self.inputs);
        Self::new(bytes.into(), self.blocks, chosen.len(), self.inputs)
    }

    /// The products of tile `index` with all activations.
    pub(super) fn tile(&self, level: Level, index: usize, x: &Activations, products: &mut [[f32; LANES]]) {
        let tile = &self.bytes[index * self.tile_bytes()..][..self.tile_bytes()];
        match self.blocks {
            Blocks::Q8 => level.run(Multiply { parts: q8::parts(tile), x, products }),
            Blocks::Q4 => level.run(Multiply { parts: q4::parts(tile), x, products }),
        }
    }

    /// The products of all rows with those of `x`, into `y` [m, outputs], through brain floats.
    pub(super) fn multiply_brain(
        &self,
        multiplier: Multiplier,
        level: Level,
        x: &[f32],
        y: &mut [f32],
        operands: &mut Operands,
    ) -> candle_core::Result<()> {
        let fill = |index: usize, to: Outputs<'_>| {
            let tile = &self.bytes[index * self.tile_bytes()..][..self.tile_bytes()];
            match self.blocks {
                Blocks::Q8 => level.run(Widen { parts: q8::parts(tile), to }),
                Blocks::Q4 => level.run(Widen { parts: q4::parts(tile), to }),
            }
        };
        brain::multiply(multiplier, operands, x, self.dims(), Parts { left: 1, right: 1 }, fill, y)
    }
}

/// The weights of a tile, in its values and scales, as brain floats.
struct Widen<'a, V, S> {
    parts: (&'a [V], &'a [S]),
    to: Outputs<'a>,
}

/// The products of a tile, in its values and scales, with all activations.
struct Multiply<'a, V, S> {
    parts: (&'a [V], &'a [S]),
    x: &'a Activations,
    products: &'a mut [[f32; LANES]],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::nn::noise;
    use candle_core::Device;
    use candle_core::quantized::QTensor;

    const ALL: [Blocks; 2] = [Blocks::Q8, Blocks::Q4];

    fn values(n: usize, k: usize) -> Vec<f32> {
        noise((n * k) as u64, (n, k)).flatten_all().unwrap().to_vec1().unwrap()
    }

    /// Tiles of random rows, the rows in ggml's blocks, and the values of these.
    fn rows(blocks: Blocks, n: usize, k: usize) -> (Tiles, Vec<u8>, Vec<f32>) {
        let rows = QTensor::quantize(&noise(1, (n, k)), blocks.ggml()).unwrap();
        let exact = rows.dequantize(&Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        let rows = rows.data().unwrap().into_owned();
        let tiles = Tiles::new(blocks.arrange(&rows, k).into(), blocks, n, k).unwrap();
        (tiles, rows, exact)
    }

    /// `[m, n]`.
    fn multiply(level: Level, tiles: &Tiles, x: &[f32]) -> Vec<Vec<f32>> {
        let (n, k) = tiles.dims();
        let mut activations = Activations::default();
        activations.read(level, x, k);
        let mut products = vec![vec![0.0; n]; x.len() / k];
        for (index, start) in (0..n).step_by(LANES).enumerate() {
            let mut sums = vec![[0.0; LANES]; products.len()];
            tiles.tile(level, index, &activations, &mut sums);
            for (row, sums) in products.iter_mut().zip(sums) {
                let count = LANES.min(n - start);
                row[start..start + count].copy_from_slice(&sums[..count]);
            }
        }
        products
    }

    #[test]
    fn tiles_hold_the_rows() {
        for blocks in ALL {
            let (tiles, rows, _) = rows(blocks, 37, 512);
            assert_eq!(tiles.to_ggml(), rows);
            let chosen = [36u32, 0, 5, 5];
            let stride = rows.len() / 37;
            let expected: Vec<u8> =
                chosen.iter().flat_map(|&row| &rows[row as usize * stride..][..stride]).copied().collect();
            let part = tiles.select(&chosen).unwrap();
            assert_eq!((part.to_ggml(), part.dims()), (expected, (4, 512)));
            assert!(tiles.select(&[37]).is_err());
        }
    }

    #[test]
    fn products_are_those_of_the_values() {
        for (blocks, n, k) in [(Blocks::Q8, 5, 96), (Blocks::Q8, 64, 32), (Blocks::Q4, 33, 512)] {
            let (tiles, _, exact) = rows(blocks, n, k);
            let x = values(13, k);
            for level in Level::all() {
                for (x, found) in x.chunks(k).zip(multiply(level, &tiles, &x)) {
                    let largest = x.iter().fold(0f32, |largest, x| largest.max(x.abs()));
                    for (w, found) in exact.chunks(k).zip(found) {
                        let value: f32 = w.iter().zip(x).map(|(w, x)| w * x).sum();
                        // Each activation is off by half a step, of which the largest value of its block has 127.
                        let tolerance = w.iter().map(|w| w.abs()).sum::<f32>() * largest / 253.0;
                        assert!((value - found).abs() < tolerance, "{level:?} {blocks:?}: {value} {found}");
                    }
                }
            }
        }
    }

    #[test]
    fn brain_floats_are_nearer_to_the_exact_products_than_bytes() {
        for (blocks, n, k) in [(Blocks::Q8, 5, 96), (Blocks::Q8, 64, 32), (Blocks::Q4, 33, 512)] {
            let (tiles, _, exact) = rows(blocks, n, k);
            let x = values(45, k);
            let exact: Vec<f64> = x
                .chunks(k)
                .flat_map(|x| {
                    exact.chunks(k).map(move |w| w.iter().zip(x).map(|(w, x)| f64::from(w * x)).sum())
                })
                .collect();
            let off = |found: &[f32]| -> f64 {
                exact.iter().zip(found).map(|(exact, found)| (exact - f64::from(*found)).powi(2)).sum()
            };
            let bytes = off(&multiply(Level::best(), &tiles, &x).concat());
            for (multiplier, level) in
                Multiplier::all().flat_map(|one| Level::all().map(move |level| (one, level)))
            {
                let mut y = vec![f32::NAN; 45 * n];
                tiles.multiply_brain(multiplier, level, &x, &mut y, &mut Operands::default()).unwrap();
                assert!(off(&y) < bytes, "{multiplier:?} {level:?} {blocks:?}: {} {bytes}", off(&y));
            }
        }
    }

    #[test]
    fn no_activation_depends_on_the_others() {
        for blocks in ALL {
            let (tiles, ..) = rows(blocks, 16, 256);
            let x = values(23, 256);
            for level in Level::all() {
                let together = multiply(level, &tiles, &x);
                let alone = x.chunks(256).flat_map(|x| multiply(level, &tiles, x));
                assert!(alone.eq(together), "{level:?} {blocks:?}");
            }
        }
    }

    #[test]
    fn every_level_computes_nearly_the_same() {
        for blocks in ALL {
            let (tiles, ..) = rows(blocks, 20, 512);
            let x = values(9, 512);
            let expected = multiply(Level::ANY, &tiles, &x).concat();
            for level in Level::all() {
                let found = multiply(level, &tiles, &x).concat();
                let off = expected.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
                assert!(off < 1e-4, "{level:?} {blocks:?}: {off}");
            }
        }
    }

    #[test]
    fn extremes_do_not_overflow() {
        let row: Vec<u8> = [0x00, 0x3c].into_iter().chain([127u8; 32]).collect();
        let rows = row.repeat(4 * LANES);
        let tiles = Tiles::new(Blocks::Q8.arrange(&rows, 128).into(), Blocks::Q8, LANES, 128).unwrap();
        for level in Level::all() {
            for sign in [1.0, -1.0] {
                let found = multiply(level, &tiles, &[sign * 2.0; 128]).concat();
                let exact = sign * 127.0 * 2.0 * 128.0;
                assert!(found.iter().all(|&value| (value - exact).abs() < 1.0), "{found:?}");
            }
            assert_eq!(multiply(level, &tiles, &[0.0; 128]), [[0.0; LANES]]);
            let mut broken = [1.0; 128];
            broken[77] = f32::NAN;
            assert!(multiply(level, &tiles, &broken)[0].iter().all(|value| value.is_nan()));
        }
    }

    #[test]
    fn a_wrong_number_of_bytes_is_refused() {
        let tiles = |bytes, outputs, inputs| Tiles::new(vec![0; bytes].into(), Blocks::Q8, outputs, inputs);
        assert!(tiles(543, 1, 32).is_err() && tiles(544, 17, 32).is_err() && tiles(544, 1, 33).is_err());
        assert!(tiles(544, 1, 32).is_ok() && tiles(0, 1, 0).is_err());
    }
}
