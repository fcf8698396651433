//! The linguistic tokenizer (vq02).

/// Per-feature statistics: a feature `x` becomes `(x + shift) * scale`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cmvn {
    /// Added first.
    pub shift: Vec<f32>,
    /// Multiplied second.
    pub scale: Vec<f32>,
}
