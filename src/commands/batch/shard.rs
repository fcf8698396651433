//! Which items of a manifest one of several processes takes.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// Share `index` (from 1) of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// Everything.
    pub const WHOLE: Self = Self { index: 1, count: 1 };

    /// Whether the item at `position` of the manifest (from 0) belongs to this share.
    ///
    /// Neighbours go to different shares: manifests are often sorted by length.
    pub fn takes(self, position: usize) -> bool {
        position % self.count == self.index - 1
    }

    /// Whether this is everything.
    pub fn is_whole(self) -> bool {
        self.count == 1
    }

    /// The share of a task of a Slurm job array, as its environment tells; `None` outside of one.
    pub fn of_slurm(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let Some(id) = variable("SLURM_ARRAY_TASK_ID") else { return Ok(None) };
        let number = |name: &str| variable(name).and_then(|text| text.parse::<usize>().ok());
        let id = id.parse::<usize>().ok();
        let count = number("SLURM_ARRAY_TASK_COUNT");
        let (Some(id), Some(count), Some(first)) = (id, count, number("SLURM_ARRAY_TASK_MIN")) else {
            return Err(cannot_share("its environment does not tell the tasks of the array"));
        };
        // A lone task has no step; 1 then serves as well as any.
        let step = number("SLURM_ARRAY_TASK_STEP").unwrap_or(1).max(1);
        let last = number("SLURM_ARRAY_TASK_MAX").unwrap_or(first + count.saturating_sub(1) * step);
        let even = id >= first
            && (id - first).is_multiple_of(step)
            && last == first + count.saturating_sub(1) * step;
        match Self::new(id.saturating_sub(first) / step + 1, count) {
            Some(shard) if even => Ok(Some(shard)),
            _ => Err(cannot_share("the ids of its tasks have gaps")),
        }
    }

    fn new(index: usize, count: usize) -> Option<Self> {
        (1..=count).contains(&index).then_some(Self { index, count })
    }
}

fn cannot_share(why: &str) -> Error {
    Error::usage("the items cannot be shared out among the tasks of this Slurm job array")
        .cause(why)
        .hint("use an array like `--array=0-7`, or say which share this is with `--shard I/N`")
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/');
        let parsed = parts.and_then(|(index, count)| Self::new(index.parse().ok()?, count.parse().ok()?));
        parsed.ok_or_else(|| "expected I/N with I from 1 to N, such as 2/8".into())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn slurm(variables: &[(&str, &str)]) -> Result<Option<Shard>> {
        let variables: BTreeMap<_, _> = variables.iter().copied().collect();
        Shard::of_slurm(|name| variables.get(name).map(ToString::to_string))
    }

    fn array(id: usize, first: usize, last: usize, step: usize, count: usize) -> Result<Option<Shard>> {
        let numbers = [id, first, last, step, count].map(|number| number.to_string());
        let names = ["ID", "MIN", "MAX", "STEP", "COUNT"].map(|name| format!("SLURM_ARRAY_TASK_{name}"));
        let pairs: Vec<_> =
            names.iter().map(String::as_str).zip(numbers.iter().map(String::as_str)).collect();
        slurm(&pairs)
    }

    #[test]
    fn shares_of_every_number_from_1_to_7_are_disjoint_and_complete() {
        for count in 1..=7 {
            let shards: Vec<Shard> =
                (1..=count).map(|index| format!("{index}/{count}").parse().unwrap()).collect();
            for position in 0..100 {
                let takers = shards.iter().filter(|shard| shard.takes(position)).count();
                assert_eq!(takers, 1, "item {position} of {count} shares");
            }
        }
    }

    proptest! {
        #[test]
        fn every_item_has_one_taker_and_shares_are_even(items in 0usize..500, count in 1usize..40) {
            let shards: Vec<Shard> = (1..=count).map(|index| Shard::new(index, count).unwrap()).collect();
            let sizes: Vec<usize> =
                shards.iter().map(|shard| (0..items).filter(|&item| shard.takes(item)).count()).collect();
            prop_assert_eq!(sizes.iter().sum::<usize>(), items);
            let (most, least) = (sizes.iter().max().unwrap(), sizes.iter().min().unwrap());
            prop_assert!(most - least <= 1);
            prop_assert!((0..items).all(|item| shards.iter().filter(|shard| shard.takes(item)).count() == 1));
        }

        #[test]
        fn the_tasks_of_any_even_array_are_all_shares(
            first in 0usize..50, step in 1usize..9, count in 1usize..20,
        ) {
            let last = first + (count - 1) * step;
            for task in 0..count {
                let shard = array(first + task * step, first, last, step, count).unwrap().unwrap();
                prop_assert_eq!(shard, Shard::new(task + 1, count).unwrap());
            }
        }

        #[test]
        fn what_is_shown_is_read(count in 1usize..1000, index in 0usize..1000) {
            let shard = Shard::new(index % count + 1, count).unwrap();
            prop_assert_eq!(shard.to_string().parse::<Shard>().unwrap(), shard);
        }
    }

    #[test]
    fn arrays_with_gaps_are_refused() {
        assert_eq!(slurm(&[("SLURM_JOB_ID", "7")]).unwrap(), None);
        assert!(slurm(&[("SLURM_ARRAY_TASK_ID", "7")]).is_err());
        assert!(array(3, 1, 7, 1, 3).is_err(), "1, 3 and 7");
        assert!(array(7, 1, 7, 2, 3).is_err(), "1, 3 and 7 as steps of 2");
        assert!(array(0, 1, 3, 1, 3).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
