//! Keys: everything that determines an artifact as a struct, and its blake3 hash.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A blake3 hash. It is displayed as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The hash of a stream, which is not held in memory.
    ///
    /// # Errors
    /// The errors of the stream.
    pub fn of_stream(stream: impl Read) -> io::Result<Self> {
        Ok(Self::from_hasher(blake3::Hasher::new().update_reader(stream)?))
    }

    /// The result of a hasher.
    pub fn from_hasher(hasher: &blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }

    /// Parses the 64 hexadecimal digits that [`fmt::Display`] writes.
    pub fn from_hex(hex: &str) -> Option<Self> {
        blake3::Hash::from_hex(hex).ok().map(|hash| Self(*hash.as_bytes()))
    }

    /// The 32 bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first `digits` hexadecimal digits (at most 64), for file names.
    pub fn short(&self, digits: usize) -> String {
        self.to_string()[..digits].to_owned()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = String::deserialize(deserializer)?;
        Self::from_hex(&hex).ok_or_else(|| serde::de::Error::custom("not a blake3 hash"))
    }
}

/// Everything that determines an artifact. Paths, thread counts and devices do not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The stage of the artifact.
    pub stage: String,
    /// Raised when the stage gives other results for the same parameters and inputs.
    pub version: u32,
    /// The parameters of the stage.
    pub params: Value,
    /// Digests of the *content* of the inputs, by name. If an input is computed again with the same content, the key
    /// stays the same.
    pub inputs: BTreeMap<String, Digest>,
}

impl Key {
    /// The hash of the key, by which an artifact is found.
    pub fn digest(&self) -> Digest {
        Digest::of(canonical_json(self).as_bytes())
    }
}

/// Adds a parameter to a key, unless it has its default. A parameter that is added to a stage in this way does not
/// change the keys of existing artifacts.
pub fn set_unless_default<T: Serialize + PartialEq>(params: &mut Value, name: &str, value: T, default: T) {
    if value != default {
        params[name] = serde_json::to_value(value).expect("parameters are plain data");
    }
}

/// JSON with sorted keys and without spaces, so that equal values give equal text.
pub fn canonical_json(value: &impl Serialize) -> String {
    // The maps of `Value` are sorted by key, so converting to `Value` sorts the fields of structs.
    let value = serde_json::to_value(value).expect("keys and parameters are plain data");
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn key() -> Key {
        Key {
            stage: "project".into(),
            version: 1,
            params: json!({"perplexity": 30.0}),
            inputs: BTreeMap::from([("embed".into(), Digest::of(b"a"))]),
        }
    }

    #[test]
    fn every_field_enters_the_hash() {
        let base = key().digest();
        let changes: [fn(&mut Key); 5] = [
            |k| k.stage = "assign".into(),
            |k| k.version = 2,
            |k| k.params = json!({"perplexity": 30.5}),
            |k| k.inputs = BTreeMap::from([("embed".into(), Digest::of(b"b"))]),
            |k| k.inputs = BTreeMap::from([("other".into(), Digest::of(b"a"))]),
        ];
        for change in changes {
            let mut changed = key();
            change(&mut changed);
            assert_ne!(changed.digest(), base, "{changed:?}");
        }
        assert_eq!(key().digest(), base);
    }

    #[test]
    fn the_order_of_parameters_does_not_matter() {
        let (a, b) = (json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1}));
        assert_eq!(canonical_json(&a), canonical_json(&b));
    }

    #[test]
    fn a_later_parameter_enters_once_it_is_set() {
        let mut params = json!({"perplexity": 30.0});
        set_unless_default(&mut params, "exaggeration", 1.0, 1.0);
        assert_eq!(params, key().params);
        set_unless_default(&mut params, "exaggeration", 1.5, 1.0);
        assert_eq!(params, json!({"perplexity": 30.0, "exaggeration": 1.5}));
    }

    #[test]
    fn a_digest_survives_its_text() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex("no"), None);
    }
}
