//! Where settings stand: default < what was asked with the last sources < `pipeline.toml` < flags.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Settings;
use crate::error::Halt;

/// Settings that somebody named: by table and key.
pub type Asked = BTreeMap<String, Map<String, Value>>;

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Nobody named it.
    Default,
    /// It was asked for when the sources were named.
    LastTime,
    /// This file names it.
    File(PathBuf),
    /// A flag does.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::LastTime => f.write_str("as last time"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// `pipeline.toml`, or no file.
#[derive(Debug, Default)]
pub struct File {
    path: PathBuf,
    named: toml::Table,
}

impl File {
    /// Reads `file`, or `./pipeline.toml` if it is there.
    ///
    /// # Errors
    /// [`Halt::Usage`] with line and column for whatever the file has that no setting is.
    pub fn read(file: Option<&Path>) -> Result<Self, Halt> {
        let (path, required) = match file {
            Some(path) => (path, true),
            None => (Path::new("pipeline.toml"), false),
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Halt::Usage(format!("cannot read {}: {error}", path.display()))),
        };
        let wrong =
            |error: toml::de::Error| Halt::Usage(format!("{}: {}", path.display(), plainly(&error.to_string())));
        toml::from_str::<Settings>(&text).map_err(wrong)?;
        Ok(Self { path: path.to_owned(), named: text.parse().map_err(wrong)? })
    }

    /// The settings of this file, over those that were asked for the last time.
    ///
    /// # Errors
    /// [`Halt::Usage`] when what was asked for is no setting of this version.
    pub fn over(&self, last: &Asked) -> Result<Settings, Halt> {
        let wrong = |error: String| Halt::Usage(format!("what was asked the last time is not understood: {error}"));
        let mut named = self.named.clone();
        for (table, keys) in last {
            let empty = || toml::Table::new().into();
            let Some(table) = named.entry(table).or_insert_with(empty).as_table_mut() else { continue };
            for (key, value) in keys {
                if !table.contains_key(key) {
                    table.insert(key.clone(), toml::Value::try_from(value).map_err(|error| wrong(error.to_string()))?);
                }
            }
        }
        Settings::deserialize(named).map_err(|error| wrong(error.message().to_owned()))
    }

    /// Where a setting comes from.
    pub fn origin(&self, (table, key): (&str, &str), last: &Asked, flags: &Asked) -> Origin {
        let has = |asked: &Asked| asked.get(table).is_some_and(|keys| keys.contains_key(key));
        match self.named.get(table).and_then(|keys| keys.get(key)) {
            _ if has(flags) => Origin::Flag,
            Some(_) => Origin::File(self.path.clone()),
            None if has(last) => Origin::LastTime,
            None => Origin::Default,
        }
    }
}

/// What the parser of TOML says, in plain words.
fn plainly(error: &str) -> String {
    let words = [
        ("TOML parse error at ", ""),
        ("invalid type: ", "this is "),
        ("floating point `", "the number `"),
        ("integer `", "the number `"),
        ("boolean `", "the truth value `"),
        ("string \"", "the text \""),
        (", expected usize", "; a whole number is wanted"),
        (", expected u64", "; a whole number is wanted"),
        (", expected u32", "; a whole number is wanted"),
        (", expected u8", "; a whole number is wanted"),
        (", expected f64", "; a number is wanted"),
        (", expected a boolean", "; true or false is wanted"),
        (", expected a sequence", "; a list is wanted, as [\"a\", \"b\"]"),
        (", expected a string", "; a text in quotes is wanted"),
        (", expected path string", "; a text in quotes is wanted"),
    ];
    words.iter().fold(error.trim_end().to_owned(), |text, (raw, plain)| text.replace(raw, plain))
}

/// The settings as a `pipeline.toml`, with the origin of each behind it.
///
/// # Errors
/// When a path among them is no text.
pub fn written(settings: &Settings, origin: impl Fn((&str, &str)) -> Origin) -> anyhow::Result<String> {
    let values = serde_json::to_value(settings)?;
    let mut text = String::from("# The settings in force; behind each where it comes from.\n");
    for (table, keys) in Settings::TABLES {
        text.push_str(&format!("\n[{table}]\n"));
        for key in keys {
            let value = &values[table][key];
            // A number beyond those of TOML is written as it is.
            let value = toml::Value::try_from(value).map_or_else(|_| value.to_string(), |value| value.to_string());
            text.push_str(&format!("{key} = {value}  # {}\n", origin((table, key)).to_string().replace('\n', " ")));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelName;
    use serde_json::json;

    fn asked(value: Value) -> Asked {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn mistakes_in_the_file_are_told_in_plain_words() {
        let error = |text: &str| plainly(&toml::from_str::<Settings>(text).unwrap_err().to_string());
        let whole = error("[project]\niterations = 1.5");
        assert!(whole.starts_with("line 2, column 14\n"), "{whole}");
        assert!(whole.ends_with("this is the number `1.5`; a whole number is wanted"), "{whole}");
        assert!(error("[project]\nperplexity = \"x\"").ends_with("this is the text \"x\"; a number is wanted"));
        assert!(error("[render]\npage = 1").ends_with("; true or false is wanted"), "{}", error("[render]\npage = 1"));
        assert!(error("[source]\nkinds = \"post\"").contains("; a list is wanted"));
        assert!(
            error("[render]\noutput = 3").ends_with("; a text in quotes is wanted"),
            "{}",
            error("[render]\noutput = 3")
        );
    }

    #[test]
    fn the_nearer_layer_wins() {
        let text = "[embed]\nmodel = \"resnet50\"\n[project]\nperplexity = 7\n";
        let file = File { path: "p.toml".into(), named: text.parse().unwrap() };
        let last = asked(json!({"embed": {"model": "scattering"}, "render": {"cell": 128}}));
        let settings = file.over(&last).unwrap();
        assert_eq!((settings.embed.model, settings.render.cell), (ModelName::Resnet50, 128));
        let flags = asked(json!({"project": {"seed": 3}}));
        let origin = |table: &str, key: &str| file.origin((table, key), &last, &flags);
        assert_eq!(origin("embed", "model"), Origin::File("p.toml".into()));
        assert_eq!((origin("render", "cell"), origin("project", "seed")), (Origin::LastTime, Origin::Flag));
        assert_eq!(origin("render", "fit"), Origin::Default);
        let text = written(&settings, |(table, key)| origin(table, key)).unwrap();
        assert!(text.contains("\ncell = 128  # as last time\n"), "{text}");
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings);
        assert!(File::default().over(&asked(json!({"render": {"colour": 1}}))).is_err());
        assert!(File::default().over(&asked(json!({"embed": {"model": 1}}))).is_err());
    }
}
