//! Voices that are kept under a name: the clip, what it says, and what the networks know of it.
//!
//! A voice is one file, `NAME.voice`, that appears whole: a ZIP archive without compression of `voice.json` ([`About`]),
//! the clip as it was given, and its features. It can be opened with any such tool.

use super::output::write_whole;
use crate::error::{Error, Result};
use crate::models::llm::edits::nearest;
use crate::task::Analysed;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::SystemTime;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// The version of the layout.
const VERSION: u32 = 1;
/// The most bytes of a clip, and of its features: thirty seconds need a small part of it.
pub const LARGEST: u64 = 64 << 20;
/// The most characters of a name; each takes at most four bytes of the 255 that a file's name may have.
const LONGEST_NAME: usize = 48;

const ABOUT: &str = "voice.json";
const CLIP: &str = "clip";
const FEATURES: &str = "features";

/// The name of a voice: letters, digits, `-` and `_`, which no path to a sound file consists of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Name(String);

impl Name {
    /// The name that `voice` is; `None` when it is a file or `-`.
    pub fn of(voice: &Path) -> Option<Self> {
        voice.to_str()?.parse().ok()
    }
}

impl FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
        if !text.starts_with(char::is_alphanumeric) || !text.chars().all(allowed) {
            return Err("a name has letters, digits, `-` and `_`, and begins with a letter or digit".into());
        }
        match text.chars().count() {
            0..=LONGEST_NAME => Ok(Self(text.into())),
            _ => Err(format!("a name has at most {LONGEST_NAME} characters")),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is told of a voice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    version: u32,
    /// When it was added (RFC 3339).
    pub added: String,
    /// Length of the clip in seconds.
    pub seconds: f64,
    /// The code of the language, when it is known.
    pub language: Option<String>,
    /// What the clip says.
    pub transcript: String,
    /// The name of the file that the clip came from.
    pub source: String,
    /// Hash of the clip.
    pub sha256: String,
    /// What the features depend on beside the clip; others are made when the models know another.
    pub features: String,
}

impl About {
    /// What is told of a clip.
    pub fn new(
        clip: &[u8],
        source: String,
        seconds: f64,
        transcript: String,
        language: Option<String>,
    ) -> Self {
        let (added, sha256) =
            (humantime::format_rfc3339_seconds(SystemTime::now()).to_string(), super::hashes::of_bytes(clip));
        Self {
            version: VERSION,
            added,
            seconds,
            language,
            transcript,
            source,
            sha256,
            features: String::new(),
        }
    }
}

/// The folder of voices.
#[derive(Debug, Clone)]
pub struct VoiceStore(PathBuf);

impl VoiceStore {
    /// The voices in `folder`, which need not be there.
    pub fn new(folder: &Path) -> Self {
        Self(folder.to_path_buf())
    }

    /// All names in their order.
    pub fn names(&self) -> Result<Vec<Name>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.unusable(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(|error| self.unusable(error))?.file_name();
            names.extend(file.to_str().and_then(|file| file.strip_suffix(".voice")?.parse::<Name>().ok()));
        }
        names.sort();
        Ok(names)
    }

    /// What is told of a voice.
    pub fn about(&self, name: &Name) -> Result<About> {
        let mut archive = self.open(name)?;
        Self::read_about(name, &mut archive)
    }

    /// A voice with its clip and features.
    pub fn read(&self, name: &Name) -> Result<(About, Vec<u8>, Analysed)> {
        let mut archive = self.open(name)?;
        let about = Self::read_about(name, &mut archive)?;
        let clip = Self::part(name, &mut archive, CLIP)?;
        let voice = Self::part(name, &mut archive, FEATURES)?;
        let features = Analysed { key: about.features.clone(), voice };
        Ok((about, clip, features))
    }

    /// Keeps a voice; `force` replaces one of the same name.
    pub fn write(
        &self,
        name: &Name,
        about: &About,
        clip: &[u8],
        features: &Analysed,
        force: bool,
    ) -> Result<()> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.0).map_err(|error| self.unusable(error))?;
        let about = About { features: features.key.clone(), ..about.clone() };
        let about = serde_json::to_vec_pretty(&about)
            .map_err(|error| Error::internal("a voice cannot be written down").cause(error))?;
        write_whole(&self.place(name), force, |part| {
            // A voice is personal.
            part.set_permissions(fs::Permissions::from_mode(0o600))?;
            let mut archive = ZipWriter::new(part);
            let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
            for (part, bytes) in [(ABOUT, &about[..]), (CLIP, clip), (FEATURES, &features.voice)] {
                archive.start_file(part, stored)?;
                archive.write_all(bytes)?;
            }
            archive.finish()?;
            Ok(())
        })
    }

    /// Refuses a name that is taken.
    pub fn check_free(&self, name: &Name) -> Result<()> {
        if !self.place(name).exists() {
            return Ok(());
        }
        let error = Error::usage(format!("there is a voice named `{name}` already"));
        Err(error.hint("choose another name, or give `--force` to replace it"))
    }

    /// Forgets a voice.
    pub fn remove(&self, name: &Name) -> Result<()> {
        fs::remove_file(self.place(name)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.unknown(name),
            _ => self.unusable(error),
        })
    }

    fn place(&self, name: &Name) -> PathBuf {
        self.0.join(format!("{name}.voice"))
    }

    fn open(&self, name: &Name) -> Result<ZipArchive<BufReader<File>>> {
        let file = File::open(self.place(name)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => self.unknown(name),
            _ => self.unusable(error),
        })?;
        ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(name, error))
    }

    fn read_about(name: &Name, archive: &mut ZipArchive<BufReader<File>>) -> Result<About> {
        let about = Self::part(name, archive, ABOUT)?;
        let about: About = serde_json::from_slice(&about).map_err(|error| damaged(name, error))?;
        match about.version {
            VERSION => Ok(about),
            other => {
                Err(damaged(name, format!("its layout has version {other}, this program knows {VERSION}")))
            }
        }
    }

    fn part(name: &Name, archive: &mut ZipArchive<BufReader<File>>, part: &str) -> Result<Vec<u8>> {
        let entry = archive.by_name(part).map_err(|error: ZipError| damaged(name, error))?;
        let mut bytes = Vec::new();
        entry.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| damaged(name, error))?;
        if bytes.len() as u64 > LARGEST {
            return Err(damaged(name, format!("its {part} is larger than any voice")));
        }
        Ok(bytes)
    }

    fn unknown(&self, name: &Name) -> Error {
        let error = Error::input(format!("there is no voice named `{name}`"));
        let names = self.names().unwrap_or_default();
        let names: Vec<&str> = names.iter().map(|name| name.0.as_str()).collect();
        if Path::new(&name.0).exists() {
            return error.hint(format!("for the file of that name write `./{name}`"));
        }
        error.hint(match nearest(&name.0, &names) {
            Some(right) => format!("did you mean `{right}`?"),
            None if names.is_empty() => format!("`stepaudio voices add {name} REF.wav` adds it"),
            None => "`stepaudio voices list` lists all".into(),
        })
    }

    fn unusable(&self, error: io::Error) -> Error {
        Error::input(format!("cannot use the folder of voices `{}`", self.0.display())).cause(error)
    }
}

fn damaged(name: &Name, why: impl fmt::Display) -> Error {
    let error = Error::input(format!("the voice `{name}` is damaged")).cause(why);
    error.hint(format!("add it again: `stepaudio voices add {name} REF.wav --force`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn features(key: &str) -> Analysed {
        Analysed { key: key.into(), voice: vec![1, 2, 3] }
    }

    fn about() -> About {
        About::new(b"clip", "ref.wav".into(), 5.5, "What it says.".into(), Some("en".into()))
    }

    fn store() -> (tempfile::TempDir, VoiceStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = VoiceStore::new(&folder.path().join("deep/voices"));
        (folder, store)
    }

    #[test]
    fn names_are_letters_and_digits() {
        for good in ["anna", "Anna-2", "小明", "a_b", &"x".repeat(48)] {
            assert!(good.parse::<Name>().is_ok(), "{good}");
        }
        for bad in
            ["", "-", "-a", "_a", "a.wav", "../a", "/a", "a/b", "a b", ".", "..", "a\0", &"x".repeat(49)]
        {
            assert!(bad.parse::<Name>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_voice_comes_back_and_goes() {
        let (_folder, store) = store();
        let name: Name = "anna".parse().unwrap();
        assert!(store.names().unwrap().is_empty());
        store.write(&name, &about(), b"clip", &features("k"), false).unwrap();
        let (read, clip, found) = store.read(&name).unwrap();
        assert_eq!((&clip[..], found), (&b"clip"[..], features("k")));
        assert_eq!(read, About { features: "k".into(), ..about() });
        assert_eq!(store.about(&name).unwrap(), read);
        let mode = fs::metadata(store.place(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "only for its owner");
        assert!(store.check_free(&name).is_err());
        assert!(store.write(&name, &about(), b"other", &features("k"), false).is_err());
        store.write(&name, &about(), b"other", &features("l"), true).unwrap();
        assert_eq!(store.read(&name).unwrap().1, b"other");
        assert_eq!(fs::read_dir(&store.0).unwrap().count(), 1);
        store.remove(&name).unwrap();
        assert!(store.remove(&name).unwrap_err().message.contains("no voice"));
    }

    #[test]
    fn a_misspelt_name_answers_with_the_nearest() {
        let (_folder, store) = store();
        store.write(&"narrator".parse().unwrap(), &about(), b"clip", &features("k"), false).unwrap();
        let hint = |name: &str| store.about(&name.parse().unwrap()).unwrap_err().hint.unwrap();
        assert_eq!(hint("narator"), "did you mean `narrator`?");
        assert!(hint("zzz").contains("voices list"));
    }

    #[test]
    fn other_files_are_no_voices() {
        let (_folder, store) = store();
        store.write(&"anna".parse().unwrap(), &about(), b"clip", &features("k"), false).unwrap();
        for other in ["notes.txt", ".anna.voice.x.part", "a.b.voice"] {
            fs::write(store.0.join(other), "").unwrap();
        }
        assert_eq!(store.names().unwrap(), ["anna".parse().unwrap()]);
    }

    proptest! {
        #[test]
        fn damage_is_found(at in 0usize..500, value: u8) {
            let (_folder, store) = store();
            let name: Name = "anna".parse().unwrap();
            store.write(&name, &about(), b"clip", &features("k"), false).unwrap();
            let whole = store.read(&name).unwrap();
            let mut bytes = fs::read(store.place(&name)).unwrap();
            let at = at % bytes.len();
            bytes[at] = value;
            fs::write(store.place(&name), bytes).unwrap();
            // Some bytes, such as times in the archive, mean nothing; all others are noticed.
            if let Ok(read) = store.read(&name) {
                prop_assert_eq!(read, whole);
            }
        }
    }
}
