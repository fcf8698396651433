//! Runs a loop that was compiled for the widest vectors of this processor, found out at run time.

/// What a set of instructions offers to a loop.
pub(crate) trait Width {
    /// Bits of a vector.
    const BITS: usize;
    /// Whether a multiplication and an addition are one instruction; where they are not, `mul_add` is a slow call.
    const FUSED: bool;

    /// `a * b + c`.
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        if Self::FUSED { a.mul_add(b, c) } else { a * b + c }
    }
}

/// A loop; its `run` has to be `#[inline(always)]`, since only what is inlined is compiled for the vectors.
pub(crate) trait Loop {
    /// Does the work with vectors of width `W`.
    fn run<W: Width>(self);
}

/// What every processor of an architecture has.
struct Plain;

impl Width for Plain {
    const BITS: usize = 128;
    const FUSED: bool = cfg!(target_arch = "aarch64");
}

/// Does `work` with the widest vectors that the processor has.
#[cfg(target_arch = "x86_64")]
pub(crate) fn widest(work: impl Loop) {
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
        // SAFETY: the processor has what the function is compiled for.
        unsafe { avx512(work) }
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: as above.
        unsafe { avx2(work) }
    } else {
        work.run::<Plain>();
    }
}

/// Does `work` with the vectors that every processor of this architecture has.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn widest(work: impl Loop) {
    work.run::<Plain>();
}

#[cfg(target_arch = "x86_64")]
struct Avx512;

#[cfg(target_arch = "x86_64")]
impl Width for Avx512 {
    const BITS: usize = 512;
    const FUSED: bool = true;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn avx512(work: impl Loop) {
    work.run::<Avx512>();
}

#[cfg(target_arch = "x86_64")]
struct Avx2;

#[cfg(target_arch = "x86_64")]
impl Width for Avx2 {
    const BITS: usize = 256;
    const FUSED: bool = true;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(work: impl Loop) {
    work.run::<Avx2>();
}

/// Does `work` once with each set of instructions that the processor has.
#[cfg(test)]
pub(crate) fn each(work: impl Loop + Clone) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the processor has what the function is compiled for.
            unsafe { avx512(work.clone()) }
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: as above.
            unsafe { avx2(work.clone()) }
        }
    }
    work.run::<Plain>();
}
