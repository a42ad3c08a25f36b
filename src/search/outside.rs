//! The vector of a picture that was not in the last run, by the model of that run.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::artifact::ImageId;
use crate::config::{Decode, EmbedSettings, InputFit, ModelName};
use crate::model::{self, Hub};
use crate::photo::{self, Budget};

/// The bytes of a file, and what the picture in it is called.
///
/// # Errors
/// When it cannot be read or is too large.
pub(super) fn read(path: &Path, budget: &Budget) -> Result<(ImageId, Vec<u8>)> {
    let size = fs_err::metadata(path)?.len();
    ensure!(size <= budget.max_file, "{} has {} MB, more than limits.max_file", path.display(), size >> 20);
    let bytes = fs_err::read(path)?;
    Ok((ImageId::of(&bytes), bytes))
}

/// The vector that the model with these parameters gives for a picture.
///
/// # Errors
/// When it is no picture, or the model is not to be had as it was.
pub(super) fn vector(
    (path, bytes): (&Path, &[u8]),
    params: &Value,
    settings: &EmbedSettings,
    (hub, budget): (&Hub, &Budget),
) -> Result<Vec<f32>> {
    let chosen = model::choose(&settings_of(params, settings)?, hub)?;
    let name = params["model"].as_str().unwrap_or_default();
    ensure!(
        chosen.params == *params,
        "the last run's vectors were made by {name} with other weights, or as another version reads pictures; \
         run again, or name the weights with --weights"
    );
    let decode = if chosen.decode == Decode::Full { photo::decode } else { photo::decode_small };
    let photo = decode(bytes, budget).map_err(|no| anyhow!("{}: {no}", path.display()))?;
    let mut vector = chosen.load()?.embed(&[chosen.input.of(&photo.pixels)])?;
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    ensure!(length.is_finite() && length > 0.0, "{name} makes nothing of {}", path.display());
    vector.iter_mut().for_each(|x| *x /= length);
    Ok(vector)
}

/// The settings that gave these parameters, with the weights of `settings`.
fn settings_of(params: &Value, settings: &EmbedSettings) -> Result<EmbedSettings> {
    let usual = EmbedSettings::default();
    let model: ModelName = field(params, "model").context("the last run's vectors are of no model of this version")?;
    // Weights that are named for another model say nothing of this one.
    let settings = if settings.model == model {
        settings.clone()
    } else {
        EmbedSettings { weights: settings.weights.clone(), ..usual.clone() }
    };
    Ok(EmbedSettings {
        model,
        layer: field(params, "layer").unwrap_or(usual.layer),
        pooling: field(params, "pooling").unwrap_or(usual.pooling),
        fit: field(params, "fit").unwrap_or(InputFit::Auto),
        decode: field(params, "decode").unwrap_or(Decode::Full),
        precision: field(params, "precision").unwrap_or_default(),
        ..settings
    })
}

fn field<T: DeserializeOwned>(params: &Value, name: &str) -> Result<T> {
    match params.get(name) {
        Some(value) => Ok(serde_json::from_value(value.clone())?),
        None => bail!("no {name}"),
    }
}
