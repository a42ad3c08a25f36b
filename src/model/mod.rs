//! The models: pictures in, vectors out.
//!
//! A model is chosen by its settings ([`choose`]), which gives everything that a key needs without
//! loading weights; it is loaded only when there is something to embed.

pub mod conv;
mod hub;
mod remote;
pub mod scattering;
mod vgg16;
mod weights;

pub use hub::Hub;

use anyhow::Result;
use candle_core::Device;
use image::RgbImage;
use serde_json::{Value, json};

use crate::config::{EmbedSettings, InputFit, ModelName, Pooling};
use crate::photo;
use scattering::Scattering;
use vgg16::Vgg16;
use weights::Weights;

/// A loaded model.
pub trait Model: Send + Sync {
    /// The vectors of `pictures` (each as [`Chosen::input`] makes them), one after another:
    /// `pictures.len()` x [`Chosen::dim`] numbers. A picture's vector does not depend on the
    /// others in its batch.
    ///
    /// # Errors
    /// When the device fails.
    fn embed(&self, pictures: &[RgbImage]) -> Result<Vec<f32>>;
}

/// A model with its settings, not yet loaded.
pub struct Chosen {
    /// What determines its vectors: part of the key of everything it makes.
    pub params: Value,
    /// Length of its vectors.
    pub dim: usize,
    /// How a picture becomes its input.
    pub input: Input,
    /// Pictures to embed at a time.
    pub batch: usize,
    kind: Kind,
}

enum Kind {
    Scattering,
    Vgg16(Box<Weights>, EmbedSettings),
}

/// How a picture becomes a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The whole picture in a square of this side, resized fast.
    Stretch(u32),
    /// The same with Pillow's arithmetic, for networks trained elsewhere.
    Square(u32),
    /// Short side to the first number, middle square of the second.
    Crop(u32, u32),
}

impl Input {
    /// Makes it.
    pub fn of(self, picture: &RgbImage) -> RgbImage {
        match self {
            Self::Stretch(side) => photo::stretch(picture, side, side),
            Self::Square(side) => photo::square(picture, side),
            Self::Crop(short, side) => photo::crop_middle(picture, short, side),
        }
    }
}

/// Finds the model that the settings ask for, and its weights: in `models/`, in a file, in the
/// hub's local cache, or (unless offline) at the hub.
///
/// # Errors
/// When the weights are not to be had, or are not what they should be; the message says where
/// they belong and what else can be done.
pub fn choose(settings: &EmbedSettings, hub: &Hub) -> Result<Chosen> {
    match settings.model {
        ModelName::Scattering => Ok(Chosen {
            params: json!({"model": "scattering", "version": scattering::VERSION}),
            dim: Scattering::DIM,
            input: Input::Stretch(Scattering::SIDE as u32),
            batch: 64,
            kind: Kind::Scattering,
        }),
        ModelName::Vgg16 => {
            let weights = Weights::find(settings, hub)?;
            let mut params = json!({
                "model": "vgg16",
                "version": vgg16::VERSION,
                "layer": settings.layer,
                "fit": settings.fit,
                "weights": weights.digest.to_string(),
            });
            if settings.layer == crate::config::Layer::Block5Pool && settings.pooling != Pooling::Flatten {
                params["pooling"] = json!(settings.pooling);
            }
            Ok(Chosen {
                params,
                dim: vgg16::dim(settings),
                input: match settings.fit {
                    InputFit::Stretch => Input::Square(224),
                    InputFit::Crop => Input::Crop(256, 224),
                },
                batch: vgg16::BATCH,
                kind: Kind::Vgg16(Box::new(weights), settings.clone()),
            })
        }
    }
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
            Kind::Vgg16(weights, settings) => Ok(Box::new(Vgg16::new(&weights.load()?, settings, &Device::Cpu)?)),
        }
    }

    /// Facts of the weights' origin, for an artifact's metadata.
    pub fn origin(&self) -> Vec<(String, String)> {
        match &self.kind {
            Kind::Scattering => Vec::new(),
            Kind::Vgg16(weights, _) => weights.origin.clone(),
        }
    }
}
