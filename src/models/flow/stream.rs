//! The flow chunk by chunk, with caches in place of the whole past.
//!
//! The result differs from the whole pass by design: attention sees the prompt, the newest two seconds and the
//! chunk. Origin: stepfun-ai/Step-Audio-EditX aacb90a, `stepvocoder/cosyvoice2/flow/flow.py`
//! (`setup_cache`, `inference_chunk`) and `cli/cosyvoice.py` (truncation).

use super::dit::Window;
use super::{BlockState, EncoderState, Flow, VoicePrompt, Watch};
use crate::error::{Error, Result};
use candle_core::Tensor;

/// Frames of the newest past that attention sees besides the prompt: two seconds, less two frames each.
const RECENT: usize = 2 * 48;

/// One utterance of a voice, synthesised while its codes arrive.
#[derive(Debug)]
pub struct FlowStream<'a> {
    flow: &'a Flow,
    voice: VoicePrompt,
    noise: Tensor,
    speaker: Tensor,
    pending: Vec<[i64; 2]>,
    encoder: EncoderState,
    estimator: Vec<Vec<BlockState>>,
    window: Window,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The prompt has not been heard yet.
    New,
    /// The caches hold the prompt and all chunks so far.
    Running,
    /// The last chunk was made, or one failed.
    Ended,
}

impl<'a> FlowStream<'a> {
    /// A stream that continues `voice`.
    ///
    /// `noise` [channels, frames] must cover the prompt's frames plus 96 plus those of the longest chunk.
    pub fn new(flow: &'a Flow, voice: VoicePrompt, noise: Tensor) -> Result<Self> {
        flow.check(&voice.rows)?;
        let window = Window { recent: RECENT, first: flow.frames(voice.rows.len()) };
        Ok(Self {
            speaker: flow.speaker(&voice.speaker)?,
            estimator: vec![Vec::new(); flow.steps()],
            flow,
            voice,
            noise,
            pending: Vec::new(),
            encoder: EncoderState::default(),
            window,
            phase: Phase::New,
        })
    }

    /// Takes the next `rows` (each once) and gives the mel [channels, frames] of all rows whose look-ahead is there.
    ///
    /// The last [`Flow::lookahead`] rows are held back until more come or `last` says that none will; `None` when
    /// nothing is ready. What one call gives is one chunk of the reference, so the cuts between the calls matter.
    /// `watch` is called after each Euler step. After an error or the last chunk the stream has ended.
    pub fn push(&mut self, rows: &[[i64; 2]], last: bool, watch: Watch<'_>) -> Result<Option<Tensor>> {
        if self.phase == Phase::Ended {
            return Err(Error::internal("codes came after the end of a stream"));
        }
        self.flow.check(rows)?;
        self.pending.extend_from_slice(rows);
        let lookahead = self.flow.lookahead();
        if self.pending.is_empty() || (self.pending.len() < lookahead && !last) {
            return Ok(None);
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Ended);
        if phase == Phase::New {
            self.hear_prompt(watch)?;
        }
        let held = if last { 0 } else { lookahead };
        let ready = self.pending.len() - held;
        let mel = (ready > 0).then(|| self.speak(held, watch)).transpose()?;
        self.pending.drain(..ready);
        if !last {
            self.phase = Phase::Running;
        }
        Ok(mel)
    }

    /// What the encoder keeps.
    pub fn encoder_state(&self) -> &EncoderState {
        &self.encoder
    }

    /// What the estimator keeps, per Euler step and block; what the window drops is dropped with the next chunk.
    pub fn estimator_states(&self) -> &[Vec<BlockState>] {
        &self.estimator
    }

    /// Frames of the past that the next chunk will attend to, which is also where its noise begins.
    pub fn visible(&self) -> usize {
        let first = self.estimator.first().and_then(|blocks| blocks.first());
        match first.and_then(|block| block.attention.as_ref()) {
            Some((keys, _)) => self.window.kept(keys.dims()[2]),
            None => 0,
        }
    }

    /// Fills the caches with the prompt, whose last rows look ahead into the first pending ones.
    fn hear_prompt(&mut self, watch: Watch<'_>) -> Result<()> {
        let lookahead = self.flow.lookahead();
        let seen = &self.pending[..lookahead.min(self.pending.len())];
        let rows = [&self.voice.rows, seen].concat();
        let mel = self.flow.prompt_mel(&self.voice)?;
        self.chunk(&rows, lookahead - seen.len(), Some(mel), watch)?;
        Ok(())
    }

    /// The mel of the pending rows except the last `held`.
    fn speak(&mut self, held: usize, watch: Watch<'_>) -> Result<Tensor> {
        let rows = self.pending.clone();
        let x = self.chunk(&rows, self.flow.lookahead() - held, None, watch)?;
        Ok(x.t()?.contiguous()?)
    }

    /// One pass over `rows` and `padding` zero rows: the mel [frames, c] of all but the look-ahead.
    fn chunk(
        &mut self,
        rows: &[[i64; 2]],
        padding: usize,
        known: Option<Tensor>,
        watch: Watch<'_>,
    ) -> Result<Tensor> {
        let flow = self.flow;
        let silent = &mut |_, _: &Tensor| Ok(());
        let encoded = flow.encoder.forward(&flow.embed(rows)?, padding, &mut self.encoder, silent)?;
        let mu = flow.mu.forward(&encoded)?.squeeze(0)?; // [frames, c]
        let known = known.map_or_else(|| mu.zeros_like(), Ok)?;
        let condition = flow.estimator.condition(&mu, &self.speaker, &known)?;
        let start = flow.start(&self.noise, self.visible(), mu.dim(0)?)?;
        let past = Some((&mut self.estimator, self.window));
        flow.solve(start, &condition, past, watch, silent)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{flow, rows, voice, wave};
    use super::*;
    use std::ops::ControlFlow;

    fn go(_: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn cached(stream: &FlowStream<'_>) -> usize {
        stream.estimator_states()[3][1].attention.as_ref().unwrap().0.dims()[2]
    }

    #[test]
    fn gives_each_row_once_and_bounds_its_past() {
        let flow = flow();
        let all = rows(150);
        let mut stream = FlowStream::new(&flow, voice(), wave((80, 300), 0.77)).unwrap();
        let (mut start, mut frames) = (0, Vec::new());
        for (count, visible) in [(2, 0), (1, 18), (15, 48), (24, 96), (48, 114), (48, 114)] {
            let mel = stream.push(&all[start..start + count], false, &mut go).unwrap();
            frames.push(mel.map_or(0, |mel| mel.dims()[1]));
            assert_eq!(stream.visible(), visible);
            start += count;
        }
        assert_eq!(cached(&stream), 114 + 96);
        let mel = stream.push(&all[start..], true, &mut go).unwrap().unwrap();
        frames.push(mel.dims()[1]);
        assert_eq!(frames, [0, 0, 30, 48, 96, 96, 30]);
        let keys = &stream.encoder_state().layers[0].as_ref().unwrap().keys;
        assert_eq!(keys.dims()[1], 9 + 150);
    }

    #[test]
    fn the_end_is_the_end() {
        let flow = flow();
        let noise = wave((80, 300), 0.77);
        let mut stream = FlowStream::new(&flow, voice(), noise.clone()).unwrap();
        assert!(stream.push(&rows(3), true, &mut go).unwrap().is_some());
        assert!(stream.push(&rows(3), true, &mut go).is_err());
        let mut stream = FlowStream::new(&flow, voice(), noise).unwrap();
        assert!(stream.push(&[], true, &mut go).unwrap().is_none());
    }

    #[test]
    fn fewer_rows_than_the_lookahead_are_spoken_at_the_end() {
        let flow = flow();
        let mut stream = FlowStream::new(&flow, voice(), wave((80, 300), 0.77)).unwrap();
        assert!(stream.push(&rows(1), false, &mut go).unwrap().is_none());
        let mel = stream.push(&[], true, &mut go).unwrap().unwrap();
        assert_eq!(mel.dims(), [80, 2]);
    }

    #[test]
    fn one_chunk_after_another_depends_on_the_past() {
        let flow = flow();
        let speak = |first: &[[i64; 2]]| {
            let mut stream = FlowStream::new(&flow, voice(), wave((80, 300), 0.77)).unwrap();
            stream.push(first, false, &mut go).unwrap();
            let mel = stream.push(&rows(12), true, &mut go).unwrap().unwrap();
            mel.to_vec2::<f32>().unwrap()
        };
        let (a, mut other) = (rows(9), rows(9));
        other[0] = [5, 1030];
        assert_eq!(speak(&a), speak(&a));
        assert_ne!(speak(&a), speak(&other));
    }

    #[test]
    fn refuses_wrong_codes_and_short_noise() {
        let flow = flow();
        let mut stream = FlowStream::new(&flow, voice(), wave((80, 20), 0.77)).unwrap();
        assert!(stream.push(&[[9000, 0]], false, &mut go).is_err());
        let error = stream.push(&rows(9), true, &mut go).unwrap_err();
        assert!(error.to_string().contains("noise"), "{error}");
        let mut wrong = voice();
        wrong.rows[0] = [0, 9000];
        assert!(FlowStream::new(&flow, wrong, wave((80, 20), 0.77)).is_err());
    }
}
