//! Weights from the Hugging Face hub: addresses, credentials, metadata and the local cache
//! through hf-hub; the bytes in ranges, so that only the tensors needed are fetched and a
//! stalled connection costs one range.
//!
//! What may be used is pinned by commit and sha256 ([`Pin`]). `HF_ENDPOINT`, `HF_HOME` and
//! `HF_TOKEN` are honoured.

use std::io::Read;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache, Repo, RepoType};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::remote::Remote;
use super::weights::{Layout, Wanted, canonical, from_file};
use crate::config::{EmbedSettings, Fetch};
use crate::error::Halt;
use crate::report::{Event, Progress, Reporter};
use crate::store::{Lock, Store};

/// The pinned weights of VGG16.
const REPO: &str = "timm/vgg16.tv_in1k";
const REVISION: &str = "3394518cba29aee1ea82a49d971be90d2dd1dab7";
const SHA256: &str = "57b026918159a6bf9faf8405c3a551903768e7138989d9c6224a14227203fad8";
const FILE: &str = "model.safetensors";

/// Exactly one file of one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Pin {
    /// `owner/name`.
    pub(super) repo: String,
    /// A commit, or (unpinned) a branch.
    pub(super) revision: String,
    /// sha256 of the file; empty: unchecked.
    pub(super) sha256: String,
}

impl Pin {
    pub(super) fn of(settings: &EmbedSettings) -> Result<Self> {
        let own = |value: &str, default: &str| if value == "auto" { default.to_owned() } else { value.to_owned() };
        let pin = Self {
            repo: own(&settings.repo, REPO),
            revision: own(&settings.revision, REVISION),
            sha256: own(&settings.sha256, SHA256),
        };
        let elsewhere = pin.repo != REPO || pin.revision != REVISION;
        if elsewhere && settings.sha256 == "auto" {
            bail!(Halt::Usage(format!(
                "embed.sha256 is pinned for {REPO} at {REVISION}; for {} at {} give its own, or \"\" to go unchecked",
                pin.repo, pin.revision
            )));
        }
        Ok(pin)
    }

    fn repo(&self) -> Repo {
        Repo::with_revision(self.repo.clone(), RepoType::Model, self.revision.clone())
    }
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
    pub(super) fn remark(&self, text: &str) {
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
        if pin.sha256.is_empty() {
            self.remark(&format!("the weights of {} are unpinned: whatever the hub sends is used", pin.repo));
        }
        let local = Cache::from_env().repo(pin.repo());
        // By commit, as every client lays it down; or by the name of a branch.
        let snapshot = local.pointer_path(&pin.revision).join(FILE);
        let cached = if snapshot.is_file() { Some(snapshot) } else { local.get(FILE) };
        if let Some(path) = cached {
            let sound = pin.sha256.is_empty() || sha256_of_file(&path)? == pin.sha256;
            if sound {
                return from_file(&path, wanted).with_context(|| path.display().to_string());
            }
            self.remark(&format!("{} does not have the sha256 {}; it is not used", path.display(), pin.sha256));
        }
        if self.offline {
            bail!("{}", self.not_to_be_had(pin, "--offline was given"));
        }
        self.fetch(pin, fetch, wanted)
    }

    fn fetch(&self, pin: &Pin, fetch: Fetch, wanted: &[Wanted]) -> Result<Vec<u8>> {
        let api = api().map_err(|error| anyhow!(self.not_to_be_had(pin, &error.to_string())))?;
        let url = api.repo(pin.repo()).url(FILE);
        // The hub names large files by their sha256 and serves ranges. A mirror that does not is
        // not trusted to send parts: the whole file is checked instead.
        let metadata = match api.metadata(&url) {
            Ok(metadata) => Some(metadata),
            Err(ApiError::MissingHeader(_)) => None,
            Err(error) => bail!("{}", self.not_to_be_had(pin, &format!("{url}: {error}"))),
        };
        let mut vouched = false;
        if let Some(metadata) = &metadata {
            let (commit, announced) = (metadata.commit_hash(), metadata.etag());
            if is_hex(&pin.revision, 40) {
                ensure!(
                    commit == pin.revision,
                    "the hub answered with commit {commit} where {} was asked for",
                    pin.revision
                );
            }
            vouched = is_hex(announced, 64);
            if vouched && !pin.sha256.is_empty() && announced != pin.sha256 {
                bail!(
                    "the hub's {FILE} of {} has sha256 {announced}, but {} is pinned; if the new file is right, set embed.sha256",
                    pin.repo,
                    pin.sha256
                );
            }
        }
        let remote = Remote::new(&*self.reporter, url, token());
        match metadata {
            Some(metadata) if fetch == Fetch::Tensors && (vouched || pin.sha256.is_empty()) => {
                self.tensors(&remote, metadata.size() as u64, wanted)
            }
            _ => whole(&remote, pin, wanted),
        }
    }

    /// Only the wanted tensors, in ranges.
    fn tensors(&self, remote: &Remote<'_>, size: u64, wanted: &[Wanted]) -> Result<Vec<u8>> {
        let read = |from: u64, count: u64, bar: Option<&dyn Progress>| {
            let end = from.checked_add(count).filter(|&end| end <= size);
            ensure!(end.is_some(), "the weights file has {size} bytes, but its header speaks of more");
            remote.read(from, count, bar)
        };
        let layout = Layout::read(|from, count| read(from, count, None))?;
        let ranges: Vec<(u64, u64)> = wanted.iter().map(|tensor| layout.range(tensor)).collect::<Result<_>>()?;
        let bar = self.reporter.bar("fetching weights", ranges.iter().map(|r| r.1).sum(), true);
        let tensors = ranges.into_iter().map(|(from, count)| read(from, count, Some(&*bar)));
        canonical(wanted, &tensors.collect::<Result<Vec<_>>>()?)
    }

    /// One breath: what is missing, its sha256, where it belongs, and what works without it.
    fn not_to_be_had(&self, pin: &Pin, why: &str) -> String {
        format!(
            "the weights of vgg16 are not here and cannot be fetched ({why}).\n\
             Needed: {FILE} of {} at {}, sha256 {}.\n\
             Put the file anywhere and name it with --weights FILE, or use --model scattering, which needs none.",
            pin.repo,
            pin.revision,
            if pin.sha256.is_empty() { "unpinned" } else { &pin.sha256 },
        )
    }
}

/// The wanted tensors out of the whole file, checked against its sha256.
fn whole(remote: &Remote<'_>, pin: &Pin, wanted: &[Wanted]) -> Result<Vec<u8>> {
    let whole = remote.read_all()?;
    let found = hex(&Sha256::digest(&whole));
    if !pin.sha256.is_empty() && found != pin.sha256 {
        bail!(
            "what the hub sent has sha256 {found}, but {} is pinned; try again, or set embed.sha256 if the new file is right",
            pin.sha256
        );
    }
    let part = |from: u64, count: u64| -> Result<Vec<u8>> {
        let range = from as usize..from.saturating_add(count) as usize;
        Ok(whole.get(range).context("the weights file is shorter than its header says")?.to_vec())
    };
    let layout = Layout::read(part)?;
    let tensors = wanted.iter().map(|tensor| layout.range(tensor).and_then(|(from, count)| part(from, count)));
    canonical(wanted, &tensors.collect::<Result<Vec<_>>>()?)
}

fn api() -> Result<Api> {
    let mut builder = ApiBuilder::from_env().with_progress(false);
    if let Some(token) = token() {
        builder = builder.with_token(Some(token));
    }
    Ok(builder.build()?)
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
