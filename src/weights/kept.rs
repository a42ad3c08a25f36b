//! A network's weights: the tensors that it needs, in one canonical form whose blake3 is their identity.
//!
//! The canonical file is kept in `models/` under the store's rules, so its digest is in its name and is
//! checked on every load; and weights from the hub, from the hub's local cache and from a file
//! are the same model if they are the same numbers.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde_json::{Value, json};

use super::alike::{CONFIG, check};
use super::file::{Wanted, from_file};
use super::hub::{Hub, Pin, Published};
use crate::config::{EmbedSettings, Fetch};
use crate::store::{Digest, Durability, Key};

/// The tensors of a network, found but not loaded.
pub(crate) struct Weights {
    /// blake3 of the canonical file.
    pub(crate) digest: Digest,
    /// The repository and the commit, if they came from the hub.
    pub(crate) origin: Option<(String, String)>,
    place: Place,
}

/// A safetensors file inside the program.
pub(crate) struct BuiltIn {
    pub(crate) file: &'static [u8],
    /// Its blake3, in hexadecimal: what enters keys, so that a run that has nothing to embed does not read it.
    pub(crate) digest: &'static str,
}

enum Place {
    /// Inside the program.
    BuiltIn(&'static BuiltIn),
    /// A canonical file in `models/`.
    Kept(Hub, PathBuf),
    /// A canonical file in memory.
    Held(Vec<u8>),
}

impl Weights {
    /// Looks in `embed.weights`, in the program (unless the settings name a repository), in `models/`, in the
    /// hub's local cache, and at the hub. `output` is the name of what the `wanted` tensors give.
    pub(crate) fn find(
        published: &'static Published,
        output: &str,
        wanted: &[Wanted],
        settings: &EmbedSettings,
        hub: &Hub,
    ) -> Result<Self> {
        if !settings.weights.as_os_str().is_empty() {
            let path = &settings.weights;
            let what = || format!("the weights file {}", path.display());
            let bytes = from_file(path, wanted).with_context(what)?;
            if let Ok(config) = fs_err::read(path.with_file_name(CONFIG)) {
                check(published.name, published.traits, &config).with_context(what)?;
            }
            return Ok(Self { digest: Digest::of(&bytes), origin: None, place: Place::Held(bytes) });
        }
        if let Some(built_in) = published.built_in.filter(|_| settings.repo == "auto") {
            let digest = Digest::from_hex(built_in.digest).context("the digest of what is built in")?;
            return Ok(Self { digest, origin: None, place: Place::BuiltIn(built_in) });
        }
        let pin = Pin::of(published, settings)?;
        let key = weights_key(&pin, output, settings.fetch);
        let (path, digest) = keep(hub, &pin, &key, || {
            hub.check_alike(&pin)?;
            hub.obtain(&pin, settings.fetch, wanted)
        })?;
        let origin = Some((pin.repo.clone(), pin.revision.clone()));
        Ok(Self { digest, origin, place: Place::Kept(hub.clone(), path) })
    }

    /// The tensors by the first of their names, checked against their digest once more.
    pub(crate) fn load(&self) -> Result<HashMap<String, Tensor>> {
        let bytes = match &self.place {
            Place::BuiltIn(built_in) => Cow::from(built_in.file),
            Place::Held(bytes) => Cow::from(bytes),
            Place::Kept(hub, path) => hub.models.read(path)?.into(),
        };
        ensure!(Digest::of(&bytes) == self.digest, "the weights changed while the program ran");
        Ok(candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?)
    }

    /// The same, to build a network of on this device.
    pub(crate) fn builder(&self, device: &Device) -> Result<VarBuilder<'static>> {
        Ok(VarBuilder::from_tensors(self.load()?, DType::F32, device))
    }

    /// The digest of those of this pin, if they were fetched before.
    pub(crate) fn fetched(pin: &Pin, output: &str, hub: &Hub) -> Option<Digest> {
        let found = |fetch| kept(hub, pin, &weights_key(pin, output, fetch));
        [Fetch::Tensors, Fetch::File].into_iter().find_map(found).map(|(_, digest)| digest)
    }
}

/// The bytes of a vocabulary, which is kept beside the weights.
pub(crate) fn vocabulary(pin: &Pin, hub: &Hub) -> Result<Vec<u8>> {
    let key = key("tokenizer", json!({"pin": pin}));
    let (path, _) = keep(hub, pin, &key, || hub.file(pin))?;
    Ok(hub.models.read(&path)?)
}

fn weights_key(pin: &Pin, output: &str, fetch: Fetch) -> Digest {
    let mut params = json!({"pin": pin, "layer": output, "fetch": fetch});
    if !pin.is_the_default() {
        // What was kept before its network was looked at does not count.
        params["network"] = json!("checked");
    }
    key("weights", params)
}

/// The key of what is kept under `models/`.
fn key(stage: &str, params: Value) -> Digest {
    Key { stage: stage.into(), version: 1, params, inputs: BTreeMap::new() }.digest()
}

/// The file with this key under `models/<name>/`, and its digest; `obtain` is asked if it is not
/// there yet.
fn keep(hub: &Hub, pin: &Pin, key: &Digest, obtain: impl FnOnce() -> Result<Vec<u8>>) -> Result<(PathBuf, Digest)> {
    if let Some(found) = kept(hub, pin, key) {
        return Ok(found);
    }
    // Whoever waited here finds what the other has fetched.
    let _lock = hub.lock()?;
    if let Some(found) = kept(hub, pin, key) {
        return Ok(found);
    }
    let bytes = obtain()?;
    let (_, suffix) = pin.file.rsplit_once('.').context("a pinned file has a suffix")?;
    let published = hub.models.publish(pin.published.name, key, suffix, Durability::Synced, &bytes);
    Ok((published.context("cannot keep the weights under models/")?, Digest::of(&bytes)))
}

/// The file with this key, read and checked, so that the digest that enters the model's key is that
/// of bytes which are really there.
fn kept(hub: &Hub, pin: &Pin, key: &Digest) -> Option<(PathBuf, Digest)> {
    let path = hub.models.find(pin.published.name, key)?;
    match hub.models.read(&path) {
        Ok(bytes) => Some((path, Digest::of(&bytes))),
        Err(error) => {
            hub.warn(&format!("{error}; fetching the weights again"));
            None
        }
    }
}
