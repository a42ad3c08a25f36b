//! Keys: what determines an artifact, as a struct one can read, and its blake3 hash.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A blake3 hash, shown as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The hash of what a stream holds, which is never held whole.
    ///
    /// # Errors
    /// Whatever the stream says.
    pub fn of_stream(stream: impl Read) -> io::Result<Self> {
        Ok(Self::from_hasher(blake3::Hasher::new().update_reader(stream)?))
    }

    /// What a running hash has come to.
    pub fn from_hasher(hasher: &blake3::Hasher) -> Self {
        Self(*hasher.finalize().as_bytes())
    }

    /// The 64 digits that [`fmt::Display`] writes, read back.
    pub fn from_hex(hex: &str) -> Option<Self> {
        blake3::Hash::from_hex(hex).ok().map(|hash| Self(*hash.as_bytes()))
    }

    /// The raw hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first `digits` hexadecimal digits, for names.
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

/// Everything that determines an artifact, and nothing else: no path, thread count or device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The stage that makes it.
    pub stage: String,
    /// Raised when the stage's results change for the same parameters and inputs.
    pub version: u32,
    /// The stage's parameters.
    pub params: Value,
    /// Digests of the *content* of what the stage reads, so that an input which was made anew
    /// with the same content changes nothing downstream.
    pub inputs: BTreeMap<String, Digest>,
}

impl Key {
    /// The key's hash, by which an artifact is found.
    pub fn digest(&self) -> Digest {
        Digest::of(canonical_json(self).as_bytes())
    }
}

/// Adds a parameter that came later than the first caches: while it has its default it is left out, so that they
/// stay what they were.
pub fn later<T: Serialize + PartialEq>(params: &mut Value, name: &str, value: T, default: T) {
    if value != default {
        params[name] = serde_json::to_value(value).expect("parameters are plain data");
    }
}

/// JSON with sorted keys and no spaces: equal values give equal text.
pub fn canonical_json(value: &impl Serialize) -> String {
    // `Value`'s maps are ordered by key, so a pass through it sorts the fields.
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
        later(&mut params, "exaggeration", 1.0, 1.0);
        assert_eq!(params, key().params);
        later(&mut params, "exaggeration", 1.5, 1.0);
        assert_eq!(params, json!({"perplexity": 30.0, "exaggeration": 1.5}));
    }

    #[test]
    fn a_digest_survives_its_text() {
        let digest = Digest::of(b"x");
        assert_eq!(Digest::from_hex(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_hex("no"), None);
    }
}
