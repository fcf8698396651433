//! The flags that name edits, in the order in which they stand on the command line.

use crate::error::{Error, Result};
use crate::models::llm::edits::{EMOTIONS, Edit, SPEEDS, STYLES};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches};

/// The edit flags of one command with their values, first one first.
#[derive(Debug, Clone)]
pub struct EditFlags(Vec<(String, Option<String>)>);

/// Stands for the value of a flag that takes none; clap forgets the places of such flags unless they have values.
const GIVEN: &str = "\0";

/// Heading of the flags in the help text.
const HEADING: &str = "Edits (at least one)";

impl EditFlags {
    /// The edits; none at all, or a tag that the model does not know, is a usage error.
    pub fn edits(&self) -> Result<Vec<Edit>> {
        if self.0.is_empty() {
            return Err(Error::usage("no edit is given").hint(
                "give `--emotion`, `--style`, `--speed`, `--paralinguistic`, `--denoise` or `--vad`, or several of them",
            ));
        }
        self.0.iter().map(|(kind, value)| Edit::parse(kind, value.as_deref())).collect()
    }
}

impl clap::Args for EditFlags {
    fn augment_args(command: Command) -> Command {
        command.args(flags())
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for EditFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found = Vec::new();
        for flag in flags() {
            let kind = flag.get_id().as_str();
            let values = matches.get_many::<String>(kind).into_iter().flatten();
            for (index, value) in matches.indices_of(kind).into_iter().flatten().zip(values) {
                found.push((index, (kind.to_string(), Some(value.clone()).filter(|value| value != GIVEN))));
            }
        }
        found.sort_by_key(|(index, _)| *index);
        Ok(Self(found.into_iter().map(|(_, flag)| flag).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flags() -> [Arg; 6] {
    let flag = |kind: &'static str| Arg::new(kind).long(kind).help_heading(HEADING);
    let valued = |kind, name, values: &[&'static str]| {
        flag(kind).value_name(name).action(ArgAction::Append).value_parser(possible(values))
    };
    let bare = |kind| flag(kind).action(ArgAction::Append).num_args(0).default_missing_value(GIVEN);
    [
        valued("emotion", "EMOTION", EMOTIONS).help("Speak with this emotion; `remove` takes emotion away"),
        valued("style", "STYLE", STYLES).help("Speak in this style; `remove` takes any style away"),
        valued("speed", "SPEED", SPEEDS).help("Speak faster or slower"),
        flag("paralinguistic").value_name("TEXT").action(ArgAction::Append).help(
            "Add the sounds that stand in this text as tags: [Breathing] [Laughter] [Surprise-oh] [Confirmation-en] \
             [Uhm] [Surprise-ah] [Surprise-wa] [Sigh] [Question-ei] [Dissatisfaction-hnn]",
        ),
        bare("denoise").help("Remove noise"),
        bare("vad").help("Remove silent parts"),
    ]
}

/// The published values; `more-faster` is accepted for `more faster`, and `act-coy` for `act_coy`.
fn possible(values: &[&'static str]) -> PossibleValuesParser {
    PossibleValuesParser::new(values.iter().map(|&value| {
        let value_itself = PossibleValue::new(value);
        match value.replace([' ', '_'], "-") {
            dashed if dashed == value => value_itself,
            dashed => value_itself.alias(dashed),
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;

    fn edits(line: &str) -> Result<Vec<String>> {
        let command = EditFlags::augment_args(Command::new("edit"));
        let words = std::iter::once("edit").chain(line.split_terminator(';'));
        let matches = command.try_get_matches_from(words).map_err(|e| Error::usage(e.to_string()))?;
        let flags = EditFlags::from_arg_matches(&matches).map_err(|e| Error::usage(e.to_string()))?;
        Ok(flags.edits()?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn keep_their_order() {
        assert_eq!(
            edits("--denoise;--emotion;happy;--vad;--emotion;sad;--style=act-coy").unwrap(),
            ["denoise", "emotion happy", "vad", "emotion sad", "style act_coy"]
        );
        assert_eq!(
            edits("--denoise;--speed;more-faster;--denoise").unwrap(),
            ["denoise", "speed more faster", "denoise"]
        );
    }

    #[test]
    fn at_least_one_is_needed_and_values_are_checked() {
        assert!(edits("").unwrap_err().message.contains("no edit"));
        assert!(edits("--emotion;hapy").unwrap_err().message.contains("happy"));
        assert!(edits("--paralinguistic;So [Laugh] it is").unwrap_err().hint.unwrap().contains("[Laughter]"));
    }
}
