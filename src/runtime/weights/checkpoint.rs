//! Finding the files of a published checkpoint.

use super::safetensors::read_json;
use crate::error::{Error, Result};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that some network is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum File {
    /// `config.json` of the language model.
    LlmConfig,
    /// `tokenizer.model`, the SentencePiece model.
    Tokenizer,
    /// `flow.pt`.
    Flow,
    /// `hift.pt`.
    Vocoder,
    /// `cosyvoice.yaml`; optional, its values have defaults.
    CosyVoiceYaml,
    /// `campplus.onnx`.
    Speaker,
    /// `speech_tokenizer_v1.onnx` (vq06).
    SemanticTokenizer,
    /// `model.pt` or `model.pb` of the Paraformer (vq02).
    LinguisticWeights,
    /// `config.yaml` of the Paraformer.
    LinguisticConfig,
    /// `am.mvn`, the feature statistics of the Paraformer.
    LinguisticMvn,
    /// `linguistic_tokenizer.npy`, the codebook of vq02.
    LinguisticCodebook,
    /// `tokens.json`, the vocabulary of the Paraformer as a recogniser.
    AsrTokens,
}

impl File {
    /// All files, in the order of the pipeline.
    pub const ALL: [Self; 12] = [
        Self::LlmConfig,
        Self::Tokenizer,
        Self::Flow,
        Self::Vocoder,
        Self::CosyVoiceYaml,
        Self::Speaker,
        Self::SemanticTokenizer,
        Self::LinguisticCodebook,
        Self::LinguisticWeights,
        Self::LinguisticConfig,
        Self::LinguisticMvn,
        Self::AsrTokens,
    ];

    /// The published name.
    pub fn name(self) -> &'static str {
        match self {
            Self::LlmConfig => "config.json",
            Self::Tokenizer => "tokenizer.model",
            Self::Flow => "flow.pt",
            Self::Vocoder => "hift.pt",
            Self::CosyVoiceYaml => "cosyvoice.yaml",
            Self::Speaker => "campplus.onnx",
            Self::SemanticTokenizer => "speech_tokenizer_v1.onnx",
            Self::LinguisticWeights => "model.pt",
            Self::LinguisticConfig => "config.yaml",
            Self::LinguisticMvn => "am.mvn",
            Self::LinguisticCodebook => "linguistic_tokenizer.npy",
            Self::AsrTokens => "tokens.json",
        }
    }

    /// Whether a checkpoint without it is incomplete.
    pub fn is_required(self) -> bool {
        self != Self::CosyVoiceYaml
    }

    fn place(self) -> Place {
        match self {
            Self::LlmConfig | Self::Tokenizer => Place::Llm,
            Self::Flow | Self::Vocoder | Self::CosyVoiceYaml | Self::Speaker => Place::CosyVoice,
            Self::SemanticTokenizer | Self::LinguisticCodebook => Place::Tokenizer,
            Self::LinguisticWeights | Self::LinguisticConfig | Self::LinguisticMvn | Self::AsrTokens => {
                Place::Paraformer
            }
        }
    }

    /// Where `configuration.json` of the Paraformer can give the file another name.
    fn configured(self, configuration: &Value) -> Option<&str> {
        let files = &configuration["file_path_metas"];
        let name = match self {
            Self::LinguisticWeights => &files["init_param"],
            Self::LinguisticConfig => &files["config"],
            Self::LinguisticMvn => &files["frontend_conf"]["cmvn_file"],
            Self::AsrTokens => &files["tokenizer_conf"]["token_list"],
            _ => return None,
        };
        name.as_str().filter(|name| !name.is_empty() && !name.contains(['/', '\\', '\0']) && *name != "..")
    }
}

/// The folder that a file belongs to.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Llm,
    CosyVoice,
    Tokenizer,
    Paraformer,
}

const EDITX: &str = "Step-Audio-EditX";
const TOKENIZER: &str = "Step-Audio-Tokenizer";
const COSYVOICE: &str = "CosyVoice-300M-25Hz";
const PARAFORMER: &str = "dengcunqin/speech_paraformer-large_asr_nat-zh-cantonese-en-16k-vocab8501-online";

/// The folders of one checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    models: PathBuf,
    editx: PathBuf,
    /// Where tokenizer files may be, best place first.
    tokenizers: Vec<PathBuf>,
    paraformer: PathBuf,
}

impl Checkpoint {
    /// Finds the folders of the checkpoint in `models`, without reading weights.
    ///
    /// `models` holds the folders `Step-Audio-EditX` and `Step-Audio-Tokenizer`, or is the former, with the latter
    /// beside or inside it; the tokenizer's files may also lie in the former. Missing files are reported when they
    /// are asked for.
    pub fn open(models: &Path) -> Result<Self> {
        if !models.is_dir() {
            return Err(Error::model(format!("there is no folder `{}`", models.display())).hint(HOW_TO_GET));
        }
        let editx = editx_folder(models);
        let beside = editx.parent().map(|parent| parent.join(TOKENIZER));
        let places = [
            Some(models.join(TOKENIZER)),
            Some(editx.join(TOKENIZER)),
            beside,
            Some(editx.clone()),
            Some(models.to_path_buf()),
        ];
        let mut tokenizers: Vec<PathBuf> = Vec::new();
        for place in places.into_iter().flatten().filter(|place| place.is_dir()) {
            if !tokenizers.contains(&place) {
                tokenizers.push(place);
            }
        }
        let found = tokenizers.iter().find_map(|dir| paraformer_folder(dir));
        let paraformer = found.unwrap_or_else(|| models.join(TOKENIZER).join(PARAFORMER));
        Ok(Self { models: models.to_path_buf(), editx, tokenizers, paraformer })
    }

    /// The folder given to [`Checkpoint::open`].
    pub fn models(&self) -> &Path {
        &self.models
    }

    /// The folder of the language model, for [`super::safetensors::open`].
    pub fn llm_dir(&self) -> PathBuf {
        self.editx.clone()
    }

    /// The path of `file`, or an error that says where it is expected and how to get it.
    pub fn path(&self, file: File) -> Result<PathBuf> {
        self.find(file).ok_or_else(|| self.missing(&[file]))
    }

    /// The path of `file` when it exists.
    pub fn find(&self, file: File) -> Option<PathBuf> {
        let candidates = self.candidates(file);
        candidates.into_iter().find(|path| path.is_file())
    }

    /// Checks that all of `files` exist; the error lists every missing one.
    pub fn require(&self, files: &[File]) -> Result<()> {
        let missing: Vec<File> = files.iter().copied().filter(|&file| self.find(file).is_none()).collect();
        if missing.is_empty() { Ok(()) } else { Err(self.missing(&missing)) }
    }

    /// Where `file` is, or where it should be when it is missing.
    pub fn expected(&self, file: File) -> PathBuf {
        let first = || self.candidates(file).into_iter().next().unwrap_or_else(|| file.name().into());
        self.find(file).unwrap_or_else(first)
    }

    /// The folders of all Whisper models in and beside the checkpoint.
    pub fn whisper_dirs(&self) -> Vec<PathBuf> {
        let mut roots = vec![self.models.clone(), self.models.join("openai"), self.editx.clone()];
        roots.extend(self.editx.parent().map(Path::to_path_buf));
        let mut found: Vec<PathBuf> =
            roots.iter().flat_map(|root| folders(root)).filter(|dir| is_whisper(dir)).collect();
        found.sort();
        found.dedup();
        found
    }

    fn candidates(&self, file: File) -> Vec<PathBuf> {
        let name = file.name();
        match file.place() {
            Place::Llm => vec![self.editx.join(name)],
            Place::CosyVoice => vec![self.editx.join(COSYVOICE).join(name)],
            // The copy of `speech_tokenizer_v1.onnx` among the CosyVoice files is the same model.
            Place::Tokenizer => {
                let mut places: Vec<PathBuf> = self.tokenizers.iter().map(|dir| dir.join(name)).collect();
                places.push(self.editx.join(COSYVOICE).join(name));
                if !self.tokenizers.iter().any(|dir| dir.ends_with(TOKENIZER)) {
                    places.insert(0, self.models.join(TOKENIZER).join(name));
                }
                places
            }
            Place::Paraformer => {
                let configuration =
                    read_json(&self.paraformer.join("configuration.json")).unwrap_or_default();
                let configured = file.configured(&configuration);
                let also = (file == File::LinguisticWeights).then_some("model.pb");
                let names = [configured, Some(name), also];
                names.into_iter().flatten().map(|name| self.paraformer.join(name)).collect()
            }
        }
    }

    fn missing(&self, files: &[File]) -> Error {
        let message = match files {
            [file] => format!("the checkpoint has no `{}`", file.name()),
            _ => format!("{} files of the checkpoint are missing", files.len()),
        };
        let error = Error::model(message).hint(HOW_TO_GET);
        files.iter().fold(error, |error, &file| error.cause(format!("`{}`", self.expected(file).display())))
    }
}

const HOW_TO_GET: &str = "download `stepfun-ai/Step-Audio-EditX` and `stepfun-ai/Step-Audio-Tokenizer` from huggingface.co \
                          into one folder and name it with `--models`";

/// `MODELS/Step-Audio-EditX`, or `MODELS` itself when it looks like that folder.
fn editx_folder(models: &Path) -> PathBuf {
    let below = models.join(EDITX);
    let is_it = |dir: &Path| {
        let config = read_json(&dir.join("config.json")).unwrap_or_default();
        dir.join(COSYVOICE).is_dir() || config["model_type"] == "step1"
    };
    if !below.is_dir() && is_it(models) {
        return models.to_path_buf();
    }
    below
}

/// The published folder below `dir`, or any other one, at most two levels deep, that holds the statistics.
fn paraformer_folder(dir: &Path) -> Option<PathBuf> {
    let holds = |dir: &PathBuf| dir.join("am.mvn").is_file();
    let published = [dir.join(PARAFORMER), dir.to_path_buf()];
    let below = folders(dir);
    let deeper = below.iter().flat_map(|dir| folders(dir));
    published.into_iter().chain(below.iter().cloned()).chain(deeper).find(holds)
}

/// The folders directly in `dir`, in order of their names.
fn folders(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Whether `dir` holds a Whisper model.
pub(super) fn is_whisper(dir: &Path) -> bool {
    let config = dir.join("config.json");
    config.is_file() && read_json(&config).is_ok_and(|config| config["model_type"] == "whisper")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::runtime::weights::damage::miniature;

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn finds_every_file_of_the_published_layout() {
        let checkpoint = Checkpoint::open(&miniature()).unwrap();
        checkpoint.require(&File::ALL).unwrap();
        for file in File::ALL {
            assert!(checkpoint.path(file).unwrap().ends_with(file.name()));
        }
        assert!(checkpoint.whisper_dirs().iter().any(|dir| dir.ends_with("whisper-miniature")));
    }

    #[test]
    fn the_folder_itself_works_with_the_tokenizer_beside() {
        let checkpoint = Checkpoint::open(&miniature().join(EDITX)).unwrap();
        checkpoint.require(&File::ALL).unwrap();
        assert_eq!(checkpoint.whisper_dirs().len(), 1);
    }

    #[test]
    fn finds_tokenizer_files_inside_the_other_folder() {
        let models = tempfile::tempdir().unwrap();
        let editx = models.path().join(EDITX);
        touch(&editx.join(COSYVOICE).join("flow.pt"));
        touch(&editx.join("linguistic_tokenizer.npy"));
        touch(&editx.join("FunASR/am.mvn"));
        touch(&editx.join("FunASR/model.pb"));
        for root in [models.path(), &editx] {
            let checkpoint = Checkpoint::open(root).unwrap();
            let found = |file| checkpoint.path(file).unwrap();
            assert_eq!(found(File::Flow), editx.join(COSYVOICE).join("flow.pt"));
            assert_eq!(found(File::LinguisticCodebook), editx.join("linguistic_tokenizer.npy"));
            assert_eq!(found(File::LinguisticWeights), editx.join("FunASR/model.pb"));
        }
    }

    #[test]
    fn the_configuration_names_the_weights() {
        let models = tempfile::tempdir().unwrap();
        let dir = models.path().join(TOKENIZER).join(PARAFORMER);
        for name in ["am.mvn", "model.pt", "model.pb", "other.pt"] {
            touch(&dir.join(name));
        }
        let weights = || Checkpoint::open(models.path()).unwrap().path(File::LinguisticWeights).unwrap();
        assert!(weights().ends_with("model.pt"));
        for (named, expected) in [("other.pt", "other.pt"), ("../../x", "model.pt"), ("gone.pt", "model.pt")]
        {
            let text = format!(r#"{{"file_path_metas": {{"init_param": "{named}"}}}}"#);
            fs::write(dir.join("configuration.json"), text).unwrap();
            assert!(weights().ends_with(expected), "{named}");
        }
    }

    #[test]
    fn lists_all_missing_files_at_once() {
        let models = tempfile::tempdir().unwrap();
        let checkpoint = Checkpoint::open(models.path()).unwrap();
        let error = checkpoint.require(&File::ALL).unwrap_err();
        assert_eq!(error.kind, Kind::Model);
        assert_eq!(error.causes.len(), File::ALL.len());
        assert!(error.hint.unwrap().contains("stepfun-ai/Step-Audio-Tokenizer"));
        assert!(error.causes.iter().all(|cause| cause.contains("Step-Audio-")), "{:#?}", error.causes);
        assert!(Checkpoint::open(&models.path().join("no")).is_err());
        assert!(checkpoint.whisper_dirs().is_empty());
    }
}
