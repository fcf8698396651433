//! The operations that kernels are written in.

/// Numbers in one step.
pub(crate) const LANES: usize = 16;

/// Sixteen groups of four bytes.
pub(crate) type Words = [u8; 4 * LANES];
/// Sixteen half-precision floats as they lie in a file, little-endian.
pub(crate) type Halves = [u8; 2 * LANES];

/// The operations of the kernels. Lane `i` of each result depends on the lanes `i` of the operands only, and is the same
/// for every kind of processor but for the rounding of [`Lanes::fma`].
pub(crate) trait Lanes: Copy {
    /// Sixteen floats.
    type F: Copy;
    /// Sixteen integers.
    type I: Copy;
    /// Sixteen times four weights between -127 and 127.
    type W: Copy;
    /// Sixteen times four weights between 0 and 15, twice.
    type N: Copy;

    /// How many columns of activations a kernel multiplies at a time, so that their sums stay in registers.
    const COLUMNS: usize;

    fn splat(self, value: f32) -> Self::F;
    fn load(self, values: &[f32; LANES]) -> Self::F;
    fn store(self, values: Self::F, to: &mut [f32; LANES]);
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn load_f16(self, values: &Halves) -> Self::F;
    fn load_bf16(self, values: &Halves) -> Self::F;
    /// Floats of bytes without sign.
    fn load_bytes(self, values: &[u8; LANES]) -> Self::F;

    /// Rows become columns.
    #[inline(always)]
    fn transpose(self, rows: &mut [[u32; LANES]; LANES]) {
        for i in 1..LANES {
            for j in 0..i {
                (rows[i][j], rows[j][i]) = (rows[j][i], rows[i][j]);
            }
        }
    }

    fn to_float(self, values: Self::I) -> Self::F;
    fn zeros(self) -> Self::I;
    /// What [`Lanes::dot`] starts with when it adds up activations with this sum.
    fn start(self, sum: i32) -> Self::I;
    /// Weights stored with 128 added.
    fn load_weights(self, words: &Words) -> Self::W;
    /// Adds the products of each four weights with `four` signed activations between -127 and 127.
    fn dot(self, sums: Self::I, weights: Self::W, four: [u8; 4]) -> Self::I;
    /// The lower and the upper half of each byte.
    fn load_nibbles(self, words: &Words) -> Self::N;
    /// As [`Lanes::dot`], with the lower halves.
    fn dot_low(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I;
    /// As [`Lanes::dot`], with the upper halves.
    fn dot_high(self, sums: Self::I, weights: Self::N, four: [u8; 4]) -> Self::I;
}
