//! Model weights: tensors, identified by name and shape, from a file, from `models/` or from the Hugging Face hub.
//!
//! In reading order: `file` (turns any safetensors file into the canonical one), `hub` (which file of which commit, and
//! how it is obtained), `network_config` (checks that another repository has the same network architecture), `cache`
//! (the files under `models/`). None of it knows what the tensors are used for.

mod cache;
mod file;
mod hub;
mod network_config;

pub use hub::Hub;

pub(crate) use cache::{BuiltIn, Weights, tokenizer_json};
pub(crate) use file::TensorSpec;
pub(crate) use hub::{PinnedFile, UnavailableOffline, WeightsSource};
