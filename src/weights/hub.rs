//! Weights from the Hugging Face hub: addresses, credentials and the local cache through hf-hub;
//! metadata under rules of our own ([`Remote::metadata`]); the bytes in ranges, so that only the
//! tensors needed are fetched and a stalled connection costs one range.
//!
//! What may be used is pinned by commit and sha256 ([`Pin`]). `HF_ENDPOINT`, `HF_HOME` and
//! `HF_TOKEN` are honoured, and `HF_HUB_OFFLINE` as `--offline` is.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::alike::{CONFIG, check};
use super::file::{Wanted, from_bytes, from_file, gather};
use super::kept::BuiltIn;
use crate::config::{EmbedSettings, Fetch};
use crate::error::Halt;
use crate::remote::{Metadata, Remote};
use crate::report::{Event, Reporter};
use crate::store::{Lock, Store};

/// The file that holds a network's weights.
const WEIGHTS: &str = "model.safetensors";

/// Where the weights of a model are published.
pub(crate) struct Published {
    /// Its name in settings, keys and messages.
    pub(crate) name: &'static str,
    /// The hub's repository, the commit, and the sha256 of that commit's `model.safetensors`.
    pub(crate) repo: &'static str,
    pub(crate) revision: &'static str,
    pub(crate) sha256: &'static str,
    /// What the shapes of its tensors do not tell: places in its `config.json`, and what stands there.
    pub(crate) traits: &'static [(&'static str, &'static str)],
    /// What can be done without them, said where they are not to be had.
    pub(crate) instead: Option<&'static str>,
    /// Those that come with the program, which need no repository.
    pub(crate) built_in: Option<&'static BuiltIn>,
}

/// Exactly one file of one commit.
#[derive(Clone, Serialize)]
pub(crate) struct Pin {
    /// What it is a file of.
    #[serde(skip)]
    pub(super) published: &'static Published,
    /// Its name in the repository.
    #[serde(skip)]
    pub(super) file: &'static str,
    /// `owner/name`.
    pub(crate) repo: String,
    /// A commit, or (unpinned) a branch.
    pub(crate) revision: String,
    /// sha256 of the file; empty: unchecked.
    sha256: String,
}

impl Pin {
    /// The published weights, where the settings say nothing else.
    pub(crate) fn of(published: &'static Published, settings: &EmbedSettings) -> Result<Self> {
        let own = |value: &str, default: &str| if value == "auto" { default.to_owned() } else { value.to_owned() };
        let pin = Self {
            published,
            file: WEIGHTS,
            repo: own(&settings.repo, published.repo),
            revision: own(&settings.revision, published.revision),
            sha256: own(&settings.sha256, published.sha256),
        };
        if !pin.is_the_default() && settings.sha256 == "auto" {
            bail!(Halt::Usage(format!(
                "embed.sha256 is pinned for {} at {}; for {} at {} give its own, or \"\" to go unchecked",
                published.repo, published.revision, pin.repo, pin.revision
            )));
        }
        Ok(pin)
    }

    /// Another file beside the weights. `sha256` is that of the default commit; elsewhere only the
    /// commit vouches for it.
    pub(crate) fn beside(self, file: &'static str, sha256: &str) -> Self {
        let sha256 = if self.is_the_default() { sha256.to_owned() } else { String::new() };
        Self { file, sha256, ..self }
    }

    pub(super) fn is_the_default(&self) -> bool {
        self.repo == self.published.repo && self.revision == self.published.revision
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.repo.clone(), RepoType::Model, self.revision.clone())
    }
}

/// Where a file was found.
enum Found<'a> {
    /// In the hub's local cache.
    Here(PathBuf),
    /// At the hub; with its size, if parts of it may be asked for.
    There(Remote<'a>, Option<u64>),
}

/// Where weights come from and are kept.
#[derive(Clone)]
pub struct Hub {
    /// The folder `models/`.
    pub models: Store,
    /// Make no request at all.
    pub offline: bool,
    /// Told of progress, and asked whether to go on.
    pub reporter: Arc<dyn Reporter>,
}

impl Hub {
    /// Tells the user.
    pub fn warn(&self, text: &str) {
        self.reporter.event(&Event::Warning(text.to_owned()));
    }

    /// Waits until no other process fetches weights.
    pub(super) fn lock(&self) -> Result<Lock> {
        let waiting = || {
            self.reporter.event(&Event::Waiting("another run is fetching the weights".into()));
            !self.reporter.interrupted()
        };
        Ok(self.models.lock(waiting)?.ok_or(Halt::Interrupted)?)
    }

    /// The canonical file of the wanted tensors: from the hub's local cache if it is there,
    /// otherwise over the network.
    pub(super) fn obtain(&self, pin: &Pin, fetch: Fetch, wanted: &[Wanted]) -> Result<Vec<u8>> {
        match self.open(pin)? {
            Found::Here(path) => from_file(&path, wanted).with_context(|| path.display().to_string()),
            Found::There(remote, Some(size)) if fetch == Fetch::Tensors => self.tensors(&remote, size, wanted),
            Found::There(remote, _) => from_bytes(&whole(&remote, pin)?, wanted),
        }
    }

    /// Refuses weights of another repository or commit if its `config.json` says that they are another network's.
    pub(super) fn check_alike(&self, pin: &Pin) -> Result<()> {
        let Published { name, traits, .. } = pin.published;
        if pin.is_the_default() || traits.is_empty() {
            return Ok(());
        }
        match self.file(&pin.clone().beside(CONFIG, "")) {
            Ok(config) => check(name, traits, &config).with_context(|| format!("{} at {}", pin.repo, pin.revision)),
            Err(error) if error.is::<Halt>() => Err(error),
            Err(_) => {
                let what = format!("{CONFIG} of {} is not to be had", pin.repo);
                self.warn(&format!(
                    "{what}: whether its network is that of {name} in all but the numbers is unchecked"
                ));
                Ok(())
            }
        }
    }

    /// A whole file, from the same places.
    pub(super) fn file(&self, pin: &Pin) -> Result<Vec<u8>> {
        match self.open(pin)? {
            Found::Here(path) => Ok(fs_err::read(path)?),
            Found::There(remote, _) => whole(&remote, pin),
        }
    }

    fn open(&self, pin: &Pin) -> Result<Found<'_>> {
        if pin.sha256.is_empty() && pin.file != CONFIG {
            self.warn(&format!("{} of {} is unpinned: whatever the hub sends is used", pin.file, pin.repo));
        }
        let local = Cache::from_env().repo(pin.repo());
        // By commit, as every client lays it down; or by the name of a branch.
        let snapshot = local.pointer_path(&pin.revision).join(pin.file);
        let cached = if snapshot.is_file() { Some(snapshot) } else { local.get(pin.file) };
        if let Some(path) = cached {
            let sound = pin.sha256.is_empty() || sha256_of_file(&path)? == pin.sha256;
            if sound {
                return Ok(Found::Here(path));
            }
            self.warn(&format!("{} does not have the sha256 {}; it is not used", path.display(), pin.sha256));
        }
        if self.offline {
            let what = format!("the weights of {}", pin.published.name);
            let text = self.not_to_be_had(pin, "--offline or HF_HUB_OFFLINE asks for no request", "");
            return Err(NotHere { what, text }.into());
        }
        // What is fetched could not be kept, and would be fetched by every run.
        let writable = self.models.check_writable(pin.published.name);
        writable.with_context(|| {
            let (models, name) = (self.models.root().display(), pin.published.name);
            format!("cannot keep the weights of {name} under {models}, so they are not fetched")
        })?;
        let api = ApiBuilder::from_env().build();
        let api = api.map_err(|error| anyhow!(self.not_to_be_had(pin, &error.to_string(), "")))?;
        let url = api.repo(pin.repo()).url(pin.file);
        let remote = Remote::new(&*self.reporter, "weights", url.clone(), token());
        let Metadata { commit, etag, size } = match remote.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.is::<Halt>() => return Err(error),
            Err(error) => bail!("{}", self.not_to_be_had(pin, &format!("{error:#}"), &url)),
        };
        // The hub names large files by their sha256 and serves ranges. A mirror that does not is
        // not trusted to send parts: the whole file is checked instead.
        let (Some(commit), Some(announced)) = (commit, etag) else { return Ok(Found::There(remote, None)) };
        if is_hex(&pin.revision, 40) {
            ensure!(
                commit == pin.revision,
                "the hub answered with commit {commit} where {} was asked for",
                pin.revision
            );
        }
        let vouched = is_hex(&announced, 64);
        if vouched && !pin.sha256.is_empty() && announced != pin.sha256 {
            bail!(
                "the hub's {} of {} has sha256 {announced}, but {} is pinned; if the new file is right, set embed.sha256",
                pin.file,
                pin.repo,
                pin.sha256
            );
        }
        Ok(Found::There(remote, size.filter(|_| vouched || pin.sha256.is_empty())))
    }

    /// Only the wanted tensors, in ranges.
    fn tensors(&self, remote: &Remote<'_>, size: u64, wanted: &[Wanted]) -> Result<Vec<u8>> {
        let bar = self.reporter.bar("fetching weights", wanted.iter().map(Wanted::size).sum(), true);
        gather(wanted, |from, count| {
            let end = from.checked_add(count).filter(|&end| end <= size);
            ensure!(end.is_some(), "the weights file has {size} bytes, but its header speaks of more");
            remote.read(from, count, &*bar)
        })
    }

    /// What is missing and why, what works without it, and what to place where; `url` is empty if none was asked.
    fn not_to_be_had(&self, pin: &Pin, why: &str, url: &str) -> String {
        let (what, are, place) = match pin.file {
            WEIGHTS => ("weights", "are", "put it anywhere and name it with --weights FILE"),
            _ => ("vocabulary", "is", "put it beside the weights and name those with --weights FILE"),
        };
        let instead = pin.published.instead.map_or_else(String::new, |way| format!("Without them: {way}.\n"));
        let from = if url.is_empty() { String::new() } else { format!(" from {url}") };
        let sha256 = if pin.sha256.is_empty() { "unpinned" } else { &pin.sha256 };
        format!(
            "the {what} of {} {are} not here and cannot be fetched: {why}.\n\
             {instead}Needed: {} of {} at {}, sha256 {sha256}{from}; {place}.",
            pin.published.name, pin.file, pin.repo, pin.revision,
        )
    }
}

/// A file that is not here, where no request may be made.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct NotHere {
    /// What is not here, in words.
    pub(crate) what: String,
    /// All that there is to say.
    text: String,
}

/// The whole file, checked against its sha256.
fn whole(remote: &Remote<'_>, pin: &Pin) -> Result<Vec<u8>> {
    let whole = remote.read_all()?;
    let found = hex(&Sha256::digest(&whole));
    if !pin.sha256.is_empty() && found != pin.sha256 {
        bail!(
            "what the hub sent has sha256 {found}, but {} is pinned; try again, or set embed.sha256 if the new file is right",
            pin.sha256
        );
    }
    Ok(whole)
}

fn token() -> Option<String> {
    let from_env = std::env::var("HF_TOKEN").ok().filter(|token| !token.is_empty());
    from_env.or_else(|| Cache::from_env().token())
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256_of_file(path: &std::path::Path) -> Result<String> {
    let mut file = fs_err::File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(hex(&hasher.finalize())),
            read => hasher.update(&block[..read]),
        }
    }
}
