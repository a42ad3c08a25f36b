//! The layers of settings, and the origin of each value. From weakest to strongest: the default, the flags that were
//! given with the sources of the last run, `pipeline.toml`, the flags of this command.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Settings;
use crate::error::Exit;

/// Only those settings that were given explicitly, by table and key.
pub type PartialSettings = BTreeMap<String, Map<String, Value>>;

/// The layer that a setting comes from. `config` prints its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// No layer sets it.
    Default,
    /// A flag that was given when the sources of the last run were named.
    LastTime,
    /// This `pipeline.toml` sets it.
    File(PathBuf),
    /// A flag of this command.
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

/// The values of `pipeline.toml`, without defaults; empty if there is no file.
#[derive(Debug, Default)]
pub struct SettingsFile {
    path: PathBuf,
    values: toml::Table,
}

impl SettingsFile {
    /// Reads `file`, which must exist, or `./pipeline.toml` if that exists.
    ///
    /// # Errors
    /// [`Exit::Usage`] if the file cannot be read, or with line and column if it has an unknown key or a bad value.
    pub fn read(file: Option<&Path>) -> Result<Self, Exit> {
        let (path, required) = match file {
            Some(path) => (path, true),
            None => (Path::new("pipeline.toml"), false),
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if !required && error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Exit::Usage(format!("cannot read {}: {error}", path.display()))),
        };
        let invalid = |error: toml::de::Error| {
            Exit::Usage(format!("{}: {}", path.display(), explain_toml_error(&error.to_string())))
        };
        toml::from_str::<Settings>(&text).map_err(invalid)?;
        Ok(Self { path: path.to_owned(), values: text.parse().map_err(invalid)? })
    }

    /// Returns the defaults, overridden by `last` (the flags of the last run), overridden by this file.
    ///
    /// # Errors
    /// [`Exit::Usage`] if `last` has a key or a value that this version does not know.
    pub fn layered_over(&self, last: &PartialSettings) -> Result<Settings, Exit> {
        let invalid = |error: String| {
            Exit::Usage(format!("the settings of the last run are not understood and are ignored: {error}"))
        };
        let mut merged = self.values.clone();
        for (table, keys) in last {
            let empty = || toml::Table::new().into();
            let Some(table) = merged.entry(table).or_insert_with(empty).as_table_mut() else { continue };
            for (key, value) in keys {
                if !table.contains_key(key) {
                    table
                        .insert(key.clone(), toml::Value::try_from(value).map_err(|error| invalid(error.to_string()))?);
                }
            }
        }
        Settings::deserialize(merged).map_err(|error| invalid(error.message().to_owned()))
    }

    /// The strongest layer that sets a setting.
    pub fn origin(&self, (table, key): (&str, &str), last: &PartialSettings, flags: &PartialSettings) -> Origin {
        let is_set_in = |partial: &PartialSettings| partial.get(table).is_some_and(|keys| keys.contains_key(key));
        match self.values.get(table).and_then(|keys| keys.get(key)) {
            _ if is_set_in(flags) => Origin::Flag,
            Some(_) => Origin::File(self.path.clone()),
            None if is_set_in(last) => Origin::LastTime,
            None => Origin::Default,
        }
    }
}

/// Rewords the TOML parser's messages, which name Rust types.
fn explain_toml_error(error: &str) -> String {
    let replacements = [
        ("TOML parse error at ", ""),
        ("invalid type: ", "this is "),
        ("floating point `", "the number `"),
        ("integer `", "the number `"),
        ("boolean `", "the truth value `"),
        ("string \"", "the text \""),
        (", expected usize", "; a whole number is expected"),
        (", expected u64", "; a whole number is expected"),
        (", expected u32", "; a whole number is expected"),
        (", expected u8", "; a whole number is expected"),
        (", expected f64", "; a number is expected"),
        (", expected a boolean", "; true or false is expected"),
        (", expected a sequence", "; a list is expected, such as [\"a\", \"b\"]"),
        (", expected a string", "; a text in quotes is expected"),
        (", expected path string", "; a text in quotes is expected"),
    ];
    replacements.iter().fold(error.trim_end().to_owned(), |text, (raw, plain)| text.replace(raw, plain))
}

/// Writes the settings as a `pipeline.toml`, with the origin of each as a comment at the end of its line.
///
/// # Errors
/// If a path among them is not UTF-8.
pub fn to_toml(settings: &Settings, origin: impl Fn((&str, &str)) -> Origin) -> anyhow::Result<String> {
    let values = serde_json::to_value(settings)?;
    let mut text = String::from("# The settings in force. The comment on each line is its origin.\n");
    for (table, keys) in Settings::TABLES {
        text.push_str(&format!("\n[{table}]\n"));
        for key in keys {
            let value = &values[table][key];
            // TOML has only 64-bit signed integers; a larger number is written as JSON writes it.
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

    fn partial(value: Value) -> PartialSettings {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn mistakes_in_the_file_are_told_in_plain_words() {
        let error = |text: &str| explain_toml_error(&toml::from_str::<Settings>(text).unwrap_err().to_string());
        let message = error("[project]\niterations = 1.5");
        assert!(message.starts_with("line 2, column 14\n"), "{message}");
        assert!(message.ends_with("this is the number `1.5`; a whole number is expected"), "{message}");
        assert!(error("[project]\nperplexity = \"x\"").ends_with("this is the text \"x\"; a number is expected"));
        assert!(
            error("[render]\npage = 1").ends_with("; true or false is expected"),
            "{}",
            error("[render]\npage = 1")
        );
        assert!(error("[source]\nkinds = \"post\"").contains("; a list is expected"));
        assert!(
            error("[render]\noutput = 3").ends_with("; a text in quotes is expected"),
            "{}",
            error("[render]\noutput = 3")
        );
    }

    #[test]
    fn the_nearer_layer_wins() {
        let text = "[embed]\nmodel = \"resnet50\"\n[project]\nperplexity = 7\n";
        let file = SettingsFile { path: "p.toml".into(), values: text.parse().unwrap() };
        let last = partial(json!({"embed": {"model": "scattering"}, "render": {"cell": 128}}));
        let settings = file.layered_over(&last).unwrap();
        assert_eq!((settings.embed.model, settings.render.cell), (ModelName::Resnet50, 128));
        let flags = partial(json!({"project": {"seed": 3}}));
        let origin = |table: &str, key: &str| file.origin((table, key), &last, &flags);
        assert_eq!(origin("embed", "model"), Origin::File("p.toml".into()));
        assert_eq!((origin("render", "cell"), origin("project", "seed")), (Origin::LastTime, Origin::Flag));
        assert_eq!(origin("render", "fit"), Origin::Default);
        let text = to_toml(&settings, |(table, key)| origin(table, key)).unwrap();
        assert!(text.contains("\ncell = 128  # as last time\n"), "{text}");
        assert_eq!(toml::from_str::<Settings>(&text).unwrap(), settings);
        assert!(SettingsFile::default().layered_over(&partial(json!({"render": {"colour": 1}}))).is_err());
        assert!(SettingsFile::default().layered_over(&partial(json!({"embed": {"model": 1}}))).is_err());
    }
}
