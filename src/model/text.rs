//! Texts to vectors, in the space of CLIP's pictures.

use anyhow::{Result, anyhow, ensure};
use candle_core::{Device, Tensor};
use candle_nn::{Func, Module};
use serde_json::Value;
use tokenizers::{Tokenizer, TruncationParams};

use super::clip::{self, MAX_TOKENS};
use super::network::wanted;
use super::table::CLIP_VIT_B32;
use crate::config::{EmbedSettings, ModelName};
use crate::weights::{self, Hub, Pin, Weights};

/// The model whose pictures can be found by text.
pub const MODEL: ModelName = ModelName::Clip;
/// The file with its vocabulary, and the sha256 of the one at the pinned commit.
const TOKENIZER: &str = "tokenizer.json";
const TOKENIZER_SHA256: &str = "b556ac8c99757ffb677208af34bc8c6721572114111a6e0aaf5fa69ff0b8d842";

/// The space of the text tower that the settings name: which vectors of pictures are in it.
pub struct Space<'a> {
    hub: &'a Hub,
    of: Origin,
}

/// What tells that space.
enum Origin {
    /// The image tower of a weights file, by what enters the keys of its vectors.
    File(String),
    /// A file of a commit at the hub.
    Hub(Pin),
}

impl<'a> Space<'a> {
    /// Reads the weights file, if the settings name one.
    ///
    /// # Errors
    /// When it cannot be read, or the settings name a repository without a sha256.
    pub fn of(settings: &EmbedSettings, hub: &'a Hub) -> Result<Self> {
        let of = if settings.weights.as_os_str().is_empty() {
            Origin::Hub(Pin::of(&CLIP_VIT_B32.weights, settings)?)
        } else {
            let tower = wanted(clip::image_tower)?;
            let weights = Weights::find(&CLIP_VIT_B32.weights, clip::IMAGES, &tower, settings, hub)?;
            Origin::File(weights.digest.to_string())
        };
        Ok(Self { hub, of })
    }

    /// Whether vectors with these parameters are in it, whose index says this of their origin
    /// (repository and commit). An index keeps the origin of its first run; others may have come to
    /// the same numbers by the hub, whose image tower then lies in `models/`.
    pub fn holds(&self, params: &Value, origin: Option<(&str, &str)>) -> bool {
        let fetched = |pin| Weights::fetched(pin, clip::IMAGES, self.hub).map(|digest| digest.to_string());
        let same_weights = match &self.of {
            Origin::File(digest) => params["weights"] == *digest,
            Origin::Hub(pin) => {
                origin == Some((&*pin.repo, &*pin.revision)) || params["weights"].as_str() == fetched(pin).as_deref()
            }
        };
        params["model"] == CLIP_VIT_B32.weights.name && same_weights
    }
}

/// A loaded text tower with its tokenizer.
pub struct Texts {
    tokenizer: Tokenizer,
    tower: Func<'static>,
}

impl Texts {
    /// Finds the text tower's tensors and the vocabulary as the pictures' are found (a local
    /// `tokenizer.json` lies beside the file of `embed.weights`), and loads them.
    ///
    /// # Errors
    /// When they are not to be had, or are not what they should be.
    pub fn load(settings: &EmbedSettings, hub: &Hub) -> Result<Self> {
        let weights = Weights::find(&CLIP_VIT_B32.weights, clip::TEXTS, &wanted(clip::text_tower)?, settings, hub)?;
        let tokenizer = tokenizer(&vocabulary(settings, hub)?)?;
        Ok(Self { tokenizer, tower: clip::text_tower(weights.builder()?)? })
    }

    /// The vector of a text, of length one. What is longer than 77 tokens is cut.
    ///
    /// # Errors
    /// When the device fails, or the weights are so far off that a number is not finite.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let tokens = tokens(&self.tokenizer, text)?;
        let tokens = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let vector: Vec<f32> = self.tower.forward(&tokens)?.flatten_all()?.to_vec1()?;
        ensure!(vector.iter().all(|x| x.is_finite()), "the weights give a vector that is not finite for this text");
        Ok(vector)
    }
}

/// The bytes of `tokenizer.json`.
fn vocabulary(settings: &EmbedSettings, hub: &Hub) -> Result<Vec<u8>> {
    let beside = settings.weights.with_file_name(TOKENIZER);
    if !settings.weights.as_os_str().is_empty() && beside.is_file() {
        return Ok(fs_err::read(beside)?);
    }
    weights::vocabulary(&Pin::of(&CLIP_VIT_B32.weights, settings)?.beside(TOKENIZER, TOKENIZER_SHA256), hub)
}

fn tokenizer(json: &[u8]) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| anyhow!("{TOKENIZER}: {error}"))?;
    let truncation = TruncationParams { max_length: MAX_TOKENS, ..Default::default() };
    tokenizer.with_truncation(Some(truncation)).map_err(|error| anyhow!("{TOKENIZER}: {error}"))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// The numbers of a text's tokens, between that of the begin and that of the end.
fn tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode(text, true).map_err(|error| anyhow!("{error}"))?;
    Ok(encoding.get_ids().to_vec())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn assert_equal(vocabulary: &[u8], golden: &str) {
        let tokenizer = tokenizer(vocabulary).unwrap();
        let golden: Vec<(String, Vec<u32>)> = serde_json::from_str(golden).unwrap();
        for (caption, expected) in &golden {
            assert_eq!(tokens(&tokenizer, caption).unwrap(), *expected, "{caption}");
        }
        assert!(golden.len() >= 60);
    }

    #[test]
    fn tokens_equal_those_of_transformers() {
        assert_equal(include_bytes!("golden/tokenizer.json"), include_str!("golden/tokens.json"));
    }

    #[test]
    #[ignore = "needs the vocabulary that scripts/golden_tokens.py --real fetches"]
    fn tokens_of_the_real_vocabulary() {
        let folder = PathBuf::from(std::env::var_os("TSNE_GRID_TOKENS").expect("TSNE_GRID_TOKENS names its folder"));
        let golden = std::fs::read_to_string(folder.join("tokens.json")).unwrap();
        assert_equal(&std::fs::read(folder.join(TOKENIZER)).unwrap(), &golden);
    }
}
