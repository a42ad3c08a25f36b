//! Text towers: turn texts into vectors in the embedding space of a model's pictures.

use anyhow::{Context, Result, anyhow, bail, ensure};
use candle_core::{Device, Tensor};
use candle_nn::{Func, Module};
use serde_json::Value;
use tokenizers::Tokenizer;

use super::classifier::Classifier;
use super::network::{BuildNetwork, simd_level, tensor_specs};
use super::table::{Architecture, Pretrained, pretrained};
use super::vocabulary::Vocabulary;
use super::{clip, siglip};
use crate::config::{EmbedSettings, ModelName};
use crate::weights::{self, Hub, PinnedFile, Weights};

/// Names of the towers' outputs, as in Hugging Face's `transformers`.
pub(super) const IMAGE_OUTPUT: &str = "image_embeds";
const TEXT_OUTPUT: &str = "text_embeds";
/// Factor of a cosine before the softmax: the value that CLIP has learned, and about the value of SigLIP 2.
const LOGIT_SCALE: f32 = 100.0;
/// The file name of the tokenizer.
const TOKENIZER: &str = "tokenizer.json";

/// A model with an image tower and a text tower, whose pictures can be found by text.
pub struct DualEncoder {
    /// The name in settings.
    pub name: ModelName,
    /// Builds the text tower, which maps token ids (1, n) to a vector of length one.
    tower: BuildNetwork,
    /// sha256 of the tokenizer file at the pinned commit.
    tokenizer_sha256: &'static str,
    /// Turns a text into token ids, as the authors of the model do.
    tokens: fn(&Tokenizer, &str) -> Result<Vec<u32>>,
}

/// All models with a text tower, the recommended one first.
pub static DUAL_ENCODERS: [DualEncoder; 2] = [
    DualEncoder {
        name: ModelName::Siglip2,
        tower: siglip::text_tower,
        tokenizer_sha256: "cb9140fae3ac5122c972d37adf83e1248471a38147ad76f8215c8872c6fd8322",
        tokens: siglip_tokens,
    },
    DualEncoder {
        name: ModelName::Clip,
        tower: clip::text_tower,
        tokenizer_sha256: "b556ac8c99757ffb677208af34bc8c6721572114111a6e0aaf5fa69ff0b8d842",
        tokens: clip_tokens,
    },
];

impl DualEncoder {
    /// The model of this name, if it has a text tower.
    pub fn by_name(name: ModelName) -> Option<&'static Self> {
        DUAL_ENCODERS.iter().find(|model| model.name == name)
    }

    /// The model that computed vectors with these parameters, if it has a text tower.
    pub fn by_params(params: &Value) -> Option<&'static Self> {
        DUAL_ENCODERS.iter().find(|model| params["model"] == model.name.to_string())
    }

    fn row(&self) -> &'static Pretrained {
        pretrained(self.name).expect("a model with a text tower has weights")
    }

    /// The weights of the image tower, from the file that the settings name.
    fn image_weights(&self, settings: &EmbedSettings, hub: &Hub) -> Result<Weights> {
        let row = self.row();
        let Architecture::Fixed { output, build, .. } = row.network else { bail!("{} has no text tower", self.name) };
        Weights::find(&row.weights, output, &tensor_specs(build)?, settings, hub)
    }
}

/// The embedding space of the text tower that the settings select. It decides which picture vectors can be compared
/// with texts.
pub struct EmbeddingSpace<'a> {
    model: &'static DualEncoder,
    hub: &'a Hub,
    weights_origin: WeightsOrigin,
}

/// What identifies the space.
enum WeightsOrigin {
    /// A weights file, by the digest of its image tower, which also enters the keys of the vectors.
    File(String),
    /// A file of a commit on the hub.
    Hub(PinnedFile),
}

impl<'a> EmbeddingSpace<'a> {
    /// Identifies the space. This reads the weights file, if the settings name one.
    ///
    /// # Errors
    /// When the file cannot be read or belongs to another model, or the settings name a repository without a sha256.
    pub fn of(model: &'static DualEncoder, settings: &EmbedSettings, hub: &'a Hub) -> Result<Self> {
        let weights_origin = if settings.weights.as_os_str().is_empty() {
            WeightsOrigin::Hub(PinnedFile::of(&model.row().weights, settings)?)
        } else {
            WeightsOrigin::File(model.image_weights(settings, hub)?.digest.to_string())
        };
        Ok(Self { model, hub, weights_origin })
    }

    /// Whether vectors with these parameters are in this space. `origin` is the repository and commit, as recorded in
    /// the index.
    ///
    /// An index records only the origin of its first run. Vectors with another origin are in the space too if the
    /// weights are the same, which the copy of the image tower in `models/` shows.
    pub fn contains(&self, params: &Value, origin: Option<(&str, &str)>) -> bool {
        let cached_digest = |pin| Weights::cached_digest(pin, IMAGE_OUTPUT, self.hub).map(|digest| digest.to_string());
        let same_weights = match &self.weights_origin {
            WeightsOrigin::File(digest) => params["weights"] == *digest,
            WeightsOrigin::Hub(pin) => {
                origin == Some((&*pin.repo, &*pin.revision))
                    || params["weights"].as_str() == cached_digest(pin).as_deref()
            }
        };
        params["model"] == self.model.name.to_string() && same_weights
    }
}

/// A loaded text tower with its tokenizer.
pub struct TextEncoder {
    model: &'static DualEncoder,
    tokenizer: Tokenizer,
    tower: Func<'static>,
}

impl TextEncoder {
    /// Locates the text tower's weights and the tokenizer in the same places as the image tower's weights, and loads
    /// them. With `embed.weights`, `tokenizer.json` is expected next to that file.
    ///
    /// # Errors
    /// When they are not available, or do not match.
    pub fn load(model: &'static DualEncoder, settings: &EmbedSettings, hub: &Hub) -> Result<Self> {
        let weights = Weights::find(&model.row().weights, TEXT_OUTPUT, &tensor_specs(model.tower)?, settings, hub)?;
        let tokenizer = tokenizer(&tokenizer_json(model, settings, hub)?)?;
        Ok(Self { model, tokenizer, tower: (model.tower)(weights.builder(&Device::Cpu)?)? })
    }

    /// The vector of a text, of length one. A text longer than the tower can read is truncated.
    ///
    /// # Errors
    /// When the device fails, or damaged weights give a number that is not finite.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let tokens = (self.model.tokens)(&self.tokenizer, text)?;
        let tokens = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let vector: Vec<f32> = self.tower.forward(&tokens)?.flatten_all()?.to_vec1()?;
        ensure!(vector.iter().all(|x| x.is_finite()), "the weights give a vector that is not finite for this text");
        Ok(vector)
    }
}

/// A classifier whose classes are the words of a vocabulary. `vectors` are the vectors of the words, of length one, one
/// after another.
///
/// # Errors
/// When the variable `TSNE_GRID_SIMD` names a level that this CPU does not have.
pub fn classifier(vocabulary: Vocabulary, vectors: &[f32]) -> Result<Classifier> {
    let weight: Vec<f32> = vectors.iter().map(|x| LOGIT_SCALE * x).collect();
    Ok(Classifier::new(simd_level()?, &weight, &vec![0.0; vocabulary.len()], vocabulary))
}

/// The content of `tokenizer.json`.
fn tokenizer_json(model: &DualEncoder, settings: &EmbedSettings, hub: &Hub) -> Result<Vec<u8>> {
    let local_file = settings.weights.with_file_name(TOKENIZER);
    if !settings.weights.as_os_str().is_empty() && local_file.is_file() {
        return Ok(fs_err::read(local_file)?);
    }
    let pin = PinnedFile::of(&model.row().weights, settings)?;
    weights::tokenizer_json(&pin.sibling(TOKENIZER, model.tokenizer_sha256), hub)
}

/// Parses a tokenizer. Its own settings for truncation and padding are disabled, because the functions below do both as
/// the models' authors do.
fn tokenizer(json: &[u8]) -> Result<Tokenizer> {
    let mut tokenizer = Tokenizer::from_bytes(json).map_err(|error| anyhow!("{TOKENIZER}: {error}"))?;
    tokenizer.with_truncation(None).map_err(|error| anyhow!("{TOKENIZER}: {error}"))?;
    tokenizer.with_padding(None);
    Ok(tokenizer)
}

/// Token ids with start and end token. A long text is truncated before the end token, because the tower reads its
/// output there.
fn clip_tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let mut tokens = token_ids(tokenizer, text, true)?;
    if tokens.len() > clip::MAX_TOKENS {
        let end = tokens[tokens.len() - 1];
        tokens.truncate(clip::MAX_TOKENS - 1);
        tokens.push(end);
    }
    Ok(tokens)
}

/// Token ids of the text in lower case, truncated, then the end token, then padding to the full length, because the
/// tower reads its output from the last position.
fn siglip_tokens(tokenizer: &Tokenizer, text: &str) -> Result<Vec<u32>> {
    let token_id = |token| {
        let token_id = tokenizer.token_to_id(token);
        token_id
            .with_context(|| format!("{TOKENIZER}: there is no token {token}, which the vocabulary of SigLIP 2 has"))
    };
    // Character by character, like the lowercase step of `tokenizers`. `str::to_lowercase` would turn a capital sigma
    // at the end of a word into a final sigma.
    let lower: String = text.chars().flat_map(char::to_lowercase).collect();
    let mut tokens = token_ids(tokenizer, &lower, false)?;
    tokens.truncate(siglip::TOKENS - 1);
    tokens.push(token_id("<eos>")?);
    tokens.resize(siglip::TOKENS, token_id("<pad>")?);
    Ok(tokens)
}

/// Token ids, with the special tokens of the tokenizer file if `special_tokens` is true.
fn token_ids(tokenizer: &Tokenizer, text: &str, special_tokens: bool) -> Result<Vec<u32>> {
    let encoding = tokenizer.encode(text, special_tokens).map_err(|error| anyhow!("{error}"))?;
    Ok(encoding.get_ids().to_vec())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn assert_equal(model: ModelName, vocabulary: &[u8], golden: &str) {
        let (model, tokenizer) = (DualEncoder::by_name(model).unwrap(), tokenizer(vocabulary).unwrap());
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
    #[ignore = "needs the vocabulary that scripts/generate/tokens.py --real fetches"]
    fn tokens_of_the_real_vocabulary() {
        let folder = PathBuf::from(std::env::var_os("TSNE_GRID_TOKENS").expect("TSNE_GRID_TOKENS names its folder"));
        let golden = std::fs::read_to_string(folder.join("tokens.json")).unwrap();
        assert_equal(ModelName::Clip, &std::fs::read(folder.join(TOKENIZER)).unwrap(), &golden);
    }
}
