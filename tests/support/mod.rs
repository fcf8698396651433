//! A hermetic home for one test: its own folders, a known environment, made-up recordings.

use std::f32::consts::TAU;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The checkpoint that the tests carry.
pub fn miniature() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/checkpoint")
}

/// The runtime folder of the user.
pub const RUN: &str = ".cache-run";

/// A user with an empty home.
pub struct Home {
    dir: TempDir,
}

impl Home {
    pub fn new() -> Self {
        let home = Self { dir: tempfile::tempdir().expect("a temporary folder") };
        DirBuilder::new().mode(0o700).create(home.path(RUN)).expect("a folder");
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program with `args`, run in the home, knowing the miniature checkpoint.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepaudio"));
        command.args(args).current_dir(self.dir.path()).env_clear();
        command
            .env("HOME", self.dir.path())
            .env("XDG_RUNTIME_DIR", self.path(RUN))
            .env("STEPAUDIO_MODELS", miniature())
            .env("STEPAUDIO_DEVICE", "cpu");
        command.stdin(Stdio::null());
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("the program starts"), self)
    }

    /// A made-up voice: a buzz with moving formants between two silences.
    pub fn voice(&self, name: &str, seconds: f32) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let rate = 16_000;
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).expect("a WAV file");
        for i in 0..(seconds * rate as f32) as usize {
            let t = i as f32 / rate as f32;
            let loudness = (t * TAU * 2.5).sin().max(0.0) * 0.4;
            let buzz: f32 =
                (1..12).map(|h| (t * TAU * (140.0 + 20.0 * t.sin()) * h as f32).sin() / h as f32).sum();
            writer.write_sample((loudness * buzz * 16_000.0) as i16).expect("a sample");
        }
        writer.finalize().expect("a WAV file");
        path
    }

    pub fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.dir.path())
            .expect("home")
            .map(|e| e.expect("entry").file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with(".cache"))
            .collect();
        names.sort();
        names
    }
}

/// Replaces the duration at the end of `… in 1.2 s` and `… in 85 ms`.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once(" in ") {
        Some((told, time)) if time.ends_with(" s") || time.ends_with(" ms") => format!("{told} in TIME\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// What a run of the program did.
pub struct Ran {
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: String,
    home: PathBuf,
}

impl Ran {
    pub fn from(output: Output, home: &Home) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            home: home.dir.path().to_path_buf(),
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Exit code, stdout and stderr as one readable text, without what differs between machines and runs.
    pub fn transcript(&self) -> String {
        let text = format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.text(), self.stderr);
        let text = text.replace(&*self.home.to_string_lossy(), "~");
        without_times(&text.replace(&*miniature().to_string_lossy(), "MODELS"))
    }

    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.transcript());
        self
    }
}
