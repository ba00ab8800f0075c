//! JSON:API documents: just enough to read a resource, its relationships, and what was included with it.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;

/// A document with one resource.
#[derive(Deserialize)]
pub(crate) struct One {
    pub(crate) data: Resource,
    #[serde(default)]
    pub(crate) included: Vec<Resource>,
}

/// A document with a list of resources.
#[derive(Deserialize)]
pub(crate) struct Many {
    pub(crate) data: Vec<Resource>,
    #[serde(default)]
    pub(crate) included: Vec<Resource>,
    #[serde(default)]
    pub(crate) meta: Meta,
}

#[derive(Deserialize, Default)]
pub(crate) struct Meta {
    pub(crate) pagination: Option<Pagination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Pagination {
    #[serde(default)]
    pub(crate) next_page: Option<u32>,
}

/// One resource object.
#[derive(Deserialize)]
pub(crate) struct Resource {
    pub(crate) id: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    attributes: Value,
    #[serde(default)]
    relationships: BTreeMap<String, Relationship>,
}

#[derive(Deserialize)]
struct Relationship {
    #[serde(default)]
    data: Value,
}

impl Resource {
    /// The attributes as a type of ours; a missing object counts as an empty one.
    pub(crate) fn attributes<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        let empty = Value::Object(serde_json::Map::new());
        T::deserialize(if self.attributes.is_null() { &empty } else { &self.attributes })
    }

    /// The `(type, id)` that a to-one relationship points at.
    pub(crate) fn related(&self, name: &str) -> Option<(&str, &str)> {
        let data = &self.relationships.get(name)?.data;
        Some((data.get("type")?.as_str()?, data.get("id")?.as_str()?))
    }

    /// The resource behind a to-one relationship, where the server included it.
    pub(crate) fn follow<'a>(&self, name: &str, included: &'a [Resource]) -> Option<&'a Resource> {
        let (kind, id) = self.related(name)?;
        included.iter().find(|resource| resource.kind == kind && resource.id == id)
    }
}

/// A type that is read from a resource object.
pub(crate) trait FromResource: Sized {
    fn from_resource(resource: &Resource, included: &[Resource]) -> serde_json::Result<Self>;
}
