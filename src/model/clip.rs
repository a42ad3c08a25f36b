//! CLIP (Radford et al. 2021, arXiv:2103.00020): pictures and texts in one space, as
//! candle-transformers has it. The towers are built apart, so that only the one that is used is
//! fetched and loaded.

use candle_core::Result;
use candle_nn::{Func, Module, VarBuilder, linear_no_bias};
use candle_transformers::models::clip::div_l2_norm;
use candle_transformers::models::clip::text_model::{ClipTextConfig, ClipTextTransformer};
use candle_transformers::models::clip::vision_model::{ClipVisionConfig, ClipVisionTransformer};

/// The text tower reads this many tokens, begin and end included.
pub(super) const MAX_TOKENS: usize = 77;

/// (n, 3, 224, 224) to (n, 512), each of length one.
pub(super) fn image_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    let config = ClipVisionConfig::vit_base_patch32();
    let tower = ClipVisionTransformer::new(tensors.pp("vision_model"), &config)?;
    let projection = linear_no_bias(config.embed_dim, config.projection_dim, tensors.pp("visual_projection"))?;
    Ok(Func::new(move |x| div_l2_norm(&projection.forward(&tower.forward(x)?)?)))
}

/// Token numbers (1, up to 77) to (1, 512) of length one.
pub(super) fn text_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    let config = ClipTextConfig::vit_base_patch32();
    let tower = ClipTextTransformer::new(tensors.pp("text_model"), &config)?;
    let projection = linear_no_bias(config.embed_dim, config.projection_dim, tensors.pp("text_projection"))?;
    Ok(Func::new(move |x| div_l2_norm(&projection.forward(&tower.forward(x)?)?)))
}
