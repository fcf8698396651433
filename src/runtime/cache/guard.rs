//! Running code of others that may panic, without a word on stderr.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;
use std::thread;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives, or what it panicked with.
///
/// sled 0.34 panics on some damaged files. The usual report of a panic would frighten whoever only lost a little time.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    hush();
    let before = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked").to_string()
    })
}

/// The beginning of the names of sled's threads.
const SLED: &str = "sled-";

/// Silences the reports of panics in guarded code and in sled's own threads; all others are reported as before.
fn hush() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let of_sled = || thread::current().name().is_some_and(|name| name.starts_with(SLED));
            if !GUARDED.get() && !of_sled() {
                report(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error() {
        assert_eq!(guarded(|| 5), Ok(5));
        assert_eq!(guarded(|| panic!("page {}", 3)), Err::<(), _>("page 3".to_string()));
        assert!(!GUARDED.get());
    }
}
