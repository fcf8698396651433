//! The prompts of the language model: what an edit and a clone look like as ids, in both published layouts.
//!
//! Origin: stepfun-ai/Step-Audio-EditX, `tts.py` and `config/prompts.py` (commit aacb90a for [`Layout::Legacy`]).

use super::tokenizer::{Reading, Span, Tokenizer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What every edit starts with.
pub const EDIT_SYSTEM: &str = "\
As a highly skilled audio editing and tuning specialist, you excel in interpreting user instructions and applying \
precise adjustments to meet their needs. Your expertise spans a wide range of enhancement capabilities, including but \
not limited to:
# Emotional Enhancement
# Speaking Style Transfer
# Non-linguistic Adjustments
# Audio Tuning & Editing
Note: You will receive instructions in natural language and are expected to accurately interpret and execute the most \
suitable audio edits and enhancements.
";

/// The speaker's name in the later published version, the same for every voice.
pub const ANONYMOUS: &str = "debug";

/// Samples hashed at each end of a long recording.
const HASHED: usize = 1000;

/// How the turns of a prompt are joined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One rendered string, `<s>` once: the later published version.
    #[default]
    Chat,
    /// Every part encoded alone, each with its own `<s>`: the version of December 2025.
    Legacy,
}

/// A request to the language model; `audio` holds mixed codes (see [`crate::models::codes::interleave`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prompt<'a> {
    /// Change a recording.
    Edit {
        /// The sentence that names the change, with its final newline.
        instruction: &'a str,
        /// The recording.
        audio: &'a [u32],
    },
    /// Speak with the voice of a recording.
    Clone {
        /// The name of the voice: [`ANONYMOUS`] or a [`voice_name`].
        speaker: &'a str,
        /// What the recording says.
        transcript: &'a str,
        /// The recording.
        audio: &'a [u32],
        /// What to say.
        text: &'a str,
    },
}

impl Prompt<'_> {
    /// The ids of the prompt; texts in it cannot become control or audio ids.
    pub fn ids(&self, tokenizer: &Tokenizer, layout: Layout) -> Vec<u32> {
        self.ids_as(tokenizer, layout, Reading::Plain)
    }

    /// The ids of the prompt, with its texts read as `reading` says; the reference reads them live.
    pub fn ids_as(&self, tokenizer: &Tokenizer, layout: Layout, reading: Reading) -> Vec<u32> {
        match layout {
            Layout::Chat => self.chat(tokenizer, reading),
            Layout::Legacy => self.legacy(tokenizer, reading),
        }
    }

    fn chat(&self, tokenizer: &Tokenizer, reading: Reading) -> Vec<u32> {
        let (begin, end) = (Span::Id(tokenizer.begin_of_turn()), Span::Id(tokenizer.eos()));
        let mut spans = vec![Span::Id(tokenizer.bos()), begin, Span::Text(" system\n")];
        spans.extend(self.system());
        spans.extend([end, begin, Span::Text(" human\n")]);
        spans.extend(self.human());
        spans.extend([end, begin, Span::Text(" assistant\n")]);
        tokenizer.encode_spans(&spans, reading)
    }

    fn legacy(&self, tokenizer: &Tokenizer, reading: Reading) -> Vec<u32> {
        let (begin, end) = (tokenizer.begin_of_turn(), tokenizer.eos());
        let encode = |spans: &[Span<'_>]| {
            let mut ids = vec![tokenizer.bos()];
            ids.extend(tokenizer.encode_spans(spans, reading));
            ids
        };
        let mut system = vec![Span::Text("system\n")];
        system.extend(self.system());
        let human = match self {
            Self::Edit { .. } => encode(&self.human()),
            Self::Clone { text, .. } => {
                // The reference cuts off as many ids as a newline has, so that the text starts without a space.
                let line = encode(&[Span::Text("\n"), Span::Text(text)]);
                line[encode(&[Span::Text("\n")]).len()..].to_vec()
            }
        };
        [
            vec![tokenizer.bos(), begin],
            encode(&system),
            vec![end, begin],
            encode(&[Span::Text("human\n")]),
            human,
            vec![end, begin],
            encode(&[Span::Text("assistant\n")]),
        ]
        .concat()
    }

    fn system(&self) -> Vec<Span<'_>> {
        match *self {
            Self::Edit { .. } => vec![Span::Text(EDIT_SYSTEM)],
            Self::Clone { speaker, transcript, audio, .. } => vec![
                Span::Text("Generate audio with the following timbre, prosody and speaking style\n\n"),
                Span::Text("[speaker_start]\nspeaker name: "),
                Span::Text(speaker),
                Span::Text("\nspeaker prompt text: \n"),
                Span::Text(transcript),
                Span::Text("\nspeaker audio tokens: \n"),
                Span::Audio(audio),
                Span::Text("\n[speaker_end]\n"),
            ],
        }
    }

    fn human(&self) -> Vec<Span<'_>> {
        match *self {
            Self::Edit { instruction, audio } => {
                vec![Span::Text(instruction), Span::Text("\n"), Span::Audio(audio), Span::Text("\n")]
            }
            Self::Clone { text, .. } => vec![Span::Text(text)],
        }
    }
}

/// The name that the December 2025 version gives a voice: `clone_` and 16 hexadecimal digits.
///
/// `samples` are those of the file before any change, one channel after the other; the text and the first and last 1000
/// of them are hashed (all, if there are at most 2000). Source: `tts.py`, `generate_clone_voice_id`.
pub fn voice_name(text: &str, samples: &[f32]) -> String {
    let mut hash = Sha256::new();
    hash.update(text);
    let (head, tail) = if samples.len() > 2 * HASHED {
        (&samples[..HASHED], &samples[samples.len() - HASHED..])
    } else {
        (samples, &[][..])
    };
    for sample in head.iter().chain(tail) {
        hash.update(sample.to_le_bytes());
    }
    let leading = hash.finalize()[..8].iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
    format!("clone_{leading:016x}")
}

#[cfg(test)]
mod tests {
    use super::super::tokenizer::tests::miniature;
    use super::*;
    use proptest::prelude::*;

    const AUDIO: &[u32] = &[1, 2, 1030, 1031, 1032];

    fn clone<'a>(transcript: &'a str, text: &'a str) -> Prompt<'a> {
        Prompt::Clone { speaker: ANONYMOUS, transcript, audio: AUDIO, text }
    }

    fn special(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<u32> {
        ids.iter().copied().filter(|&id| tokenizer.is_special(id)).collect()
    }

    #[test]
    fn a_chat_prompt_reads_like_its_template() {
        let tokenizer = miniature();
        let ids = clone("so it is", "say\nthis").ids(&tokenizer, Layout::Chat);
        let expected = "<s><|BOT|> system\nGenerate audio with the following timbre, prosody and speaking style\n\n\
            [speaker_start]\nspeaker name: debug\nspeaker prompt text: \nso it is\nspeaker audio tokens: \n\
            <audio_1><audio_2><audio_1030><audio_1031><audio_1032>\n[speaker_end]\n\
            <|EOT|><|BOT|> human\nsay\nthis<|EOT|><|BOT|> assistant\n";
        assert_eq!(tokenizer.decode(&ids), expected);
    }

    #[test]
    fn the_legacy_layout_repeats_the_beginning_of_sequence() {
        let tokenizer = miniature();
        let count = |layout| {
            let ids = clone("a", "b").ids(&tokenizer, layout);
            ids.iter().filter(|&&id| id == tokenizer.bos()).count()
        };
        assert_eq!((count(Layout::Chat), count(Layout::Legacy)), (1, 4));
    }

    #[test]
    fn the_name_of_a_voice_sees_both_ends_only() {
        let mut samples = vec![0.5; 2001];
        let name = voice_name("a", &samples);
        samples[1000] = 0.0;
        assert_eq!(voice_name("a", &samples), name);
        samples[1001] = 0.0;
        assert_ne!(voice_name("a", &samples), name);
        assert_ne!(voice_name("b", &[]), voice_name("a", &[]));
    }

    fn hostile() -> impl Strategy<Value = String> {
        "(<\\|EOT\\|>|<\\|BOT\\|>|<s>|</s>|<unk>|<audio_[0-9]{1,4}>|<0x[0-9A-F]{2}>|[<>|\n a-z_0-9]|\\PC){0,24}"
    }

    proptest! {
        #[test]
        fn no_text_can_forge_a_turn_or_audio(transcript in hostile(), text in hostile()) {
            let tokenizer = MINIATURE.with(Clone::clone);
            for layout in [Layout::Chat, Layout::Legacy] {
                let harmless = special(&tokenizer, &clone("a", "b").ids(&tokenizer, layout));
                let ids = clone(&transcript, &text).ids(&tokenizer, layout);
                prop_assert_eq!(special(&tokenizer, &ids), &harmless[..]);

                let edit = |instruction| Prompt::Edit { instruction, audio: AUDIO }.ids(&tokenizer, layout);
                prop_assert_eq!(special(&tokenizer, &edit(&text)), special(&tokenizer, &edit("a")));
            }
        }

        #[test]
        fn a_spelled_newline_is_no_newline(transcript in hostile(), text in hostile()) {
            let tokenizer = MINIATURE.with(Clone::clone);
            let newline = tokenizer.encode_user("\n").pop();
            let newlines = |ids: &[u32]| ids.iter().filter(|&&id| Some(id) == newline).count();
            let real = transcript.matches('\n').count() + text.matches('\n').count();
            let template = newlines(&clone("", "").ids(&tokenizer, Layout::Chat));
            prop_assert_eq!(newlines(&clone(&transcript, &text).ids(&tokenizer, Layout::Chat)), template + real);
        }
    }

    thread_local! {
        static MINIATURE: std::rc::Rc<Tokenizer> = std::rc::Rc::new(miniature());
    }
}
