//! A manifest as its user wrote it: each line of JSON, or row of CSV, as named values in their order.

use crate::error::{Error, Result};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// The largest manifest in bytes; a million lines of usual length are a third of it.
const LARGEST: u64 = 1 << 30;

/// The fields of one line, first one first.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields(pub Vec<(String, Value)>);

/// The fields of each line that has any, with its number from 1, or what is wrong with the line.
type Lines = Box<dyn Iterator<Item = (usize, Result<Fields>)>>;

/// Opens a manifest; its ending tells what it is.
pub fn open(path: &Path) -> Result<Lines> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let read = match ending.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => json_lines,
        "csv" => csv_rows,
        _ => {
            let message = format!("cannot tell what `{}` is from its name", path.display());
            return Err(Error::usage(message).hint("a manifest ends in `.jsonl` or `.csv`"));
        }
    };
    let fail = |why: &dyn fmt::Display| {
        Error::input(format!("cannot read the manifest `{}`", path.display())).cause(why)
    };
    let file = File::open(path).map_err(|error| fail(&error))?;
    let about = file.metadata().map_err(|error| fail(&error))?;
    if about.is_dir() || about.len() > LARGEST {
        return Err(fail(if about.is_dir() { &"it is a folder" } else { &"it is larger than 1 GiB" }));
    }
    let mut file = BufReader::new(file);
    let mark = "\u{feff}".as_bytes();
    if file.fill_buf().map_err(|error| fail(&error))?.starts_with(mark) {
        file.consume(mark.len());
    }
    read(file).map_err(|error| fail(&error))
}

#[allow(clippy::unnecessary_wraps)] // As readers of manifests are.
fn json_lines(file: BufReader<File>) -> Result<Lines> {
    let lines = (1..).zip(file.split(b'\n'));
    let filled = lines.filter(|(_, line)| line.as_ref().map_or(true, |line| !line.trim_ascii().is_empty()));
    Ok(Box::new(filled.map(|(number, line)| (number, json(line)))))
}

fn json(line: io::Result<Vec<u8>>) -> Result<Fields> {
    let line = line.map_err(|error| Error::input("it cannot be read").cause(error))?;
    let text = std::str::from_utf8(&line).map_err(|_| Error::input("it is not UTF-8 text"))?;
    serde_json::from_str(text).map_err(|error| {
        let told = error.to_string();
        let why = told.split(" at line ").next().unwrap_or_default();
        Error::input(format!("{why} (column {})", error.column()))
    })
}

fn csv_rows(file: BufReader<File>) -> Result<Lines> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::Headers).from_reader(file);
    let wrong = |error: csv::Error| Error::input(plain(&error));
    let names: Vec<String> = reader.headers().map_err(wrong)?.iter().map(str::to_string).collect();
    if let Some(at) = names.iter().position(String::is_empty) {
        return Err(Error::input(format!("column {} has no name in the first line", at + 1)));
    }
    if let Some(at) = (1..names.len()).find(|&at| names[..at].contains(&names[at])) {
        return Err(Error::input(format!("two columns are named `{}`", names[at])));
    }
    let mut ended = false;
    let row = move || {
        let mut row = csv::StringRecord::new();
        let number = reader.position().line() as usize;
        match reader.read_record(&mut row) {
            _ if ended => None,
            Ok(false) => None,
            Ok(true) => {
                let number = row.position().map_or(number, |position| position.line() as usize);
                let cells = names.iter().zip(&row).filter(|(_, cell)| !cell.trim().is_empty());
                let fields = cells.map(|(name, cell)| (name.clone(), Value::String(cell.to_string())));
                Some((number, Ok(Fields(fields.collect()))))
            }
            Err(error) => {
                // After an error of the disk the reader would give the same error for ever.
                ended = error.is_io_error();
                let number = error.position().map_or(number, |position| position.line() as usize);
                Some((number, Err(Error::input(plain(&error)))))
            }
        }
    };
    let rows = std::iter::from_fn(row);
    Ok(Box::new(rows.filter(|(_, row)| row.as_ref().map_or(true, |fields| !fields.0.is_empty()))))
}

/// What is wrong with a row, in words.
fn plain(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("the row has {len} cells, but the first line names {expected_len} columns")
        }
        csv::ErrorKind::Utf8 { .. } => "it is not UTF-8 text".into(),
        _ => error.to_string(),
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

/// Takes the fields of an object in their order: that of edits matters.
struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object such as {\"task\": \"clone\", …}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;
    use std::fs;

    fn read(name: &str, text: &[u8]) -> Vec<(usize, Result<Fields>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        open(&path).unwrap().collect()
    }

    fn refused(name: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        open(&path).err().expect("an error").causes.join(" ")
    }

    fn fields(pairs: &[(&str, Value)]) -> Fields {
        Fields(pairs.iter().map(|(name, value)| (name.to_string(), value.clone())).collect())
    }

    #[test]
    fn objects_keep_their_order_and_lines_their_numbers() {
        let lines = read("a.jsonl", "\u{feff}{\"b\": 1, \"a\": [true]}\r\n\n  \n{\"你\": \"好\"}".as_bytes());
        assert_eq!(lines[0], (1, Ok(fields(&[("b", json!(1)), ("a", json!([true]))]))));
        assert_eq!(lines[1], (4, Ok(fields(&[("你", json!("好"))]))));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_bad_line_does_not_hide_the_others() {
        let lines = read("a.jsonl", b"{\"a\": }\n[1]\n\xff\n{\"a\": 1}\n");
        let told: Vec<String> =
            lines.iter().filter_map(|(_, line)| Some(line.as_ref().err()?.to_string())).collect();
        assert_eq!(told[0], "expected value (column 7)");
        assert!(told[1].contains("expected an object such as"), "{}", told[1]);
        assert_eq!(told[2], "it is not UTF-8 text");
        assert_eq!(lines[3], (4, Ok(fields(&[("a", json!(1))]))));
    }

    #[test]
    fn rows_have_the_columns_that_are_filled() {
        let lines =
            read("a.csv", "\u{feff}task, text ,seed\nclone,\"one,\ntwo\",\n\n,,\nedit,,7\n".as_bytes());
        assert_eq!(lines[0], (2, Ok(fields(&[("task", json!("clone")), ("text", json!("one,\ntwo"))]))));
        assert_eq!(lines[1], (6, Ok(fields(&[("task", json!("edit")), ("seed", json!("7"))]))));
        assert_eq!(lines.len(), 2);
    }

    #[test]
    fn a_row_of_another_length_does_not_hide_the_others() {
        let lines = read("a.csv", b"task,text\nclone\nclone,x,y\nedit,z\n");
        let told: Vec<String> =
            lines.iter().filter_map(|(at, line)| Some(format!("{at} {}", line.as_ref().err()?))).collect();
        assert_eq!(told[0], "2 the row has 1 cells, but the first line names 2 columns");
        assert!(told[1].starts_with("3 the row has 3"), "{}", told[1]);
        assert_eq!(lines[2].0, 4);
    }

    #[test]
    fn a_manifest_that_is_none_is_refused() {
        assert!(refused("a.csv", "a,a\n1,2\n").contains("two columns are named `a`"));
        assert!(refused("a.csv", "a,,b\n1,2,3\n").contains("column 2 has no name"));
        assert!(open(Path::new("a.txt")).err().unwrap().hint.unwrap().contains(".jsonl"));
        assert!(open(Path::new("/nowhere/a.jsonl")).is_err());
    }

    fn name() -> impl Strategy<Value = String> {
        "[a-z_]{1,8}"
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            lines in prop::collection::vec(prop::collection::vec((name(), "\\PC{1,12}"), 1..5), 1..8),
        ) {
            let object = |line: &Vec<(String, String)>| {
                let pairs: Vec<String> = line.iter().map(|(n, v)| format!("{}:{}", json!(n), json!(v))).collect();
                format!("{{{}}}", pairs.join(","))
            };
            let text: Vec<String> = lines.iter().map(object).collect();
            let found = read("a.jsonl", text.join("\n").as_bytes());
            prop_assert_eq!(found.len(), lines.len());
            for ((number, fields), (wanted, line)) in found.into_iter().zip((1..).zip(lines)) {
                prop_assert_eq!(number, wanted);
                let line = line.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
                prop_assert_eq!(fields.unwrap(), Fields(line));
            }
        }

        #[test]
        fn cells_come_back_from_csv(rows in prop::collection::vec(("\\PC{0,12}", "[ -~\n]{0,12}"), 1..8)) {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(["first", "second"]).unwrap();
            for (a, b) in &rows {
                writer.write_record([a, b]).unwrap();
            }
            let found = read("a.csv", &writer.into_inner().unwrap());
            let wanted: Vec<Fields> = rows.iter().filter_map(|(a, b)| {
                let cells = [("first", a), ("second", b)];
                let cells = cells.into_iter().filter(|(_, cell)| !cell.trim().is_empty());
                let cells: Vec<_> = cells.map(|(n, cell)| (n.to_string(), json!(cell))).collect();
                (!cells.is_empty()).then_some(Fields(cells))
            }).collect();
            let found: Vec<Fields> = found.into_iter().map(|(_, fields)| fields.unwrap()).collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn no_bytes_make_it_stumble(bytes in prop::collection::vec(any::<u8>(), 0..200), csv in any::<bool>()) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(if csv { "a.csv" } else { "a.jsonl" });
            fs::write(&path, &bytes).unwrap();
            if let Ok(lines) = open(&path) {
                prop_assert!(lines.count() <= bytes.len());
            }
        }
    }
}
