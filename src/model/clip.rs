//! CLIP (Radford et al. 2021, arXiv:2103.00020), as in candle-transformers: pictures and texts in one embedding space.
//! The two towers are built separately, so that only the one in use is fetched and loaded.

use candle_core::Result;
use candle_nn::{Func, Module, VarBuilder, linear_no_bias};
use candle_transformers::models::clip::div_l2_norm;
use candle_transformers::models::clip::text_model::{ClipTextConfig, ClipTextTransformer};
use candle_transformers::models::clip::vision_model::{ClipVisionConfig, ClipVisionTransformer};

use super::kernels::simd::SimdLevel;
use super::network::PlanarNetwork;
use super::vit::{Activation, Head, Linear, PatchEmbedding, VisionTransformer, WorkspacePool};
use super::vit_loader::{self, VitDims, numbers};

/// Maximum number of tokens that the text tower reads, including the start and the end token.
pub(super) const MAX_TOKENS: usize = 77;

/// Maps (n, 3, 224, 224) to (n, 512), each vector of length one.
pub(super) fn image_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    images_by_candle(&tensors, &ClipVisionConfig::vit_base_patch32())
}

/// The image tower on our own kernels.
pub(super) fn image_kernels(tensors: &VarBuilder<'static>, level: SimdLevel) -> Result<Box<dyn PlanarNetwork>> {
    Ok(Box::new(images_by_kernels(tensors, level, &ClipVisionConfig::vit_base_patch32())?))
}

pub(super) fn images_by_candle(tensors: &VarBuilder<'static>, config: &ClipVisionConfig) -> Result<Func<'static>> {
    let tower = ClipVisionTransformer::new(tensors.pp("vision_model"), config)?;
    let projection = linear_no_bias(config.embed_dim, config.projection_dim, tensors.pp("visual_projection"))?;
    Ok(Func::new(move |x| div_l2_norm(&projection.forward(&tower.forward(x)?)?)))
}

pub(super) fn images_by_kernels(
    tensors: &VarBuilder<'static>,
    level: SimdLevel,
    config: &ClipVisionConfig,
) -> Result<VisionTransformer> {
    let (width, side) = (config.embed_dim, config.patch_size);
    let dims = VitDims { level, width, heads: config.num_attention_heads, epsilon: 1e-5 };
    let vision = tensors.pp("vision_model");
    let embeddings = vision.pp("embeddings");
    let across = config.image_size / side;
    let pixels = numbers(&embeddings, &[width, 3, side, side], "patch_embedding.weight")?;
    let mut positions = numbers(&embeddings, &[1 + across * across, width], "position_embedding.weight")?;
    // The first position embedding belongs to the class token and is constant, so it is added in advance.
    let mut class = numbers(&embeddings, &[width], "class_embedding")?;
    class.iter_mut().zip(positions.drain(..width)).for_each(|(class, position)| *class += position);
    let projection = numbers(tensors, &[config.projection_dim, width], "visual_projection.weight")?;
    Ok(VisionTransformer {
        level,
        patches: PatchEmbedding {
            side,
            across,
            linear: Linear::new(level, &pixels, None, width),
            class: Some(class),
            positions,
        },
        norm_before: Some(dims.norm(vision.pp("pre_layrnorm"))?),
        layers: dims.layers(&vision.pp("encoder.layers"), config.num_hidden_layers, &vit_loader::CLIP)?,
        heads: dims.heads,
        activation: Activation::QuickGelu,
        norm_after: dims.norm(vision.pp("post_layernorm"))?,
        head: Head::Class(Some(Linear::new(level, &projection, None, config.projection_dim))),
        unit_length: true,
        workspaces: WorkspacePool::default(),
    })
}

/// Maps token ids (1, up to 77) to (1, 512), of length one.
pub(super) fn text_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    let config = ClipTextConfig::vit_base_patch32();
    let tower = ClipTextTransformer::new(tensors.pp("text_model"), &config)?;
    let projection = linear_no_bias(config.embed_dim, config.projection_dim, tensors.pp("text_projection"))?;
    Ok(Func::new(move |x| div_l2_norm(&projection.forward(&tower.forward(x)?)?)))
}
