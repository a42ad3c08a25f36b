//! Weights from the Hugging Face hub. Addresses, credentials and the local cache come through hf-hub; metadata is
//! requested under our own rules ([`RemoteFile::metadata`]). The data is read in ranges, so that only the tensors that
//! are needed are fetched, and a stalled connection costs one range.
//!
//! The commit and the sha256 of each file are pinned ([`PinnedFile`]). `HF_ENDPOINT`, `HF_HOME` and `HF_TOKEN` are
//! honoured, and `HF_HUB_OFFLINE` acts like `--offline`.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use hf_hub::api::sync::ApiBuilder;
use hf_hub::{Cache, Repo, RepoType};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::cache::BuiltIn;
use super::file::{TensorSpec, canonical_from_bytes, canonical_from_file, canonical_from_ranges};
use super::network_config::{CONFIG, check_config};
use crate::config::{EmbedSettings, Fetch};
use crate::error::Exit;
use crate::remote::{RemoteFile, RemoteMetadata};
use crate::report::{Event, Reporter};
use crate::store::{Lock, Store};

/// The file in a repository that holds the weights of a network.
const WEIGHTS: &str = "model.safetensors";

/// The repository in which the weights of a model are published.
pub(crate) struct WeightsSource {
    /// The name of the model in settings, keys and messages.
    pub(crate) name: &'static str,
    /// Repository on the hub, commit, and the sha256 of `model.safetensors` at that commit.
    pub(crate) repo: &'static str,
    pub(crate) revision: &'static str,
    pub(crate) sha256: &'static str,
    /// Properties that tensor shapes do not show: JSON pointers into `config.json`, and the expected values.
    pub(crate) expected_config: &'static [(&'static str, &'static str)],
    /// A suggestion for users who cannot get the weights.
    pub(crate) alternative: Option<&'static str>,
    /// Weights that are compiled into the program and need no repository.
    pub(crate) built_in: Option<&'static BuiltIn>,
}

/// One file of one commit.
#[derive(Clone, Serialize)]
pub(crate) struct PinnedFile {
    /// The model that it belongs to.
    #[serde(skip)]
    pub(super) source: &'static WeightsSource,
    /// Its path in the repository.
    #[serde(skip)]
    pub(super) file: &'static str,
    /// `owner/name`.
    pub(crate) repo: String,
    /// A commit, or a branch if the file is not pinned.
    pub(crate) revision: String,
    /// sha256 of the file. If empty, the content is not checked.
    sha256: String,
}

impl PinnedFile {
    /// The weights file: the default of `source`, overridden by the settings.
    ///
    /// # Errors
    /// When the settings choose another repository or commit but no sha256.
    pub(crate) fn of(source: &'static WeightsSource, settings: &EmbedSettings) -> Result<Self> {
        let or_default =
            |value: &str, default: &str| if value == "auto" { default.to_owned() } else { value.to_owned() };
        let pin = Self {
            source,
            file: WEIGHTS,
            repo: or_default(&settings.repo, source.repo),
            revision: or_default(&settings.revision, source.revision),
            sha256: or_default(&settings.sha256, source.sha256),
        };
        if !pin.is_default() && settings.sha256 == "auto" {
            bail!(Exit::Usage(format!(
                "embed.sha256 is pinned for {} at {}; for {} at {} set its sha256, or \"\" to skip the check",
                source.repo, source.revision, pin.repo, pin.revision
            )));
        }
        Ok(pin)
    }

    /// Another file of the same repository. `sha256` belongs to the default commit. For any other commit it is unknown,
    /// and only the commit identifies the file.
    pub(crate) fn sibling(self, file: &'static str, sha256: &str) -> Self {
        let sha256 = if self.is_default() { sha256.to_owned() } else { String::new() };
        Self { file, sha256, ..self }
    }

    pub(super) fn is_default(&self) -> bool {
        self.repo == self.source.repo && self.revision == self.source.revision
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.repo.clone(), RepoType::Model, self.revision.clone())
    }
}

/// The location of a file.
enum FileLocation<'a> {
    /// In the hub's local cache.
    Local(PathBuf),
    /// On the hub. The size is present only if range requests may be used.
    Remote(RemoteFile<'a>, Option<u64>),
}

/// The source of weights (the hub and its local cache) and the store for them.
#[derive(Clone)]
pub struct Hub {
    /// The folder `models/`.
    pub models: Store,
    /// Whether network requests are forbidden.
    pub offline: bool,
    /// Receives progress and warnings, and says whether the user has interrupted.
    pub reporter: Arc<dyn Reporter>,
}

impl Hub {
    /// Reports a warning.
    pub fn warn(&self, text: &str) {
        self.reporter.event(&Event::Warning(text.to_owned()));
    }

    /// Waits for the lock under which weights are fetched, so that two processes do not download the same file.
    ///
    /// # Errors
    /// When the user interrupts.
    pub(super) fn lock(&self) -> Result<Lock> {
        let waiting = || {
            self.reporter.event(&Event::Waiting("another run is downloading the weights".into()));
            !self.reporter.interrupted()
        };
        Ok(self.models.lock(waiting)?.ok_or(Exit::Interrupted)?)
    }

    /// The canonical file of the tensors in `specs`: from the hub's local cache if it has the file, otherwise over the
    /// network.
    pub(super) fn read_tensors(&self, pin: &PinnedFile, fetch: Fetch, specs: &[TensorSpec]) -> Result<Vec<u8>> {
        match self.locate(pin)? {
            FileLocation::Local(path) => canonical_from_file(&path, specs).with_context(|| path.display().to_string()),
            FileLocation::Remote(remote, Some(size)) if fetch == Fetch::Tensors => {
                self.fetch_ranges(&remote, size, specs)
            }
            FileLocation::Remote(remote, _) => canonical_from_bytes(&fetch_verified(&remote, pin)?, specs),
        }
    }

    /// For another repository or commit, checks with its `config.json` that the network is the same. If `config.json`
    /// cannot be read, this only warns.
    pub(super) fn check_architecture(&self, pin: &PinnedFile) -> Result<()> {
        let WeightsSource { name, expected_config, .. } = pin.source;
        if pin.is_default() || expected_config.is_empty() {
            return Ok(());
        }
        match self.file(&pin.clone().sibling(CONFIG, "")) {
            Ok(config) => check_config(name, expected_config, &config)
                .with_context(|| format!("{} at {}", pin.repo, pin.revision)),
            Err(error) if error.is::<Exit>() => Err(error),
            Err(_) => {
                let problem = format!("{CONFIG} of {} cannot be read", pin.repo);
                self.warn(&format!("{problem}, so it is not checked whether the network is {name} with other weights"));
                Ok(())
            }
        }
    }

    /// A whole file, from the hub's local cache or over the network.
    pub(super) fn file(&self, pin: &PinnedFile) -> Result<Vec<u8>> {
        match self.locate(pin)? {
            FileLocation::Local(path) => Ok(fs_err::read(path)?),
            FileLocation::Remote(remote, _) => fetch_verified(&remote, pin),
        }
    }

    /// Finds a file in the hub's local cache or on the hub, and checks everything that can be checked before its
    /// content is read.
    ///
    /// # Errors
    /// [`UnavailableOffline`] if a request would be needed but is forbidden. Other errors if the store is not writable,
    /// the hub does not respond, or the hub announces another commit or sha256.
    fn locate(&self, pin: &PinnedFile) -> Result<FileLocation<'_>> {
        if pin.sha256.is_empty() && pin.file != CONFIG {
            self.warn(&format!(
                "{} of {} is not pinned to a sha256; the file is used as the hub sends it",
                pin.file, pin.repo
            ));
        }
        let local = Cache::from_env().repo(pin.repo());
        // Every client stores a snapshot in a folder named after its commit. If the revision is a branch, hf-hub
        // resolves its name.
        let snapshot = local.pointer_path(&pin.revision).join(pin.file);
        let cached = if snapshot.is_file() { Some(snapshot) } else { local.get(pin.file) };
        if let Some(path) = cached {
            let is_valid = pin.sha256.is_empty() || sha256_of_file(&path)? == pin.sha256;
            if is_valid {
                return Ok(FileLocation::Local(path));
            }
            self.warn(&format!("{} does not have the sha256 {}; it is not used", path.display(), pin.sha256));
        }
        if self.offline {
            let what = format!("the weights of {}", pin.source.name);
            let text = self.unavailable_message(pin, "--offline or HF_HUB_OFFLINE forbids requests", "");
            return Err(UnavailableOffline { what, text }.into());
        }
        // If the weights could not be stored, every run would fetch them again.
        let writable = self.models.check_writable(pin.source.name);
        writable.with_context(|| {
            let (models, name) = (self.models.root().display(), pin.source.name);
            format!("cannot store the weights of {name} under {models}, so they are not downloaded")
        })?;
        let api = ApiBuilder::from_env().build();
        let api = api.map_err(|error| anyhow!(self.unavailable_message(pin, &error.to_string(), "")))?;
        let url = api.repo(pin.repo()).url(pin.file);
        let remote = RemoteFile::new(&*self.reporter, "weights", url.clone(), token());
        let RemoteMetadata { commit, etag, size } = match remote.metadata() {
            Ok(metadata) => metadata,
            Err(error) if error.is::<Exit>() => return Err(error),
            Err(error) => bail!("{}", self.unavailable_message(pin, &format!("{error:#}"), &url)),
        };
        // The hub announces the sha256 of large files and serves ranges. A mirror that announces none is not trusted to
        // serve ranges of the right file: the whole file is fetched and its sha256 checked.
        let (Some(commit), Some(announced)) = (commit, etag) else { return Ok(FileLocation::Remote(remote, None)) };
        if is_hex(&pin.revision, 40) {
            ensure!(commit == pin.revision, "the hub sent commit {commit} instead of {}", pin.revision);
        }
        let has_sha256 = is_hex(&announced, 64);
        if has_sha256 && !pin.sha256.is_empty() && announced != pin.sha256 {
            bail!(
                "on the hub, {} of {} has sha256 {announced}, but {} is pinned; \
                 if the new file is right, set embed.sha256",
                pin.file,
                pin.repo,
                pin.sha256
            );
        }
        Ok(FileLocation::Remote(remote, size.filter(|_| has_sha256 || pin.sha256.is_empty())))
    }

    /// Fetches the tensors of `specs` with range requests and builds the canonical file.
    fn fetch_ranges(&self, remote: &RemoteFile<'_>, size: u64, specs: &[TensorSpec]) -> Result<Vec<u8>> {
        let bar = self.reporter.progress("downloading weights", specs.iter().map(TensorSpec::size).sum(), true);
        canonical_from_ranges(specs, |from, count| {
            let end = from.checked_add(count).filter(|&end| end <= size);
            ensure!(end.is_some(), "the weights file has {size} bytes, but its header refers to more");
            remote.read(from, count, &*bar)
        })
    }

    /// The error text: what is missing and why, what works without it, and where the user can put the file. `url` is
    /// empty if no request was made.
    fn unavailable_message(&self, pin: &PinnedFile, reason: &str, url: &str) -> String {
        let (subject, verb, instruction) = match pin.file {
            WEIGHTS => ("weights", "are", "put it anywhere and name it with --weights FILE"),
            _ => ("vocabulary", "is", "put it next to the weights, and name the weights with --weights FILE"),
        };
        let alternative = pin.source.alternative.map_or_else(String::new, |text| format!("Without them: {text}.\n"));
        let from = if url.is_empty() { String::new() } else { format!(" from {url}") };
        let sha256 = if pin.sha256.is_empty() { "not pinned" } else { &pin.sha256 };
        format!(
            "the {subject} of {} {verb} missing and cannot be downloaded: {reason}.\n\
             {alternative}Needed: {} of {} at {}, sha256 {sha256}{from}; {instruction}.",
            pin.source.name, pin.file, pin.repo, pin.revision,
        )
    }
}

/// The error for a file that is not stored locally while requests are forbidden.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct UnavailableOffline {
    /// What is missing, for example "the weights of vgg16".
    pub(crate) what: String,
    /// The complete message.
    text: String,
}

/// Fetches a whole file and checks its sha256.
fn fetch_verified(remote: &RemoteFile<'_>, pin: &PinnedFile) -> Result<Vec<u8>> {
    let whole = remote.read_all()?;
    let found = hex(&Sha256::digest(&whole));
    if !pin.sha256.is_empty() && found != pin.sha256 {
        bail!(
            "the file that the hub sent has sha256 {found}, but {} is pinned; try again, or, if the new file is right, \
             set embed.sha256",
            pin.sha256
        );
    }
    Ok(whole)
}

/// The access token of the hub: `HF_TOKEN`, or the one that the hub's own tools have stored.
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
