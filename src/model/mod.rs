//! The models, which turn pictures into vectors.
//!
//! [`resolve`] chooses a model by its settings. It gives everything that enters a key without loading weights; the
//! model is loaded only if there is something to embed. The pretrained models are rows of `table`. [`text`] has the
//! text towers of CLIP and SigLIP 2. Weights come from [`weights`](crate::weights), which does not depend on this
//! module.

pub mod classifier;
mod clip;
pub mod conv;
mod dinov2;
mod efficientnet;
mod input;
mod kernels;
mod lite0;
mod network;
#[cfg(test)]
mod noise;
mod resnet;
mod resnet50;
pub mod scattering;
mod siglip;
mod table;
pub mod text;
pub mod vgg16;
mod vit;
mod vit_loader;
pub mod vocabulary;

use anyhow::{Result, bail};
use candle_core::Device;
use image::RgbImage;
use serde_json::{Value, json};

use crate::config::{Decode, EmbedSettings, InferencePrecision, InputFit, ModelName, Pooling, VggLayer};
use crate::error::Exit;
use crate::photo::{DECODING_VERSION, Filter};
use crate::store::set_unless_default;
use crate::weights::Weights;
use classifier::Classifier;
use lite0::Lite0;
use network::{CandleNetwork, CpuNetwork, GPU_BACKEND, device, simd_level, simd_level_for, tensor_specs};
use scattering::Scattering;
use table::{Architecture, Pretrained, pretrained};
use vgg16::Vgg16;

pub use crate::weights::Hub;
pub use input::{Model, Preprocessing};

/// A model with its settings. The weights are located but not loaded.
pub struct ModelSpec {
    /// The parameters that determine the vectors. They are part of every key that depends on the vectors.
    pub params: Value,
    /// Length of a vector.
    pub dim: usize,
    /// Whether vectors are scaled to length one before they are stored; their original lengths are then stored too.
    pub unit_length: bool,
    /// How a picture becomes the input of the model.
    pub preprocessing: Preprocessing,
    /// Whether large JPEGs are decoded at a reduced size.
    pub decode: Decode,
    /// Pictures per batch.
    pub batch: usize,
    kind: ModelKind,
}

enum ModelKind {
    Scattering,
    Pretrained(&'static Pretrained, Box<Weights>, Box<EmbedSettings>),
}

/// Finds the model that the settings name, and its weights: in a file, in the program, in `models/`, in the hub's local
/// cache, or (unless offline) on the hub.
///
/// # Errors
/// When the weights are not available or do not match; the message says where to put them and what works without them.
/// Also when the settings ask for a precision that the model does not have.
pub fn resolve(settings: &EmbedSettings, hub: &Hub) -> Result<ModelSpec> {
    let row = pretrained(settings.model);
    let supports_bf16 = row.is_some_and(|row| matches!(row.network, Architecture::Fixed { supports_bf16: true, .. }))
        && GPU_BACKEND.is_none();
    if settings.precision != InferencePrecision::F32 && !supports_bf16 {
        let name = settings.model;
        bail!(Exit::Usage(format!(
            "embed.precision: {name} computes in f32 here; bf16 is for siglip2, clip and dinov2 on the CPU"
        )));
    }
    let Some(row) = row else {
        let mut params = json!({"model": "scattering", "version": scattering::VERSION, "reading": DECODING_VERSION});
        set_unless_default(&mut params, "decode", settings.decode, Decode::Full);
        return Ok(ModelSpec {
            params,
            dim: Scattering::DIM,
            unit_length: false,
            preprocessing: Preprocessing::Stretch(Scattering::SIDE as u32),
            decode: settings.decode,
            batch: 64,
            kind: ModelKind::Scattering,
        });
    };
    let mut params = json!({"model": row.weights.name, "version": row.version, "reading": DECODING_VERSION});
    let (mut dim, mut preprocessing) = (row.dim, row.preprocessing);
    let weights = match row.network {
        Architecture::Vgg16 => {
            params["layer"] = json!(settings.layer);
            params["fit"] = json!(if settings.fit == InputFit::Auto { InputFit::Stretch } else { settings.fit });
            if settings.layer == VggLayer::Block5Pool {
                set_unless_default(&mut params, "pooling", settings.pooling, Pooling::Flatten);
            }
            dim = vgg16::dim(settings);
            if settings.fit == InputFit::Crop {
                preprocessing = Preprocessing::Crop { short: 256, side: 224, filter: Filter::Bilinear };
            }
            let output = settings.layer.to_string();
            Weights::find(&row.weights, &output, &vgg16::tensor_specs(settings.layer), settings, hub)?
        }
        Architecture::Lite0 => {
            params["fit"] = json!(if settings.fit == InputFit::Auto { InputFit::Crop } else { settings.fit });
            if settings.fit == InputFit::Stretch {
                preprocessing = Preprocessing::Square { side: 224, filter: Filter::Bicubic };
            }
            Weights::find(&row.weights, "pooled", &lite0::tensor_specs(), settings, hub)?
        }
        Architecture::Fixed { output, build, .. } => {
            params["output"] = json!(output);
            Weights::find(&row.weights, output, &tensor_specs(build)?, settings, hub)?
        }
    };
    set_unless_default(&mut params, "decode", settings.decode, Decode::Full);
    set_unless_default(&mut params, "precision", settings.precision, InferencePrecision::F32);
    params["weights"] = json!(weights.digest.to_string());
    if let Some(gpu) = GPU_BACKEND {
        // A GPU adds in a different order, so the vectors differ in their last digits.
        params["device"] = json!(gpu);
    }
    let kind = ModelKind::Pretrained(row, Box::new(weights), Box::new(settings.clone()));
    let unit_length = matches!(row.network, Architecture::Lite0);
    Ok(ModelSpec { params, dim, unit_length, preprocessing, decode: settings.decode, batch: row.batch, kind })
}

/// A warning for each setting that was changed but has no effect with the chosen model.
pub fn unused_settings(settings: &EmbedSettings) -> Vec<String> {
    let (default, model) = (EmbedSettings::default(), settings.model);
    let (is_vgg16, is_scattering) = (model == ModelName::Vgg16, model == ModelName::Scattering);
    let has_other_repo = settings.repo != default.repo;
    let has_own_weights = is_scattering || model == ModelName::Lite0 && !has_other_repo;
    let unused = [
        ("layer", settings.layer != default.layer && !is_vgg16),
        ("pooling", settings.pooling != default.pooling && !is_vgg16),
        ("fit", settings.fit != default.fit && !is_vgg16 && model != ModelName::Lite0),
        ("weights", settings.weights != default.weights && is_scattering),
        ("repo", has_other_repo && is_scattering),
        ("revision", settings.revision != default.revision && has_own_weights),
    ];
    let unused = unused.into_iter().filter(|(_, is_unused)| *is_unused);
    let mut warnings: Vec<String> =
        unused.map(|(name, _)| format!("embed.{name} has no effect with the model {model}")).collect();
    if is_vgg16 && settings.pooling != default.pooling && settings.layer != VggLayer::Block5Pool {
        warnings.push(format!("embed.pooling has no effect with the layer {}", settings.layer));
    }
    warnings
}

/// The arithmetic with which vectors are computed on this machine: CPU architecture and SIMD level. Another one gives
/// different last digits.
///
/// # Errors
/// When the variable `TSNE_GRID_SIMD` names a level that this CPU does not have.
pub fn arithmetic() -> Result<String> {
    Ok(format!("{}-{}", std::env::consts::ARCH, simd_level()?.name()))
}

impl Model for Scattering {
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>> {
        let pixels: Vec<&[u8]> = pictures.iter().map(|picture| picture.as_raw().as_slice()).collect();
        Ok(Self::embed(self, &pixels)?.concat())
    }
}

impl ModelSpec {
    /// Loads the weights.
    ///
    /// # Errors
    /// When the weights are damaged or the device fails.
    pub fn load(&self) -> Result<Box<dyn Model>> {
        match &self.kind {
            ModelKind::Scattering => Ok(Box::new(Scattering::new(&Device::Cpu)?)),
            ModelKind::Pretrained(row, weights, settings) => Ok(match row.network {
                Architecture::Vgg16 => Box::new(Vgg16::new(&weights.load()?, settings, row.normalisation, &device()?)?),
                Architecture::Lite0 => Box::new(Lite0::new(&weights.load()?, simd_level()?, &device()?)?),
                Architecture::Fixed { build, kernels, .. } => {
                    let (device, normalisation) = (device()?, row.normalisation);
                    let tensors = weights.builder(&device)?;
                    if device.is_cpu() {
                        Box::new(CpuNetwork {
                            network: kernels(&tensors, simd_level_for(settings.precision)?)?,
                            normalisation,
                        })
                    } else {
                        Box::new(CandleNetwork::new(build(tensors)?, normalisation, device, row.batch))
                    }
                }
            }),
        }
    }

    /// The last layer, which assigns the classes of the training set, if the model has one.
    ///
    /// # Errors
    /// When the weights are damaged.
    pub fn classifier(&self) -> Result<Option<Classifier>> {
        match &self.kind {
            ModelKind::Pretrained(row, weights, _) if matches!(row.network, Architecture::Lite0) => {
                Ok(Some(lite0::classifier(&weights.load()?, simd_level()?)?))
            }
            _ => Ok(None),
        }
    }

    /// Whether [`Self::classifier`] returns one.
    pub fn has_classes(&self) -> bool {
        matches!(&self.kind, ModelKind::Pretrained(row, ..) if matches!(row.network, Architecture::Lite0))
    }

    /// Repository and commit of the weights, if they came from the hub.
    pub fn origin(&self) -> Option<(String, String)> {
        match &self.kind {
            ModelKind::Scattering => None,
            ModelKind::Pretrained(_, weights, _) => weights.origin.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_without_effect_are_named() {
        let of = |model, layer, pooling, weights: &str| {
            let default = EmbedSettings::default();
            unused_settings(&EmbedSettings { model, layer, pooling, weights: weights.into(), ..default }).join("; ")
        };
        let (flatten, avg) = (Pooling::Flatten, Pooling::Avg);
        assert_eq!(of(ModelName::Vgg16, VggLayer::Fc2, flatten, "w.safetensors"), "");
        assert_eq!(of(ModelName::Vgg16, VggLayer::Fc2, avg, ""), "embed.pooling has no effect with the layer fc2");
        assert_eq!(of(ModelName::Scattering, VggLayer::Fc2, avg, "w").matches("the model scattering").count(), 3);
        assert!(of(ModelName::Clip, VggLayer::Fc2, flatten, "w").starts_with("embed.layer has no effect"));
        let settings = EmbedSettings { model: ModelName::Lite0, revision: "main".into(), ..EmbedSettings::default() };
        assert_eq!(unused_settings(&settings).len(), 1);
        assert!(unused_settings(&EmbedSettings { repo: "me/mine".into(), ..settings }).is_empty());
    }
}
