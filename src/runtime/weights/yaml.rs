//! YAML configurations, read leniently: tags are kept as data and never construct anything.
//!
//! The dialect of `cosyvoice.yaml` is speechbrain/HyperPyYAML (`!new:`, `!name:`, `!ref`, `!apply:`).

use super::unreadable;
use crate::error::{Error, Result};
use serde_json::{Map, Number, Value};
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use yaml_rust2::parser::{Event, Parser, Tag};
use yaml_rust2::scanner::TScalarStyle;

/// Reads `path` as JSON.
///
/// A tagged mapping has its tag (without `!`) under the key `!`; any other tagged value becomes
/// `{"!": tag, "value": value}`. `!ref <key>` becomes the value of that top-level key where there is one.
pub fn read(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).map_err(|e| unreadable(path, e))?;
    let text = std::str::from_utf8(&bytes).map_err(|e| unreadable(path, e));
    parse(text?).map_err(|why| unreadable(path, why).hint("the file is damaged: download it again"))
}

/// Refuses a `cosyvoice.yaml` whose vocoder is not HiFT, such as the BigVGAN of older checkpoints.
pub fn require_hift(path: &Path, config: &Value) -> Result<()> {
    let class = config["hift"]["!"].as_str().or_else(|| find_class(config, "BigVGAN"));
    let Some(class) = class.filter(|class| class.contains("BigVGAN")) else {
        return Ok(());
    };
    let name = class.rsplit(['.', ':']).next().unwrap_or(class);
    Err(Error::model("the checkpoint uses an unsupported vocoder")
        .cause(format!("`{}` names `{name}`, supported is `HiFTGenerator`", path.display()))
        .hint("download the current `CosyVoice-300M-25Hz` folder of `stepfun-ai/Step-Audio-EditX`"))
}

/// The first tag that contains `part`.
fn find_class<'v>(value: &'v Value, part: &str) -> Option<&'v str> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, value)| match value.as_str() {
            Some(tag) if key == TAG && tag.contains(part) => Some(tag),
            _ => find_class(value, part),
        }),
        Value::Array(items) => items.iter().find_map(|item| find_class(item, part)),
        _ => None,
    }
}

const TAG: &str = "!";

/// Far more than any configuration has, and few enough for functions that recurse over the result.
const DEEPEST: usize = 64;

/// Limits what aliases of aliases can grow to.
const MOST_VALUES: usize = 100_000;

fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    loop {
        let (event, marker) = parser.next_token().map_err(|e| e.to_string())?;
        if event == Event::StreamEnd {
            break;
        }
        builder.take(event).map_err(|why| format!("line {}: {why}", marker.line()))?;
    }
    let mut root = builder.root.unwrap_or(Value::Null);
    let top = root.clone();
    resolve(&mut root, &top);
    Ok(root)
}

/// A collection that is still open.
struct Open {
    anchor: usize,
    tag: Option<String>,
    kind: Kind,
}

enum Kind {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// Assembles the parser's events into one value.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, (Value, usize)>,
    values: usize,
    root: Option<Value>,
}

impl Builder {
    fn take(&mut self, event: Event) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text, style);
                self.close(anchor, tag.as_ref().map(name), value)
            }
            Event::Alias(anchor) => {
                let (value, size) = self.anchors.get(&anchor).cloned().ok_or("an alias without an anchor")?;
                self.values += size;
                self.place(value)
            }
            Event::SequenceStart(anchor, tag) => self.begin(anchor, tag.as_ref(), Kind::List(Vec::new())),
            Event::MappingStart(anchor, tag) => self.begin(anchor, tag.as_ref(), Kind::Map(Map::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, anchor: usize, tag: Option<&Tag>, kind: Kind) -> Result<(), String> {
        if self.open.len() >= DEEPEST {
            return Err("it is nested too deeply".into());
        }
        let tag = tag.map(name);
        self.open.push(Open { anchor, tag, kind });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(open) = self.open.pop() else {
            return Err("a collection ends before it begins".into());
        };
        match open.kind {
            Kind::List(items) => self.close(open.anchor, open.tag, Value::Array(items)),
            Kind::Map(mut map, _) => {
                if let Some(tag) = open.tag {
                    map.insert(TAG.into(), tag.into());
                }
                self.close(open.anchor, None, Value::Object(map))
            }
        }
    }

    fn close(&mut self, anchor: usize, tag: Option<String>, value: Value) -> Result<(), String> {
        let value = match tag {
            Some(tag) => {
                Value::Object([(TAG.into(), tag.into()), ("value".into(), value)].into_iter().collect())
            }
            None => value,
        };
        if anchor > 0 {
            let size = count(&value);
            self.anchors.insert(anchor, (value.clone(), size));
            self.values += size;
        }
        self.place(value)
    }

    fn place(&mut self, value: Value) -> Result<(), String> {
        self.values += 1;
        if self.values > MOST_VALUES {
            return Err(format!("it has more than {MOST_VALUES} values"));
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = self.root.take().or(Some(value)),
            Some(Kind::List(items)) => items.push(value),
            Some(Kind::Map(map, key)) => match key.take() {
                None => *key = Some(value.as_str().map_or_else(|| value.to_string(), str::to_string)),
                Some(key) => drop(map.insert(key, value)),
            },
        }
        Ok(())
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

fn name(tag: &Tag) -> String {
    format!("{}{}", tag.handle.trim_matches('!'), tag.suffix)
}

fn scalar(text: String, style: TScalarStyle) -> Value {
    if style != TScalarStyle::Plain {
        return Value::String(text);
    }
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return number.into();
    }
    let numeric = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    let number = text.parse::<f64>().ok().filter(|_| numeric).and_then(Number::from_f64);
    number.map_or(Value::String(text), Value::Number)
}

/// Replaces `!ref <key>` by the scalar of that top-level key; anything else that a reference can say stays as it is.
fn resolve(value: &mut Value, top: &Value) {
    if let Some(target) = reference(value, top) {
        *value = target;
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| resolve(item, top)),
        Value::Object(map) => map.values_mut().for_each(|item| resolve(item, top)),
        _ => {}
    }
}

fn reference(value: &Value, top: &Value) -> Option<Value> {
    if value[TAG].as_str()? != "ref" {
        return None;
    }
    let key = value["value"].as_str()?.trim().strip_prefix('<')?.strip_suffix('>')?;
    let target = top.get(key)?;
    (!target.is_object() && !target.is_array()).then(|| target.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::weights::damage::miniature;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keeps_tags_and_resolves_references() {
        let text = "rate: 24000\nflow: !new:a.b.Flow\n  rate: !ref <rate>\n  twice: !ref <rate> * 2\n  act: !name:torch.sin\n  \
                    list: !apply:f [1, 2.5, 'x', ~, True]\n";
        let expected = json!({
            "rate": 24000,
            "flow": {
                "!": "new:a.b.Flow",
                "rate": 24000,
                "twice": {"!": "ref", "value": "<rate> * 2"},
                "act": {"!": "name:torch.sin", "value": null},
                "list": {"!": "apply:f", "value": [1, 2.5, "x", null, true]},
            }
        });
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn reads_both_configurations_of_the_checkpoint() {
        use crate::runtime::weights::{Checkpoint, File};
        let checkpoint = Checkpoint::open(&miniature()).unwrap();
        let path = checkpoint.path(File::CosyVoiceYaml).unwrap();
        let flow = read(&path).unwrap();
        assert!(flow["flow"]["!"].as_str().unwrap().ends_with("CausalMaskedDiffWithXvec"));
        assert_eq!(flow["hift"]["upsample_rates"], json!([8, 5, 3]));
        assert_eq!(flow["flow"]["decoder"]["inference_cfg_rate"], json!(0.7));
        require_hift(&path, &flow).unwrap();
        let encoder = read(&checkpoint.path(File::LinguisticConfig).unwrap()).unwrap();
        assert_eq!(encoder["encoder_conf"]["chunk_size"], json!([12, 15]));
        assert_eq!(encoder["frontend_conf"]["window"], "hamming");
        assert!(encoder["normalize"].is_null());
    }

    #[test]
    fn refuses_another_vocoder() {
        for text in ["hift: !new:a.bigvgan.BigVGAN\n  x: 1", "vocoder: [!new:a.BigVGAN {x: 1}]"] {
            let error = require_hift(Path::new("c.yaml"), &parse(text).unwrap()).unwrap_err();
            assert!(error.message.contains("unsupported vocoder"));
            assert!(error.causes[0].contains("`BigVGAN`"), "{error}");
        }
    }

    #[test]
    fn refuses_bombs() {
        assert!(parse(&"[".repeat(100_000)).is_err());
        let mut bomb = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
        for level in 1..12 {
            let last = format!("*a{}", level - 1);
            let line = format!("a{level}: &a{level} [{}]\n", vec![last; 10].join(", "));
            bomb.push_str(&line);
        }
        assert!(parse(&bomb).unwrap_err().contains("values"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]{}:,&*!<>a-c0-9.'\"#|\\n \\-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
