//! The models: pictures in, vectors out.
//!
//! A model is chosen by its settings ([`choose`]), which gives everything that a key needs without
//! loading weights; it is loaded only when there is something to embed. The pretrained ones are rows
//! of `table`; the other halves of CLIP and SigLIP 2, from texts to vectors, are [`text`]. Where weights
//! come from is [`weights`](crate::weights), which knows none of this.

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
mod towers;
pub mod vgg16;
mod vit;
pub mod vocabulary;
pub mod words;

use anyhow::{Result, bail};
use candle_core::Device;
use image::RgbImage;
use serde_json::{Value, json};

use crate::config::{Decode, EmbedSettings, InputFit, Layer, Pooling, Precision};
use crate::error::Halt;
use crate::photo::{Filter, READING};
use crate::store::later;
use crate::weights::Weights;
use lite0::Lite0;
use network::{GPU, Kerneled, Pictures, device, level, level_of, wanted};
use scattering::Scattering;
use table::{Network, Pretrained, pretrained};
use vgg16::Vgg16;
use words::Classifier;

pub use crate::weights::Hub;
pub use input::{Input, Model};

/// A model with its settings, not yet loaded.
pub struct Chosen {
    /// What determines its vectors: part of the key of everything it makes.
    pub params: Value,
    /// Length of its vectors.
    pub dim: usize,
    /// Whether its vectors are brought to length one, and the lengths kept.
    pub unit: bool,
    /// How a picture becomes its input.
    pub input: Input,
    /// In which size pictures are decoded for it.
    pub decode: Decode,
    /// Pictures to embed at a time.
    pub batch: usize,
    kind: Kind,
}

enum Kind {
    Scattering,
    Pretrained(&'static Pretrained, Box<Weights>, Box<EmbedSettings>),
}

/// Finds the model that the settings ask for, and its weights: in `models/`, in a file, in the
/// hub's local cache, or (unless offline) at the hub.
///
/// # Errors
/// When the weights are not to be had, or are not what they should be; the message says where
/// they belong and what else can be done.
pub fn choose(settings: &EmbedSettings, hub: &Hub) -> Result<Chosen> {
    let row = pretrained(settings.model);
    let brief = row.is_some_and(|row| matches!(row.network, Network::Fixed { brief: true, .. })) && GPU.is_none();
    if settings.precision != Precision::F32 && !brief {
        let name = settings.model;
        bail!(Halt::Usage(format!(
            "embed.precision: {name} computes in f32 here; bf16 is for siglip2, clip and dinov2 on the CPU"
        )));
    }
    let Some(row) = row else {
        let mut params = json!({"model": "scattering", "version": scattering::VERSION, "reading": READING});
        later(&mut params, "decode", settings.decode, Decode::Full);
        return Ok(Chosen {
            params,
            dim: Scattering::DIM,
            unit: false,
            input: Input::Stretch(Scattering::SIDE as u32),
            decode: settings.decode,
            batch: 64,
            kind: Kind::Scattering,
        });
    };
    let mut params = json!({"model": row.weights.name, "version": row.version, "reading": READING});
    let (mut dim, mut input) = (row.dim, row.input);
    let weights = match row.network {
        Network::Vgg16 => {
            params["layer"] = json!(settings.layer);
            params["fit"] = json!(if settings.fit == InputFit::Auto { InputFit::Stretch } else { settings.fit });
            if settings.layer == Layer::Block5Pool {
                later(&mut params, "pooling", settings.pooling, Pooling::Flatten);
            }
            dim = vgg16::dim(settings);
            if settings.fit == InputFit::Crop {
                input = Input::Crop { short: 256, side: 224, filter: Filter::Bilinear };
            }
            let output = settings.layer.to_string();
            Weights::find(&row.weights, &output, &vgg16::wanted(settings.layer), settings, hub)?
        }
        Network::Lite0 => {
            params["fit"] = json!(if settings.fit == InputFit::Auto { InputFit::Crop } else { settings.fit });
            if settings.fit == InputFit::Stretch {
                input = Input::Square { side: 224, filter: Filter::Bicubic };
            }
            Weights::find(&row.weights, "pooled", &lite0::wanted(), settings, hub)?
        }
        Network::Fixed { output, build, .. } => {
            params["output"] = json!(output);
            Weights::find(&row.weights, output, &wanted(build)?, settings, hub)?
        }
    };
    later(&mut params, "decode", settings.decode, Decode::Full);
    later(&mut params, "precision", settings.precision, Precision::F32);
    params["weights"] = json!(weights.digest.to_string());
    if let Some(gpu) = GPU {
        // It adds in another order.
        params["device"] = json!(gpu);
    }
    let kind = Kind::Pretrained(row, Box::new(weights), Box::new(settings.clone()));
    let unit = matches!(row.network, Network::Lite0);
    Ok(Chosen { params, dim, unit, input, decode: settings.decode, batch: row.batch, kind })
}

/// By which arithmetic vectors are computed here: the kind of processor, and which of its vectors; another one gives
/// other last digits.
///
/// # Errors
/// When the variable `TSNE_GRID_SIMD` asks for what this processor has not.
pub fn arithmetic() -> Result<String> {
    Ok(format!("{}-{}", std::env::consts::ARCH, level()?.name()))
}

impl Model for Scattering {
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>> {
        let pixels: Vec<&[u8]> = pictures.iter().map(|picture| picture.as_raw().as_slice()).collect();
        Ok(Self::embed(self, &pixels)?.concat())
    }
}

impl Chosen {
    /// Loads it.
    ///
    /// # Errors
    /// When its weights are damaged or the device fails.
    pub fn load(&self) -> Result<Box<dyn Model>> {
        match &self.kind {
            Kind::Scattering => Ok(Box::new(Scattering::new(&Device::Cpu)?)),
            Kind::Pretrained(row, weights, settings) => Ok(match row.network {
                Network::Vgg16 => Box::new(Vgg16::new(&weights.load()?, settings, row.normalisation, &device()?)?),
                Network::Lite0 => Box::new(Lite0::new(&weights.load()?, level()?, &device()?)?),
                Network::Fixed { build, kernels, .. } => {
                    let (device, normalisation) = (device()?, row.normalisation);
                    let tensors = weights.builder(&device)?;
                    if device.is_cpu() {
                        Box::new(Kerneled { network: kernels(&tensors, level_of(settings.precision)?)?, normalisation })
                    } else {
                        Box::new(Pictures::new(build(tensors)?, normalisation, device, row.batch))
                    }
                }
            }),
        }
    }

    /// What tells the classes of its vectors, if it knows any.
    ///
    /// # Errors
    /// When its weights are damaged.
    pub fn classifier(&self) -> Result<Option<Classifier>> {
        match &self.kind {
            Kind::Pretrained(row, weights, _) if matches!(row.network, Network::Lite0) => {
                Ok(Some(lite0::classifier(&weights.load()?, level()?)?))
            }
            _ => Ok(None),
        }
    }

    /// Whether it has a [classifier](Self::classifier).
    pub fn has_classes(&self) -> bool {
        matches!(&self.kind, Kind::Pretrained(row, ..) if matches!(row.network, Network::Lite0))
    }

    /// The repository and the commit of its weights, if they came from the hub.
    pub fn origin(&self) -> Option<(String, String)> {
        match &self.kind {
            Kind::Scattering => None,
            Kind::Pretrained(_, weights, _) => weights.origin.clone(),
        }
    }
}
