//! DINOv2 (Oquab et al. 2023, arXiv:2304.07193), the small ViT with patches of 14 pixels. The vector is the class token
//! after the last normalisation, 384 numbers.
//!
//! candle-transformers has this network for pictures of 518 x 518 with a classifier. Here it takes 224 x 224, for which
//! the learned position embeddings are interpolated like PyTorch's bicubic mode, and returns the features. Tensor names
//! are those of Hugging Face's `transformers`.

use candle_core::{D, IndexOp, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Func, LayerNorm, Linear, Module, VarBuilder, conv2d, layer_norm, linear, ops};

use super::kernels::simd::SimdLevel;
use super::network::PlanarNetwork;
use super::vit::{self, Head, PatchEmbedding, VisionTransformer, WorkspacePool};
use super::vit_loader::{TensorNames, VitDims, numbers};

/// Dimensions of the network.
pub(super) struct Config {
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) blocks: usize,
    /// Patches per side for which the position embeddings were learned, and patches per side of the input.
    pub(super) learned: usize,
    pub(super) side: usize,
}

const SMALL: Config = Config { width: 384, heads: 6, blocks: 12, learned: 37, side: 16 };
/// Side of a patch in pixels.
pub(super) const PATCH: usize = 14;
const EPSILON: f64 = 1e-6;

/// Maps (n, 3, 224, 224) to (n, 384), on candle.
pub(super) fn small(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    network(&tensors, &SMALL)
}

/// The network on our own kernels.
pub(super) fn small_kernels(tensors: &VarBuilder<'static>, level: SimdLevel) -> Result<Box<dyn PlanarNetwork>> {
    Ok(Box::new(kernels(tensors, level, &SMALL)?))
}

pub(super) fn kernels(tensors: &VarBuilder<'static>, level: SimdLevel, config: &Config) -> Result<VisionTransformer> {
    let Config { width, heads, blocks, learned, side } = *config;
    let dims = VitDims { level, width, heads, epsilon: EPSILON as f32 };
    let embeddings = tensors.pp("embeddings");
    let projection = embeddings.pp("patch_embeddings.projection");
    let pixels = numbers(&projection, &[width, 3, PATCH, PATCH], "weight")?;
    let bias = numbers(&projection, &[width], "bias")?;
    let mut class = numbers(&embeddings, &[1, 1, width], "cls_token")?;
    let positions = embeddings.get((1, 1 + learned * learned, width), "position_embeddings")?;
    let class_position: Vec<f32> = positions.i((0, 0))?.to_vec1()?;
    class.iter_mut().zip(class_position).for_each(|(class, position)| *class += position);
    let positions =
        interpolated(&positions.narrow(1, 1, learned * learned)?, learned, side)?.flatten_all()?.to_vec1()?;
    let names = TensorNames {
        norms: ["norm1", "norm2"],
        attention: ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
        out_proj: "attention.output.dense",
        scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
    };
    Ok(VisionTransformer {
        level,
        patches: PatchEmbedding {
            side: PATCH,
            across: side,
            linear: vit::Linear::new(level, &pixels, Some(&bias), width),
            class: Some(class),
            positions,
        },
        norm_before: None,
        layers: dims.layers(&tensors.pp("encoder.layer"), blocks, &names)?,
        heads,
        activation: vit::Activation::Gelu,
        norm_after: dims.norm(tensors.pp("layernorm"))?,
        head: Head::Class(None),
        unit_length: false,
        workspaces: WorkspacePool::default(),
    })
}

pub(super) fn network(tensors: &VarBuilder<'static>, config: &Config) -> Result<Func<'static>> {
    let Config { width, blocks, learned, side, .. } = *config;
    let embeddings = tensors.pp("embeddings");
    let stride = Conv2dConfig { stride: PATCH, ..Default::default() };
    let patches: Conv2d = conv2d(3, width, PATCH, stride, embeddings.pp("patch_embeddings.projection"))?;
    let class = embeddings.get((1, 1, width), "cls_token")?;
    let positions = embeddings.get((1, 1 + learned * learned, width), "position_embeddings")?;
    let (class_position, positions) = (positions.narrow(1, 0, 1)?, positions.narrow(1, 1, learned * learned)?);
    let class = (class + class_position)?;
    let positions = interpolated(&positions, learned, side)?;
    let block = |i: usize| TransformerBlock::new(&tensors.pp("encoder.layer").pp(i), config);
    let blocks: Vec<TransformerBlock> = (0..blocks).map(block).collect::<Result<_>>()?;
    let norm = layer_norm(width, EPSILON, tensors.pp("layernorm"))?;
    Ok(Func::new(move |x| {
        let x = patches.forward(x)?.flatten_from(2)?.transpose(1, 2)?.broadcast_add(&positions)?;
        let class = class.broadcast_as((x.dim(0)?, 1, class.dim(D::Minus1)?))?;
        let mut x = Tensor::cat(&[&class, &x], 1)?;
        for block in &blocks {
            x = block.forward(&x)?;
        }
        norm.forward(&x.i((.., 0))?.contiguous()?)
    }))
}

/// A transformer block: attention and an MLP of two dense layers. The input of each is normalised, its output is
/// multiplied by a LayerScale and added to the residual.
struct TransformerBlock {
    norms: [LayerNorm; 2],
    /// Query, key, value and output.
    attention: [Linear; 4],
    dense: [Linear; 2],
    scales: [Tensor; 2],
    heads: usize,
}

impl TransformerBlock {
    fn new(tensors: &VarBuilder<'static>, config: &Config) -> Result<Self> {
        let width = config.width;
        let square = |name: &str| linear(width, width, tensors.pp(name));
        let norm = |name: &str| layer_norm(width, EPSILON, tensors.pp(name));
        Ok(Self {
            norms: [norm("norm1")?, norm("norm2")?],
            attention: [
                square("attention.attention.query")?,
                square("attention.attention.key")?,
                square("attention.attention.value")?,
                square("attention.output.dense")?,
            ],
            dense: [linear(width, 4 * width, tensors.pp("mlp.fc1"))?, linear(4 * width, width, tensors.pp("mlp.fc2"))?],
            scales: [tensors.get(width, "layer_scale1.lambda1")?, tensors.get(width, "layer_scale2.lambda1")?],
            heads: config.heads,
        })
    }

    /// Multi-head attention: softmax(q kᵀ / √depth) v, then the output projection. (n, tokens, width) to the same
    /// shape.
    fn attend(&self, x: &Tensor) -> Result<Tensor> {
        let (n, tokens, width) = x.dims3()?;
        let depth = width / self.heads;
        let [query, key, value, output] = &self.attention;
        let heads =
            |layer: &Linear| layer.forward(x)?.reshape((n, tokens, self.heads, depth))?.transpose(1, 2)?.contiguous();
        let scores = (heads(query)? * (depth as f64).powf(-0.5))?.matmul(&heads(key)?.t()?)?;
        let mixed = ops::softmax_last_dim(&scores)?.matmul(&heads(value)?)?;
        output.forward(&mixed.transpose(1, 2)?.reshape((n, tokens, width))?)
    }
}

impl Module for TransformerBlock {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let attended = self.attend(&self.norms[0].forward(x)?)?.broadcast_mul(&self.scales[0])?;
        let x = (x + attended)?;
        let [wide, narrow] = &self.dense;
        let dense = narrow.forward(&wide.forward(&self.norms[1].forward(&x)?)?.gelu_erf()?)?;
        x + dense.broadcast_mul(&self.scales[1])?
    }
}

/// Interpolates position embeddings (1, from², width), learned on a square grid, to a grid of `to` x `to`.
fn interpolated(positions: &Tensor, from: usize, to: usize) -> Result<Tensor> {
    let width = positions.dim(D::Minus1)?;
    let weights = Tensor::from_vec(cubic(from, to), (to, from), positions.device())?;
    // The interpolation is separable: first along the rows of the grid, then along its columns.
    let rows = weights.matmul(&positions.reshape((from, from * width))?)?.reshape((to, from, width))?;
    weights.broadcast_left(to)?.contiguous()?.matmul(&rows)?.reshape((1, to * to, width))
}

/// PyTorch's `interpolate(mode="bicubic", align_corners=False)` along one axis, as a matrix (to, from): Keys' cubic
/// convolution with a = -3/4 over four neighbours. Neighbours beyond the border are clamped to the border.
fn cubic(from: usize, to: usize) -> Vec<f32> {
    const A: f64 = -0.75;
    let kernel = |distance: f64| {
        let x = distance.abs();
        match x {
            _ if x <= 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            _ if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
            _ => 0.0,
        }
    };
    let mut weights = vec![0.0; to * from];
    for (i, row) in weights.chunks_exact_mut(from).enumerate() {
        let centre = (i as f64 + 0.5) * from as f64 / to as f64 - 0.5;
        for tap in -1..=2 {
            let neighbour = centre.floor() + f64::from(tap);
            row[neighbour.clamp(0.0, from as f64 - 1.0) as usize] += kernel(centre - neighbour) as f32;
        }
    }
    weights
}
