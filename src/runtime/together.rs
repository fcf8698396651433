//! Several clones side by side. On a CPU each joins the others as soon as its voice is analysed, which is done beside them.

use super::cache::key::SoundId;
use super::engine::Engine;
use super::residency::Speaking;
use super::run::Run;
use super::side_by_side::{Over, Ready, SideBySide, generator};
use super::speech::{Speech, said_nothing};
use crate::audio::Audio;
use crate::error::{Kind, Result};
use crate::models::voice::Voice;
use crate::task::{Analysed, CloneTask, Event, Found, SpeechOptions, SpeechReply, Stage, TogetherTask};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A text that is ready to be spoken.
pub(super) struct Request<'a> {
    /// The place of its task.
    pub(super) number: usize,
    pub(super) prompt: Vec<u32>,
    pub(super) voice: Voice,
    pub(super) options: &'a SpeechOptions,
    /// What the recording was heard to say, when the task did not tell it.
    pub(super) heard: Option<String>,
    pub(super) analysed: Option<Analysed>,
    /// Seconds that its stages took so far.
    pub(super) stages: BTreeMap<Stage, f64>,
    /// What was found in the cache for it.
    pub(super) found: Found,
}

impl Ready for Request<'_> {
    fn prompt(&self) -> &[u32] {
        &self.prompt
    }

    fn options(&self) -> &SpeechOptions {
        self.options
    }
}

/// Tells the answer to one of the tasks; an interruption ends them all.
fn answered(number: usize, answer: Result<SpeechReply>, run: &mut Run<'_, '_>) -> Result<()> {
    match answer {
        Err(error) if error.kind == Kind::Interrupted => Err(error),
        answer => run.tell(Event::Answered { number, answer: Box::new(answer) }),
    }
}

/// The clones that are not begun.
struct Waiting<'w> {
    tasks: &'w [CloneTask],
    sounds: Vec<SoundId>,
    /// The first of them.
    next: usize,
    /// What comes after all of them.
    after: Option<&'w Audio>,
}

impl<'w> Waiting<'w> {
    fn new(tasks: &'w [CloneTask], after: Option<&'w Audio>) -> Self {
        let sounds = tasks.iter().map(|task| SoundId::of(&task.reference)).collect();
        Self { tasks, sounds, next: 0, after }
    }

    /// Whether the voice of the next one is still being analysed.
    fn is_busy(&self, run: &Run<'_, '_>) -> bool {
        self.sounds.get(self.next).is_some_and(|&sound| run.ahead().is_busy(sound))
    }

    /// The next one that can be spoken; the errors of those before it are told.
    fn take(&mut self, engine: &mut Engine, run: &mut Run<'w, '_>) -> Result<Option<Request<'w>>> {
        while let Some(task) = self.tasks.get(self.next) {
            let number = self.next;
            self.next += 1;
            let rest = self.tasks[self.next..].iter().filter_map(CloneTask::unknown_voice);
            run.expect(rest.chain(self.after));
            match engine.request(task, number, run) {
                Ok(request) => return Ok(Some(request)),
                Err(error) => answered(number, Err(error), run)?,
            }
        }
        Ok(None)
    }
}

/// Says all texts, some at a time; where one ends the next begins.
pub(super) fn say<'w>(
    engine: &mut Engine,
    task: &'w TogetherTask,
    after: Option<&'w Audio>,
    run: &mut Run<'w, '_>,
) -> Result<()> {
    let mut waiting = Waiting::new(&task.tasks, after);
    let mut ready: VecDeque<Request<'w>> = waiting.take(engine, run)?.into_iter().collect();
    let on_cpu = run.speaking(engine.models())?.device.is_cpu();
    // What a recogniser needs of a GPU may have to make room for it, and cannot while it speaks.
    while !on_cpu && let Some(request) = waiting.take(engine, run)? {
        ready.push_back(request);
    }
    let models = Arc::clone(run.speaking(engine.models())?);
    let generator = generator(&models)?;
    let mut going = SideBySide::new(&generator);
    run.tell(Event::Started(Stage::Generate))?;
    loop {
        while going.len() < task.most.max(1)
            && let Some(request) = match ready.pop_front() {
                None if going.len() > 0 && waiting.is_busy(run) => None,
                None => waiting.take(engine, run)?,
                ready => ready,
            }
        {
            going.begin(request, run)?.map_or(Ok(()), |over| answer(over, &models, run))?;
        }
        if going.len() == 0 {
            return Ok(());
        }
        going.step(run)?.into_iter().try_for_each(|over| answer(over, &models, run))?;
    }
}

/// Makes the sound of what was generated, and sends the answer on its way.
fn answer(over: Over<Request<'_>>, models: &Speaking, run: &mut Run<'_, '_>) -> Result<()> {
    let Over { words, seed, generation, seconds } = over;
    let Request { number, voice, options, heard: transcript, analysed, mut stages, found, .. } = words;
    let speech = Speech { models, voice: &voice, options };
    let spoken = generation.and_then(|generation| speech.sound(&generation, seed, run));
    *stages.entry(Stage::Generate).or_default() += seconds;
    for (stage, seconds) in run.take_stages() {
        *stages.entry(stage).or_default() += seconds;
    }
    let spoken = spoken.and_then(|spoken| spoken.ok_or_else(said_nothing));
    let answer = spoken.map(|spoken| SpeechReply {
        audio: spoken.audio,
        transcript,
        analysed,
        steps: vec![spoken.report],
        parts: Vec::new(),
        stages,
        cache: found,
    });
    answered(number, answer, run)
}
