//! Blocks of products of brain floats: in the tile registers of recent Xeons (AMX) where there are such.
//!
//! Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18. A tile register holds sixteen lines of 64
//! bytes; `tdpbf16ps` adds to each of 256 sums the products of 32 pairs of brain floats. Linux gives the registers to a
//! process that asks for them.

use super::{LANES, Words};

/// Rows and columns of a block.
pub(crate) const SIDE: usize = 2 * LANES;
/// Terms of each sum that a tile has.
pub(crate) const DEPTH: usize = 32;

/// Sixteen lines of sixteen words of two brain floats, the first one in the lower half. On the left a line is a row, and a word
/// has two terms of it; on the right a line has two terms of sixteen columns.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Tile(pub(crate) [Words; LANES]);

impl Tile {
    pub(crate) const ZERO: Self = Self([[0; size_of::<Words>()]; LANES]);

    /// The brain float at `place` of a line.
    #[cfg(test)]
    fn at(&self, line: usize, place: usize) -> f32 {
        half::bf16::from_le_bytes(self.0[line].as_chunks().0[place]).to_f32()
    }
}

/// Which two tiles on the left, one below the other, meet which two on the right, side by side: numbers of the first of each.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Step {
    left: usize,
    right: usize,
}

/// What is added up for a block.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    steps: Vec<Step>,
    /// How many tiles the steps reach, on the left and on the right.
    reach: (usize, usize),
}

impl Steps {
    /// In this order.
    pub(crate) fn set(&mut self, steps: impl Iterator<Item = (usize, usize)>) {
        self.steps.clear();
        self.steps.extend(steps.map(|(left, right)| Step { left, right }));
        let reach =
            |tile: fn(&Step) -> usize| self.steps.iter().map(|step| tile(step) + 2).max().unwrap_or(0);
        self.reach = (reach(|step| step.left), reach(|step| step.right));
    }
}

/// The sums of a block.
pub(crate) type Sums = [[f32; SIDE]; SIDE];

/// What multiplies brain floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Multiplier(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The tile registers.
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Amx,
    /// Plain loops, far slower than products of f32: for tests.
    #[cfg(test)]
    Loops,
}

impl Multiplier {
    /// The one that is faster than products of f32, if there is one.
    pub(crate) fn fast() -> Option<Self> {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if linux::has_amx() {
            return Some(Self(Kind::Amx));
        }
        None
    }

    /// Each that can be tested here.
    #[cfg(test)]
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Self::fast().into_iter().chain([Self(Kind::Loops)])
    }

    /// The sums over `steps` of the tiles on the left with those of each panel on the right, `panel` tiles each.
    pub(crate) fn sums(self, left: &[Tile], right: &[Tile], panel: usize, steps: &Steps, sums: &mut [Sums]) {
        let is_inside = steps.reach.0 <= left.len() && steps.reach.1 <= panel;
        assert!(is_inside && panel * sums.len() <= right.len(), "steps beyond the tiles");
        match self.0 {
            // SAFETY: only `fast` makes this kind, when the process may use the registers; the steps stay inside the tiles.
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Kind::Amx => unsafe { linux::sums(left, right, panel, &steps.steps, sums) },
            #[cfg(test)]
            Kind::Loops => {
                for (index, sums) in sums.iter_mut().enumerate() {
                    loops(left, &right[index * panel..], &steps.steps, sums);
                }
            }
        }
    }
}

#[cfg(test)]
fn loops(left: &[Tile], right: &[Tile], steps: &[Step], sums: &mut Sums) {
    *sums = Sums::default();
    for step in steps {
        for (i, sums) in sums.iter_mut().enumerate() {
            for (j, sum) in sums.iter_mut().enumerate() {
                let (left, right) = (&left[step.left + i / LANES], &right[step.right + j / LANES]);
                for k in 0..DEPTH {
                    *sum += left.at(i % LANES, k) * right.at(k / 2, 2 * (j % LANES) + k % 2);
                }
            }
        }
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod linux {
    use super::{LANES, SIDE, Step, Sums, Tile};
    use std::arch::asm;
    use std::arch::x86_64::{__cpuid_count, __get_cpuid_max};
    use std::sync::LazyLock;

    pub(super) fn has_amx() -> bool {
        static FOUND: LazyLock<bool> = LazyLock::new(|| is_there() && is_given());
        *FOUND
    }

    /// Whether the processor has tiles and multiplies brain floats in them.
    fn is_there() -> bool {
        const FEATURES: u32 = 7;
        const BF16: u32 = 1 << 22;
        const TILE: u32 = 1 << 24;
        __get_cpuid_max(0).0 >= FEATURES && __cpuid_count(FEATURES, 0).edx & (BF16 | TILE) == BF16 | TILE
    }

    /// Asks for the registers, for all threads of the process; older kernels know nothing of them.
    fn is_given() -> bool {
        const ARCH_REQ_XCOMP_PERM: libc::c_int = 0x1023;
        const TILE_DATA: libc::c_ulong = 18;
        // SAFETY: this request takes a number and touches no memory.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0 }
    }

    /// The first palette, eight tiles of sixteen lines of 64 bytes.
    #[repr(C, align(64))]
    struct Configuration {
        palette: u8,
        start: u8,
        reserved: [u8; 14],
        bytes: [u16; 16],
        lines: [u8; 16],
    }

    static WHOLE: Configuration = {
        let (mut bytes, mut lines) = ([0; 16], [0; 16]);
        let mut tile = 0;
        while tile < 8 {
            (bytes[tile], lines[tile]) = (size_of::<Tile>() as u16 / LANES as u16, LANES as u8);
            tile += 1;
        }
        Configuration { palette: 1, start: 0, reserved: [0; 14], bytes, lines }
    };

    /// # Safety
    ///
    /// The process was given the registers, every step is inside `left` and a panel, and `right` has a panel for each of `sums`.
    pub(super) unsafe fn sums(
        left: &[Tile],
        right: &[Tile],
        panel: usize,
        steps: &[Step],
        sums: &mut [Sums],
    ) {
        if steps.is_empty() || sums.is_empty() {
            return sums.fill(Sums::default());
        }
        // SAFETY: all that is read are the tiles of the steps, all that is written are the sums; the registers are
        // configured and given back inside, so that nothing outside ever finds them in use.
        unsafe {
            asm!(
                "ldtilecfg [{l}]",
                "2:",
                "mov {step}, {steps}",
                "tilezero tmm0",
                "tilezero tmm1",
                "tilezero tmm2",
                "tilezero tmm3",
                "3:",
                "mov {l}, [{step}]",
                "mov {r}, [{step} + 8]",
                "shl {l}, 10",
                "shl {r}, 10",
                "add {l}, {left}",
                "add {r}, {right}",
                "tileloadd tmm4, [{l} + {line}]",
                "tileloadd tmm6, [{r} + {line}]",
                "tileloadd tmm7, [{r} + {line} + 1024]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{l} + {line} + 1024]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "add {step}, 16",
                "cmp {step}, {end}",
                "jne 3b",
                "tilestored [{sums} + {row}], tmm0",
                "tilestored [{sums} + {row} + 64], tmm1",
                "add {sums}, 2048",
                "tilestored [{sums} + {row}], tmm2",
                "tilestored [{sums} + {row} + 64], tmm3",
                "add {sums}, 2048",
                "add {right}, {panel}",
                "dec {count}",
                "jnz 2b",
                "tilerelease",
                steps = in(reg) steps.as_ptr(),
                end = in(reg) steps.as_ptr_range().end,
                step = out(reg) _,
                left = in(reg) left.as_ptr(),
                right = inout(reg) right.as_ptr() => _,
                panel = in(reg) panel * size_of::<Tile>(),
                count = inout(reg) sums.len() => _,
                sums = inout(reg) sums.as_mut_ptr() => _,
                line = in(reg) size_of::<Tile>() / LANES,
                row = in(reg) SIDE * size_of::<f32>(),
                l = inout(reg) &raw const WHOLE => _,
                r = out(reg) _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::bf16;

    /// Tiles of whole numbers from -8 to 8, whose sums are exact in any order.
    fn tiles(seed: usize, count: usize) -> Vec<Tile> {
        let value = |i: usize| bf16::from_f32(((i * 7 + seed) * 31 % 17) as f32 - 8.0).to_le_bytes();
        let tile = |t: usize| {
            Tile(std::array::from_fn(|line| {
                std::array::from_fn(|byte| value(t * 512 + line * 32 + byte / 2)[byte % 2])
            }))
        };
        (0..count).map(tile).collect()
    }

    #[test]
    fn every_kind_has_the_sums_of_all_steps() {
        const ALL: [(usize, usize); 4] = [(0, 0), (4, 0), (2, 2), (0, 2)];
        let (left, right, panel) = (tiles(1, 6), tiles(5, 8), 4);
        let mut steps = Steps::default();
        steps.set(ALL.into_iter());
        for multiplier in Multiplier::all() {
            let mut found = [[[f32::NAN; SIDE]; SIDE]; 2];
            multiplier.sums(&left, &right, panel, &steps, &mut found);
            for (sums, right) in found.iter().zip(right.chunks(panel)) {
                for (i, sums) in sums.iter().enumerate() {
                    for (j, &sum) in sums.iter().enumerate() {
                        let term = |(l, r): (usize, usize), k: usize| {
                            let x = left[l + i / LANES].at(i % LANES, k);
                            x * right[r + j / LANES].at(k / 2, 2 * (j % LANES) + k % 2)
                        };
                        let exact: f32 =
                            ALL.into_iter().flat_map(|step| (0..DEPTH).map(move |k| term(step, k))).sum();
                        assert_eq!(sum, exact, "{multiplier:?} {i} {j}");
                    }
                }
            }
            multiplier.sums(&[], &[], 0, &Steps::default(), &mut found);
            assert!(found == [Sums::default(); 2], "{multiplier:?}");
        }
    }

    #[test]
    #[should_panic(expected = "beyond the tiles")]
    fn steps_beyond_the_tiles_are_refused() {
        let mut steps = Steps::default();
        steps.set([(5, 0)].into_iter());
        Multiplier::all().for_each(|multiplier| {
            multiplier.sums(&tiles(1, 6), &tiles(1, 2), 2, &steps, &mut [Sums::default()]);
        });
    }
}
