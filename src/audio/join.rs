//! Pieces of speech, one after the other: exact pauses between them, and no clicks.

use std::mem;

/// Frames in which loudness is measured, and the length of a fade (per second).
const FRAME_RATE: u32 = 100;
/// Longest quiet kept before and after the sound of a piece at a join (seconds).
const MARGIN: f64 = 0.06;
/// Root mean square of a frame that is sound: -50 dB.
const SOUND: f32 = 0.003;

/// Joins pieces of one rate while they come. However a piece is handed over, the result is the same.
///
/// The quiet around a join is replaced: `pause` seconds lie between the last sound of one piece and the first of the next.
/// The start of the first piece and the end of the last stay as they are.
#[derive(Debug)]
pub struct Joiner {
    rate: u32,
    /// Samples of a frame that is not complete.
    partial: Vec<f32>,
    state: State,
    /// Samples given so far.
    given: usize,
}

#[derive(Debug)]
enum State {
    /// A piece begins after `silence` samples, and nothing was heard of it but quiet: `lead` is the end of it, and there
    /// were `dropped` samples before.
    Opening { silence: usize, lead: Vec<f32>, dropped: usize },
    /// Sound was heard; `held` may become the end of the piece, and holds `sound` samples up to the end of the last sound.
    Sounding { held: Vec<f32>, sound: usize },
}

impl Joiner {
    /// Begins with the first piece, as it is.
    pub fn new(rate: u32) -> Self {
        Self { rate, partial: Vec::new(), state: State::Sounding { held: Vec::new(), sound: 0 }, given: 0 }
    }

    /// Begins with silence before the sound of the first piece.
    pub fn after_silence(rate: u32, seconds: f64) -> Self {
        let mut joiner = Self::new(rate);
        joiner.state = State::opening(joiner.samples(seconds));
        joiner
    }

    /// Seconds given so far; what is held back is not counted.
    pub fn seconds(&self) -> f64 {
        self.given as f64 / f64::from(self.rate)
    }

    /// Where the sound of a piece that begins now will be (seconds).
    pub fn next_sound(&self) -> f64 {
        match self.state {
            State::Opening { silence, dropped, ref lead } => {
                (self.given + silence + dropped + lead.len()) as f64 / f64::from(self.rate)
            }
            State::Sounding { .. } => self.seconds(),
        }
    }

    /// Takes samples of the current piece and gives those that are settled.
    pub fn push(&mut self, samples: &[f32]) -> Vec<f32> {
        let mut given = Vec::new();
        self.partial.extend_from_slice(samples);
        let frame = self.frame();
        let whole = self.partial.len() / frame * frame;
        let rest = self.partial.split_off(whole);
        for frame in mem::replace(&mut self.partial, rest).chunks_exact(frame) {
            self.hear(frame, &mut given);
        }
        self.count(given)
    }

    /// Ends the current piece: the next sound comes `seconds` after its last. A piece without sound is a longer pause.
    pub fn pause(&mut self, seconds: f64) -> Vec<f32> {
        let mut given = self.end_of_piece();
        let pause = self.samples(seconds);
        let (frame, margin) = (self.frame(), self.margin());
        let state = match mem::replace(&mut self.state, State::opening(0)) {
            State::Opening { silence, lead, dropped } => silence + dropped + lead.len() + pause,
            State::Sounding { held, sound: 0 } => held.len() + pause,
            State::Sounding { mut held, sound } => {
                let tail = (held.len() - sound).min(margin).min(pause / 2);
                held.truncate(sound + tail);
                fade_out(&mut held, frame);
                given.extend(held);
                pause - tail
            }
        };
        self.state = State::opening(state);
        self.count(given)
    }

    /// Ends the last piece.
    pub fn finish(&mut self) -> Vec<f32> {
        let mut given = self.end_of_piece();
        match mem::replace(&mut self.state, State::opening(0)) {
            State::Opening { silence, lead, dropped } => given.resize(silence + dropped + lead.len(), 0.0),
            State::Sounding { held, .. } => given.extend(held),
        }
        self.count(given)
    }

    fn end_of_piece(&mut self) -> Vec<f32> {
        let mut given = Vec::new();
        let partial = mem::take(&mut self.partial);
        if !partial.is_empty() {
            self.hear(&partial, &mut given);
        }
        given
    }

    /// Takes one frame, or what is left of a piece.
    fn hear(&mut self, samples: &[f32], given: &mut Vec<f32>) {
        let (fade, margin) = (self.frame(), self.margin());
        let loud = is_sound(samples);
        match &mut self.state {
            State::Opening { lead, dropped, .. } if !loud => {
                lead.extend_from_slice(samples);
                let surplus = lead.len().saturating_sub(margin);
                *dropped += surplus;
                lead.drain(..surplus);
            }
            State::Opening { silence, lead, .. } => {
                // What was kept of the quiet before counts as part of the pause.
                let kept = lead.len().min(*silence);
                given.resize(given.len() + *silence - kept, 0.0);
                let mut held = lead.split_off(lead.len() - kept);
                held.extend_from_slice(samples);
                fade_in(&mut held, fade);
                let sound = held.len();
                self.state = State::Sounding { held, sound };
            }
            State::Sounding { held, sound } => {
                if loud {
                    // The last frame of sound is held back: it may have to fade out.
                    given.append(held);
                    *sound = samples.len();
                }
                held.extend_from_slice(samples);
            }
        }
    }

    fn samples(&self, seconds: f64) -> usize {
        (seconds.max(0.0) * f64::from(self.rate)).round() as usize
    }

    fn frame(&self) -> usize {
        (self.rate / FRAME_RATE).max(1) as usize
    }

    fn margin(&self) -> usize {
        self.samples(MARGIN)
    }

    fn count(&mut self, given: Vec<f32>) -> Vec<f32> {
        self.given += given.len();
        given
    }
}

impl State {
    fn opening(silence: usize) -> Self {
        Self::Opening { silence, lead: Vec::new(), dropped: 0 }
    }
}

fn is_sound(samples: &[f32]) -> bool {
    let sum: f32 = samples.iter().map(|x| x * x).sum();
    sum > SOUND * SOUND * samples.len() as f32
}

/// Half a cosine from 0 to 1 over the first samples.
fn fade_in(samples: &mut [f32], length: usize) {
    let length = length.min(samples.len());
    for (i, sample) in samples[..length].iter_mut().enumerate() {
        *sample *= gain(i, length);
    }
}

/// Half a cosine from 1 to 0 over the last samples.
fn fade_out(samples: &mut [f32], length: usize) {
    let length = length.min(samples.len());
    for (i, sample) in samples.iter_mut().rev().take(length).enumerate() {
        *sample *= gain(i, length);
    }
}

fn gain(i: usize, length: usize) -> f32 {
    0.5 - 0.5 * (std::f32::consts::PI * (i as f32 + 0.5) / length as f32).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: u32 = 24_000;

    fn silence(seconds: f64) -> Vec<f32> {
        vec![0.0; (seconds * f64::from(RATE)) as usize]
    }

    /// A steady level is the worst that can be cut.
    fn sound(seconds: f64) -> Vec<f32> {
        vec![0.5; (seconds * f64::from(RATE)) as usize]
    }

    fn piece(before: f64, loud: f64, after: f64) -> Vec<f32> {
        [silence(before), sound(loud), silence(after)].concat()
    }

    fn joined(pieces: &[Vec<f32>], pause: f64, size: usize) -> Vec<f32> {
        let mut joiner = Joiner::new(RATE);
        let mut all = Vec::new();
        for (i, piece) in pieces.iter().enumerate() {
            if i > 0 {
                all.extend(joiner.pause(pause));
            }
            piece.chunks(size).for_each(|samples| all.extend(joiner.push(samples)));
        }
        all.extend(joiner.finish());
        assert!((joiner.seconds() - all.len() as f64 / f64::from(RATE)).abs() < 1e-9);
        all
    }

    /// The quiet stretches in the middle, in seconds.
    fn pauses(samples: &[f32]) -> Vec<f64> {
        let loud: Vec<usize> = (0..samples.len()).filter(|&i| samples[i] != 0.0).collect();
        let gaps = loud.windows(2).map(|pair| pair[1] - pair[0] - 1).filter(|&gap| gap > 0);
        gaps.map(|gap| gap as f64 / f64::from(RATE)).collect()
    }

    #[test]
    fn pauses_are_exact_whatever_quiet_the_pieces_bring() {
        let pieces = [piece(0.3, 1.0, 0.5), piece(0.02, 1.0, 0.0), piece(0.0, 1.0, 0.2)];
        for pause in [0.05, 0.4, 2.0] {
            let found = pauses(&joined(&pieces, pause, 1000));
            assert_eq!(found.len(), 2);
            assert!(found.iter().all(|found| (found - pause).abs() < 1e-4), "{found:?}");
        }
    }

    #[test]
    fn both_ends_stay_as_they_are() {
        let all = joined(&[piece(0.3, 1.0, 0.5), piece(0.3, 1.0, 0.5)], 0.4, 512);
        assert_eq!(all[..silence(0.3).len() + 100], piece(0.3, 1.0, 0.0)[..silence(0.3).len() + 100]);
        assert!(all.ends_with(&silence(0.5)));
        assert_eq!(all.len(), piece(0.3, 2.4, 0.5).len());
        let one = piece(0.3, 1.0, 0.505);
        assert_eq!(joined(std::slice::from_ref(&one), 0.4, 77), one);
    }

    #[test]
    fn a_join_does_not_click() {
        let pieces = [sound(1.0), sound(0.503), sound(0.004), sound(1.0)];
        for pause in [0.0, 0.001, 0.3] {
            let all = joined(&pieces, pause, 4096);
            let step = all.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
            // The very short piece has less than half the time to rise and fall.
            assert!(step < 0.02, "a step of {step} at a pause of {pause} s");
        }
    }

    #[test]
    fn silence_before_and_after_is_kept() {
        let mut joiner = Joiner::after_silence(RATE, 2.0);
        assert!((joiner.next_sound() - 2.0).abs() < 1e-9);
        let mut all = joiner.push(&piece(0.5, 1.0, 0.5));
        all.extend(joiner.pause(1.5));
        all.extend(joiner.finish());
        assert_eq!(all.len(), silence(4.5).len());
        assert!(all[..silence(2.0).len()].iter().all(|&x| x == 0.0));
        assert!(all[silence(2.0).len()] != 0.0);
    }

    #[test]
    fn a_piece_without_sound_is_a_longer_pause() {
        let pieces = [piece(0.0, 1.0, 0.0), silence(0.7), Vec::new(), piece(0.0, 1.0, 0.0)];
        let found = pauses(&joined(&pieces, 0.1, 999));
        assert!(found.len() == 1 && (found[0] - 1.0).abs() < 1e-3, "{found:?}");
        assert_eq!(joined(&[silence(0.5)], 0.1, 999).len(), silence(0.5).len());
        assert_eq!(joined(&[silence(0.5), sound(1.0)], 0.1, 999).len(), silence(1.6).len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn pieces_of_pieces_make_the_same(
            lengths in prop::collection::vec((0.0f64..0.2, 0.0f64..0.3, 0.0f64..0.2), 1..4),
            pause in 0.0f64..0.3,
            size in 1usize..3000,
        ) {
            let pieces: Vec<Vec<f32>> = lengths.iter().map(|&(a, b, c)| piece(a, b, c)).collect();
            prop_assert!(joined(&pieces, pause, size) == joined(&pieces, pause, usize::MAX));
        }
    }
}
