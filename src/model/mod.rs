//! The models: pictures in, vectors out.
//!
//! A model is chosen by its settings ([`choose`]), which gives everything that a key needs without
//! loading weights; it is loaded only when there is something to embed. The pretrained ones are rows
//! of `table`; CLIP's other half, from texts to vectors, is [`text`]. Where weights come from is
//! [`weights`](crate::weights), which knows none of this.

mod clip;
pub mod conv;
mod dinov2;
mod input;
mod network;
mod resnet;
pub mod scattering;
mod table;
pub mod text;
pub mod vgg16;

use anyhow::Result;
use candle_core::Device;
use image::RgbImage;
use serde_json::{Value, json};

use crate::config::{Decode, EmbedSettings, InputFit, Layer, Pooling};
use crate::photo::{Filter, READING};
use crate::store::later;
use crate::weights::Weights;
use network::{Pictures, wanted};
use scattering::Scattering;
use table::{Network, Pretrained, pretrained};
use vgg16::Vgg16;

pub use crate::weights::Hub;
pub use input::{Input, Model};

/// A model with its settings, not yet loaded.
pub struct Chosen {
    /// What determines its vectors: part of the key of everything it makes.
    pub params: Value,
    /// Length of its vectors.
    pub dim: usize,
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
    let Some(row) = pretrained(settings.model) else {
        let mut params = json!({"model": "scattering", "version": scattering::VERSION, "reading": READING});
        later(&mut params, "decode", settings.decode, Decode::Full);
        return Ok(Chosen {
            params,
            dim: Scattering::DIM,
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
            params["fit"] = json!(settings.fit);
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
        Network::Fixed { output, build } => {
            params["output"] = json!(output);
            Weights::find(&row.weights, output, &wanted(build)?, settings, hub)?
        }
    };
    later(&mut params, "decode", settings.decode, Decode::Full);
    params["weights"] = json!(weights.digest.to_string());
    let kind = Kind::Pretrained(row, Box::new(weights), Box::new(settings.clone()));
    Ok(Chosen { params, dim, input, decode: settings.decode, batch: row.batch, kind })
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
                Network::Vgg16 => {
                    Box::new(Vgg16::new(&weights.load()?, settings, row.normalisation, &vgg16::device()?)?)
                }
                Network::Fixed { build, .. } => {
                    Box::new(Pictures { network: build(weights.builder()?)?, normalisation: row.normalisation })
                }
            }),
        }
    }

    /// The repository and the commit of its weights, if they came from the hub.
    pub fn origin(&self) -> Option<(String, String)> {
        match &self.kind {
            Kind::Scattering => None,
            Kind::Pretrained(_, weights, _) => weights.origin.clone(),
        }
    }
}
