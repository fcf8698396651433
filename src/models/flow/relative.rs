//! Attention with relative positions (Transformer-XL), over a growing row of cached keys.
//!
//! Origin: stepfun-ai/Step-Audio-EditX aacb90a, `stepvocoder/cosyvoice2/transformer/{attention,embedding}.py`.

use crate::models::nn::affine::Affine;
use crate::models::nn::attention::attention_with;
use crate::models::nn::product::product;
use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;
use std::ops::Range;

/// Keys and values of all rows so far, each [1, n, h * d].
#[derive(Debug, Clone)]
pub struct KeyValue {
    /// Keys.
    pub keys: Tensor,
    /// Values.
    pub values: Tensor,
}

/// Multi-head attention whose scores depend on content and on the distance between query and key.
#[derive(Debug, Clone)]
pub(super) struct RelativeAttention {
    query: Affine,
    key: Affine,
    value: Affine,
    out: Affine,
    position: Affine,
    content_bias: Tensor,
    position_bias: Tensor,
    heads: usize,
}

impl RelativeAttention {
    /// Reads the number of heads from `pos_bias_u` [h, d]; the scale 1 / sqrt(d) goes into the query side.
    pub(super) fn load(vb: &VarBuilder<'_>) -> Result<Self> {
        let bias = vb.get_unchecked("pos_bias_u")?;
        let (heads, width) = bias.dims2()?;
        let scale = 1.0 / (width as f64).sqrt();
        let query = vb.pp("linear_q");
        let query_bias = query.contains_tensor("bias").then(|| query.get_unchecked("bias")? * scale);
        Ok(Self {
            query: Affine::new(&(query.get_unchecked("weight")? * scale)?, query_bias.transpose()?)?,
            key: Affine::load(&vb.pp("linear_k"))?,
            value: Affine::load(&vb.pp("linear_v"))?,
            out: Affine::load(&vb.pp("linear_out"))?,
            position: Affine::load(&vb.pp("linear_pos"))?,
            content_bias: (bias.flatten_all()? * scale)?,
            position_bias: (vb.get_unchecked("pos_bias_v")?.flatten_all()? * scale)?,
            heads,
        })
    }

    /// x [1, t, d] after the rows in `cache`, with `positions` of [`position_table`] -> [1, t, d]; `cache` grows by t.
    pub(super) fn forward(
        &self,
        x: &Tensor,
        positions: &Tensor,
        cache: &mut Option<KeyValue>,
    ) -> Result<Tensor> {
        let (keys, values) = (self.key.forward(x)?, self.value.forward(x)?);
        let state = match cache.take() {
            None => KeyValue { keys, values },
            Some(past) => KeyValue {
                keys: Tensor::cat(&[&past.keys, &keys], 1)?,
                values: Tensor::cat(&[&past.values, &values], 1)?,
            },
        };
        let state = cache.insert(state);
        let query = self.query.forward(x)?;
        let (rows, keys) = (x.dim(1)?, state.keys.dim(1)?);
        let to_position = self.split(&query.broadcast_add(&self.position_bias)?)?;
        let positions = self.split(&self.position.forward(positions)?.unsqueeze(0)?)?;
        let by_position = |queries: Range<usize>| {
            // Row r of the table is distance keys - 1 - r, so these queries need one window of it.
            let window = positions.narrow(2, rows - queries.end, keys + queries.len() - 1)?;
            let scores = product(&to_position.narrow(2, queries.start, queries.len())?, &window.t()?)?;
            relative_shift(&scores, keys).map(Some)
        };
        let query = self.split(&query.broadcast_add(&self.content_bias)?)?;
        let (keys, values) = (self.split(&state.keys)?, self.split(&state.values)?);
        self.out.forward(&attention_with(&query, &keys, &values, by_position)?)
    }

    /// [1, t, h * d] -> [1, h, t, d] as a view.
    fn split(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, rows, width) = x.dims3()?;
        x.reshape((batch, rows, self.heads, width / self.heads))?.transpose(1, 2)
    }
}

/// Sines (even columns) and cosines (odd) of the distances `keys` - 1, ..., 1 - `queries`: [keys + queries - 1, width].
pub(super) fn position_table(
    keys: usize,
    queries: usize,
    width: usize,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let slope = -2.0 * 10_000f64.ln() / width as f64;
    let speeds: Vec<f64> = (0..width.div_ceil(2)).map(|k| (slope * k as f64).exp()).collect();
    let rows = keys + queries - 1;
    let mut table = Vec::with_capacity(rows * width);
    for row in 0..rows {
        let distance = keys as f64 - 1.0 - row as f64;
        for pair in 0..width {
            let angle = distance * speeds[pair / 2];
            table.push(if pair % 2 == 0 { angle.sin() } else { angle.cos() } as f32);
        }
    }
    Tensor::from_vec(table, (rows, width), device)?.to_dtype(dtype)
}

/// Moves row i of each head left by queries - 1 - i: [1, h, queries, keys + queries - 1] -> [1, h, queries, keys].
///
/// A row that starts one element earlier each time is a matrix with a row stride that is one less, so a view of
/// each head does it; the only copy is the one that joins the heads.
fn relative_shift(scores: &Tensor, keys: usize) -> Result<Tensor> {
    let (_, heads, queries, width) = scores.dims4()?;
    if queries == 1 {
        return Ok(scores.clone());
    }
    let head = |h: usize| {
        let flat = scores.narrow(1, h, 1)?.flatten_all()?;
        let flat = flat.narrow(0, queries - 1, queries * (width - 1))?;
        flat.reshape((1, 1, queries, width - 1))?.narrow(3, 0, keys)
    };
    let heads = (0..heads).map(head).collect::<Result<Vec<_>>>()?;
    // Joined along dimension 0, which copies views as they are, then put back.
    Tensor::cat(&heads, 0)?.transpose(0, 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shift_picks_the_distance_of_each_pair() {
        let (heads, queries, keys) = (3, 4, 6);
        let width = keys + queries - 1;
        let values: Vec<f32> = (0..heads * queries * width).map(|i| i as f32).collect();
        let scores = Tensor::from_vec(values, (1, heads, queries, width), &Device::Cpu).unwrap();
        let shifted = relative_shift(&scores, keys).unwrap().squeeze(0).unwrap();
        let shifted: Vec<Vec<Vec<f32>>> = shifted.to_vec3().unwrap();
        for h in 0..heads {
            for i in 0..queries {
                for j in 0..keys {
                    let want = (h * queries + i) * width + queries - 1 - i + j;
                    assert_eq!(shifted[h][i][j], want as f32);
                }
            }
        }
    }

    #[test]
    fn shift_of_one_query_changes_nothing() {
        let scores = Tensor::new(&[[[[1f32, 2.0, 3.0]]]], &Device::Cpu).unwrap();
        let shifted = relative_shift(&scores, 3).unwrap();
        assert_eq!(shifted.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [1.0, 2.0, 3.0]);
    }

    #[test]
    fn table_runs_from_the_past_to_the_future() {
        let table = position_table(3, 2, 4, DType::F32, &Device::Cpu).unwrap();
        let table: Vec<Vec<f32>> = table.to_vec2().unwrap();
        assert_eq!(table.len(), 4);
        for (row, distance) in table.iter().zip([2f32, 1.0, 0.0, -1.0]) {
            let slow = distance * 0.01;
            for (got, want) in row.iter().zip([distance.sin(), distance.cos(), slow.sin(), slow.cos()]) {
                assert!((got - want).abs() < 1e-6);
            }
        }
    }
}
