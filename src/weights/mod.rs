//! Weights: tensors by name and shape, out of a file, out of `models/` or from the hub.
//!
//! In reading order: `file` (a safetensors file of any origin becomes the canonical one), `hub` (which file of which commit, and where it is had), `alike` (whether
//! another repository's network is the same but for its numbers), `kept` (what lies under `models/`). None of it knows what the tensors are for.

mod alike;
mod file;
mod hub;
mod kept;

pub use hub::Hub;

pub(crate) use file::Wanted;
pub(crate) use hub::{NotHere, Pin, Published};
pub(crate) use kept::{BuiltIn, Weights, vocabulary};
