//! The three things that a PATCH can say about an attribute.

use serde::{Deserialize, Deserializer};

/// Absent leaves the attribute as it is, null clears it, a value sets it. Use with `#[serde(default)]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Patch<T> {
    /// Not in the request.
    #[default]
    Absent,
    /// Explicitly null.
    Null,
    /// A value.
    Value(T),
}

impl<T> Patch<T> {
    /// Applies this to a nullable attribute.
    pub fn apply(self, to: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *to = None,
            Self::Value(value) => *to = Some(value),
        }
    }

    /// Applies this to an attribute that has a default instead of null.
    pub fn apply_or(self, to: &mut T, default: T) {
        match self {
            Self::Absent => {}
            Self::Null => *to = default,
            Self::Value(value) => *to = value,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::<T>::deserialize(deserializer)?.map_or(Self::Null, Self::Value))
    }
}
