//! A network's weights: the tensors that it needs, out of a safetensors file of any origin, in one
//! canonical form whose blake3 is their identity.
//!
//! The canonical file holds exactly the tensors needed, as little-endian f32, in safetensors' own
//! order. It is kept in `models/` under the store's rules, so its digest is in its name and is
//! checked on every load; and weights from the hub, from the hub's local cache and from a file
//! are the same model if they are the same numbers.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use safetensors::tensor::{Dtype, Metadata, TensorView};
use serde_json::{Value, json};

use super::hub::{Hub, Pin};
use super::table::{Build, Pretrained};
use crate::config::{EmbedSettings, Fetch};
use crate::store::{Digest, Durability, Key};

/// A safetensors header larger than this is no header.
const MAX_HEADER_BYTES: u64 = 100 << 20;

/// The tensors of a network, found but not loaded.
pub(super) struct Weights {
    /// blake3 of the canonical file.
    pub(super) digest: Digest,
    /// The repository and the commit, if they came from the hub.
    pub(super) origin: Option<(String, String)>,
    place: Place,
}

enum Place {
    /// A canonical file in `models/`.
    Kept(Hub, PathBuf),
    /// A canonical file in memory.
    Held(Vec<u8>),
}

impl Weights {
    /// Looks in `embed.weights`, in `models/`, in the hub's local cache, and at the hub. `output` is
    /// the name of what the `wanted` tensors give.
    pub(super) fn find(
        row: &Pretrained,
        output: &str,
        wanted: &[Wanted],
        settings: &EmbedSettings,
        hub: &Hub,
    ) -> Result<Self> {
        if !settings.weights.as_os_str().is_empty() {
            let path = &settings.weights;
            let bytes = from_file(path, wanted).with_context(|| format!("the weights file {}", path.display()))?;
            return Ok(Self { digest: Digest::of(&bytes), origin: None, place: Place::Held(bytes) });
        }
        let pin = Pin::of(row, settings)?;
        let key = key("weights", params(&pin, output, settings.fetch));
        let (path, digest) = keep(hub, row.name, &key, "safetensors", || hub.obtain(&pin, settings.fetch, wanted))?;
        let origin = Some((pin.repo.clone(), pin.revision.clone()));
        Ok(Self { digest, origin, place: Place::Kept(hub.clone(), path) })
    }

    /// The tensors by the first of their names, checked against their digest once more.
    pub(super) fn load(&self) -> Result<HashMap<String, Tensor>> {
        let read;
        let bytes = match &self.place {
            Place::Held(bytes) => bytes,
            Place::Kept(hub, path) => {
                read = hub.models.read(path)?;
                &read
            }
        };
        ensure!(Digest::of(bytes) == self.digest, "the weights changed while the program ran");
        let tensors = candle_core::safetensors::load_buffer(bytes, &Device::Cpu)?;
        Ok(tensors)
    }

    /// The same, to build a network of.
    pub(super) fn builder(&self) -> Result<VarBuilder<'static>> {
        Ok(VarBuilder::from_tensors(self.load()?, DType::F32, &Device::Cpu))
    }
}

/// The digest of a network's weights of this pin, if they were fetched before.
pub(super) fn fetched(row: &Pretrained, output: &str, pin: &Pin, hub: &Hub) -> Option<Digest> {
    [Fetch::Tensors, Fetch::File].into_iter().find_map(|fetch| {
        let (_, digest) = kept(hub, row.name, &key("weights", params(pin, output, fetch)))?;
        Some(digest)
    })
}

fn params(pin: &Pin, output: &str, fetch: Fetch) -> Value {
    json!({"pin": pin, "layer": output, "fetch": fetch})
}

/// The key of what is kept under `models/`.
pub(super) fn key(stage: &str, params: Value) -> Digest {
    Key { stage: stage.into(), version: 1, params, inputs: BTreeMap::new() }.digest()
}

/// The file with this key under `models/<folder>/`, and its digest; `obtain` is asked if it is not
/// there yet.
pub(super) fn keep(
    hub: &Hub,
    folder: &str,
    key: &Digest,
    suffix: &str,
    obtain: impl FnOnce() -> Result<Vec<u8>>,
) -> Result<(PathBuf, Digest)> {
    if let Some(found) = kept(hub, folder, key) {
        return Ok(found);
    }
    // Whoever waited here finds what the other has fetched.
    let _lock = hub.lock()?;
    if let Some(found) = kept(hub, folder, key) {
        return Ok(found);
    }
    let bytes = obtain()?;
    let published = hub.models.publish(folder, key, suffix, Durability::Synced, &bytes);
    Ok((published.context("cannot keep the weights under models/")?, Digest::of(&bytes)))
}

/// The file with this key, read and checked, so that the digest that enters the model's key is that
/// of bytes which are really there.
fn kept(hub: &Hub, folder: &str, key: &Digest) -> Option<(PathBuf, Digest)> {
    let path = hub.models.find(folder, key)?;
    match hub.models.read(&path) {
        Ok(bytes) => Some((path, Digest::of(&bytes))),
        Err(error) => {
            hub.warn(&format!("{error}; fetching the weights again"));
            None
        }
    }
}

/// A tensor that the network needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    /// Its names in different files; the first is that of the canonical file.
    pub(super) names: Vec<String>,
    /// Its shape, or any other of the same number of elements with the same first side.
    pub(super) shape: Vec<usize>,
}

impl Wanted {
    /// Bytes of its numbers.
    pub(super) fn size(&self) -> u64 {
        4 * self.shape.iter().product::<usize>() as u64
    }
}

/// What a network asks for while it is built, in its order: there is no second list to keep.
pub(super) fn wanted(build: Build) -> Result<Vec<Wanted>> {
    let asked = Asked::default();
    build(VarBuilder::from_backend(Box::new(asked.clone()), DType::F32, Device::Cpu))?;
    let asked = asked.0.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(asked.clone())
}

/// Gives zeros for whatever is asked, and notes it.
#[derive(Clone, Default)]
struct Asked(Arc<Mutex<Vec<Wanted>>>);

impl SimpleBackend for Asked {
    fn get(&self, s: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push(Wanted { names: vec![name.to_owned()], shape: s.dims().to_vec() });
        // One number seen everywhere: nothing of the real size is allocated.
        Tensor::zeros((), dtype, device)?.broadcast_as(s)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("the network asks for {name} without saying its shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// Where tensors are in a safetensors file.
struct Layout {
    /// Position of the first tensor's bytes.
    start: u64,
    metadata: Metadata,
}

impl Layout {
    /// Reads the header: its length, then itself. `read(from, length)` gives a range of the file.
    fn read(mut read: impl FnMut(u64, u64) -> Result<Vec<u8>>) -> Result<Self> {
        let first = read(0, 8)?;
        let length = u64::from_le_bytes(first.as_slice().try_into().context("the file is shorter than 8 bytes")?);
        if length > MAX_HEADER_BYTES {
            let text = String::from_utf8_lossy(&first);
            let what = match first.as_slice() {
                b"version " => "; it looks like a Git LFS pointer, which `git lfs pull` turns into the file",
                [b'<', ..] => "; it looks like a web page",
                _ => "",
            };
            bail!("this is not a safetensors file (it begins with {text:?}{what})");
        }
        let header = read(8, length)?;
        let metadata = serde_json::from_slice(&header).context("its safetensors header is malformed")?;
        Ok(Self { start: 8 + length, metadata })
    }

    /// The range of a tensor's bytes in the file.
    fn range(&self, wanted: &Wanted) -> Result<(u64, u64)> {
        let info = wanted.names.iter().find_map(|name| self.metadata.info(name));
        let name = &wanted.names[0];
        let info = info.with_context(|| format!("there is no tensor {name}"))?;
        let same = info.shape.first() == wanted.shape.first()
            && info.shape.iter().product::<usize>() == wanted.shape.iter().product::<usize>();
        ensure!(same, "{name} has shape {:?}; it should have {:?}", info.shape, wanted.shape);
        ensure!(info.dtype == Dtype::F32, "{name} is {:?}; only F32 is read", info.dtype);
        let (from, to) = info.data_offsets;
        let size = wanted.size();
        ensure!(
            to.checked_sub(from).map(|bytes| bytes as u64) == Some(size),
            "{name} has {from}..{to} for its bytes; it should have {size} bytes"
        );
        Ok((self.start + from as u64, size))
    }
}

/// The canonical file out of a safetensors file of which `read(from, length)` gives a range. What is not as wanted is
/// found before the first tensor is read.
pub(super) fn gather(wanted: &[Wanted], mut read: impl FnMut(u64, u64) -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    let layout = Layout::read(&mut read)?;
    let ranges: Vec<(u64, u64)> = wanted.iter().map(|tensor| layout.range(tensor)).collect::<Result<_>>()?;
    let tensors = ranges.into_iter().map(|(from, count)| read(from, count));
    canonical(wanted, &tensors.collect::<Result<Vec<_>>>()?)
}

/// The canonical file of tensors whose bytes are given in the order of `wanted`.
fn canonical(wanted: &[Wanted], bytes: &[Vec<u8>]) -> Result<Vec<u8>> {
    for (tensor, bytes) in wanted.iter().zip(bytes) {
        let (numbers, _) = bytes.as_chunks();
        let finite = numbers.iter().all(|&number| f32::from_le_bytes(number).is_finite());
        ensure!(finite, "the weights hold a number that is not finite, in {}", tensor.names[0]);
    }
    let views = wanted
        .iter()
        .zip(bytes)
        .map(|(w, bytes)| Ok((w.names[0].clone(), TensorView::new(Dtype::F32, w.shape.clone(), bytes)?)));
    let views: Vec<(String, TensorView<'_>)> = views.collect::<Result<_>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// The canonical file out of any safetensors file on the disk.
pub(super) fn from_file(path: &Path, wanted: &[Wanted]) -> Result<Vec<u8>> {
    let mut file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    let read = |from: u64, count: u64| -> Result<Vec<u8>> {
        let end = from.checked_add(count).filter(|&end| end <= length);
        ensure!(end.is_some(), "it ends after {length} bytes, but more are needed: it was cut, or is not safetensors");
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = vec![0; count as usize];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    gather(wanted, read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelName;
    use crate::model::table::{Network, pretrained};

    /// Numbers in the tensors that each network asks for: those of its parameters, without the heads
    /// that are not read, and with the two running figures of each channel in ResNet's normalisation.
    #[test]
    fn networks_ask_for_what_they_need_and_no_more() {
        let cases = [
            (ModelName::Clip, 200, 87_849_216),
            (ModelName::Dinov2, 222, 22_056_192),
            (ModelName::Resnet50, 265, 23_508_032 + 53_120),
        ];
        for (name, tensors, numbers) in cases {
            let row = pretrained(name).unwrap();
            let Network::Fixed { build, .. } = row.network else { panic!("{} has one output", row.name) };
            let wanted = wanted(build).unwrap();
            let count: usize = wanted.iter().map(|w| w.shape.iter().product::<usize>()).sum();
            assert_eq!((wanted.len(), count), (tensors, numbers), "{}", row.name);
        }
    }
}
