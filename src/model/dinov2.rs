//! DINOv2 (Oquab et al. 2023, arXiv:2304.07193), the small ViT with patches of 14: the class token
//! after the last normalisation, 384 numbers.
//!
//! candle-transformers has this network for squares of 518 with a classifier on it; here it takes
//! 224, for which the learned places are interpolated as PyTorch's bicubic does it, and gives the
//! features. Names of tensors are those of Hugging Face's `transformers`.

use candle_core::{D, IndexOp, Result, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Func, LayerNorm, Linear, Module, VarBuilder, conv2d, layer_norm, linear, ops};

use super::kernels::simd::Level;
use super::network::Planar;
use super::towers::{Names, Sizes, numbers};
use super::vit::{self, Free, Head, Patches, Tower};

/// What makes it small.
pub(super) struct Config {
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) blocks: usize,
    /// Patches a side that the places were learned for, and that the input has.
    pub(super) learned: usize,
    pub(super) side: usize,
}

const SMALL: Config = Config { width: 384, heads: 6, blocks: 12, learned: 37, side: 16 };
/// Pixels a side of a patch.
pub(super) const PATCH: usize = 14;
const EPSILON: f64 = 1e-6;

/// (n, 3, 224, 224) to (n, 384).
pub(super) fn small(tensors: VarBuilder<'static>) -> Result<Func<'static>> {
    network(&tensors, &SMALL)
}

/// The same by our kernels.
pub(super) fn small_kernels(tensors: &VarBuilder<'static>, level: Level) -> Result<Box<dyn Planar>> {
    Ok(Box::new(kernels(tensors, level, &SMALL)?))
}

pub(super) fn kernels(tensors: &VarBuilder<'static>, level: Level, config: &Config) -> Result<Tower> {
    let Config { width, heads, blocks, learned, side } = *config;
    let sizes = Sizes { level, width, heads, epsilon: EPSILON as f32 };
    let embeddings = tensors.pp("embeddings");
    let projection = embeddings.pp("patch_embeddings.projection");
    let pixels = numbers(&projection, &[width, 3, PATCH, PATCH], "weight")?;
    let bias = numbers(&projection, &[width], "bias")?;
    let mut class = numbers(&embeddings, &[1, 1, width], "cls_token")?;
    let places = embeddings.get((1, 1 + learned * learned, width), "position_embeddings")?;
    let place: Vec<f32> = places.i((0, 0))?.to_vec1()?;
    class.iter_mut().zip(place).for_each(|(class, place)| *class += place);
    let places = interpolated(&places.narrow(1, 1, learned * learned)?, learned, side)?.flatten_all()?.to_vec1()?;
    let names = Names {
        norms: ["norm1", "norm2"],
        attention: ["attention.attention.query", "attention.attention.key", "attention.attention.value"],
        outward: "attention.output.dense",
        scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
    };
    Ok(Tower {
        level,
        patches: Patches {
            side: PATCH,
            across: side,
            linear: vit::Linear::new(level, &pixels, Some(&bias), width),
            class: Some(class),
            places,
        },
        before: None,
        layers: sizes.layers(&tensors.pp("encoder.layer"), blocks, &names)?,
        heads,
        activation: vit::Activation::Gelu,
        after: sizes.norm(tensors.pp("layernorm"))?,
        head: Head::Class(None),
        unit: false,
        free: Free::default(),
    })
}

pub(super) fn network(tensors: &VarBuilder<'static>, config: &Config) -> Result<Func<'static>> {
    let Config { width, blocks, learned, side, .. } = *config;
    let embeddings = tensors.pp("embeddings");
    let stride = Conv2dConfig { stride: PATCH, ..Default::default() };
    let patches: Conv2d = conv2d(3, width, PATCH, stride, embeddings.pp("patch_embeddings.projection"))?;
    let class = embeddings.get((1, 1, width), "cls_token")?;
    let places = embeddings.get((1, 1 + learned * learned, width), "position_embeddings")?;
    let (class_place, places) = (places.narrow(1, 0, 1)?, places.narrow(1, 1, learned * learned)?);
    let class = (class + class_place)?;
    let places = interpolated(&places, learned, side)?;
    let block = |i: usize| Block::new(&tensors.pp("encoder.layer").pp(i), config);
    let blocks: Vec<Block> = (0..blocks).map(block).collect::<Result<_>>()?;
    let norm = layer_norm(width, EPSILON, tensors.pp("layernorm"))?;
    Ok(Func::new(move |x| {
        let x = patches.forward(x)?.flatten_from(2)?.transpose(1, 2)?.broadcast_add(&places)?;
        let class = class.broadcast_as((x.dim(0)?, 1, class.dim(D::Minus1)?))?;
        let mut x = Tensor::cat(&[&class, &x], 1)?;
        for block in &blocks {
            x = block.forward(&x)?;
        }
        norm.forward(&x.i((.., 0))?.contiguous()?)
    }))
}

/// A block: attention and two dense layers, each normalised before and scaled after.
struct Block {
    norms: [LayerNorm; 2],
    /// Query, key, value and output.
    attention: [Linear; 4],
    dense: [Linear; 2],
    scales: [Tensor; 2],
    heads: usize,
}

impl Block {
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

impl Module for Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let attended = self.attend(&self.norms[0].forward(x)?)?.broadcast_mul(&self.scales[0])?;
        let x = (x + attended)?;
        let [wide, narrow] = &self.dense;
        let dense = narrow.forward(&wide.forward(&self.norms[1].forward(&x)?)?.gelu_erf()?)?;
        x + dense.broadcast_mul(&self.scales[1])?
    }
}

/// Places (1, from², width) learned on a square, for one of `to` a side.
fn interpolated(places: &Tensor, from: usize, to: usize) -> Result<Tensor> {
    let width = places.dim(D::Minus1)?;
    let weights = Tensor::from_vec(cubic(from, to), (to, from), places.device())?;
    // Rows of the square, then its columns.
    let rows = weights.matmul(&places.reshape((from, from * width))?)?.reshape((to, from, width))?;
    weights.broadcast_left(to)?.contiguous()?.matmul(&rows)?.reshape((1, to * to, width))
}

/// PyTorch's `interpolate(mode="bicubic", align_corners=False)` of one axis as a matrix (to, from):
/// Keys' cubic with a = -3/4 over four neighbours, which beyond the border are the border's.
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
            let place = centre.floor() + f64::from(tap);
            row[place.clamp(0.0, from as f64 - 1.0) as usize] += kernel(centre - place) as f32;
        }
    }
    weights
}
