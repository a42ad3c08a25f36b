//! Stores the sources of a run and the flags that were given with them. They apply again when no source is named.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::PartialSettings;
use crate::report::pluralise;
use crate::stage::Session;
use crate::store::{Store, is_read_only_error, read_small};

/// Name of the file, in the root of the cache.
const FILE_NAME: &str = "sources.json";
/// The settings that are paths; they are relative to the folder in which they were given.
const PATH_SETTINGS: [(&str, &str); 3] = [("embed", "weights"), ("render", "output"), ("render", "frames")];

/// The sources of a run, and the flags that were given with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedRequest {
    /// The sources, by their canonical paths.
    pub sources: Vec<PathBuf>,
    /// The working folder of that run; relative paths among the settings start there.
    folder: PathBuf,
    /// The settings that were given as flags.
    settings: PartialSettings,
    /// The shards of a list, if they were used instead of sources.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gathered: Option<ShardSpec>,
}

/// The arguments that name the shards of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShardSpec {
    /// The list, by its canonical path.
    pub list: PathBuf,
    /// Where its shards are: a canonical path, or an address.
    pub shards: String,
    /// Whether vectors from different kinds of processors are accepted (`--mixed`).
    pub mixed: bool,
}

impl ShardSpec {
    /// Makes both paths absolute, so that they are found from any folder.
    pub fn new(list: &Path, shards: &str, mixed: bool) -> Self {
        let folder = if shards.contains("://") { None } else { canonical(shards.as_ref()).to_str().map(str::to_owned) };
        Self { list: canonical(list), shards: folder.unwrap_or_else(|| shards.to_owned()), mixed }
    }
}

/// The formats of the file: with settings, or a plain list of sources, which some caches still contain.
#[derive(Deserialize)]
#[serde(untagged)]
enum StoredSources {
    WithSettings(SavedRequest),
    SourcesOnly(Vec<PathBuf>),
}

impl SavedRequest {
    /// Sources and flags of a run in the current folder.
    pub(super) fn new(sources: &[PathBuf], settings: &PartialSettings) -> Self {
        let sources = sources.iter().map(|source| canonical(source)).collect();
        Self { sources, folder: current_folder(), settings: settings.clone(), gathered: None }
    }

    /// The same for a run over the shards of a list.
    pub(super) fn with_shards(self, gathered: ShardSpec) -> Self {
        Self { gathered: Some(gathered), ..self }
    }

    /// Reads what this cache remembers. `None` if there is no file, or it cannot be parsed.
    pub fn load(store: &Store) -> Option<Self> {
        let bytes = read_small(&store.root().join(FILE_NAME)).ok()?;
        Some(match serde_json::from_slice(&bytes).ok()? {
            StoredSources::WithSettings(remembered) => remembered,
            StoredSources::SourcesOnly(sources) => Self { sources, ..Self::default() },
        })
    }

    /// Stores it for the next run. Writes only if it changed, and warns if it cannot be written.
    pub(super) fn save(&self, session: &Session) {
        // A path that is not UTF-8 cannot be written as JSON; the user then has to name the sources again.
        if let Ok(text) = serde_json::to_string(self) {
            let unchanged =
                read_small(&session.store.root().join(FILE_NAME)).is_ok_and(|stored| stored == text.as_bytes());
            if !unchanged
                && let Err(error) = session.store.replace(FILE_NAME, text.as_bytes())
                && !is_read_only_error(&error)
            {
                session.warn(format!("cannot store the sources for the next run: {error}"));
            }
        }
    }

    /// The settings, with relative paths resolved against the folder in which they were given.
    pub fn settings(&self) -> PartialSettings {
        let mut settings = self.settings.clone();
        if self.folder != current_folder() {
            for (table, key) in PATH_SETTINGS {
                if let Some(Value::String(path)) = settings.get_mut(table).and_then(|keys| keys.get_mut(key))
                    && !path.is_empty()
                    && let Some(absolute) = self.folder.join(&*path).to_str()
                {
                    *path = absolute.to_owned();
                }
            }
        }
        settings
    }

    /// One line for people: the sources and flags, as one would type them.
    pub fn describe(&self) -> String {
        let sources = match (&self.gathered, self.sources.as_slice()) {
            (Some(ShardSpec { list, shards, .. }), _) => format!("--list {} --shards {shards}", list.display()),
            (None, [source]) => source.display().to_string(),
            (None, sources) => pluralise(sources.len(), "source"),
        };
        let flags = self.settings().into_iter().flat_map(|(table, keys)| {
            keys.into_iter().map(move |(key, value)| as_flag(&table, &key, &value)).collect::<Vec<_>>()
        });
        std::iter::once(format!("as last time: {sources}")).chain(flags).collect::<Vec<_>>().join(" ")
    }
}

/// A setting as one would type it on the command line.
fn as_flag(table: &str, key: &str, value: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string().trim_end_matches(".0").to_owned(),
    };
    let name = if (table, key) == ("embed", "fit") { "embed-fit".to_owned() } else { key.replace('_', "-") };
    match value {
        Value::Bool(true) => format!("--{name}"),
        Value::Bool(false) => format!("--{name}=false"),
        Value::Array(values) => format!("--{name} {}", values.iter().map(text).collect::<Vec<_>>().join(",")),
        other => format!("--{name} {}", text(other)),
    }
}

fn current_folder() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}

/// The canonical path of a source; unchanged if it does not exist or is an address.
pub(super) fn canonical(source: &Path) -> PathBuf {
    source.canonicalize().unwrap_or_else(|_| source.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_told_as_flags_and_paths_lead_there() {
        let settings = json!({"embed": {"model": "scattering", "fit": "crop"}, "render": {"output": "a.png", "page": false},
            "source": {"kinds": ["post", "story"]}});
        let settings: PartialSettings = serde_json::from_value(settings).unwrap();
        let mut remembered =
            SavedRequest { sources: vec!["/photos".into()], folder: current_folder(), settings, gathered: None };
        let flags = "--embed-fit crop --model scattering --output a.png --page=false --kinds post,story";
        assert_eq!(remembered.describe(), format!("as last time: /photos {flags}"));
        remembered.folder = "/elsewhere".into();
        let output = remembered.settings()["render"]["output"].clone();
        assert_eq!(output, json!(Path::new("/elsewhere").join("a.png")));
        remembered.sources.push("/more".into());
        assert!(remembered.describe().starts_with("as last time: 2 sources --"), "{}", remembered.describe());
    }

    #[test]
    fn what_an_earlier_version_kept_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let load_from = |text: &str| {
            store.replace(FILE_NAME, text.as_bytes()).unwrap();
            SavedRequest::load(&store)
        };
        assert_eq!(load_from(r#"["/photos"]"#).unwrap().sources, [PathBuf::from("/photos")]);
        assert!(load_from("[1]").is_none() && load_from("{}").is_none() && load_from("").is_none());
        let remembered = SavedRequest::new(&["/photos".into()], &PartialSettings::default());
        assert_eq!(load_from(&serde_json::to_string(&remembered).unwrap()), Some(remembered));
    }
}
