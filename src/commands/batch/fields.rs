//! From the fields of a line to a job: they are the flags of `clone`, `edit` and `transcribe`, and are read by the same parsers.

use super::manifest::Fields;
use crate::commands::job::Job;
use crate::commands::{Context, clone, edit, transcribe};
use crate::error::{Error, Result};
use crate::models::llm::edits::nearest;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Flags that are no fields: they belong to the whole batch, or to several recordings at once.
const NOT_IN_LINES: [&str; 7] =
    ["force", "keep-steps", "out-dir", "recursive", "skip-existing", "together", "help"];

/// Names of fields beside the flags of the commands.
const OWN: [&str; 3] = ["task", "id", "seed"];

/// A line that was understood.
#[derive(Debug)]
pub struct Line {
    /// What the user calls it.
    pub id: Option<String>,
    /// The place of the result as the line writes it.
    pub output: String,
    /// What is to be done.
    pub job: Job,
}

/// Where the paths of a manifest start.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// The folder of the recordings.
    pub inputs: &'a Path,
    /// The folder of the results; lines need no `output` when the user named it.
    pub outputs: &'a Path,
    /// Whether results get a name when the line gives none.
    pub names: bool,
}

/// Reads lines.
pub struct Reader<'a> {
    verbs: [Verb; 3],
    places: Places<'a>,
    context: &'a Context,
}

impl<'a> Reader<'a> {
    /// A reader of lines whose paths start at `places`.
    pub fn new(places: Places<'a>, context: &'a Context) -> Self {
        let verbs = [
            Verb::new::<clone::Args>("clone", "text"),
            Verb::new::<edit::Args>("edit", "input"),
            Verb::new::<transcribe::Args>("transcribe", "input"),
        ];
        Self { verbs, places, context }
    }

    /// The job of line `number`, or all that is wrong with it.
    pub fn read(&mut self, number: usize, fields: Fields) -> Result<Line, Vec<Error>> {
        let fields = Given::of(fields)?;
        let names = self.verbs.each_ref().map(|verb| verb.name);
        let verb = match fields.text("task").map_err(|error| vec![error])? {
            None => return Err(vec![missing("task").hint(format!("one of {}", names.join(", ")))]),
            Some(task) => self.verbs.iter_mut().find(|verb| verb.name == task).ok_or_else(|| {
                let error = Error::input(format!("unknown task `{task}`"));
                let near = nearest(&task, &names);
                vec![error.hint(near.map_or(format!("one of {}", names.join(", ")), did_you_mean))]
            })?,
        };
        verb.check_names(&fields)?;
        verb.line(number, &fields, self.places, self.context).map_err(|error| vec![error])
    }
}

/// The fields of a line by their names, which are those of the flags.
struct Given(Vec<(String, Value)>);

impl Given {
    /// `voice_text` is `voice-text`; null is not given.
    fn of(fields: Fields) -> Result<Self, Vec<Error>> {
        let mut seen = BTreeSet::new();
        let mut twice = Vec::new();
        let mut given = Vec::new();
        for (name, value) in fields.0 {
            let name = name.replace('_', "-");
            if !seen.insert(name.clone()) {
                twice.push(Error::input(format!("`{name}` is given twice")));
            }
            if !value.is_null() {
                given.push((name, value));
            }
        }
        if twice.is_empty() { Ok(Self(given)) } else { Err(twice) }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        self.get(name).map(|value| plain(name, value)).transpose()
    }
}

/// A command of the command line and how its arguments are named in a manifest.
struct Verb {
    name: &'static str,
    /// The field of the argument that has no flag.
    bare: &'static str,
    command: Command,
}

impl Verb {
    fn new<A: Args>(name: &'static str, bare: &'static str) -> Self {
        let seed = Arg::new("seed").long("seed").value_parser(clap::value_parser!(u64));
        let command = A::augment_args(Command::new(name)).arg(seed);
        Self { name, bare, command: command.no_binary_name(true).disable_help_flag(true) }
    }

    /// The names of the fields.
    fn names(&self) -> Vec<&str> {
        let flags = self.command.get_arguments().map(|arg| arg.get_long().unwrap_or(self.bare));
        let own = OWN.into_iter().chain((self.name == "edit").then_some("edits"));
        let mut names: Vec<&str> = own.chain(flags.filter(|name| !NOT_IN_LINES.contains(name))).collect();
        names.dedup();
        names
    }

    fn check_names(&self, fields: &Given) -> Result<(), Vec<Error>> {
        let known = self.names();
        let unknown = |(name, _): &&(String, Value)| !known.contains(&name.as_str());
        let told = |(name, _): &(String, Value)| {
            let error = Error::input(format!("`{}` has no field `{name}`", self.name));
            match nearest(name, &known) {
                _ if name == "force" || name == "together" => {
                    error.hint(format!("give `--{name}` to `stepaudio batch`"))
                }
                _ if name == "keep-steps" => {
                    error.hint("a line has one result; `stepaudio edit --keep-steps` keeps the others")
                }
                Some(right) => error.hint(did_you_mean(right)),
                None => error,
            }
        };
        let errors: Vec<Error> = fields.0.iter().filter(unknown).map(told).collect();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn line(&mut self, number: usize, given: &Given, places: Places<'_>, context: &Context) -> Result<Line> {
        let id = given.text("id")?;
        let output = match given.text("output")? {
            Some(output) => output,
            None if places.names => self.name_result(number, id.as_deref(), given)?,
            None => return Err(missing("output").hint("or name a folder for all results with `--out-dir`")),
        };
        let words = self.words(given, &output)?;
        let matches =
            self.command.try_get_matches_from_mut(words).map_err(|error| told(&error, self.bare))?;
        let context = match matches.get_one("seed") {
            Some(&seed) => &context.with_seed(seed),
            None => context,
        };
        Ok(Line { id, output, job: self.job(&matches, places, context)? })
    }

    fn job(&self, matches: &ArgMatches, places: Places<'_>, context: &Context) -> Result<Job> {
        let args = |error: clap::Error| told(&error, self.bare);
        match self.name {
            "clone" => {
                let mut args = clone::Args::from_arg_matches(matches).map_err(args)?;
                args.start_at(places.inputs, places.outputs);
                args.job(context).map(Job::Clone)
            }
            "edit" => {
                let mut args = edit::Args::from_arg_matches(matches).map_err(args)?;
                args.start_at(places.inputs, places.outputs);
                only(args.jobs(context)?).map(Job::Edit)
            }
            _ => {
                let mut args = transcribe::Args::from_arg_matches(matches).map_err(args)?;
                args.start_at(places.inputs, places.outputs);
                only(args.jobs(context)?).map(Job::Transcribe)
            }
        }
    }

    /// The name of a result that the line does not name: its id, else the name of its recording, else its number.
    fn name_result(&self, number: usize, id: Option<&str>, given: &Given) -> Result<String> {
        let input = given.text("input")?;
        let stem = input.as_deref().and_then(|input| Path::new(input).file_stem()?.to_str());
        let stem = match (id, stem) {
            (Some(id), _) if id.contains('/') || id.starts_with('.') => {
                let error = Error::input(format!("the id `{id}` cannot name a file"));
                return Err(error.hint("give the result a name with `output`"));
            }
            (Some(id), _) => id.to_string(),
            (None, Some(stem)) => stem.to_string(),
            (None, None) => format!("{number:05}"),
        };
        let usual = if self.name == "transcribe" { "txt" } else { "wav" };
        let format = given.text("format")?.unwrap_or_else(|| usual.to_string());
        Ok(format!("{stem}.{format}"))
    }

    /// The fields as a command line.
    fn words(&self, given: &Given, output: &str) -> Result<Vec<String>> {
        let mut words = Vec::new();
        let mut bare = None;
        for (name, value) in &given.0 {
            match name.as_str() {
                "task" | "id" | "output" => {}
                "edits" => words.extend(Self::edits(value)?),
                name if name == self.bare => bare = Some(plain(name, value)?),
                name => words.extend(self.flags(name, value)?),
            }
        }
        words.push(format!("--output={output}"));
        words.extend(bare.into_iter().flat_map(|bare| ["--".to_string(), bare]));
        Ok(words)
    }

    fn flags(&self, name: &str, value: &Value) -> Result<Vec<String>> {
        let arg = self.command.get_arguments().find(|arg| arg.get_long() == Some(name));
        let arg = arg.ok_or_else(|| Error::internal(format!("`{name}` was not checked")))?;
        let some = arg.get_num_args().is_none_or(|range| range.takes_values());
        let takes_values = some && arg.get_action().takes_values();
        match value {
            Value::Array(values) if matches!(arg.get_action(), clap::ArgAction::Append) => {
                let flags = values.iter().map(|value| flag(name, takes_values, value));
                flags.filter_map(Result::transpose).collect()
            }
            value => Ok(flag(name, takes_values, value)?.into_iter().collect()),
        }
    }

    /// `["denoise", {"emotion": "happy"}]`: edits in an order that fields alone could not tell.
    fn edits(value: &Value) -> Result<Vec<String>> {
        let wrong = || {
            Error::input("`edits` is no list of edits")
                .hint("for example [\"denoise\", {\"emotion\": \"happy\"}]")
        };
        let edits = value.as_array().ok_or_else(wrong)?;
        let mut words = Vec::new();
        for edit in edits {
            let (kind, value) = match edit {
                Value::String(kind) => (kind.as_str(), &Value::Bool(true)),
                Value::Object(pairs) if pairs.len() == 1 => {
                    let (kind, value) = pairs.iter().next().ok_or_else(wrong)?;
                    (kind.as_str(), value)
                }
                _ => return Err(wrong()),
            };
            // Says what is wrong with a kind or a value in the words of the edits.
            let text = value.as_bool().is_none().then(|| plain(kind, value)).transpose()?;
            let edit = crate::models::llm::edits::Edit::parse(kind, text.as_deref())?;
            words.push(match edit.value() {
                Some(value) => format!("--{}={value}", edit.kind()),
                None => format!("--{}", edit.kind()),
            });
        }
        Ok(words)
    }
}

/// One flag; none when its value says that it is not wanted.
fn flag(name: &str, takes_values: bool, value: &Value) -> Result<Option<String>> {
    if takes_values {
        return Ok(Some(format!("--{name}={}", plain(name, value)?)));
    }
    match value {
        Value::Bool(true) => Ok(Some(format!("--{name}"))),
        Value::Bool(false) => Ok(None),
        Value::String(text) if ["true", "yes", "1"].contains(&text.to_lowercase().as_str()) => {
            Ok(Some(format!("--{name}")))
        }
        Value::String(text) if ["false", "no", "0"].contains(&text.to_lowercase().as_str()) => Ok(None),
        _ => Err(Error::input(format!("`{name}` is true or false"))),
    }
}

/// A text or number as a command line would have it.
fn plain(name: &str, value: &Value) -> Result<String> {
    match value {
        Value::String(text) if text == "-" => {
            Err(Error::input(format!("`{name}` cannot come from stdin in a manifest")).hint("name a file"))
        }
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(Error::input(format!("`{name}` takes one text or number"))),
    }
}

fn only<T>(jobs: Vec<T>) -> Result<T> {
    let mut jobs = jobs.into_iter();
    match (jobs.next(), jobs.next()) {
        (Some(job), None) => Ok(job),
        _ => Err(Error::input("a line takes one recording").hint("write a line for each recording")),
    }
}

fn missing(name: &str) -> Error {
    Error::input(format!("`{name}` is missing"))
}

fn did_you_mean(right: &str) -> String {
    format!("did you mean `{right}`?")
}

/// What the parser of a command line says, in the words of a manifest.
fn told(error: &clap::Error, bare: &str) -> Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    let fields: Vec<String> = text(ContextKind::InvalidArg).iter().map(|arg| field(arg, bare)).collect();
    let (field, value) = (fields.join("`, `"), text(ContextKind::InvalidValue).join(" "));
    match error.kind() {
        ErrorKind::MissingRequiredArgument => missing(&field),
        ErrorKind::InvalidValue if value.is_empty() => Error::input(format!("`{field}` is empty")),
        ErrorKind::InvalidValue => {
            let (near, all) = (text(ContextKind::SuggestedValue), text(ContextKind::ValidValue));
            let hint = near.first().map_or(format!("one of {}", all.join(", ")), |near| did_you_mean(near));
            Error::input(format!("`{value}` is no value of `{field}`")).hint(hint)
        }
        ErrorKind::ValueValidation => {
            let error_itself = std::error::Error::source(error).map(ToString::to_string);
            Error::input(format!("`{value}` is no value of `{field}`"))
                .cause(error_itself.unwrap_or_default())
        }
        _ => {
            let all = error.to_string();
            let first = all.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            Error::input(first.split_whitespace().collect::<Vec<_>>().join(" "))
        }
    }
}

/// `--voice <FILE>` is `voice`; `<TEXT>` and the like have no flag.
fn field(arg: &str, bare: &str) -> String {
    match arg.strip_prefix("--") {
        Some(flag) => flag.split([' ', '=']).next().unwrap_or_default().to_string(),
        None => bare.to_string(),
    }
}

#[cfg(test)]
pub(super) mod tests;
