//! SigLIP 2 (Tschannen et al. 2025, arXiv:2502.14786) of one fixed size: pictures and texts in one space.
//!
//! With a fixed size it is the network of SigLIP, as candle-transformers has it; new are the training, the languages and
//! with them the vocabulary. The towers are built apart, so that only the one that is used is fetched and loaded.

use candle_core::Result;
use candle_nn::{Activation, Func, Module, VarBuilder};
use candle_transformers::models::clip::div_l2_norm;
use candle_transformers::models::siglip::{TextConfig, TextModel, VisionConfig, VisionModel};

/// The text tower was trained with so many tokens, the end and what fills them up included, and reads the last.
pub(super) const TOKENS: usize = 64;

const WIDTH: usize = 768;
const EPSILON: f64 = 1e-6;

/// (n, 3, 256, 256) to (n, 768), each of length one.
pub(super) fn image_tower(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    let config = VisionConfig {
        hidden_size: WIDTH,
        intermediate_size: 4 * WIDTH,
        num_hidden_layers: 12,
        num_attention_heads: 12,
        num_channels: 3,
        image_size: 256,
        patch_size: 32,
        hidden_act: Activation::GeluPytorchTanh,
        layer_norm_eps: EPSILON,
    };
    let tower = VisionModel::new(&config, true, tensors.pp("vision_model"))?;
    Ok(Func::new(move |x| div_l2_norm(&tower.forward(x)?)))
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
