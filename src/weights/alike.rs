//! Whether a network of another repository is the one that is built here. Names and shapes of its tensors do not tell:
//! two networks of the same shapes may have another activation between their layers, and the wrong one gives vectors that
//! look like any others. Its `config.json` says so.

use anyhow::{Result, bail};
use serde_json::Value;

/// The file beside the weights.
pub(super) const CONFIG: &str = "config.json";

/// Refuses a network whose `config.json` has another value at one of the places (as JSON pointers) than `name` has. What is
/// not said there is as usual, and what is no JSON says nothing.
pub(super) fn check(name: &str, traits: &[(&str, &str)], config: &[u8]) -> Result<()> {
    let Ok(config) = serde_json::from_slice::<Value>(config) else { return Ok(()) };
    for (place, expected) in traits {
        let Some(found) = config.pointer(place).filter(|found| !same(found, expected)) else { continue };
        bail!(
            "this is another network than {name}, of the same shapes: its {CONFIG} has {found} at {}, where {name} has \
             {expected}; its vectors would be wrong",
            place.trim_start_matches('/').replace('/', ".")
        );
    }
    Ok(())
}

fn same(found: &Value, expected: &str) -> bool {
    match found {
        Value::String(text) => text == expected,
        Value::Number(number) => number.as_f64() == expected.parse().ok(),
        // Null is as if it were not there; a list or an object is nothing that is compared.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let traits = [("/vision_config/hidden_act", "quick_gelu"), ("/layer_norm_eps", "1e-5")];
        let check = |config: &str| check("clip", &traits, config.as_bytes()).map_err(|error| error.to_string());
        let alike = [
            r#"{"vision_config": {"hidden_act": "quick_gelu"}, "layer_norm_eps": 0.00001}"#,
            r#"{"vision_config": {"hidden_act": null}, "text_config": {"hidden_act": "gelu"}}"#,
            "[1]",
            "no JSON",
        ];
        for config in alike {
            check(config).unwrap();
        }
        let error = check(r#"{"vision_config": {"hidden_act": "gelu"}}"#).unwrap_err();
        assert!(error.contains("\"gelu\" at vision_config.hidden_act, where clip has quick_gelu"), "{error}");
        assert!(check(r#"{"layer_norm_eps": 1e-6}"#).unwrap_err().contains("layer_norm_eps"));
    }
}
