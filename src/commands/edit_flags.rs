//! The flags that name edits, in the order in which they stand on the command line.

use crate::models::llm::edits::{EMOTIONS, Edit, SPEEDS, STYLES};
use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, ArgGroup, ArgMatches, Command, Error, FromArgMatches, error::ErrorKind};

/// The edits of one command, first one first.
#[derive(Debug, Clone)]
pub struct EditFlags(pub Vec<Edit>);

/// Heading of the flags in the help text.
const HEADING: &str = "Edits (at least one)";

impl clap::Args for EditFlags {
    fn augment_args(command: Command) -> Command {
        command.args(flags()).group(
            ArgGroup::new("edits").args(flags().map(|flag| flag.get_id().clone())).multiple(true).required(true),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for EditFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let mut found: Vec<(usize, Edit)> = Vec::new();
        for kind in ["emotion", "style", "speed", "paralinguistic"] {
            let values = matches.get_many::<String>(kind).into_iter().flatten();
            for (index, value) in matches.indices_of(kind).into_iter().flatten().zip(values) {
                found.push((index, parse(kind, Some(value))?));
            }
        }
        for kind in ["denoise", "vad"] {
            let given = matches.get_one::<u8>(kind).copied().unwrap_or(0);
            let places = matches.indices_of(kind).into_iter().flatten().take(given.into());
            for index in places {
                found.push((index, parse(kind, None)?));
            }
        }
        found.sort_by_key(|(index, _)| *index);
        Ok(Self(found.into_iter().map(|(_, edit)| edit).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn parse(kind: &str, value: Option<&str>) -> Result<Edit, Error> {
    Edit::parse(kind, value).map_err(|error| {
        let hint = error.hint.map(|hint| format!("\n\n  tip: {hint}\n")).unwrap_or_default();
        Error::raw(ErrorKind::ValueValidation, format!("{}{hint}", error.message))
    })
}

fn flags() -> [Arg; 6] {
    let flag = |kind: &'static str| Arg::new(kind).long(kind).help_heading(HEADING);
    let valued = |kind, name, values: &[&'static str]| {
        flag(kind).value_name(name).action(ArgAction::Append).value_parser(possible(values))
    };
    [
        valued("emotion", "EMOTION", EMOTIONS).help("Speak with this emotion; `remove` takes emotion away"),
        valued("style", "STYLE", STYLES).help("Speak in this style; `remove` takes any style away"),
        valued("speed", "SPEED", SPEEDS).help("Speak faster or slower"),
        flag("paralinguistic").value_name("TEXT").action(ArgAction::Append).help(
            "Add the sounds that stand in this text as tags: [Breathing] [Laughter] [Surprise-oh] [Confirmation-en] \
             [Uhm] [Surprise-ah] [Surprise-wa] [Sigh] [Question-ei] [Dissatisfaction-hnn]",
        ),
        flag("denoise").action(ArgAction::Count).help("Remove noise"),
        flag("vad").action(ArgAction::Count).help("Remove silent parts"),
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

    fn edits(line: &str) -> Result<Vec<String>, Error> {
        let command = EditFlags::augment_args(Command::new("edit"));
        let words = std::iter::once("edit").chain(line.split(';'));
        let flags = EditFlags::from_arg_matches(&command.try_get_matches_from(words)?)?;
        Ok(flags.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn keep_their_order() {
        assert_eq!(
            edits("--denoise;--emotion;happy;--vad;--emotion;sad;--style=act-coy").unwrap(),
            ["denoise", "emotion happy", "vad", "emotion sad", "style act_coy"]
        );
        assert_eq!(edits("--speed;more-faster;--denoise").unwrap(), ["speed more faster", "denoise"]);
    }

    #[test]
    fn at_least_one_is_needed_and_values_are_checked() {
        assert!(edits("--emotion;hapy").unwrap_err().to_string().contains("happy"));
        assert!(edits("--paralinguistic;So [Laugh] it is").unwrap_err().to_string().contains("[Laughter]"));
        assert!(EditFlags::augment_args(Command::new("edit")).try_get_matches_from(["edit"]).is_err());
    }
}
