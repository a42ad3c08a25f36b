//! Texts to vectors, in the space of a model's pictures.

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::{Device, Tensor};
use candle_nn::{Func, Module};
use serde_json::Value;
use tokenizers::Tokenizer;

use super::network::{Build, level, wanted};
use super::table::{Network, Pretrained, pretrained};
use super::vocabulary::Vocabulary;
use super::words::Classifier;
use super::{clip, siglip};
use crate::config::{EmbedSettings, ModelName};
use crate::weights::{self, Hub, Pin, Weights};

/// What the towers give, by the names that transformers has for them.
pub(super) const IMAGES: &str = "image_embeds";
const TEXTS: &str = "text_embeds";
/// By how much a cosine counts before it is made a probability: what CLIP has learned, and about what SigLIP 2 has.
const SHARPNESS: f32 = 100.0;
/// The file with a vocabulary.
const TOKENIZER: &str = "tokenizer.json";

/// A model whose pictures can be found by text.
pub struct Speaking {
    /// Its name.
    pub name: ModelName,
    /// From token numbers (1, n) to a vector of length one.
    tower: Build,
    /// The sha256 of the vocabulary at the pinned commit.
    vocabulary: &'static str,
    /// The numbers of a text's tokens, as its authors have them.
    tokens: fn(&Tokenizer, &str) -> Result<Vec<u32>>,
}

/// All of them, the recommended one first.
pub static SPEAKING: [Speaking; 2] = [
    Speaking {
        name: ModelName::Siglip2,
        tower: siglip::text_tower,
        vocabulary: "cb9140fae3ac5122c972d37adf83e1248471a38147ad76f8215c8872c6fd8322",
        tokens: siglip_tokens,
    },
    Speaking {
        name: ModelName::Clip,
        tower: clip::text_tower,
        vocabulary: "b556ac8c99757ffb677208af34bc8c6721572114111a6e0aaf5fa69ff0b8d842",
        tokens: clip_tokens,
    },
];

impl Speaking {
    /// The one of this name, if it can read.
    pub fn of(name: ModelName) -> Option<&'static Self> {
        SPEAKING.iter().find(|model| model.name == name)
    }

    /// The one that made the vectors with these parameters, if it can read.
    pub fn that_made(params: &Value) -> Option<&'static Self> {
        SPEAKING.iter().find(|model| params["model"] == model.name.to_string())
    }

    fn row(&self) -> &'static Pretrained {
        pretrained(self.name).expect("a model that can read has weights")
    }

    /// The image tower's tensors in the file that the settings name.
    fn images(&self, settings: &EmbedSettings, hub: &Hub) -> Result<Weights> {
        let row = self.row();
        let Network::Fixed { output, build, .. } = row.network else { bail!("{} has no text tower", self.name) };
        Weights::find(&row.weights, output, &wanted(build)?, settings, hub)
    }
}

/// The space of the text tower that the settings name: which vectors of pictures are in it.
pub struct Space<'a> {
    model: &'static Speaking,
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
    /// When it cannot be read or is another model's, or the settings name a repository without a sha256.
    pub fn of(model: &'static Speaking, settings: &EmbedSettings, hub: &'a Hub) -> Result<Self> {
        let of = if settings.weights.as_os_str().is_empty() {
            Origin::Hub(Pin::of(&model.row().weights, settings)?)
        } else {
            Origin::File(model.images(settings, hub)?.digest.to_string())
        };
        Ok(Self { model, hub, of })
    }

    /// Whether vectors with these parameters are in it, whose index says this of their origin
    /// (repository and commit). An index keeps the origin of its first run; others may have come to
    /// the same numbers by the hub, whose image tower then lies in `models/`.
    pub fn holds(&self, params: &Value, origin: Option<(&str, &str)>) -> bool {
        let fetched = |pin| Weights::fetched(pin, IMAGES, self.hub).map(|digest| digest.to_string());
        let same_weights = match &self.of {
            Origin::File(digest) => params["weights"] == *digest,
            Origin::Hub(pin) => {
                origin == Some((&*pin.repo, &*pin.revision)) || params["weights"].as_str() == fetched(pin).as_deref()
            }
        };
        params["model"] == self.model.name.to_string() && same_weights
    }
}

/// A loaded text tower with its tokenizer.
pub struct Texts {
    model: &'static Speaking,
    tokenizer: Tokenizer,
    tower: Func<'static>,
}

impl Texts {
    /// Finds the text tower's tensors and the vocabulary as the pictures' are found (a local
    /// `tokenizer.json` lies beside the file of `embed.weights`), and loads them.
    ///
    /// # Errors
    /// When they are not to be had, or are not what they should be.
    pub fn load(model: &'static Speaking, settings: &EmbedSettings, hub: &Hub) -> Result<Self> {
        let weights = Weights::find(&model.row().weights, TEXTS, &wanted(model.tower)?, settings, hub)?;
        let tokenizer = tokenizer(&vocabulary(model, settings, hub)?)?;
        Ok(Self { model, tokenizer, tower: (model.tower)(weights.builder(&Device::Cpu)?)? })
    }

    /// The vector of a text, of length one. What is longer than the tower reads is cut.
    ///
    /// # Errors
    /// When the device fails, or the weights are so far off that a number is not finite.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let tokens = (self.model.tokens)(&self.tokenizer, text)?;
        let tokens = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let vector: Vec<f32> = self.tower.forward(&tokens)?.flatten_all()?.to_vec1()?;
        ensure!(vector.iter().all(|x| x.is_finite()), "the weights give a vector that is not finite for this text");
        Ok(vector)
    }
}

/// What tells a vocabulary's words by a picture's vector; `vectors` are those of the words, of length one, one after another.
///
/// # Errors
/// When this processor has no kernels.
pub fn classifier(vocabulary: Vocabulary, vectors: &[f32]) -> Result<Classifier> {
    let weight: Vec<f32> = vectors.iter().map(|x| SHARPNESS * x).collect();
    Ok(Classifier::new(level()?, &weight, &vec![0.0; vocabulary.len()], vocabulary))
}

/// The bytes of `tokenizer.json`.
fn vocabulary(model: &Speaking, settings: &EmbedSettings, hub: &Hub) -> Result<Vec<u8>> {
    let beside = settings.weights.with_file_name(TOKENIZER);
    if !settings.weights.as_os_str().is_empty() && beside.is_file() {
        return Ok(fs_err::read(beside)?);
    }
    let pin = Pin::of(&model.row().weights, settings)?;
    weights::vocabulary(&pin.beside(TOKENIZER, model.vocabulary), hub)
}

/// What a file may say of cutting and filling up is left aside: that is the models' own.
fn tokenizer(json: &[u8]) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| anyhow!("{TOKENIZER}: {error}"))?;
    tokenizer.with_truncation(None).map_err(|error| anyhow!("{TOKENIZER}: {error}"))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// Between the number of the begin and that of the end, which are not cut off.
fn clip_tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let mut tokens = numbers(tokenizer, text, true)?;
    if tokens.len() > clip::MAX_TOKENS {
        let end = tokens[tokens.len() - 1];
        tokens.truncate(clip::MAX_TOKENS - 1);
        tokens.push(end);
    }
    Ok(tokens)
}

/// In lower case, with the end, which is not cut off, and filled up: the tower reads what stands last.
fn siglip_tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let number = |token| {
        let number = tokenizer.token_to_id(token);
        number.with_context(|| format!("{TOKENIZER}: there is no token {token}, as the vocabulary of SigLIP 2 has it"))
    };
    // Sign by sign, as tokenizers does it; a whole word would end in another sigma.
    let lower: String = text.chars().flat_map(char::to_lowercase).collect();
    let mut tokens = numbers(tokenizer, &lower, false)?;
    tokens.truncate(siglip::TOKENS - 1);
    tokens.push(number("<eos>")?);
    tokens.resize(siglip::TOKENS, number("<pad>")?);
    Ok(tokens)
}

/// With or without those that the file adds to every text.
fn numbers(tokenizer: &Tokenizer, text: &str, added: bool) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode(text, added).map_err(|error| anyhow!("{error}"))?;
    Ok(encoding.get_ids().to_vec())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn assert_equal(model: ModelName, vocabulary: &[u8], golden: &str) {
        let (model, tokenizer) = (Speaking::of(model).unwrap(), tokenizer(vocabulary).unwrap());
        let golden: Vec<(String, Vec<u32>)> = serde_json::from_str(golden).unwrap();
        for (caption, expected) in &golden {
            assert_eq!((model.tokens)(&tokenizer, caption).unwrap(), *expected, "{caption}");
        }
        assert!(golden.len() >= 60);
    }

    #[test]
    fn tokens_equal_those_of_transformers() {
        let (vocabulary, tokens) = (include_bytes!("golden/tokenizer.json"), include_str!("golden/tokens.json"));
        assert_equal(ModelName::Clip, vocabulary, tokens);
        let (vocabulary, tokens) = (include_bytes!("golden/gemma.json"), include_str!("golden/gemma_tokens.json"));
        assert_equal(ModelName::Siglip2, vocabulary, tokens);
    }

    #[test]
    fn a_vocabulary_of_another_kind_is_told_apart() {
        let other = tokenizer(include_bytes!("golden/tokenizer.json")).unwrap();
        let error = siglip_tokens(&other, "a dog").unwrap_err().to_string();
        assert!(error.contains("there is no token <eos>"), "{error}");
    }

    #[test]
    #[ignore = "needs the vocabulary that scripts/golden_tokens.py --real fetches"]
    fn tokens_of_the_real_vocabulary() {
        let folder = PathBuf::from(std::env::var_os("TSNE_GRID_TOKENS").expect("TSNE_GRID_TOKENS names its folder"));
        let golden = std::fs::read_to_string(folder.join("tokens.json")).unwrap();
        assert_equal(ModelName::Clip, &std::fs::read(folder.join(TOKENIZER)).unwrap(), &golden);
    }
}
