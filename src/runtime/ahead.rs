//! Voices that are wanted next, each analysed on a thread of its own while something else is generated.
//!
//! On a CPU only: a GPU does the work of all threads one after the other.

use super::cache::key::SoundId;
use crate::error::Result;
use crate::models::voice::Voice;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Voices that are wanted at the same time at most. Each holds a copy of its recording while it is analysed.
pub(super) const MOST: usize = 2;

/// Voices that were begun. Whoever does not ask for one loses nothing, and an analysis that fails is told only to whoever does.
#[derive(Default)]
pub(super) struct Ahead(Mutex<Vec<Begun>>);

struct Begun {
    sound: SoundId,
    thread: JoinHandle<Result<Voice>>,
}

impl Ahead {
    /// Begins to analyse a sound.
    pub(super) fn begin(&self, sound: SoundId, analyse: impl FnOnce() -> Result<Voice> + Send + 'static) {
        // Without a thread the voice is analysed when it is wanted.
        if let Ok(thread) = thread::Builder::new().name("stepaudio-ahead".into()).spawn(analyse) {
            self.begun().push(Begun { sound, thread });
        }
    }

    /// Forgets all that nobody will ask for.
    pub(super) fn keep_only(&self, wanted: &[SoundId]) {
        self.begun().retain(|begun| wanted.contains(&begun.sound));
    }

    /// Whether a sound was begun.
    pub(super) fn has(&self, sound: SoundId) -> bool {
        self.begun().iter().any(|begun| begun.sound == sound)
    }

    /// Whether a sound is still being analysed: to ask for its voice would mean to wait.
    pub(super) fn is_busy(&self, sound: SoundId) -> bool {
        self.begun().iter().any(|begun| begun.sound == sound && !begun.thread.is_finished())
    }

    /// The voice of a sound, as soon as it is there; none when it was not begun, or its thread broke.
    pub(super) fn take(&self, sound: SoundId) -> Option<Result<Voice>> {
        let mut begun = self.begun();
        let place = begun.iter().position(|begun| begun.sound == sound)?;
        let thread = begun.remove(place).thread;
        drop(begun);
        thread.join().ok()
    }

    fn begun(&self) -> MutexGuard<'_, Vec<Begun>> {
        // Nothing panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use std::sync::mpsc;

    fn sound(number: u8) -> SoundId {
        SoundId([number; 32])
    }

    #[test]
    fn an_analysis_goes_on_beside_its_caller_and_fails_for_whoever_wants_it() {
        let ahead = Ahead::default();
        let (go, wait) = mpsc::channel::<()>();
        ahead.begin(sound(1), move || {
            wait.recv().unwrap();
            Err(Error::input("too short"))
        });
        // It waits for what its caller does only now.
        assert!(ahead.is_busy(sound(1)) && ahead.has(sound(1)) && !ahead.has(sound(2)));
        go.send(()).unwrap();
        assert_eq!(ahead.take(sound(1)).unwrap().unwrap_err(), Error::input("too short"));
        assert!(ahead.take(sound(1)).is_none(), "it is told once");
    }

    #[test]
    fn a_thread_that_breaks_and_a_voice_that_nobody_wants_are_forgotten() {
        let ahead = Ahead::default();
        ahead.begin(sound(1), || std::panic::resume_unwind(Box::new("a defect")));
        assert!(ahead.take(sound(1)).is_none());
        ahead.begin(sound(2), || Err(Error::interrupted()));
        ahead.begin(sound(3), || Err(Error::interrupted()));
        ahead.keep_only(&[sound(3)]);
        assert!(!ahead.has(sound(2)) && ahead.has(sound(3)));
    }
}
