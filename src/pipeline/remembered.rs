//! What was asked together with the sources of the last run: it holds when no source is named.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::Asked;
use crate::report::counted;
use crate::stage::Context;
use crate::store::{Store, read_only, read_small};

/// Where it is kept, in the cache.
const PLACE: &str = "sources.json";
/// The settings that are paths.
const PATHS: [(&str, &str); 3] = [("embed", "weights"), ("render", "output"), ("render", "frames")];

/// Sources, and what was asked with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    /// The sources, by their real paths.
    pub sources: Vec<PathBuf>,
    /// The folder in which it was asked, from where paths among the settings go.
    folder: PathBuf,
    /// The settings that the command line named.
    settings: Asked,
    /// The shards of a list that took the place of sources, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gathered: Option<Gathered>,
}

/// How the shards of a list were named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gathered {
    /// The list, by its real path.
    pub list: PathBuf,
    /// Where its shards are.
    pub shards: String,
    /// Whether vectors of several arithmetics were taken as they are.
    pub mixed: bool,
}

impl Gathered {
    /// The list and the place of its shards as they were named, to be found from any folder.
    pub fn new(list: &Path, shards: &str, mixed: bool) -> Self {
        let folder = if shards.contains("://") { None } else { place(shards.as_ref()).to_str().map(str::to_owned) };
        Self { list: place(list), shards: folder.unwrap_or_else(|| shards.to_owned()), mixed }
    }
}

/// As it is kept; earlier versions kept the sources alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Kept {
    Asked(Remembered),
    Sources(Vec<PathBuf>),
}

impl Remembered {
    /// What these sources are to be remembered with.
    pub(super) fn new(sources: &[PathBuf], settings: &Asked) -> Self {
        let sources = sources.iter().map(|source| place(source)).collect();
        Self { sources, folder: here(), settings: settings.clone(), gathered: None }
    }

    /// The same, of the shards of a list.
    pub(super) fn gathered(self, gathered: Gathered) -> Self {
        Self { gathered: Some(gathered), ..self }
    }

    /// What this cache remembers; nothing where it makes no sense.
    pub fn load(store: &Store) -> Option<Self> {
        let bytes = read_small(&store.root().join(PLACE)).ok()?;
        Some(match serde_json::from_slice(&bytes).ok()? {
            Kept::Asked(remembered) => remembered,
            Kept::Sources(sources) => Self { sources, ..Self::default() },
        })
    }

    /// Keeps it for the next run.
    pub(super) fn save(&self, ctx: &Context) {
        // A name that is no UTF-8 cannot be written as JSON; it then has to be named again.
        if let Ok(text) = serde_json::to_string(self) {
            let unchanged = read_small(&ctx.store.root().join(PLACE)).is_ok_and(|there| there == text.as_bytes());
            if !unchanged
                && let Err(error) = ctx.store.replace(PLACE, text.as_bytes())
                && !read_only(&error)
            {
                ctx.warn(format!("the sources are not remembered: {error}"));
            }
        }
    }

    /// The settings, with paths that lead there from here.
    pub fn settings(&self) -> Asked {
        let mut settings = self.settings.clone();
        if self.folder != here() {
            for (table, key) in PATHS {
                if let Some(Value::String(path)) = settings.get_mut(table).and_then(|keys| keys.get_mut(key))
                    && !path.is_empty()
                    && let Some(there) = self.folder.join(&*path).to_str()
                {
                    *path = there.to_owned();
                }
            }
        }
        settings
    }

    /// For a person, in a line.
    pub fn told(&self) -> String {
        let sources = match (&self.gathered, self.sources.as_slice()) {
            (Some(Gathered { list, shards, .. }), _) => format!("--list {} --shards {shards}", list.display()),
            (None, [source]) => source.display().to_string(),
            (None, sources) => counted(sources.len(), "source"),
        };
        let flags = self.settings().into_iter().flat_map(|(table, keys)| {
            keys.into_iter().map(move |(key, value)| flag(&table, &key, &value)).collect::<Vec<_>>()
        });
        std::iter::once(format!("as last time: {sources}")).chain(flags).collect::<Vec<_>>().join(" ")
    }
}

/// A setting as it would be written on the command line.
fn flag(table: &str, key: &str, value: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string().trim_end_matches(".0").to_owned(),
    };
    let name = if (table, key) == ("embed", "fit") { "embed-fit".to_owned() } else { key.replace('_', "-") };
    match value {
        Value::Bool(true) => format!("--{name}"),
        Value::Bool(false) => format!("--{name}=false"),
        Value::Array(all) => format!("--{name} {}", all.iter().map(text).collect::<Vec<_>>().join(",")),
        one => format!("--{name} {}", text(one)),
    }
}

fn here() -> PathBuf {
    std::env::current_dir().unwrap_or_default()
}

/// The real place of a source.
pub(super) fn place(source: &Path) -> PathBuf {
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
        let settings: Asked = serde_json::from_value(settings).unwrap();
        let mut remembered = Remembered { sources: vec!["/photos".into()], folder: here(), settings, gathered: None };
        let flags = "--embed-fit crop --model scattering --output a.png --page=false --kinds post,story";
        assert_eq!(remembered.told(), format!("as last time: /photos {flags}"));
        remembered.folder = "/elsewhere".into();
        let output = remembered.settings()["render"]["output"].clone();
        assert_eq!(output, json!(Path::new("/elsewhere").join("a.png")));
        remembered.sources.push("/more".into());
        assert!(remembered.told().starts_with("as last time: 2 sources --"), "{}", remembered.told());
    }

    #[test]
    fn what_an_earlier_version_kept_is_understood() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let kept = |text: &str| {
            store.replace(PLACE, text.as_bytes()).unwrap();
            Remembered::load(&store)
        };
        assert_eq!(kept(r#"["/photos"]"#).unwrap().sources, [PathBuf::from("/photos")]);
        assert!(kept("[1]").is_none() && kept("{}").is_none() && kept("").is_none());
        let remembered = Remembered::new(&["/photos".into()], &Asked::default());
        assert_eq!(kept(&serde_json::to_string(&remembered).unwrap()), Some(remembered));
    }
}
