//! Whole tasks on the miniature models.

use super::*;
use crate::error::Kind;
use crate::models::parts::length::Limit;
use crate::runtime::cache::key::SoundId;
use crate::runtime::testing::{UNUSED, data, excerpt, lighthouse, settings, short_clone};
use crate::task::{Bucket, CacheUse, Lookups, PartOptions, Stage, TogetherTask};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::{fs, io, thread};

fn engine(models: &Path, cache: &Path) -> Engine {
    Engine::open(&settings(models, cache))
}

fn clone_task() -> Task {
    Task::Clone(CloneTask {
        reference: lighthouse(),
        analysed: None,
        transcript: Said::Text("What it says.".into()),
        text: "New words.".into(),
        parts: PartOptions::default(),
        speech: SpeechOptions::default(),
        cache: CacheUse { results: true, ..CacheUse::default() },
    })
}

fn run(engine: &mut Engine, task: &Task) -> SpeechReply {
    let mut events = |_| ControlFlow::Continue(());
    let Reply::Speech(reply) = engine.run(task, &mut events).unwrap() else { panic!("no speech") };
    reply
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to).map(drop)?;
        }
    }
    Ok(())
}

#[test]
fn what_is_known_loads_nothing_that_it_does_not_need() {
    let folder = tempfile::tempdir().unwrap();
    let models = data().join("checkpoint");
    let mut first = engine(&models, folder.path());
    let made = run(&mut first, &clone_task());
    assert!(first.models.can_listen() && first.models.can_speak());
    let again = run(&mut engine(&models, folder.path()), &clone_task());
    let mut third = engine(&models, folder.path());
    assert_eq!((&again.audio, &again.stages.len()), (&made.audio, &0), "a known result loads nothing");
    // Other words: the voice is known, the listening networks stay where they are.
    let Task::Clone(task) = clone_task() else { panic!("no clone") };
    let other = run(&mut third, &Task::Clone(CloneTask { text: "Others.".into(), ..task }));
    assert!(third.models.can_speak() && !third.models.can_listen());
    assert_eq!(other.cache[&Bucket::Voices], Lookups { hits: 1, misses: 0 });
    assert!(!other.stages.contains_key(&Stage::Voice));
}

#[test]
fn keys_name_the_weights_that_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (models, cache) = (folder.path().join("models"), folder.path().join("cache"));
    copy(&data().join("checkpoint"), &models).unwrap();
    let mut loaded = engine(&models, &cache);
    let made = run(&mut loaded, &clone_task());
    let origins = |engine: &Engine| (engine.models.listener_origin(), engine.models.speaking_origin());
    let before = origins(&loaded);
    assert!(before.0.is_some() && before.1.is_some() && origins(&engine(&models, &cache)) == before);
    // New files under a loaded engine: it still answers with the former ones, and its keys say so.
    let codebook = models.join("Step-Audio-Tokenizer/linguistic_tokenizer.npy");
    let mut bytes = fs::read(&codebook).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&codebook, bytes).unwrap();
    assert!(origins(&loaded) == before);
    let mut fresh = engine(&models, &cache);
    assert!(origins(&fresh).0 != before.0 && origins(&fresh).1 == before.1);
    assert_eq!(run(&mut loaded, &clone_task()).audio, made.audio);
    let missed = run(&mut fresh, &clone_task()).cache;
    assert!(missed.values().all(|lookups| lookups.hits == 0) && missed.len() == 2, "{missed:?}");
}

/// The samples of a clone that is made alone.
fn alone(task: &CloneTask) -> Audio {
    let folder = tempfile::tempdir().unwrap();
    run(&mut engine(&data().join("checkpoint"), folder.path()), &Task::Clone(task.clone())).audio
}

/// Runs `task`, and at its first id waits until the voice of `next` is there: only what is analysed beside the task can become
/// ready then.
fn run_waiting_for(engine: &mut Engine, task: &Task, next: &Audio) -> (Result<Reply>, Vec<Event>) {
    let (ahead, sound) = (Arc::clone(&engine.ahead), SoundId::of(next));
    let mut events = Vec::new();
    let reply = engine.run(task, &mut |event| {
        let first_id = |event: &Event| matches!(event, Event::Advanced { stage: Stage::Generate, .. });
        if first_id(&event) && !events.iter().any(first_id) {
            assert!(ahead.has(sound), "its analysis has begun");
            while ahead.is_busy(sound) {
                thread::yield_now();
            }
        }
        events.push(event);
        ControlFlow::Continue(())
    });
    (reply, events)
}

#[test]
fn the_next_voice_is_analysed_while_the_present_text_is_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine(&data().join("checkpoint"), folder.path());
    let present = short_clone(excerpt(0.0, 2.0), "New words.");
    let next = short_clone(excerpt(2.0, 1.5), "Others.");
    let task = Box::new(Task::Clone(present.clone()));
    let task = Task::Ahead(AheadTask { task, next: next.reference.clone() });
    let (reply, events) = run_waiting_for(&mut engine, &task, &next.reference);
    let Ok(Reply::Speech(reply)) = reply else { panic!("no speech") };
    assert_eq!(reply.audio, alone(&present));
    let voices = events.iter().filter(|event| **event == Event::Started(Stage::Voice));
    assert_eq!(voices.count(), 1, "the next voice is no part of this task");
    assert_eq!(run(&mut engine, &Task::Clone(next.clone())).audio, alone(&next));
    assert!(!engine.ahead.has(SoundId::of(&next.reference)), "it was used");
}

#[test]
fn an_analysis_that_fails_belongs_to_its_own_task() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine(&data().join("checkpoint"), folder.path());
    let present = short_clone(excerpt(0.0, 2.0), "New words.");
    let next = short_clone(Audio { samples: Vec::new(), sample_rate: 16_000 }, "Others.");
    let task = Box::new(Task::Clone(present.clone()));
    let task = Task::Ahead(AheadTask { task, next: next.reference.clone() });
    let (reply, _) = run_waiting_for(&mut engine, &task, &next.reference);
    assert!(reply.is_ok());
    let failed = engine.run(&Task::Clone(next), &mut |_| ControlFlow::Continue(()));
    assert_eq!(failed.unwrap_err().kind, Kind::Input);
    assert_eq!(run(&mut engine, &Task::Clone(present.clone())).audio, alone(&present));
}

/// Three clones of different voices, one at a time, the second of which is too short, and the recording that comes after them.
fn group() -> (TogetherTask, Audio) {
    let tasks = vec![
        short_clone(excerpt(0.0, 2.0), "New words."),
        short_clone(excerpt(0.0, 0.1), "None."),
        short_clone(excerpt(2.0, 1.5), "Others."),
    ];
    (TogetherTask { tasks, most: 1 }, excerpt(3.5, 1.0))
}

#[test]
fn the_voices_of_a_group_are_analysed_while_others_of_it_are_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine(&data().join("checkpoint"), folder.path());
    let (group, after) = group();
    let task = Box::new(Task::Together(group.clone()));
    let task = Task::Ahead(AheadTask { task, next: after.clone() });
    let (reply, events) = run_waiting_for(&mut engine, &task, &group.tasks[2].reference);
    assert_eq!(reply.unwrap(), Reply::Together);
    let place = |wanted: &dyn Fn(&Event) -> bool| events.iter().position(wanted).unwrap();
    let first_id = place(&|event| matches!(event, Event::Advanced { stage: Stage::Generate, .. }));
    let voices: Vec<usize> =
        (0..events.len()).filter(|&at| events[at] == Event::Started(Stage::Voice)).collect();
    assert_eq!(voices.len(), 2);
    assert!(voices[0] < first_id && first_id < voices[1], "{voices:?} and {first_id}");
    assert!(engine.ahead.has(SoundId::of(&after)), "the next group has begun");
    let answers: BTreeMap<usize, Result<SpeechReply>> = (events.into_iter())
        .filter_map(|event| match event {
            Event::Answered { number, answer } => Some((number, *answer)),
            _ => None,
        })
        .collect();
    assert_eq!(answers.len(), 3);
    for number in [0, 2] {
        assert_eq!(answers[&number].as_ref().unwrap().audio, alone(&group.tasks[number]), "{number}");
    }
    assert_eq!(answers[&1].as_ref().unwrap_err().kind, Kind::Input);
}

#[test]
fn an_interruption_ends_a_group_and_its_analyses_harm_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine(&data().join("checkpoint"), folder.path());
    let (group, after) = group();
    let task = Box::new(Task::Together(group.clone()));
    let task = Task::Ahead(AheadTask { task, next: after });
    let ended = engine.run(&task, &mut |event| match event {
        Event::Advanced { stage: Stage::Generate, done: 5.., .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    });
    assert_eq!(ended.unwrap_err().kind, Kind::Interrupted);
    let task = &group.tasks[2];
    assert_eq!(run(&mut engine, &Task::Clone(task.clone())).audio, alone(task));
}

#[test]
fn parts_that_are_generated_together_sound_as_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = engine(&data().join("checkpoint"), folder.path());
    let text = "One is said. Two is said. Three is said. Four is said.";
    for (stream, retries) in [(false, 0), (true, 0), (false, 1)] {
        let mut say = |together: usize, cache: CacheUse| {
            let mut task = short_clone(excerpt(0.0, 1.0), text);
            task.parts = PartOptions { limit: Limit::Characters(20), together, ..PartOptions::default() };
            task.speech = SpeechOptions { stream, part_retries: retries, max_length: 200, ..task.speech };
            task.cache = cache;
            let (mut sound, mut numbers) = (Vec::new(), Vec::new());
            let reply = engine.run(&Task::Clone(task), &mut |event| {
                match event {
                    Event::Samples(audio) => sound.extend(audio.samples),
                    Event::Part { number, .. } => numbers.push(number),
                    _ => {}
                }
                ControlFlow::Continue(())
            });
            let Ok(Reply::Speech(reply)) = reply else { panic!("no speech") };
            assert_eq!(numbers, [1, 2, 3, 4]);
            (sound, reply.parts)
        };
        // With results, parts are made one by one, each as a text of its own.
        let one_by_one = say(1, CacheUse { read: false, write: true, results: true });
        for together in [1, 3] {
            assert!(say(together, UNUSED) == one_by_one, "{together} at a time, stream: {stream}");
        }
    }
}
