//! The features of the Paraformer: log-mel frames, seven of them stacked to a row every six, normalised.
//!
//! Origin: modelscope/FunASR `funasr/frontends/wav_frontend.py` (`WavFrontendOnline`). There the sound comes in pieces;
//! here a row is computed from the whole, because the pieces only decide how many rows there are.

use super::{Chunking, Cmvn};
use crate::audio::Features;
use crate::audio::fbank::{Window, dithered};
use crate::error::{Error, Result};
use serde::Deserialize;
use std::ops::Range;

/// Samples per second.
const SAMPLE_RATE: usize = 16_000;
/// Samples of a frame.
const FRAME: usize = 400;
/// Samples from one frame to the next.
const HOP: usize = 160;
/// The filterbank reads samples in the range of 16-bit integers.
const FULL_SCALE: f32 = 32_768.0;

/// `frontend_conf` of `config.yaml`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub struct FrontEndConfig {
    /// Samples per second.
    pub fs: usize,
    /// The window over a frame.
    pub window: String,
    /// Bands of a frame.
    pub n_mels: usize,
    /// Length of a frame in milliseconds.
    pub frame_length: usize,
    /// Milliseconds from one frame to the next.
    pub frame_shift: usize,
    /// Frames in a row.
    pub lfr_m: usize,
    /// Frames from one row to the next.
    pub lfr_n: usize,
}

impl Default for FrontEndConfig {
    fn default() -> Self {
        Self {
            fs: SAMPLE_RATE,
            window: "hamming".into(),
            n_mels: 80,
            frame_length: 25,
            frame_shift: 10,
            lfr_m: 7,
            lfr_n: 6,
        }
    }
}

/// Turns sound into rows of features.
#[derive(Debug, Clone)]
pub struct FrontEnd {
    cmvn: Cmvn,
    bands: usize,
    /// Frames in a row.
    stacked: usize,
    /// Frames from one row to the next.
    step: usize,
}

impl FrontEnd {
    /// Checks that `config` is one that the filterbank offers and that `cmvn` fits; otherwise a model error.
    pub fn new(config: &FrontEndConfig, cmvn: Cmvn) -> Result<Self> {
        let known = FrontEndConfig { lfr_m: config.lfr_m, lfr_n: config.lfr_n, ..FrontEndConfig::default() };
        let unsupported = |why: String| Error::model("cannot use the front end of `config.yaml`").cause(why);
        if *config != known {
            return Err(unsupported(format!("expected {known:?}, found {config:?}")));
        }
        // A chunk that is not the last yields all its rows only when no row reaches past the frames it can complete.
        let reaches = config.lfr_m.saturating_sub(config.lfr_m.saturating_sub(1) / 2);
        if config.lfr_m.is_multiple_of(2) || reaches + 2 > config.lfr_n {
            let (stacked, step) = (config.lfr_m, config.lfr_n);
            return Err(unsupported(format!("rows of {stacked} frames every {step}")));
        }
        let width = config.lfr_m * config.n_mels;
        if cmvn.shift.len() != width || cmvn.scale.len() != width {
            let found = cmvn.shift.len();
            return Err(unsupported(format!("`am.mvn` has {found} values for rows of {width}")));
        }
        Ok(Self { cmvn, bands: config.n_mels, stacked: config.lfr_m, step: config.lfr_n })
    }

    /// Values of a row.
    pub fn width(&self) -> usize {
        self.stacked * self.bands
    }

    /// Seconds from one row to the next.
    pub fn row_seconds(&self) -> f64 {
        (self.step * HOP) as f64 / SAMPLE_RATE as f64
    }

    /// Samples from one row to the next.
    pub fn row_samples(&self) -> usize {
        self.step * HOP
    }

    /// Rows of `samples` 16 kHz samples that come in chunks of `chunking.rows`.
    ///
    /// Every whole chunk yields all its rows; the rest yields what it has when it makes at least one row.
    pub fn rows(&self, samples: usize, chunking: &Chunking) -> usize {
        let frames = frames(samples);
        let whole = samples / (chunking.rows * self.row_samples()) * chunking.rows;
        let side = self.side();
        let left = match frames {
            0 => 0,
            frames => (side + frames).saturating_sub(whole * self.step),
        };
        if left < self.stacked { whole } else { whole + (left - side).div_ceil(self.step) }
    }

    /// The given rows of the features of `samples`, [rows, width]; frames before the first and after the last repeat it.
    ///
    /// `dither` is noise for all frames of `samples`, [frames, 400], in units of 16-bit samples; empty for none.
    pub fn features(&self, samples: &[f32], rows: Range<usize>, dither: &[f32]) -> Features {
        let mut features = Features::zeros(rows.len(), self.width());
        let frame_count = frames(samples.len());
        if rows.is_empty() || frame_count == 0 {
            return features;
        }
        let frame = |row: usize, slot: usize| {
            (row * self.step + slot).saturating_sub(self.side()).min(frame_count - 1)
        };
        let first = frame(rows.start, 0);
        let last = frame(rows.end - 1, self.stacked - 1);
        let needed = &samples[first * HOP..last * HOP + FRAME];
        let scaled: Vec<f32> = needed.iter().map(|x| x * FULL_SCALE).collect();
        let dither = dither.get(first * FRAME..).unwrap_or_default();
        let bands = dithered(&scaled, Window::Hamming, dither);
        for (row, values) in rows.zip(features.data.chunks_exact_mut(self.stacked * self.bands)) {
            for (slot, values) in values.chunks_exact_mut(self.bands).enumerate() {
                values.copy_from_slice(bands.row(frame(row, slot) - first));
            }
            self.cmvn.apply(values);
        }
        features
    }

    /// Frames of a row before the one it stands for.
    fn side(&self) -> usize {
        (self.stacked - 1) / 2
    }
}

/// Whole frames in `samples` samples.
fn frames(samples: usize) -> usize {
    match samples.checked_sub(FRAME) {
        Some(rest) => rest / HOP + 1,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn front_end() -> FrontEnd {
        let width = 7 * 80;
        let cmvn = Cmvn { shift: vec![0.0; width], scale: vec![1.0; width] };
        FrontEnd::new(&FrontEndConfig::default(), cmvn).unwrap()
    }

    fn chunking(rows: usize) -> Chunking {
        Chunking { before: 0, rows, after: 5, look_back: 4 }
    }

    /// The rules of the origin, chunk by chunk: which frames each row is made of, by number.
    fn frames_by_chunks(samples: usize, chunk_rows: usize) -> Vec<Vec<usize>> {
        let stride = 960 * chunk_rows;
        let (mut rows, mut buffer, mut tail, mut next) = (Vec::new(), Vec::<usize>::new(), 0, 0);
        for chunk in 0..=samples / stride {
            let last = chunk == samples / stride;
            tail += if last { samples % stride } else { stride };
            let new = frames(tail);
            tail -= new * 160;
            if new > 0 && buffer.is_empty() {
                buffer.extend([next; 3]);
            }
            buffer.extend(next..next + new);
            next += new;
            if buffer.len() < 7 {
                continue;
            }
            let mut made = 0;
            while made < (buffer.len() - 3).div_ceil(6) {
                let here = &buffer[6 * made..];
                if here.len() < 7 && !last {
                    break;
                }
                let last = here.last().copied().unwrap();
                rows.push((0..7).map(|slot| here.get(slot).copied().unwrap_or(last)).collect());
                made += 1;
            }
            buffer.drain(..(6 * made).min(buffer.len() - 1));
        }
        rows
    }

    #[test]
    fn counts_the_rows_that_the_chunks_would_yield() {
        for chunk_rows in [4, 10] {
            for samples in 0..40_000 {
                let expected = frames_by_chunks(samples, chunk_rows).len();
                let found = front_end().rows(samples, &chunking(chunk_rows));
                assert_eq!(found, expected, "{samples} samples in chunks of {chunk_rows}");
            }
        }
    }

    /// Sound whose k-th frame has an energy of its own, so that rows tell which frames they hold.
    fn staircase(samples: usize) -> Vec<f32> {
        (0..samples).map(|i| (1.0 + (i / 160) as f32) * 1e-3 * (i as f32 * 0.7).sin()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn rows_hold_the_frames_that_the_chunks_would_give_them(samples in 400usize..12_000) {
            let sound = staircase(samples);
            let front_end = front_end();
            let scaled: Vec<f32> = sound.iter().map(|x| x * FULL_SCALE).collect();
            let bands = dithered(&scaled, Window::Hamming, &[]);
            let expected = frames_by_chunks(samples, 4);
            let found = front_end.features(&sound, 0..expected.len(), &[]);
            for (row, frames) in expected.iter().enumerate() {
                for (slot, &frame) in frames.iter().enumerate() {
                    prop_assert_eq!(&found.row(row)[slot * 80..(slot + 1) * 80], bands.row(frame));
                }
            }
        }

        #[test]
        fn parts_equal_the_whole(samples in 4_000usize..20_000, cut in 0usize..20) {
            let sound = staircase(samples);
            let front_end = front_end();
            let rows = front_end.rows(samples, &chunking(4));
            let cut = cut.min(rows);
            let whole = front_end.features(&sound, 0..rows, &[]);
            let mut parts = front_end.features(&sound, 0..cut, &[]).data;
            parts.extend(front_end.features(&sound, cut..rows, &[]).data);
            prop_assert_eq!(whole.data, parts);
        }
    }

    #[test]
    fn too_little_sound_gives_no_row() {
        let front_end = front_end();
        assert_eq!(front_end.rows(399, &chunking(4)), 0);
        assert!(front_end.features(&[0.0; 399], 0..0, &[]).data.is_empty());
    }

    #[test]
    fn refuses_what_the_filterbank_cannot_do() {
        let cmvn = || Cmvn { shift: vec![0.0; 560], scale: vec![1.0; 560] };
        let config = |change: fn(&mut FrontEndConfig)| {
            let mut config = FrontEndConfig::default();
            change(&mut config);
            FrontEnd::new(&config, cmvn()).map(|_| ()).map_err(|error| error.kind)
        };
        let model = Err(crate::error::Kind::Model);
        assert_eq!(config(|_| ()), Ok(()));
        assert_eq!(config(|c| c.fs = 8_000), model);
        assert_eq!(config(|c| c.window = "hanning".into()), model);
        assert_eq!(config(|c| c.lfr_n = 4), model);
        assert_eq!(config(|c| c.lfr_m = 5), model);
        assert_eq!(config(|c| c.lfr_m = 0), model);
    }
}
