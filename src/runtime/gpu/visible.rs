//! The numbers that CUDA gives to GPUs, from those that the driver gives.

use crate::runtime::status::Gpu;

/// Fills [`Gpu::cuda`] as `CUDA_VISIBLE_DEVICES` says: a list of numbers or beginnings of identifiers, in a new order;
/// what stands behind the first entry that names no GPU is invisible.
pub(super) fn number(cards: &mut [Gpu], visible: Option<&str>) {
    let Some(visible) = visible else {
        for gpu in cards {
            gpu.cuda = Some(gpu.index);
        }
        return;
    };
    for gpu in &mut *cards {
        gpu.cuda = None;
    }
    for (entry, number) in visible.split(',').map(str::trim).zip(0..) {
        // A part of a GPU takes a number too; its memory is unknown here.
        if entry.starts_with("MIG-") {
            continue;
        }
        let Some(gpu) = named(cards, entry) else { return };
        gpu.cuda = gpu.cuda.or(Some(number));
    }
}

fn named<'a>(cards: &'a mut [Gpu], entry: &str) -> Option<&'a mut Gpu> {
    if let Ok(index) = entry.parse::<usize>() {
        return cards.iter_mut().find(|gpu| gpu.index == index);
    }
    let mut found = cards.iter_mut().filter(|gpu| entry.starts_with("GPU-") && gpu.uuid.starts_with(entry));
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(visible: Option<&str>) -> Vec<Option<usize>> {
        let mut cards: Vec<Gpu> = ["GPU-aa11", "GPU-ab22", "GPU-cc33"]
            .iter()
            .enumerate()
            .map(|(index, uuid)| Gpu { index, uuid: uuid.to_string(), ..Gpu::default() })
            .collect();
        number(&mut cards, visible);
        cards.iter().map(|gpu| gpu.cuda).collect()
    }

    #[test]
    fn all_are_visible_when_nothing_is_said() {
        assert_eq!(numbers(None), [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn a_list_hides_and_reorders() {
        assert_eq!(numbers(Some("2, 0")), [Some(1), None, Some(0)]);
        assert_eq!(numbers(Some("GPU-cc,GPU-ab22")), [None, Some(1), Some(0)]);
        assert_eq!(numbers(Some("MIG-1,1")), [None, Some(1), None]);
    }

    #[test]
    fn nothing_behind_a_wrong_entry_is_visible() {
        assert_eq!(numbers(Some("1,7,0")), [None, Some(0), None]);
        assert_eq!(numbers(Some("GPU-a")), [None, None, None], "it names two");
        for nothing in ["", "-1", "none"] {
            assert_eq!(numbers(Some(nothing)), [None, None, None]);
        }
    }
}
