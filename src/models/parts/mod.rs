//! What is too long for the model, cut into parts: texts where sentences end, recordings where they pause.

pub mod alignment;
pub mod boundaries;
pub mod length;
pub mod sound;
pub mod text;

use std::ops::Range;

/// Groups neighbours of `count` pieces so that the sum of `cost` over all groups is least.
///
/// A group of several pieces must fit; one that does not makes every longer one that ends with it unfit too. A single
/// piece is always allowed. Of several best groupings the one with the longest last group is taken.
fn cheapest(
    count: usize,
    fits: impl Fn(Range<usize>) -> bool,
    cost: impl Fn(Range<usize>) -> f64,
) -> Vec<Range<usize>> {
    // For each end: the least cost of all before it, and where its last group starts.
    let mut best = vec![(0.0, 0)];
    for end in 1..=count {
        let mut least = (f64::INFINITY, end - 1);
        for start in (0..end).rev().take_while(|&start| start + 1 == end || fits(start..end)) {
            let total = best[start].0 + cost(start..end);
            if total <= least.0 {
                least = (total, start);
            }
        }
        best.push(least);
    }
    let mut groups = Vec::new();
    let mut end = count;
    while end > 0 {
        groups.push(best[end].1..end);
        end = best[end].1;
    }
    groups.reverse();
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grouped(sizes: &[usize], most: usize) -> Vec<usize> {
        let size = |range: Range<usize>| sizes[range].iter().sum::<usize>();
        let even = |range| 1.0 + (size(range) as f64 / most as f64).powi(2) * 1e-3;
        cheapest(sizes.len(), |range| size(range) <= most, even).into_iter().map(size).collect()
    }

    #[test]
    fn few_and_even_groups_are_cheapest() {
        assert_eq!(grouped(&[3, 3, 3, 3], 9), [6, 6]);
        assert_eq!(grouped(&[5, 5, 5, 1], 10), [10, 6]);
        assert_eq!(grouped(&[1; 10], 4), [3, 3, 4]);
        assert_eq!(grouped(&[], 4), [0; 0]);
    }

    #[test]
    fn a_piece_that_does_not_fit_stands_alone() {
        assert_eq!(grouped(&[1, 20, 1], 4), [1, 20, 1]);
    }
}
