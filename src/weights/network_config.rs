//! Checks that the network of another repository is the one implemented here. Names and shapes of tensors do not prove
//! it: two networks of the same shapes may use different activations, and the wrong one gives vectors that look
//! plausible. The `config.json` of the repository names these properties.

use anyhow::{Result, bail};
use serde_json::Value;

/// The file name of the configuration, next to the weights.
pub(super) const CONFIG: &str = "config.json";

/// Compares `config.json` with the values that the network `name` has; `expected_config` maps JSON pointers to values.
/// A missing entry counts as equal, and a file that is not JSON is ignored.
///
/// # Errors
/// When an entry has a different value.
pub(super) fn check_config(name: &str, expected_config: &[(&str, &str)], config: &[u8]) -> Result<()> {
    let Ok(config) = serde_json::from_slice::<Value>(config) else { return Ok(()) };
    for (pointer, expected) in expected_config {
        let Some(found) = config.pointer(pointer).filter(|found| !is_equal(found, expected)) else { continue };
        bail!(
            "this network is not {name}, although the shapes are the same: its {CONFIG} has {found} at {}, \
             where {name} has {expected}; its vectors would be wrong",
            pointer.trim_start_matches('/').replace('/', ".")
        );
    }
    Ok(())
}

fn is_equal(found: &Value, expected: &str) -> bool {
    match found {
        Value::String(text) => text == expected,
        Value::Number(number) => number.as_f64() == expected.parse().ok(),
        // Null counts as missing; lists and objects are not compared.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let expected_config = [("/vision_config/hidden_act", "quick_gelu"), ("/layer_norm_eps", "1e-5")];
        let check_config =
            |config: &str| check_config("clip", &expected_config, config.as_bytes()).map_err(|error| error.to_string());
        let matching = [
            r#"{"vision_config": {"hidden_act": "quick_gelu"}, "layer_norm_eps": 0.00001}"#,
            r#"{"vision_config": {"hidden_act": null}, "text_config": {"hidden_act": "gelu"}}"#,
            "[1]",
            "no JSON",
        ];
        for config in matching {
            check_config(config).unwrap();
        }
        let error = check_config(r#"{"vision_config": {"hidden_act": "gelu"}}"#).unwrap_err();
        assert!(error.contains("\"gelu\" at vision_config.hidden_act, where clip has quick_gelu"), "{error}");
        assert!(check_config(r#"{"layer_norm_eps": 1e-6}"#).unwrap_err().contains("layer_norm_eps"));
    }
}
