//! `stepaudio batch`.

use crate::support::{Home, Ran, miniature};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn batch(home: &Home, args: &[&str]) -> Ran {
    home.run(&[&["batch"], args, &["--dtype", "f32"]].concat())
}

fn write(home: &Home, name: &str, lines: &[Value]) {
    let text: String = lines.iter().flat_map(|line| [line.to_string(), "\n".to_string()]).collect();
    fs::write(home.path(name), text).unwrap();
}

/// A short clone, cut after a second so that it is quick.
fn clone(number: usize) -> Value {
    json!({"task": "clone", "text": "New words.", "voice": "voice.wav", "voice_text": "What it says.", "seed": number,
        "max_length": 260})
}

/// The records in a file of results.
fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// How many results there are of each line.
fn done(records: &[Value]) -> BTreeMap<u64, usize> {
    let mut count = BTreeMap::new();
    for record in records.iter().filter(|record| record["status"] == "done") {
        *count.entry(record["line"].as_u64().unwrap()).or_default() += 1;
    }
    count
}

fn mixed(home: &Home) {
    home.voice("voice.wav", 2.0);
    fs::create_dir_all(home.path("lists")).unwrap();
    fs::rename(home.path("voice.wav"), home.path("lists/voice.wav")).unwrap();
    let lines = [
        clone(0),
        json!({"task": "edit", "input": "voice.wav", "denoise": true, "output": "deep/er/e.flac", "id": "second"}),
        json!({"task": "transcribe", "input": "voice.wav", "format": "srt", "no_fallback": true, "asr": "paraformer"}),
    ];
    write(home, "lists/a.jsonl", &lines);
}

#[test]
fn every_task_gives_its_result_and_one_record() {
    let home = Home::new();
    mixed(&home);
    let plan = batch(&home, &["lists/a.jsonl", "--out-dir", "out", "--dry-run", "--json"]).succeeded();
    assert_eq!(plan.text().lines().count(), 3);
    assert_eq!(home.files(), ["lists"], "a dry run makes nothing");
    let ran = batch(&home, &["lists/a.jsonl", "--out-dir", "out", "--json"]).succeeded();
    for name in ["00001.wav", "deep/er/e.flac", "voice.srt"] {
        assert!(home.path("out").join(name).is_file(), "{name}");
    }
    let told: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept = records(&home.path("out/results.jsonl"));
    assert_eq!(told, kept);
    assert_eq!(kept[1]["id"], "second");
    assert_eq!(kept[1]["output"], "deep/er/e.flac");
    assert!(kept[0]["seconds"].as_f64().unwrap() > 0.0 && kept[2]["text"].is_string());
    assert!(kept.iter().all(|record| record["status"] == "done" && record["sha256"].is_string()));
    // The same as the command that it stands for.
    let args = ["edit", "lists/voice.wav", "--denoise", "-o", "alone.flac", "--dtype", "f32"];
    home.run(&args).succeeded();
    let same =
        fs::read(home.path("alone.flac")).unwrap() == fs::read(home.path("out/deep/er/e.flac")).unwrap();
    assert!(same);
}

#[test]
fn resuming_goes_by_contents() {
    let home = Home::new();
    mixed(&home);
    let run = |more: &[&str]| batch(&home, &[&["lists/a.jsonl", "--out-dir", "out"], more].concat());
    run(&[]).succeeded();
    let first = records(&home.path("out/results.jsonl"));
    insta::assert_snapshot!("a second time", run(&[]).transcript());
    insta::assert_snapshot!("all done", run(&["--resume"]).succeeded().transcript());
    assert_eq!(records(&home.path("out/results.jsonl")), first);
    // Another order, another time: the same contents.
    let text = fs::read_to_string(home.path("lists/a.jsonl")).unwrap();
    let turned: String = text.lines().rev().flat_map(|line| [line, "\n"]).collect();
    fs::write(
        home.path("lists/a.jsonl"),
        turned.replace("\"seed\":0", "\"seed\":0,\"output\":\"00001.wav\""),
    )
    .unwrap();
    let bytes = fs::read(home.path("lists/voice.wav")).unwrap();
    fs::write(home.path("lists/voice.wav"), &bytes).unwrap();
    run(&["--resume"]).succeeded();
    assert_eq!(records(&home.path("out/results.jsonl")).len(), 3);
    // A result that is gone is made again; one that was changed is not replaced unasked.
    fs::remove_file(home.path("out/deep/er/e.flac")).unwrap();
    run(&["--resume"]).succeeded();
    assert_eq!(records(&home.path("out/results.jsonl")).len(), 4);
    fs::write(home.path("out/voice.srt"), "mine").unwrap();
    let ran = run(&["--resume"]);
    assert_eq!(ran.code, 3);
    insta::assert_snapshot!("a changed result", ran.transcript());
    assert_eq!(fs::read(home.path("out/voice.srt")).unwrap(), b"mine");
    run(&["--resume", "--force"]).succeeded();
    assert!(fs::read(home.path("out/voice.srt")).unwrap() != b"mine");
    assert_eq!(records(&home.path("out/results.jsonl")).len(), 5);
    // Other words are another item, and so is another recording.
    let changed =
        fs::read_to_string(home.path("lists/a.jsonl")).unwrap().replace("New words.", "Other words.");
    fs::write(home.path("lists/a.jsonl"), changed).unwrap();
    run(&["--resume", "--force"]).succeeded();
    assert_eq!(records(&home.path("out/results.jsonl")).len(), 6);
    home.voice("lists/voice.wav", 1.5);
    run(&["--resume", "--force"]).succeeded();
    assert_eq!(records(&home.path("out/results.jsonl")).len(), 9);
}

#[test]
fn results_of_other_weights_are_made_anew() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    copy(&miniature(), &home.path("models"));
    let heard = json!({"task": "transcribe", "input": "voice.wav", "asr": "paraformer"});
    write(&home, "a.jsonl", &[clone(0), heard]);
    let run = |more: &[&str]| {
        let args = ["a.jsonl", "--out-dir", "out", "--models", "models", "-v"];
        batch(&home, &[&args, more].concat()).succeeded()
    };
    run(&[]);
    let before = records(&home.path("out/results.jsonl"));
    assert!(before.iter().all(|record| record["weights"].is_string()), "{before:?}");
    assert!(run(&["--resume"]).stderr.contains("2 of 2 items are done already"));
    // Only the transcript comes of these.
    let tokens = "speech_paraformer-large_asr_nat-zh-cantonese-en-16k-vocab8501-online/tokens.json";
    let tokens = home.path("models/Step-Audio-Tokenizer/dengcunqin").join(tokens);
    fs::write(&tokens, fs::read_to_string(&tokens).unwrap() + "\n").unwrap();
    let ran = run(&["--resume", "--force"]);
    assert!(ran.stderr.contains("1 of 2 items are done already"), "{}", ran.transcript());
    let after = records(&home.path("out/results.jsonl"));
    assert_eq!((after.len(), &after[2]["task"]), (3, &json!("transcribe")));
    assert!(after[2]["weights"] != before[1]["weights"] && after[2]["key"] == before[1]["key"]);
    // Whoever merges may have no models.
    let args = ["a.jsonl", "--out-dir", "out", "--merge", "--models", "nowhere"];
    batch(&home, &args).succeeded();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() { copy(&from, &to) } else { fs::copy(&from, &to).map(drop).unwrap() }
    }
}

#[test]
fn an_item_that_fails_does_not_stop_the_others() {
    let home = Home::new();
    home.voice("voice.wav", 2.0);
    home.voice("cut.wav", 2.0);
    let mut broken = clone(1);
    broken["max_length"] = json!(20);
    broken["id"] = json!("broken");
    write(&home, "a.jsonl", &[clone(0), broken, clone(2)]);
    let ran = batch(&home, &["a.jsonl", "--out-dir", "out", "-q"]);
    assert_eq!(ran.code, 10, "{}", ran.transcript());
    let mut kept = records(&home.path("out/results.jsonl"));
    // Clones that are spoken side by side end in any order.
    kept.sort_by_key(|record| record["line"].as_u64());
    let states: Vec<&str> = kept.iter().map(|record| record["status"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "failed", "done"]);
    assert_eq!(kept[1]["error"]["kind"], "input");
    assert_eq!(kept[1]["id"], "broken");
    let again = batch(&home, &["a.jsonl", "--out-dir", "out", "--resume", "-q"]);
    assert_eq!(again.code, 10);
    assert_eq!(records(&home.path("out/results.jsonl")).len(), 4, "only the failed one was tried again");
}

#[test]
fn what_ends_a_group_is_found_out_for_each_of_its_items() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    write(&home, "a.jsonl", &(0..3).map(clone).collect::<Vec<_>>());
    // Nothing is done in so little time.
    let ran = batch(&home, &["a.jsonl", "--out-dir", "out", "--timeout", "1ms", "-q"]);
    assert_eq!(ran.code, 10, "{}", ran.transcript());
    let kept = records(&home.path("out/results.jsonl"));
    let lines: Vec<u64> = kept.iter().map(|record| record["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [1, 2, 3]);
    let said = |record: &Value| record["error"]["message"].as_str().unwrap().contains("not done within 1ms");
    assert!(kept.iter().all(said), "{kept:?}");
}

#[test]
fn tables_say_the_same_as_lines() {
    let home = Home::new();
    home.voice("voice.wav", 2.0);
    write(&home, "a.jsonl", &[clone(0)]);
    fs::write(
        home.path("a.csv"),
        "task,text,voice,voice_text,seed,max_length,denoise,id\nclone,New words.,voice.wav,What it says.,0,260,,x\n",
    )
    .unwrap();
    batch(&home, &["a.jsonl", "--out-dir", "a"]).succeeded();
    batch(&home, &["a.csv", "--out-dir", "b"]).succeeded();
    assert!(fs::read(home.path("a/00001.wav")).unwrap() == fs::read(home.path("b/x.wav")).unwrap());
}

#[test]
fn errors_read_well() {
    let home = Home::new();
    home.voice("voice.wav", 2.0);
    fs::write(home.path("text.wav"), "this is no sound").unwrap();
    fs::write(home.path("there.wav"), "precious").unwrap();
    fs::write(home.path("a.txt"), "").unwrap();
    fs::write(home.path("empty.jsonl"), "\n\n").unwrap();
    fs::write(home.path("twice.csv"), "task,task\nclone,edit\n").unwrap();
    let with = |more: Value| {
        let mut line = clone(0);
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    write(
        &home,
        "values.jsonl",
        &[
            json!({"task": "clone", "txt": "Hi", "vioce": "voice.wav"}),
            json!({"task": "clown"}),
            with(json!({"output": "a.mp3"})),
            with(json!({"output": "a.wav", "temperature": 11})),
            json!({"task": "edit", "input": "voice.wav", "emotion": "hapy"}),
            json!({"task": "edit", "input": "voice.wav", "text": "x"}),
            json!({"task": "edit", "input": "voice.wav", "vad": true, "keep_steps": true, "output": "b.wav"}),
            with(json!({"output": "c.wav", "together": 2})),
            with(json!({"text": "-"})),
            json!([1]),
        ],
    );
    write(
        &home,
        "files.jsonl",
        &[
            with(json!({"voice": "gone.wav", "output": "a.wav"})),
            with(json!({"voice": "text.wav", "output": "b.wav"})),
            with(json!({"output": "there.wav"})),
            with(json!({"output": "voice.wav/c.wav"})),
        ],
    );
    write(
        &home,
        "places.jsonl",
        &[
            with(json!({"output": "a.wav"})),
            with(json!({"output": "./x/../a.wav"})),
            with(json!({"output": "b.wav", "voice": "a.wav"})),
        ],
    );
    write(&home, "many.jsonl", &(0..50).map(|_| json!({"task": "clone"})).collect::<Vec<_>>());
    write(&home, "good.jsonl", &[with(json!({"output": "a.wav"}))]);
    write(&home, "unnamed.jsonl", &[clone(0)]);
    let before = home.files();
    for (name, code, args) in [
        ("a missing manifest", 3, vec!["gone.jsonl"]),
        ("a manifest of another kind", 2, vec!["a.txt"]),
        ("an empty manifest", 3, vec!["empty.jsonl"]),
        ("a table with two columns of a name", 3, vec!["twice.csv"]),
        ("wrong values", 3, vec!["values.jsonl"]),
        ("wrong files", 3, vec!["files.jsonl"]),
        ("wrong places", 3, vec!["places.jsonl"]),
        ("many problems", 3, vec!["many.jsonl", "--out-dir", "out"]),
        ("no name for a result", 3, vec!["unnamed.jsonl"]),
        ("no models for a batch", 4, vec!["good.jsonl", "--models", "nowhere"]),
        ("a wrong share", 2, vec!["good.jsonl", "--shard", "3/2"]),
        ("merging and resuming", 2, vec!["good.jsonl", "--merge", "--resume"]),
        ("nothing to merge", 10, vec!["good.jsonl", "--merge"]),
    ] {
        let ran = batch(&home, &args);
        assert_eq!(ran.code, code, "{name}: {}", ran.transcript());
        insta::assert_snapshot!(name, ran.transcript());
    }
    // The merge wrote a file of results that are none.
    assert_eq!(fs::read(home.path("results.jsonl")).unwrap(), b"");
    fs::remove_file(home.path("results.jsonl")).unwrap();
    assert_eq!(home.files(), before);
    assert_eq!(fs::read(home.path("there.wav")).unwrap(), b"precious");
}

#[test]
fn two_processes_never_write_one_file_of_results() {
    let home = Home::new();
    home.voice("voice.wav", 2.0);
    write(&home, "a.jsonl", &[clone(0)]);
    fs::create_dir(home.path("out")).unwrap();
    let held = fs::File::create(home.path("out/results.jsonl")).unwrap();
    held.lock().unwrap();
    let ran = batch(&home, &["a.jsonl", "--out-dir", "out", "--resume"]);
    assert_eq!(ran.code, 9, "{}", ran.transcript());
    insta::assert_snapshot!(ran.transcript());
    drop(held);
    batch(&home, &["a.jsonl", "--out-dir", "out", "--resume"]).succeeded();
}

#[test]
fn shares_are_disjoint_and_merge_to_the_whole() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    let line = |id: usize| json!({"task": "transcribe", "input": "voice.wav", "asr": "paraformer", "id": id});
    write(&home, "a.jsonl", &(1..=15).map(line).collect::<Vec<_>>());
    for count in 1..=7 {
        let out = format!("out{count}");
        for index in 1..=count {
            let shard = format!("{index}/{count}");
            batch(&home, &["a.jsonl", "--out-dir", &out, "--shard", &shard, "-q"]).succeeded();
        }
        if count > 1 {
            batch(&home, &["a.jsonl", "--out-dir", &out, "--merge", "-q"]).succeeded();
        }
        let merged = records(&home.path(&out).join("results.jsonl"));
        let lines: Vec<u64> = merged.iter().map(|record| record["line"].as_u64().unwrap()).collect();
        assert_eq!(lines, (1..=15).collect::<Vec<_>>(), "{count} shares");
        assert!(done(&merged).values().all(|&times| times == 1));
        // Whatever the shares were, nothing is left to do.
        let rest = batch(&home, &["a.jsonl", "--out-dir", &out, "--resume", "--shard", "1/2", "--dry-run"]);
        assert!(rest.succeeded().stderr.contains("8 items, 8 done; to do: nothing"));
    }
}

#[test]
fn a_task_of_a_slurm_array_takes_its_share() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    let line = |id: usize| json!({"task": "transcribe", "input": "voice.wav", "asr": "paraformer", "id": id});
    write(&home, "a.jsonl", &(1..=5).map(line).collect::<Vec<_>>());
    let task = |variables: &[(&str, &str)]| {
        let mut command = home.command(&["batch", "a.jsonl", "--out-dir", "out", "--dry-run"]);
        command.envs(variables.iter().map(|(name, value)| (format!("SLURM_ARRAY_TASK_{name}"), value)));
        Ran::from(command.output().unwrap(), &home)
    };
    let ran = task(&[("ID", "5"), ("MIN", "4"), ("MAX", "5"), ("STEP", "1"), ("COUNT", "2")]).succeeded();
    assert!(ran.stderr.contains("share 2/2: 2 of 5 items"), "{}", ran.transcript());
    let ran = task(&[("ID", "3"), ("MIN", "1"), ("MAX", "7"), ("STEP", "1"), ("COUNT", "3")]);
    assert_eq!(ran.code, 2);
    insta::assert_snapshot!(ran.transcript());
}

/// Runs a batch and stops it with `signal` once `enough` of its results are recorded and a random moment has passed.
fn stopped(home: &Home, signal: &str, enough: usize, moment: Duration) -> Ran {
    let args = ["batch", "a.jsonl", "--out-dir", "out", "--resume", "--dtype", "f32", "-q"];
    let mut child = home.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (deadline, path) = (Instant::now() + Duration::from_mins(2), home.path("out/results.jsonl"));
    let count = || fs::File::open(&path).map_or(0, |file| BufReader::new(file).lines().count());
    while count() < enough && child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "the batch makes no progress");
        std::thread::sleep(Duration::from_millis(2));
    }
    // Not to wait for anything: so that the signal comes at any point of an item.
    std::thread::sleep(moment);
    std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    Ran::from(output, home)
}

#[test]
fn nothing_is_lost_and_nothing_done_twice_when_the_process_is_killed() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    let line = |number: usize| match number % 5 {
        0 => {
            json!({"task": "edit", "input": "voice.wav", "vad": true, "seed": number, "id": number, "max_length": 520})
        }
        1 => clone(number),
        _ => {
            json!({"task": "transcribe", "input": "voice.wav", "asr": "paraformer", "id": number, "format": "json"})
        }
    };
    write(&home, "a.jsonl", &(1..=50).map(line).collect::<Vec<_>>());
    let mut random = ChaCha8Rng::seed_from_u64(8);
    let mut enough = 0;
    while enough < 40 {
        enough += random.random_range(1..15);
        let moment = Duration::from_micros(random.random_range(0..30_000));
        stopped(&home, "-KILL", enough, moment);
    }
    batch(&home, &["a.jsonl", "--out-dir", "out", "--resume", "-q"]).succeeded();
    let kept = done(&records(&home.path("out/results.jsonl")));
    assert_eq!(kept.keys().copied().collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>(), "nothing is lost");
    assert!(kept.values().all(|&times| times == 1), "nothing is done twice: {kept:?}");
    let unfinished = fs::read_dir(home.path("out")).unwrap().map(|entry| entry.unwrap().file_name());
    let unfinished: Vec<_> = unfinished.filter(|name| name.to_string_lossy().ends_with(".part")).collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
    batch(&home, &["a.jsonl", "--out-dir", "whole", "-q"]).succeeded();
    for record in records(&home.path("whole/results.jsonl")) {
        let name = record["output"].as_str().unwrap();
        let same = fs::read(home.path("whole").join(name)).unwrap()
            == fs::read(home.path("out").join(name)).unwrap();
        assert!(same, "{name} is the result of a run without interruption");
    }
}

#[test]
fn ctrl_c_drops_the_item_and_says_how_to_go_on() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    write(&home, "a.jsonl", &(0..50).map(clone).collect::<Vec<_>>());
    let ran = stopped(&home, "-INT", 2, Duration::ZERO);
    assert_eq!(ran.code, 130, "{}", ran.transcript());
    assert!(ran.stderr.contains("interrupted") && ran.stderr.contains("--resume"), "{}", ran.transcript());
    let kept = records(&home.path("out/results.jsonl"));
    let sounds = fs::read_dir(home.path("out"))
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|ending| ending == "wav"));
    assert_eq!(sounds.count(), kept.len(), "no half item");
}

#[test]
fn a_torn_line_of_results_is_dropped() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    write(&home, "a.jsonl", &[clone(0), clone(1)]);
    batch(&home, &["a.jsonl", "--out-dir", "out", "-q"]).succeeded();
    let path = home.path("out/results.jsonl");
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 9]).unwrap();
    // The result is in its place, and what was announced of it is enough to record it again.
    let ran = batch(&home, &["a.jsonl", "--out-dir", "out", "--resume"]).succeeded();
    assert!(ran.stderr.contains("2 of 2 items are done already"), "{}", ran.transcript());
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn ten_thousand_lines_are_checked_in_little_memory() {
    let home = Home::new();
    home.voice("voice.wav", 1.0);
    write(&home, "a.jsonl", &(0..10_000).map(clone).collect::<Vec<_>>());
    let child =
        home.command(&["batch", "a.jsonl", "--out-dir", "out", "--dry-run"]).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let told = fs::read_to_string(&status).unwrap_or_default();
        let line = told.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak = peak.max(line.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024);
        std::thread::sleep(Duration::from_millis(5));
    }
    let ran = Ran::from(child.wait_with_output().unwrap(), &home).succeeded();
    assert!(ran.stderr.contains("10000 items, 0 done; to do: 10000 clone"), "{}", ran.transcript());
    assert!(peak < 150_000_000, "{peak} bytes for 10,000 lines");
}

#[test]
fn clones_that_are_spoken_together_sound_as_alone() {
    let home = Home::new();
    home.voice("voice.wav", 2.0);
    home.voice("other.wav", 1.5);
    let mut lines: Vec<Value> = (0..7).map(clone).collect();
    lines[2]["voice"] = json!("other.wav");
    lines[3]["temperature"] = json!(1.5);
    lines[4]["max_length"] = json!(20);
    lines[5]["retries"] = json!(1);
    write(&home, "a.jsonl", &lines);
    for (folder, together) in [("one", "1"), ("four", "4")] {
        let ran = batch(&home, &["a.jsonl", "--out-dir", folder, "--together", together, "-q"]);
        assert_eq!(ran.code, 10, "{}", ran.transcript());
    }
    for number in 1..=7 {
        let read = |folder: &str| fs::read(home.path(folder).join(format!("{number:05}.wav"))).ok();
        assert!(read("one") == read("four"), "item {number}");
        assert_eq!(read("one").is_none(), number == 5, "item {number} has no room for an answer");
    }
    let failed: Vec<Value> = records(&home.path("four/results.jsonl"));
    assert_eq!(done(&failed).len(), 6);
}
