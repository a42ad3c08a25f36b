//! SigLIP 2 (Tschannen et al. 2025, arXiv:2502.14786) for one fixed input size: pictures and texts in one embedding
//! space.
//!
//! With a fixed size the network is that of SigLIP, as in candle-transformers. The differences are the training, the
//! languages, and therefore the vocabulary. The two towers are built separately, so that only the one in use is fetched
//! and loaded.

use candle_core::Result;
use candle_nn::{Activation, Func, Module, VarBuilder};
use candle_transformers::models::clip::div_l2_norm;
use candle_transformers::models::siglip::{TextConfig, TextModel, VisionConfig, VisionModel};

use super::kernels::simd::SimdLevel;
use super::network::PlanarNetwork;
use super::vit::{self, Head, Linear, PatchEmbedding, Pooled, VisionTransformer, WorkspacePool};
use super::vit_loader::{self, VitDims, numbers};

/// Length of the token sequence, including end token and padding. The text tower was trained with exactly this length
/// and reads its output from the last position.
pub(super) const TOKENS: usize = 64;

const WIDTH: usize = 768;
const EPSILON: f64 = 1e-6;

/// The configuration of the image tower.
fn image_config() -> VisionConfig {
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

/// Maps (n, 3, 256, 256) to (n, 768), each vector of length one.
pub(super) fn image_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    images_by_candle(&tensors, &image_config())
}

/// The image tower on our own kernels.
pub(super) fn image_kernels(tensors: &VarBuilder<'static>, level: SimdLevel) -> Result<Box<dyn PlanarNetwork>> {
    Ok(Box::new(images_by_kernels(tensors, level, &image_config())?))
}

pub(super) fn images_by_candle(tensors: &VarBuilder<'static>, config: &VisionConfig) -> Result<Func<'static>> {
    let tower = VisionModel::new(config, true, tensors.pp("vision_model"))?;
    Ok(Func::new(move |x| div_l2_norm(&tower.forward(x)?)))
}

pub(super) fn images_by_kernels(
    tensors: &VarBuilder<'static>,
    level: SimdLevel,
    config: &VisionConfig,
) -> Result<VisionTransformer> {
    let VisionConfig { hidden_size: width, num_attention_heads: heads, patch_size: side, .. } = *config;
    let dims = VitDims { level, width, heads, epsilon: config.layer_norm_eps as f32 };
    let vision = tensors.pp("vision_model");
    let (embeddings, across) = (vision.pp("embeddings"), config.image_size / side);
    let pixels = numbers(&embeddings, &[width, 3, side, side], "patch_embedding.weight")?;
    let bias = numbers(&embeddings, &[width], "patch_embedding.bias")?;
    let positions = numbers(&embeddings, &[across * across, width], "position_embedding.weight")?;
    let linear = Linear::new(level, &pixels, Some(&bias), width);
    Ok(VisionTransformer {
        level,
        patches: PatchEmbedding { side, across, linear, class: None, positions },
        norm_before: None,
        layers: dims.layers(&vision.pp("encoder.layers"), config.num_hidden_layers, &vit_loader::CLIP)?,
        heads,
        activation: vit::Activation::GeluTanh,
        norm_after: dims.norm(vision.pp("post_layernorm"))?,
        head: Head::Pooled(Box::new(pooling_head(&vision.pp("head"), &dims)?)),
        unit_length: true,
        workspaces: WorkspacePool::default(),
    })
}

/// The attention pooling head. Its query (`probe`) is a parameter and the same for every picture, so it is projected
/// and scaled once here.
fn pooling_head(tensors: &VarBuilder<'static>, dims: &VitDims) -> Result<Pooled> {
    let (attention, width) = (tensors.pp("attention"), dims.width);
    let weight = numbers(&attention, &[3 * width, width], "in_proj_weight")?;
    let bias = numbers(&attention, &[3 * width], "in_proj_bias")?;
    let probe = numbers(tensors, &[1, 1, width], "probe")?;
    let query = weight.chunks_exact(width).zip(&bias).take(width).map(|(row, bias)| {
        let sum: f64 = row.iter().zip(&probe).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        (sum + f64::from(*bias)) as f32 / dims.root()
    });
    let query: Vec<f32> = query.collect();
    // The first third of the projection is for queries, which are done; keys and values are one product.
    let key_value = Linear::new(dims.level, &weight[width * width..], Some(&bias[width..]), 2 * width);
    let post_attention =
        dims.post_attention(tensors, ["attention.out_proj", "layernorm", "mlp.fc1", "mlp.fc2"], [&[], &[]])?;
    Ok(Pooled::new(&query, key_value, post_attention))
}

/// Maps token ids (1, 64) to (1, 768), of length one.
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
        // Not used in the computation.
        pad_token_id: 0,
        bos_token_id: 2,
        eos_token_id: 1,
    };
    let tower = TextModel::new(&config, tensors.pp("text_model"))?;
    Ok(Func::new(move |x| div_l2_norm(&tower.forward(x)?)))
}
