//! Computes the vector of a picture that was not in the last run, with the model of that run.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::artifact::ImageId;
use crate::config::{Decode, EmbedSettings, InputFit, ModelName};
use crate::model::{self, Hub};
use crate::photo::{self, Budget};

/// The identifier and the bytes of a file.
///
/// # Errors
/// When it cannot be read or is larger than `limits.max_file`.
pub(super) fn read(path: &Path, budget: &Budget) -> Result<(ImageId, Vec<u8>)> {
    let size = fs_err::metadata(path)?.len();
    ensure!(size <= budget.max_file, "{} has {} MB, more than limits.max_file", path.display(), size >> 20);
    let bytes = fs_err::read(path)?;
    Ok((ImageId::of(&bytes), bytes))
}

/// The vector of a picture, scaled to length one, from the model with parameters `params`.
///
/// # Errors
/// When the file is not a picture, or the model is not available with exactly these parameters.
pub(super) fn embed(
    (path, bytes): (&Path, &[u8]),
    params: &Value,
    settings: &EmbedSettings,
    (hub, budget): (&Hub, &Budget),
) -> Result<Vec<f32>> {
    let spec = model::resolve(&settings_of(params, settings)?, hub)?;
    let name = params["model"].as_str().unwrap_or_default();
    ensure!(
        spec.params == *params,
        "the last run's vectors were computed by {name} with other weights, or by a version that decodes pictures \
         differently; run again, or name the weights with --weights"
    );
    let decode = if spec.decode == Decode::Full { photo::decode } else { photo::decode_small };
    let photo = decode(bytes, budget).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    let mut vector = spec.load()?.embed(&[spec.preprocessing.apply(&photo.pixels)])?;
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    ensure!(length.is_finite() && length > 0.0, "{name} gives no usable vector for {}", path.display());
    vector.iter_mut().for_each(|x| *x /= length);
    Ok(vector)
}

/// The settings from which `params` were derived; the weights come from `settings`.
fn settings_of(params: &Value, settings: &EmbedSettings) -> Result<EmbedSettings> {
    let defaults = EmbedSettings::default();
    let model: ModelName =
        field(params, "model").context("the last run's vectors come from a model that this version does not have")?;
    // If the settings name another model, their other fields do not apply to this one.
    let settings = if settings.model == model {
        settings.clone()
    } else {
        EmbedSettings { weights: settings.weights.clone(), ..defaults.clone() }
    };
    Ok(EmbedSettings {
        model,
        layer: field(params, "layer").unwrap_or(defaults.layer),
        pooling: field(params, "pooling").unwrap_or(defaults.pooling),
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
