//! From the tensors of a vision transformer's file to the kernels that compute it on the CPU.

use candle_core::Result;
use candle_nn::VarBuilder;

use super::kernels::simd::Level;
use super::vit::{Layer, Linear, Norm, Rest};

/// Names of the parts of a layer.
pub(super) struct Names {
    pub(super) norms: [&'static str; 2],
    /// Query, key and value.
    pub(super) attention: [&'static str; 3],
    pub(super) outward: &'static str,
    /// What the two sums around the residual are multiplied by, channel by channel.
    pub(super) scales: Option<[&'static str; 2]>,
}

/// Names that transformers gives in CLIP and SigLIP.
pub(super) const CLIP: Names = Names {
    norms: ["layer_norm1", "layer_norm2"],
    attention: ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    outward: "self_attn.out_proj",
    scales: None,
};

/// What the parts of a tower have in common.
pub(super) struct Sizes {
    pub(super) level: Level,
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) epsilon: f32,
}

/// All numbers of a tensor.
pub(super) fn numbers(tensors: &VarBuilder<'static>, shape: &[usize], name: &str) -> Result<Vec<f32>> {
    tensors.get(shape, name)?.flatten_all()?.to_vec1()
}

impl Sizes {
    pub(super) fn norm(&self, tensors: VarBuilder<'static>) -> Result<Norm> {
        let part = |name| numbers(&tensors, &[self.width], name);
        Ok(Norm::new(self.level, &part("weight")?, &part("bias")?, self.epsilon))
    }

    /// A layer with bias, its outputs multiplied by `scale`.
    pub(super) fn linear(
        &self,
        tensors: &VarBuilder<'static>,
        to: usize,
        from: usize,
        scale: &[f32],
    ) -> Result<Linear> {
        let (mut weight, mut bias) = (numbers(tensors, &[to, from], "weight")?, numbers(tensors, &[to], "bias")?);
        for ((row, bias), scale) in weight.chunks_exact_mut(from).zip(&mut bias).zip(scale) {
            row.iter_mut().chain([bias]).for_each(|number| *number *= scale);
        }
        Ok(Linear::new(self.level, &weight, Some(&bias), to))
    }

    /// What queries are divided by.
    pub(super) fn root(&self) -> f32 {
        ((self.width / self.heads) as f32).sqrt()
    }

    pub(super) fn layers(&self, tensors: &VarBuilder<'static>, count: usize, names: &Names) -> Result<Vec<Layer>> {
        (0..count).map(|i| self.layer(&tensors.pp(i), names)).collect()
    }

    fn layer(&self, tensors: &VarBuilder<'static>, names: &Names) -> Result<Layer> {
        let width = self.width;
        let scale = |at: usize| match names.scales {
            Some(scales) => numbers(tensors, &[width], scales[at]),
            None => Ok(Vec::new()),
        };
        let (mut weight, mut bias) = (Vec::new(), Vec::new());
        for name in names.attention {
            weight.extend(numbers(&tensors.pp(name), &[width, width], "weight")?);
            bias.extend(numbers(&tensors.pp(name), &[width], "bias")?);
        }
        let (queries, root) = (weight[..width * width].iter_mut().chain(&mut bias[..width]), self.root());
        queries.for_each(|number| *number /= root);
        Ok(Layer {
            norm: self.norm(tensors.pp(names.norms[0]))?,
            inward: Linear::new(self.level, &weight, Some(&bias), 3 * width),
            rest: self.rest(
                tensors,
                [names.outward, names.norms[1], "mlp.fc1", "mlp.fc2"],
                [&scale(0)?, &scale(1)?],
            )?,
        })
    }

    /// What follows attention, by the names of its parts; `scales` are those of the two sums.
    pub(super) fn rest(&self, tensors: &VarBuilder<'static>, names: [&str; 4], scales: [&[f32]; 2]) -> Result<Rest> {
        let (width, [outward, norm, wide, narrow]) = (self.width, names);
        Ok(Rest {
            outward: self.linear(&tensors.pp(outward), width, width, scales[0])?,
            norm: self.norm(tensors.pp(norm))?,
            wide: self.linear(&tensors.pp(wide), 4 * width, width, &[])?,
            narrow: self.linear(&tensors.pp(narrow), width, 4 * width, scales[1])?,
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

    /// What numbers lie around, and how far they are spread.
    fn scale(name: &str, shape: &[usize]) -> (f64, f64) {
        let fan_in = shape[1..].iter().product::<usize>().max(1) as f64;
        let base = if name.contains("norm") && name.ends_with("weight") { 1.0 } else { 0.0 };
        (base, if shape.len() > 1 { (12.0 / fan_in).sqrt() } else { 0.4 })
    }

    /// Two of these networks' layers, narrow; three pictures, more tokens than the register tile has rows.
    struct Case {
        name: &'static str,
        side: usize,
        candle: Func<'static>,
        kernels: Box<dyn Fn(Level) -> super::super::vit::Tower>,
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
            let largest = expected.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
            for level in Level::all() {
                let found = kernels(level).forward(&planes);
                assert_eq!(found.len(), expected.len(), "{name}");
                let near = found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5 * largest);
                assert!(near, "{name}, {}: {found:?} and {expected:?}", level.name());
            }
        }
    }

    /// Vectors of rounded factors point where the others do.
    #[test]
    fn sixteen_bits_are_near_thirty_two() {
        for Case { name, side, kernels, .. } in cases() {
            let planes = planes(3, side);
            for level in Level::all() {
                let Some(brief) = level.brief() else { continue };
                let (exact, found) = (kernels(level).forward(&planes), kernels(brief).forward(&planes));
                assert!(exact != found, "{name}: they are computed otherwise");
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
            for level in Level::all().into_iter().flat_map(|level| [Some(level), level.brief()]).flatten() {
                let tower = kernels(level);
                let by = |threads: usize, batch: usize| {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                    let groups = planes.chunks(batch * 3 * side * side);
                    let vectors = groups.flat_map(|planes| pool.install(|| tower.forward(planes)));
                    vectors.map(f32::to_bits).collect::<Vec<u32>>()
                };
                let expected = by(1, 5);
                for threads in [1, 2, 7] {
                    for batch in [1, 2, 5] {
                        assert!(by(threads, batch) == expected, "{name}, {}: {threads}, {batch}", level.name());
                    }
                }
            }
        }
    }

    #[test]
    fn two_callers_at_once_get_what_each_would_alone() {
        let [case, ..] = cases();
        let (tower, planes) = ((case.kernels)(Level::all()[0]), planes(2, case.side));
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
            for level in Level::all() {
                let found = kernels(level).forward(&planes);
                let (first, second) = found.split_at(found.len() / 2);
                assert!(first.iter().all(|x| x.is_nan()), "{name}, {}", level.name());
                assert!(second.iter().all(|x| x.is_finite()), "{name}, {}: only of its own picture", level.name());
            }
        }
    }
}
