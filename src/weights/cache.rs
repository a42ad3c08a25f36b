//! The weights of a network: the tensors that it needs, in one canonical file whose blake3 identifies them.
//!
//! Canonical files are stored in `models/` under the rules of the store, so the digest is in the file name and is
//! checked on every load. Weights from the hub, from the hub's local cache and from a file are the same model if the
//! numbers are the same.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use serde_json::{Value, json};

use super::file::{TensorSpec, canonical_from_file};
use super::hub::{Hub, PinnedFile, WeightsSource};
use super::network_config::{CONFIG, check_config};
use crate::config::{EmbedSettings, Fetch};
use crate::store::{Digest, Durability, Key};

/// The tensors of a network, located but not loaded.
pub(crate) struct Weights {
    /// blake3 of the canonical file.
    pub(crate) digest: Digest,
    /// Repository and commit, if they came from the hub.
    pub(crate) origin: Option<(String, String)>,
    location: Location,
}

/// A safetensors file that is compiled into the program.
pub(crate) struct BuiltIn {
    pub(crate) file: &'static [u8],
    /// Its blake3 in hexadecimal. It is a constant because it enters keys, and a run with nothing to embed should not
    /// hash the file.
    pub(crate) digest: &'static str,
}

enum Location {
    /// Compiled into the program.
    BuiltIn(&'static BuiltIn),
    /// A canonical file in `models/`.
    Cached(Hub, PathBuf),
    /// A canonical file in memory.
    InMemory(Vec<u8>),
}

impl Weights {
    /// Locates the weights. The order is: the file named by `embed.weights`; the program itself, unless the settings
    /// name a repository; `models/`; the hub's local cache; the hub. `output` names the result that the tensors of
    /// `specs` compute.
    ///
    /// # Errors
    /// When the weights are not available or do not match `specs`.
    pub(crate) fn find(
        source: &'static WeightsSource,
        output: &str,
        specs: &[TensorSpec],
        settings: &EmbedSettings,
        hub: &Hub,
    ) -> Result<Self> {
        if !settings.weights.as_os_str().is_empty() {
            let path = &settings.weights;
            let description = || format!("the weights file {}", path.display());
            let bytes = canonical_from_file(path, specs).with_context(description)?;
            if let Ok(config) = fs_err::read(path.with_file_name(CONFIG)) {
                check_config(source.name, source.expected_config, &config).with_context(description)?;
            }
            return Ok(Self { digest: Digest::of(&bytes), origin: None, location: Location::InMemory(bytes) });
        }
        if let Some(built_in) = source.built_in.filter(|_| settings.repo == "auto") {
            let digest = Digest::from_hex(built_in.digest).context("the digest of the built-in weights")?;
            return Ok(Self { digest, origin: None, location: Location::BuiltIn(built_in) });
        }
        let pin = PinnedFile::of(source, settings)?;
        let key = weights_key(&pin, output, settings.fetch);
        let (path, digest) = find_or_publish(hub, &pin, &key, || {
            hub.check_architecture(&pin)?;
            hub.read_tensors(&pin, settings.fetch, specs)
        })?;
        let origin = Some((pin.repo.clone(), pin.revision.clone()));
        Ok(Self { digest, origin, location: Location::Cached(hub.clone(), path) })
    }

    /// Loads the tensors, by the first of their names.
    ///
    /// # Errors
    /// When the file cannot be read, or its digest has changed since it was located.
    pub(crate) fn load(&self) -> Result<HashMap<String, Tensor>> {
        let bytes = match &self.location {
            Location::BuiltIn(built_in) => Cow::from(built_in.file),
            Location::InMemory(bytes) => Cow::from(bytes),
            Location::Cached(hub, path) => hub.models.read(path)?.into(),
        };
        ensure!(Digest::of(&bytes) == self.digest, "the weights changed while the program was running");
        Ok(candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?)
    }

    /// The tensors as a source from which a network is built on `device`.
    pub(crate) fn builder(&self, device: &Device) -> Result<VarBuilder<'static>> {
        Ok(VarBuilder::from_tensors(self.load()?, DType::F32, device))
    }

    /// The digest of the weights of `pin` in `models/`, if they were fetched earlier with either value of
    /// `embed.fetch`.
    pub(crate) fn cached_digest(pin: &PinnedFile, output: &str, hub: &Hub) -> Option<Digest> {
        let find = |fetch| find_verified(hub, pin, &weights_key(pin, output, fetch));
        [Fetch::Tensors, Fetch::File].into_iter().find_map(find).map(|(_, digest)| digest)
    }
}

/// The content of a tokenizer file, which is stored next to the weights.
pub(crate) fn tokenizer_json(pin: &PinnedFile, hub: &Hub) -> Result<Vec<u8>> {
    let key = key("tokenizer", json!({"pin": pin}));
    let (path, _) = find_or_publish(hub, pin, &key, || hub.file(pin))?;
    Ok(hub.models.read(&path)?)
}

fn weights_key(pin: &PinnedFile, output: &str, fetch: Fetch) -> Digest {
    let mut params = json!({"pin": pin, "layer": output, "fetch": fetch});
    if !pin.is_default() {
        // Weights of another repository that were stored without a check of the network must not be found.
        params["network"] = json!("checked");
    }
    key("weights", params)
}

/// The key of a file under `models/`.
fn key(stage: &str, params: Value) -> Digest {
    Key { stage: stage.into(), version: 1, params, inputs: BTreeMap::new() }.digest()
}

/// The path and digest of the file with this key under `models/<name>/`. If it does not exist, `produce` is called and
/// its result is stored.
fn find_or_publish(
    hub: &Hub,
    pin: &PinnedFile,
    key: &Digest,
    produce: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<(PathBuf, Digest)> {
    if let Some(found) = find_verified(hub, pin, key) {
        return Ok(found);
    }
    // Another process may have fetched the file while this one waited for the lock, so the search is repeated.
    let _lock = hub.lock()?;
    if let Some(found) = find_verified(hub, pin, key) {
        return Ok(found);
    }
    let bytes = produce()?;
    let (_, suffix) = pin.file.rsplit_once('.').context("a pinned file has a suffix")?;
    let path = hub.models.publish(pin.source.name, key, suffix, Durability::Synced, &bytes);
    Ok((path.context("cannot store the weights under models/")?, Digest::of(&bytes)))
}

/// The path and digest of the file with this key. It is read and checked, because this digest enters the key of the
/// model and must describe bytes that exist.
fn find_verified(hub: &Hub, pin: &PinnedFile, key: &Digest) -> Option<(PathBuf, Digest)> {
    let path = hub.models.find(pin.source.name, key)?;
    match hub.models.read(&path) {
        Ok(bytes) => Some((path, Digest::of(&bytes))),
        Err(error) => {
            hub.warn(&format!("{error}; downloading the weights again"));
            None
        }
    }
}
