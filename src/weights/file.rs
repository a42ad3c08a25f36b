//! A safetensors file of any origin, and the canonical one of the tensors that are needed.
//!
//! The canonical file holds exactly these, as little-endian f32, in safetensors' own order: the same
//! numbers are the same bytes.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Dtype, Metadata, TensorView};

use crate::lfs;

/// A safetensors header larger than this is no header.
const MAX_HEADER_BYTES: u64 = 100 << 20;
/// What makes a safetensors file of PyTorch's.
const CONVERT: &str = "Make a safetensors file of it (FILE) with Python: import torch, safetensors.torch as s; \
    s.save_file({k: v.float().contiguous().clone() for k, v in \
    torch.load(\"FILE\", \"cpu\", weights_only=True).items()}, \"model.safetensors\")";

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wanted {
    /// Its names in different files; the first is that of the canonical file.
    pub(crate) names: Vec<String>,
    /// Its shape, or any other of the same number of elements with the same first side.
    pub(crate) shape: Vec<usize>,
}

impl Wanted {
    /// Bytes of its numbers.
    pub(super) fn size(&self) -> u64 {
        4 * self.shape.iter().product::<usize>() as u64
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
        // A zip, as PyTorch writes it today, or the pickle alone, as it once did.
        if first.starts_with(b"PK\x03\x04") || matches!(first[..], [0x80, 2..=5, ..]) {
            bail!("this is PyTorch's format, a pickle, which can run code and is never opened here. {CONVERT}");
        }
        let length = u64::from_le_bytes(first.as_slice().try_into().context("the file is shorter than 8 bytes")?);
        if length > MAX_HEADER_BYTES {
            let text = String::from_utf8_lossy(&first);
            let what = match first.as_slice() {
                head if lfs::is_pointer(head) => {
                    "; it looks like a Git LFS pointer, which `git lfs pull` turns into the file"
                }
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

/// The canonical file out of the bytes of a whole one.
pub(super) fn from_bytes(whole: &[u8], wanted: &[Wanted]) -> Result<Vec<u8>> {
    gather(wanted, |from, count| {
        let range = from as usize..from.saturating_add(count) as usize;
        Ok(whole.get(range).context("the weights file is shorter than its header says")?.to_vec())
    })
}
