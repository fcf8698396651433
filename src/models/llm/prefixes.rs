//! Prompts that were read and are kept, so that the next one with the same start need not read that again.
//!
//! The prompts of one voice begin alike, up to the text; a second attempt has the very same prompt.

use super::cache::Cache;
use super::model::Model;
use crate::error::Result;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Read prompts of one model, the newest first.
pub struct Prefixes {
    kept: Mutex<Vec<Kept>>,
    /// The most that all together may hold.
    bytes: usize,
}

struct Kept {
    ids: Vec<u32>,
    cache: Cache,
}

impl Default for Prefixes {
    /// Half a gigabyte at most: some forty minutes of recordings.
    fn default() -> Self {
        Self::new(512 << 20)
    }
}

impl fmt::Debug for Prefixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefixes").field("kept", &self.lock().len()).finish_non_exhaustive()
    }
}

impl Prefixes {
    /// Keeps prompts of at most so many bytes in all.
    pub fn new(bytes: usize) -> Self {
        Self { kept: Mutex::default(), bytes }
    }

    /// A cache that holds the longest known start of `prompt`; at least its last id is left to read.
    ///
    /// What follows is the same as without, since on a CPU no position's results depend on which are read with it.
    pub fn start(&self, model: &Model, prompt: &[u32], capacity: usize) -> Result<Cache> {
        let mut kept = self.lock();
        let common = |kept: &Kept| {
            let same = kept.ids.iter().zip(prompt).take_while(|(a, b)| a == b).count();
            same.min(prompt.len().saturating_sub(1))
        };
        let best = (0..kept.len()).max_by_key(|&index| (common(&kept[index]), kept.len() - index));
        if let Some(index) = best
            && let length @ 1.. = common(&kept[index])
            && let Some(start) = kept[index].cache.start(length)
        {
            kept[..=index].rotate_right(1);
            return Ok(start);
        }
        model.cache(capacity)
    }

    /// Keeps `cache`, which has read `prompt`; the oldest go when there is too much.
    pub fn keep(&self, prompt: &[u32], cache: &Cache) {
        let Some(cache) = cache.start(prompt.len()) else { return };
        let mut kept = self.lock();
        // What begins the new one would never be chosen again.
        kept.retain(|old| !prompt.starts_with(&old.ids));
        kept.insert(0, Kept { ids: prompt.to_vec(), cache });
        let mut bytes = 0;
        kept.retain(|kept| {
            bytes += kept.cache.bytes();
            bytes <= self.bytes
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Kept>> {
        // Nothing panics while it is locked, and if it did, the list would still be whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::Workspace;
    use super::super::model::tests::{config, random_model};
    use super::*;
    use crate::models::nn::linear::WeightKind;
    use std::ops::ControlFlow;

    /// The logits after `prompt` and after one id more, and how many ids had to be read.
    fn read(model: &Model, prefixes: &Prefixes, prompt: &[u32]) -> (Vec<f32>, usize) {
        let (head, mut work) = (model.unembedding(None).unwrap(), Workspace::default());
        let mut cache = prefixes.start(model, prompt, prompt.len()).unwrap();
        let known = cache.len();
        let go_on = &mut |_: usize| ControlFlow::Continue(());
        let first = model.prefill(&mut work, &mut cache, &prompt[known..], &head, go_on).unwrap();
        let ControlFlow::Continue(first) = first else { panic!("stopped") };
        let mut all = first.to_vec();
        prefixes.keep(prompt, &cache);
        all.extend(model.decode(&mut work, &mut [&mut cache], &[7], &head).unwrap().flatten());
        (all, prompt.len() - known)
    }

    #[test]
    fn a_known_start_is_not_read_again_and_changes_nothing() {
        for kind in [WeightKind::F32, WeightKind::Bf16, WeightKind::Q8] {
            let model = random_model(&config(), kind);
            let voice: Vec<u32> = (0..150).map(|i| i * 31 % 5200).collect();
            let with = |text: &[u32]| [&voice[..], text].concat();
            let prefixes = Prefixes::default();
            for (prompt, left) in [
                (with(&[1, 2, 3]), 153),
                (with(&[1, 9]), 1),
                (with(&[4; 40]), 40),
                // Known as a whole.
                (with(&[1, 2, 3]), 1),
                (voice[..20].to_vec(), 1),
                (vec![5; 4], 4),
            ] {
                let (found, read_ids) = read(&model, &prefixes, &prompt);
                assert_eq!(read_ids, left, "{kind}");
                assert_eq!(found, read(&model, &Prefixes::default(), &prompt).0, "{kind}");
            }
        }
    }

    #[test]
    fn the_oldest_go_when_there_is_too_much() {
        let model = random_model(&config(), WeightKind::F32);
        let one_page = {
            let prefixes = Prefixes::default();
            read(&model, &prefixes, &[1, 2]);
            prefixes.lock()[0].cache.bytes()
        };
        let prefixes = Prefixes::new(2 * one_page);
        for first in [1, 2, 3] {
            read(&model, &prefixes, &[first, 9, 9]);
        }
        let firsts = |prefixes: &Prefixes| prefixes.lock().iter().map(|kept| kept.ids[0]).collect::<Vec<_>>();
        assert_eq!(firsts(&prefixes), [3, 2]);
        // One that is used becomes the newest, and gives way to what it begins.
        assert_eq!(read(&model, &prefixes, &[2, 9, 9, 4]).1, 1);
        assert_eq!(firsts(&prefixes), [2, 3]);
        let none = Prefixes::new(0);
        read(&model, &none, &[1, 2]);
        assert!(firsts(&none).is_empty());
    }
}
