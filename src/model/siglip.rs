//! SigLIP 2 (Tschannen et al. 2025, arXiv:2502.14786) of one fixed size: pictures and texts in one space.
//!
//! With a fixed size it is the network of SigLIP, as candle-transformers has it; new are the training, the languages and
//! with them the vocabulary. The towers are built apart, so that only the one that is used is fetched and loaded.

use candle_core::Result;
use candle_nn::{Activation, Func, Module, VarBuilder};
use candle_transformers::models::clip::div_l2_norm;
use candle_transformers::models::siglip::{TextConfig, TextModel, VisionConfig, VisionModel};

use super::kernels::simd::Level;
use super::network::Planar;
use super::towers::{self, Sizes, numbers};
use super::vit::{self, Free, Head, Linear, Patches, Pooled, Tower};

/// The text tower was trained with so many tokens, the end and what fills them up included, and reads the last.
pub(super) const TOKENS: usize = 64;

const WIDTH: usize = 768;
const EPSILON: f64 = 1e-6;

/// Its image tower.
fn images() -> VisionConfig {
    VisionConfig {
        hidden_size: WIDTH,
        intermediate_size: 4 * WIDTH,
        num_hidden_layers: 12,
        num_attention_heads: 12,
        num_channels: 3,
        image_size: 256,
        patch_size: 32,
        hidden_act: Activation::GeluPytorchTanh,
        layer_norm_eps: EPSILON,
    }
}

/// (n, 3, 256, 256) to (n, 768), each of length one.
pub(super) fn image_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    images_by_candle(&tensors, &images())
}

/// The same by our kernels.
pub(super) fn image_kernels(tensors: &VarBuilder<'static>, level: Level) -> Result<Box<dyn Planar>> {
    Ok(Box::new(images_by_kernels(tensors, level, &images())?))
}

pub(super) fn images_by_candle(tensors: &VarBuilder<'static>, config: &VisionConfig) -> Result<Func<'static>> {
    let tower = VisionModel::new(config, true, tensors.pp("vision_model"))?;
    Ok(Func::new(move |x| div_l2_norm(&tower.forward(x)?)))
}

pub(super) fn images_by_kernels(tensors: &VarBuilder<'static>, level: Level, config: &VisionConfig) -> Result<Tower> {
    let VisionConfig { hidden_size: width, num_attention_heads: heads, patch_size: side, .. } = *config;
    let sizes = Sizes { level, width, heads, epsilon: config.layer_norm_eps as f32 };
    let vision = tensors.pp("vision_model");
    let (embeddings, across) = (vision.pp("embeddings"), config.image_size / side);
    let pixels = numbers(&embeddings, &[width, 3, side, side], "patch_embedding.weight")?;
    let bias = numbers(&embeddings, &[width], "patch_embedding.bias")?;
    let places = numbers(&embeddings, &[across * across, width], "position_embedding.weight")?;
    let linear = Linear::new(level, &pixels, Some(&bias), width);
    Ok(Tower {
        level,
        patches: Patches { side, across, linear, class: None, places },
        before: None,
        layers: sizes.layers(&vision.pp("encoder.layers"), config.num_hidden_layers, &towers::CLIP)?,
        heads,
        activation: vit::Activation::GeluTanh,
        after: sizes.norm(vision.pp("post_layernorm"))?,
        head: Head::Pooled(Box::new(pooled(&vision.pp("head"), &sizes)?)),
        unit: true,
        free: Free::default(),
    })
}

/// The head that attends to all tokens. Its query is the same for every picture.
fn pooled(tensors: &VarBuilder<'static>, sizes: &Sizes) -> Result<Pooled> {
    let (attention, width) = (tensors.pp("attention"), sizes.width);
    let weight = numbers(&attention, &[3 * width, width], "in_proj_weight")?;
    let bias = numbers(&attention, &[3 * width], "in_proj_bias")?;
    let probe = numbers(tensors, &[1, 1, width], "probe")?;
    let query = weight.chunks_exact(width).zip(&bias).take(width).map(|(row, bias)| {
        let sum: f64 = row.iter().zip(&probe).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        (sum + f64::from(*bias)) as f32 / sizes.root()
    });
    let query: Vec<f32> = query.collect();
    let inward = Linear::new(sizes.level, &weight[width * width..], Some(&bias[width..]), 2 * width);
    let rest = sizes.rest(tensors, ["attention.out_proj", "layernorm", "mlp.fc1", "mlp.fc2"], [&[], &[]])?;
    Ok(Pooled::new(&query, inward, rest))
}

/// Token numbers (1, 64) to (1, 768) of length one.
pub(super) fn text_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    let config = TextConfig {
        vocab_size: 256_000,
        hidden_size: WIDTH,
        intermediate_size: 4 * WIDTH,
        num_hidden_layers: 12,
        num_attention_heads: 12,
        max_position_embeddings: TOKENS,
        hidden_act: Activation::GeluPytorchTanh,
        layer_norm_eps: EPSILON,
        // They take no part in what it computes.
        pad_token_id: 0,
        bos_token_id: 2,
        eos_token_id: 1,
    };
    let tower = TextModel::new(&config, tensors.pp("text_model"))?;
    Ok(Func::new(move |x| div_l2_norm(&tower.forward(x)?)))
}
