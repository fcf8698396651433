//! Floats as files and tensors hold them.

use super::Lanes;

/// How floats are stored.
pub(crate) trait Stored {
    /// What a slice of them has.
    type Element: Copy + Sync;
    /// Elements of a value.
    const SIZE: usize;
    /// At most sixteen values; what is missing is zero.
    fn load<L: Lanes>(lanes: L, values: &[Self::Element]) -> L::F;
}

/// As they are.
pub(crate) struct F32;
/// In half precision, little-endian.
pub(crate) struct F16;
/// As brain floats, little-endian.
pub(crate) struct Bf16;

impl Stored for F32 {
    type Element = f32;
    const SIZE: usize = 1;

    #[inline(always)]
    fn load<L: Lanes>(lanes: L, values: &[f32]) -> L::F {
        match values.as_array() {
            Some(all) => lanes.load(all),
            None => lanes.load(&padded(values)),
        }
    }
}

impl Stored for F16 {
    type Element = u8;
    const SIZE: usize = 2;

    #[inline(always)]
    fn load<L: Lanes>(lanes: L, values: &[u8]) -> L::F {
        match values.as_array() {
            Some(all) => lanes.load_f16(all),
            None => lanes.load_f16(&padded(values)),
        }
    }
}

impl Stored for Bf16 {
    type Element = u8;
    const SIZE: usize = 2;

    #[inline(always)]
    fn load<L: Lanes>(lanes: L, values: &[u8]) -> L::F {
        match values.as_array() {
            Some(all) => lanes.load_bf16(all),
            None => lanes.load_bf16(&padded(values)),
        }
    }
}

/// A last step that is not full.
#[cold]
fn padded<T: Copy + Default, const N: usize>(values: &[T]) -> [T; N] {
    let mut all = [T::default(); N];
    all[..values.len()].copy_from_slice(values);
    all
}
