//! Builds the CPU kernels of a vision transformer from the tensors of its weights file.

use candle_core::Result;
use candle_nn::VarBuilder;

use super::kernels::simd::SimdLevel;
use super::vit::{EncoderLayer, LayerNorm, Linear, PostAttention};

/// Names of the tensors of an encoder layer.
pub(super) struct TensorNames {
    pub(super) norms: [&'static str; 2],
    /// Query, key and value.
    pub(super) attention: [&'static str; 3],
    pub(super) out_proj: &'static str,
    /// Per-channel factors of the two residual branches (LayerScale), if the network has them.
    pub(super) scales: Option<[&'static str; 2]>,
}

/// Names in Hugging Face's `transformers` for CLIP and SigLIP.
pub(super) const CLIP: TensorNames = TensorNames {
    norms: ["layer_norm1", "layer_norm2"],
    attention: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    out_proj: "self_attn.out_proj",
    scales: None,
};

/// Dimensions that all parts of a tower share.
pub(super) struct VitDims {
    pub(super) level: SimdLevel,
    pub(super) width: usize,
    pub(super) heads: usize,
    /// Added to the variance in layer normalisation.
    pub(super) epsilon: f32,
}

/// The elements of a tensor, flattened.
pub(super) fn numbers(tensors: &VarBuilder<'static>, shape: &[usize], name: &str) -> Result<Vec<f32>> {
    tensors.get(shape, name)?.flatten_all()?.to_vec1()
}

impl VitDims {
    pub(super) fn norm(&self, tensors: VarBuilder<'static>) -> Result<LayerNorm> {
        let part = |name| numbers(&tensors, &[self.width], name);
        Ok(LayerNorm::new(self.level, &part("weight")?, &part("bias")?, self.epsilon))
    }

    /// A linear layer with bias. Row i of the weights and bias i are multiplied by `scale[i]`, which folds a LayerScale
    /// into the layer. An empty `scale` changes nothing.
    pub(super) fn linear(
        &self,
        tensors: &VarBuilder<'static>,
        outputs: usize,
        inputs: usize,
        scale: &[f32],
    ) -> Result<Linear> {
        let (mut weight, mut bias) =
            (numbers(tensors, &[outputs, inputs], "weight")?, numbers(tensors, &[outputs], "bias")?);
        for ((row, bias), scale) in weight.chunks_exact_mut(inputs).zip(&mut bias).zip(scale) {
            row.iter_mut().chain([bias]).for_each(|number| *number *= scale);
        }
        Ok(Linear::new(self.level, &weight, Some(&bias), outputs))
    }

    /// The square root of a head's depth, by which attention divides the queries.
    pub(super) fn root(&self) -> f32 {
        ((self.width / self.heads) as f32).sqrt()
    }

    pub(super) fn layers(
        &self,
        tensors: &VarBuilder<'static>,
        count: usize,
        names: &TensorNames,
    ) -> Result<Vec<EncoderLayer>> {
        (0..count).map(|i| self.layer(&tensors.pp(i), names)).collect()
    }

    fn layer(&self, tensors: &VarBuilder<'static>, names: &TensorNames) -> Result<EncoderLayer> {
        let width = self.width;
        let scale = |branch: usize| match names.scales {
            Some(scales) => numbers(tensors, &[width], scales[branch]),
            None => Ok(Vec::new()),
        };
        // Query, key and value become one product. The division by the root of the depth is folded into the query
        // weights.
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names.attention {
            weight.extend(numbers(&tensors.pp(name), &[width, width], "weight")?);
            bias.extend(numbers(&tensors.pp(name), &[width], "bias")?);
        }
        let (queries, root) = (weight[..width * width].iter_mut().chain(&mut bias[..width]), self.root());
        queries.for_each(|number| *number /= root);
        Ok(EncoderLayer {
            norm: self.norm(tensors.pp(names.norms[0]))?,
            qkv: Linear::new(self.level, &weight, Some(&bias), 3 * width),
            post_attention: self.post_attention(
                tensors,
                [names.out_proj, names.norms[1], "mlp.fc1", "mlp.fc2"],
                [&scale(0)?, &scale(1)?],
            )?,
        })
    }

    /// The part of a layer after attention. `names` are output projection, normalisation and the two MLP layers;
    /// `scales` are the LayerScale factors of the two residual branches.
    pub(super) fn post_attention(
        &self,
        tensors: &VarBuilder<'static>,
        names: [&str; 4],
        scales: [&[f32]; 2],
    ) -> Result<PostAttention> {
        let (width, [out_proj, norm, fc1, fc2]) = (self.width, names);
        Ok(PostAttention {
            out_proj: self.linear(&tensors.pp(out_proj), width, width, scales[0])?,
            norm: self.norm(tensors.pp(norm))?,
            fc1: self.linear(&tensors.pp(fc1), 4 * width, width, &[])?,
            fc2: self.linear(&tensors.pp(fc2), width, 4 * width, scales[1])?,
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use candle_nn::{Activation, Func, Module};
    use candle_transformers::models::clip::text_model;
    use candle_transformers::models::clip::vision_model::ClipVisionConfig;
    use candle_transformers::models::siglip::VisionConfig;

    use super::super::noise::noise;
    use super::super::{clip, dinov2, siglip};
    use super::*;
    use crate::linalg::SplitMix64;

    /// Centre and spread of the random elements of a tensor.
    fn scale(name: &str, shape: &[usize]) -> (f64, f64) {
        let fan_in = shape[1..].iter().product::<usize>().max(1) as f64;
        let base = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
        (base, if shape.len() > 1 { (12.0 / fan_in).sqrt() } else { 0.4 })
    }

    /// Two layers of a network, narrower than the real one. Three pictures give more tokens than a register tile has
    /// rows.
    struct Case {
        name: &'static str,
        side: usize,
        candle: Func<'static>,
        kernels: Box<dyn Fn(SimdLevel) -> super::super::vit::VisionTransformer>,
    }

    fn cases() -> [Case; 3] {
        let tensors = || noise(scale);
        let like_clip = || ClipVisionConfig {
            embed_dim: 96,
            activation: text_model::Activation::QuickGelu,
            intermediate_size: 4 * 96,
            num_hidden_layers: 2,
            num_attention_heads: 3,
            projection_dim: 40,
            num_channels: 3,
            image_size: 40,
            patch_size: 8,
        };
        let like_siglip = || VisionConfig {
            hidden_size: 64,
            intermediate_size: 4 * 64,
            num_hidden_layers: 2,
            num_attention_heads: 2,
            num_channels: 3,
            image_size: 48,
            patch_size: 12,
            hidden_act: Activation::GeluPytorchTanh,
            layer_norm_eps: 1e-6,
        };
        let like_dino = || dinov2::Config { width: 48, heads: 1, blocks: 2, learned: 9, side: 6 };
        [
            Case {
                name: "clip",
                side: 40,
                candle: clip::images_by_candle(&tensors(), &like_clip()).unwrap(),
                kernels: Box::new(move |level| clip::images_by_kernels(&tensors(), level, &like_clip()).unwrap()),
            },
            Case {
                name: "siglip",
                side: 48,
                candle: siglip::images_by_candle(&tensors(), &like_siglip()).unwrap(),
                kernels: Box::new(move |level| siglip::images_by_kernels(&tensors(), level, &like_siglip()).unwrap()),
            },
            Case {
                name: "dinov2",
                side: 6 * dinov2::PATCH,
                candle: dinov2::network(&tensors(), &like_dino()).unwrap(),
                kernels: Box::new(move |level| dinov2::kernels(&tensors(), level, &like_dino()).unwrap()),
            },
        ]
    }

    fn planes(pictures: usize, side: usize) -> Vec<f32> {
        let mut random = SplitMix64::new(11);
        (0..pictures * 3 * side * side).map(|_| random.between(-2.0, 2.0) as f32).collect()
    }

    #[test]
    fn our_kernels_give_what_candle_gives_at_every_level() {
        for Case { name, side, candle, kernels } in cases() {
            let planes = planes(3, side);
            let input = Tensor::from_slice(&planes, (3, 3, side, side), &Device::Cpu).unwrap();
            let expected: Vec<f32> = candle.forward(&input).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let largest = expected.iter().fold(0.0, |max: f32, x| max.max(x.abs()));
            for level in SimdLevel::all() {
                let found = kernels(level).forward(&planes);
                assert_eq!(found.len(), expected.len(), "{name}");
                let close = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5 * largest);
                assert!(close, "{name}, {}: {found:?} and {expected:?}", level.name());
            }
        }
    }

    /// Vectors from rounded factors have nearly the same direction.
    #[test]
    fn sixteen_bits_are_near_thirty_two() {
        for Case { name, side, kernels, .. } in cases() {
            let planes = planes(3, side);
            for level in SimdLevel::all() {
                let Some(bf16_level) = level.with_bf16() else { continue };
                let (exact, found) = (kernels(level).forward(&planes), kernels(bf16_level).forward(&planes));
                assert!(exact != found, "{name}: the bf16 kernels are used");
                let width = exact.len() / 3;
                for (a, b) in exact.chunks(width).zip(found.chunks(width)) {
                    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
                    let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
                    assert!(cosine > 0.999, "{name}: {cosine}");
                }
            }
        }
    }

    #[test]
    fn bytes_depend_neither_on_threads_nor_on_the_batch() {
        for Case { name, side, kernels, .. } in cases() {
            let planes = planes(5, side);
            for level in SimdLevel::all().into_iter().flat_map(|level| [Some(level), level.with_bf16()]).flatten() {
                let tower = kernels(level);
                let vector_bits = |threads: usize, batch: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let groups = planes.chunks(batch * 3 * side * side);
                    let vectors = groups.flat_map(|planes| pool.install(|| tower.forward(planes)));
                    vectors.map(f32::to_bits).collect::<Vec<u32>>()
                };
                let expected = vector_bits(1, 5);
                for threads in [1, 2, 7] {
                    for batch in [1, 2, 5] {
                        assert!(
                            vector_bits(threads, batch) == expected,
                            "{name}, {}: {threads}, {batch}",
                            level.name()
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn two_callers_at_once_get_what_each_would_alone() {
        let [case, ..] = cases();
        let (tower, planes) = ((case.kernels)(SimdLevel::all()[0]), planes(2, case.side));
        let alone = tower.forward(&planes);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| (0..20).for_each(|_| assert!(tower.forward(&planes) == alone)));
            }
        });
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for Case { name, side, kernels, .. } in cases() {
            let mut planes = planes(2, side);
            planes[40] = f32::NAN;
            for level in SimdLevel::all() {
                let found = kernels(level).forward(&planes);
                let (first, second) = found.split_at(found.len() / 2);
                assert!(first.iter().all(|x| x.is_nan()), "{name}, {}", level.name());
                assert!(
                    second.iter().all(|x| x.is_finite()),
                    "{name}, {}: the other picture is not affected",
                    level.name()
                );
            }
        }
    }
}
