//! What follows a product where a CPU's loops do not do it on the way: bias, activation, gate and sum.

use super::activation::Activation;
use super::kernels;
use candle_core::{Result, Tensor};

/// What follows a linear map; nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct Then<'a> {
    /// A function of each value.
    pub activation: Activation,
    /// A factor for each output `[out]`, after the activation.
    pub gate: Option<&'a Tensor>,
    /// What the result is added to, of its shape.
    pub base: Option<&'a Tensor>,
}

/// `activation(y + bias) * gate + base` for `y` `[.., d]` and `bias` `[d]`.
pub(super) fn finished(y: Tensor, bias: Option<&Tensor>, then: Then<'_>) -> Result<Tensor> {
    if bias.is_none() && then.activation == Activation::None && then.gate.is_none() && then.base.is_none() {
        return Ok(y);
    }
    if let Some(y) = kernels::finish(&y, bias, then)? {
        return Ok(y);
    }
    let y = bias.map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))?;
    let y = then.activation.forward(&y)?;
    let y = then.gate.map_or(Ok(y.clone()), |gate| y.broadcast_mul(gate))?;
    then.base.map_or(Ok(y.clone()), |base| base + &y)
}
