//! Reads safetensors files of any origin, and writes the canonical file of the tensors that a network needs.
//!
//! The canonical file holds exactly these tensors, as little-endian f32, in the order of the safetensors library. So
//! the same numbers always give the same bytes, and the digest of the file identifies the weights.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Dtype, Metadata, TensorView};

use crate::lfs;

/// Upper bound of a safetensors header in bytes. The first 8 bytes of another kind of file usually read as a larger
/// number.
const MAX_HEADER_BYTES: u64 = 100 << 20;
/// How a user converts a PyTorch file.
const CONVERSION_HINT: &str = "Convert it (FILE) to safetensors with Python: import torch, safetensors.torch as s; \
    s.save_file({k: v.float().contiguous().clone() for k, v in \
    torch.load(\"FILE\", \"cpu\", weights_only=True).items()}, \"model.safetensors\")";

/// A tensor that a network needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorSpec {
    /// The names that it has in different files; the first is its name in the canonical file.
    pub(crate) names: Vec<String>,
    /// Its shape. A file may have another shape with the same first dimension and the same number of elements.
    pub(crate) shape: Vec<usize>,
}

impl TensorSpec {
    /// Size of its data in bytes.
    pub(super) fn size(&self) -> u64 {
        4 * self.shape.iter().product::<usize>() as u64
    }
}

/// The header of a safetensors file: where each tensor is.
struct TensorIndex {
    /// Offset of the tensor data in the file.
    start: u64,
    metadata: Metadata,
}

impl TensorIndex {
    /// Reads the header. `read(from, length)` returns a range of the file.
    ///
    /// # Errors
    /// When the file is not a safetensors file; the message says what it seems to be.
    fn read(mut read: impl FnMut(u64, u64) -> Result<Vec<u8>>) -> Result<Self> {
        let first = read(0, 8)?;
        // PyTorch writes a zip, or in its old format a bare pickle.
        if first.starts_with(b"PK\x03\x04") || matches!(first[..], [0x80, 2..=5, ..]) {
            bail!(
                "this is a PyTorch file (a pickle), which can run code and is therefore never opened. {CONVERSION_HINT}"
            );
        }
        let length = u64::from_le_bytes(first.as_slice().try_into().context("the file is shorter than 8 bytes")?);
        if length > MAX_HEADER_BYTES {
            let text = String::from_utf8_lossy(&first);
            let hint = match first.as_slice() {
                head if lfs::is_pointer(head) => {
                    "; it looks like a Git LFS pointer, which `git lfs pull` turns into the file"
                }
                [b'<', ..] => "; it looks like a web page",
                _ => "",
            };
            bail!("this is not a safetensors file (it begins with {text:?}{hint})");
        }
        let header = read(8, length)?;
        let metadata = serde_json::from_slice(&header).context("its safetensors header is malformed")?;
        Ok(Self { start: 8 + length, metadata })
    }

    /// Offset and length of a tensor's data in the file.
    ///
    /// # Errors
    /// When the tensor is missing, or its shape, type or length is wrong.
    fn range(&self, spec: &TensorSpec) -> Result<(u64, u64)> {
        let info = spec.names.iter().find_map(|name| self.metadata.info(name));
        let name = &spec.names[0];
        let info = info.with_context(|| format!("there is no tensor {name}"))?;
        let is_same_shape = info.shape.first() == spec.shape.first()
            && info.shape.iter().product::<usize>() == spec.shape.iter().product::<usize>();
        ensure!(is_same_shape, "{name} has shape {:?}; it should have {:?}", info.shape, spec.shape);
        ensure!(info.dtype == Dtype::F32, "{name} is {:?}; only F32 is read", info.dtype);
        let (from, to) = info.data_offsets;
        let size = spec.size();
        ensure!(
            to.checked_sub(from).map(|bytes| bytes as u64) == Some(size),
            "the data of {name} is at {from}..{to}; it should have {size} bytes"
        );
        Ok((self.start + from as u64, size))
    }
}

/// Builds the canonical file from a safetensors file, of which `read(from, length)` returns a range. All specs are
/// checked against the header before the first tensor is read, because reading may be a long download.
pub(super) fn canonical_from_ranges(
    specs: &[TensorSpec],
    mut read: impl FnMut(u64, u64) -> Result<Vec<u8>>,
) -> Result<Vec<u8>> {
    let index = TensorIndex::read(&mut read)?;
    let ranges: Vec<(u64, u64)> = specs.iter().map(|tensor| index.range(tensor)).collect::<Result<_>>()?;
    let tensors = ranges.into_iter().map(|(from, count)| read(from, count));
    canonical(specs, &tensors.collect::<Result<Vec<_>>>()?)
}

/// Builds the canonical file; `bytes` are the data of the tensors, in the order of `specs`.
///
/// # Errors
/// When a number is not finite.
fn canonical(specs: &[TensorSpec], bytes: &[Vec<u8>]) -> Result<Vec<u8>> {
    for (tensor, bytes) in specs.iter().zip(bytes) {
        let (numbers, _) = bytes.as_chunks();
        let finite = numbers.iter().all(|&number| f32::from_le_bytes(number).is_finite());
        ensure!(finite, "the weights hold a number that is not finite, in {}", tensor.names[0]);
    }
    let views = specs
        .iter()
        .zip(bytes)
        .map(|(spec, bytes)| Ok((spec.names[0].clone(), TensorView::new(Dtype::F32, spec.shape.clone(), bytes)?)));
    let views: Vec<(String, TensorView<'_>)> = views.collect::<Result<_>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// Builds the canonical file from a safetensors file on disk.
pub(super) fn canonical_from_file(path: &Path, specs: &[TensorSpec]) -> Result<Vec<u8>> {
    let mut file = fs_err::File::open(path)?;
    let length = file.metadata()?.len();
    let read = |from: u64, count: u64| -> Result<Vec<u8>> {
        let end = from.checked_add(count).filter(|&end| end <= length);
        ensure!(
            end.is_some(),
            "the file ends after {length} bytes, but more are needed: it is truncated, or is not safetensors"
        );
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = vec![0; count as usize];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    };
    canonical_from_ranges(specs, read)
}

/// Builds the canonical file from the content of a safetensors file.
pub(super) fn canonical_from_bytes(whole: &[u8], specs: &[TensorSpec]) -> Result<Vec<u8>> {
    canonical_from_ranges(specs, |from, count| {
        let range = from as usize..from.saturating_add(count) as usize;
        Ok(whole.get(range).context("the weights file is shorter than its header says")?.to_vec())
    })
}
