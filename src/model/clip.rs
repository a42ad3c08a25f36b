//! CLIP (Radford et al. 2021, arXiv:2103.00020): pictures and texts in one space, as
//! candle-transformers has it. The towers are built apart, so that only the one that is used is
//! fetched and loaded.

use candle_core::Result;
use candle_nn::{Func, Module, VarBuilder, linear_no_bias};
use candle_transformers::models::clip::div_l2_norm;
use candle_transformers::models::clip::text_model::{ClipTextConfig, ClipTextTransformer};
use candle_transformers::models::clip::vision_model::{ClipVisionConfig, ClipVisionTransformer};

use super::kernels::simd::Level;
use super::network::Planar;
use super::towers::{self, Sizes, numbers};
use super::vit::{Activation, Free, Head, Linear, Patches, Tower};

/// The text tower reads this many tokens, begin and end included.
pub(super) const MAX_TOKENS: usize = 77;

/// (n, 3, 224, 224) to (n, 512), each of length one.
pub(super) fn image_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    images_by_candle(&tensors, &ClipVisionConfig::vit_base_patch32())
}

/// The same by our kernels.
pub(super) fn image_kernels(tensors: &VarBuilder<'static>, level: Level) -> Result<Box<dyn Planar>> {
    Ok(Box::new(images_by_kernels(tensors, level, &ClipVisionConfig::vit_base_patch32())?))
}

pub(super) fn images_by_candle(tensors: &VarBuilder<'static>, config: &ClipVisionConfig) -> Result<Func<'static>> {
    let tower = ClipVisionTransformer::new(tensors.pp("vision_model"), config)?;
    let projection = linear_no_bias(config.embed_dim, config.projection_dim, tensors.pp("visual_projection"))?;
    Ok(Func::new(move |x| div_l2_norm(&projection.forward(&tower.forward(x)?)?)))
}

pub(super) fn images_by_kernels(
    tensors: &VarBuilder<'static>,
    level: Level,
    config: &ClipVisionConfig,
) -> Result<Tower> {
    let (width, side) = (config.embed_dim, config.patch_size);
    let sizes = Sizes { level, width, heads: config.num_attention_heads, epsilon: 1e-5 };
    let vision = tensors.pp("vision_model");
    let embeddings = vision.pp("embeddings");
    let across = config.image_size / side;
    let pixels = numbers(&embeddings, &[width, 3, side, side], "patch_embedding.weight")?;
    let mut places = numbers(&embeddings, &[1 + across * across, width], "position_embedding.weight")?;
    let mut class = numbers(&embeddings, &[width], "class_embedding")?;
    class.iter_mut().zip(places.drain(..width)).for_each(|(class, place)| *class += place);
    let projection = numbers(tensors, &[config.projection_dim, width], "visual_projection.weight")?;
    Ok(Tower {
        level,
        patches: Patches { side, across, linear: Linear::new(level, &pixels, None, width), class: Some(class), places },
        before: Some(sizes.norm(vision.pp("pre_layrnorm"))?),
        layers: sizes.layers(&vision.pp("encoder.layers"), config.num_hidden_layers, &towers::CLIP)?,
        heads: sizes.heads,
        activation: Activation::QuickGelu,
        after: sizes.norm(vision.pp("post_layernorm"))?,
        head: Head::Class(Some(Linear::new(level, &projection, None, config.projection_dim))),
        unit: true,
        free: Free::default(),
    })
}

/// Token numbers (1, up to 77) to (1, 512) of length one.
pub(super) fn text_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    let config = ClipTextConfig::vit_base_patch32();
    let tower = ClipTextTransformer::new(tensors.pp("text_model"), &config)?;
    let projection = linear_no_bias(config.embed_dim, config.projection_dim, tensors.pp("text_projection"))?;
    Ok(Func::new(move |x| div_l2_norm(&projection.forward(&tower.forward(x)?)?)))
}
