//! JSON:API documents and the replies that carry them.

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use kernel::{Error, Page, Paged};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::{Value, json, value::RawValue};

/// The media type of every document, in both directions.
pub const MEDIA_TYPE: &str = "application/vnd.api+json";

/// The media type of SCIM's documents, in both directions.
pub const SCIM_MEDIA_TYPE: &str = "application/scim+json";

/// What a relationship points at.
#[derive(Clone, Debug)]
pub enum Linkage {
    /// Nothing: `{"data": null}`.
    None,
    /// One resource.
    One(&'static str, String),
    /// Any number of resources.
    Many(&'static str, Vec<String>),
    /// Only a link to where the related resource is; no linkage.
    Link(String),
}

impl Linkage {
    /// One resource, or nothing.
    pub fn maybe(kind: &'static str, id: Option<impl Into<String>>) -> Self {
        id.map_or(Self::None, |id| Self::One(kind, id.into()))
    }
}

impl Serialize for Linkage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Identifier<'a> {
            id: &'a str,
            r#type: &'a str,
        }
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::None => map.serialize_entry("data", &())?,
            Self::One(kind, id) => map.serialize_entry("data", &Identifier { id, r#type: kind })?,
            Self::Many(kind, ids) => {
                let all: Vec<_> = ids.iter().map(|id| Identifier { id, r#type: kind }).collect();
                map.serialize_entry("data", &all)?;
            }
            Self::Link(related) => map.serialize_entry("links", &json!({ "related": related }))?,
        }
        map.end()
    }
}

/// One resource object.
#[derive(Clone, Debug)]
pub struct Resource {
    /// JSON:API type.
    pub kind: &'static str,
    /// JSON:API id.
    pub id: String,
    attributes: Box<RawValue>,
    relationships: Vec<(&'static str, Linkage)>,
    links: Option<Value>,
}

impl Resource {
    /// A resource with its attributes, serialized once.
    pub fn new(kind: &'static str, id: impl Into<String>, attributes: &impl Serialize) -> Self {
        let attributes = serde_json::value::to_raw_value(attributes)
            .expect("attributes are structs with text keys, which always serialize");
        Self { kind, id: id.into(), attributes, relationships: Vec::new(), links: None }
    }

    /// Adds a relationship, in place of one of the same name.
    #[must_use]
    pub fn relate(mut self, name: &'static str, linkage: Linkage) -> Self {
        match self.relationships.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = linkage,
            None => self.relationships.push((name, linkage)),
        }
        self
    }

    /// Sets the links object.
    #[must_use]
    pub fn link(mut self, name: &str, target: impl Into<Value>) -> Self {
        self.links.get_or_insert_with(|| json!({}))[name] = target.into();
        self
    }

    /// Its attributes, read as `A`.
    pub(crate) fn attributes<A: serde::de::DeserializeOwned>(&self) -> serde_json::Result<A> {
        serde_json::from_str(self.attributes.get())
    }

    /// The resources that a relationship names; empty when there is no such relationship.
    pub fn related(&self, name: &str) -> Vec<(&'static str, &str)> {
        match self.relationships.iter().find(|(n, _)| *n == name).map(|(_, linkage)| linkage) {
            Some(Linkage::One(kind, id)) => vec![(kind, id)],
            Some(Linkage::Many(kind, ids)) => ids.iter().map(|id| (*kind, id.as_str())).collect(),
            Some(Linkage::None | Linkage::Link(_)) | None => vec![],
        }
    }
}

impl Serialize for Resource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Relationships<'a>(&'a [(&'static str, Linkage)]);
        impl Serialize for Relationships<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, linkage)| (*name, linkage)))
            }
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("type", self.kind)?;
        map.serialize_entry("attributes", &self.attributes)?;
        if !self.relationships.is_empty() {
            map.serialize_entry("relationships", &Relationships(&self.relationships))?;
        }
        if let Some(links) = &self.links {
            map.serialize_entry("links", links)?;
        }
        map.end()
    }
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Primary {
    One(Box<Resource>),
    Many(Vec<Resource>),
}

/// A whole document.
#[derive(Debug, Serialize)]
pub struct Document {
    pub(crate) data: Primary,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) included: Vec<Resource>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) links: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) meta: Option<Value>,
    #[serde(skip)]
    pub(crate) pagination: Option<Pagination>,
}

/// Which page of a list a document has.
#[derive(Clone, Copy, Debug)]
pub struct Pagination {
    /// From 1.
    pub page: u32,
    /// Most members of a page.
    pub size: u32,
    /// Whether another page follows.
    pub more: bool,
    /// Members of the whole list, where they were counted.
    pub total: Option<i64>,
}

impl Default for Pagination {
    fn default() -> Self {
        Self { page: 1, size: u32::MAX, more: false, total: None }
    }
}

impl Document {
    pub(crate) fn one(resource: Resource) -> Self {
        Self { data: Primary::One(Box::new(resource)), ..Self::many(vec![]) }
    }

    pub(crate) fn many(resources: Vec<Resource>) -> Self {
        Self { data: Primary::Many(resources), included: vec![], links: None, meta: None, pagination: None }
    }

    /// `meta.pagination` and `links`, as §7 of the specification has them. `base` is the path with its query, less
    /// `page[…]`.
    pub(crate) fn paginate<T>(&mut self, paged: &Paged<T>, base: &str) {
        let Page { number, size } = paged.page;
        let link = |n: u32| {
            let glue = if base.contains('?') { '&' } else { '?' };
            format!("{base}{glue}page%5Bnumber%5D={n}&page%5Bsize%5D={size}")
        };
        let prev = (number > 1).then(|| number - 1);
        if let Some(total) = paged.total {
            let pages =
                u32::try_from(total.div_euclid(i64::from(size)) + i64::from(total % i64::from(size) != 0))
                    .unwrap_or(u32::MAX);
            let next = (number < pages).then_some(number + 1);
            self.pagination =
                Some(Pagination { page: number, size, more: next.is_some(), total: Some(total) });
            self.links = Some(json!({
                "self": link(number), "first": link(1), "prev": prev.map(link), "next": next.map(link),
                "last": link(pages.max(1)),
            }));
            self.meta = Some(json!({ "pagination": {
                "current-page": number, "page-size": size, "prev-page": prev, "next-page": next,
                "total-pages": pages, "total-count": total,
            }}));
        } else {
            // Without a count, a full page is taken as a sign that another may follow.
            let next = (paged.items.len() == size as usize).then_some(number + 1);
            self.pagination = Some(Pagination { page: number, size, more: next.is_some(), total: None });
            self.links =
                Some(json!({ "self": link(number), "prev": prev.map(link), "next": next.map(link) }));
            self.meta = Some(json!({ "pagination": {
                "current-page": number, "page-size": size, "prev-page": prev, "next-page": next,
            }}));
        }
    }
}

/// What a handler answers.
#[derive(Debug)]
pub enum Reply {
    /// A document with a status.
    Document(StatusCode, Box<Document>),
    /// A document of SCIM with a status. The version and the location in its `meta` are headers too.
    Scim(StatusCode, Box<Value>),
    /// A status without a body.
    Empty(StatusCode),
    /// 302 or 307 to a URL.
    Redirect(StatusCode, String),
    /// Anything else: downloads, logs, plain JSON.
    Raw(Box<Response>),
}

impl Reply {
    /// 200 with one resource and nothing included.
    pub fn one(resource: Resource) -> Self {
        Self::Document(StatusCode::OK, Box::new(Document::one(resource)))
    }

    /// 201 with the resource that was made.
    pub fn created(resource: Resource) -> Self {
        Self::Document(StatusCode::CREATED, Box::new(Document::one(resource)))
    }

    /// 200 with a whole, unpaged list.
    pub fn list(resources: Vec<Resource>) -> Self {
        Self::Document(StatusCode::OK, Box::new(Document::many(resources)))
    }

    /// 204.
    pub fn no_content() -> Self {
        Self::Empty(StatusCode::NO_CONTENT)
    }

    /// 202, as actions answer.
    pub fn accepted() -> Self {
        Self::Empty(StatusCode::ACCEPTED)
    }

    /// Plain JSON, outside JSON:API.
    pub fn json(value: &Value) -> Self {
        Self::bytes("application/json", value.to_string())
    }

    /// 200 with bytes of a media type.
    pub fn bytes(media_type: &'static str, body: impl Into<Body>) -> Self {
        let mut response = Response::new(body.into());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        Self::Raw(Box::new(response))
    }

    /// The response, and the document in it, if it has one.
    pub(crate) fn into_response(self) -> Result<(Response, Option<Bytes>), Error> {
        let response = match self {
            Self::Document(status, document) => {
                let bytes = Bytes::from(serde_json::to_vec(&document).map_err(Error::internal)?);
                let mut response = Response::new(Body::from(bytes.clone()));
                *response.status_mut() = status;
                response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
                return Ok((response, Some(bytes)));
            }
            Self::Scim(status, document) => return scim(status, &document),
            Self::Empty(status) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = status;
                response
            }
            Self::Redirect(status, url) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = status;
                response
                    .headers_mut()
                    .insert(header::LOCATION, HeaderValue::try_from(url).map_err(Error::internal)?);
                response
            }
            Self::Raw(response) => *response,
        };
        Ok((response, None))
    }
}

/// The response with a document of SCIM.
fn scim(status: StatusCode, document: &Value) -> Result<(Response, Option<Bytes>), Error> {
    let bytes = Bytes::from(document.to_string());
    let mut response = Response::new(Body::from(bytes.clone()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SCIM_MEDIA_TYPE));
    if let Some(version) = document["meta"]["version"].as_str() {
        headers.insert(header::ETAG, HeaderValue::try_from(version).map_err(Error::internal)?);
    }
    if let Some(place) = document["meta"]["location"].as_str() {
        headers.insert(header::LOCATION, HeaderValue::try_from(place).map_err(Error::internal)?);
    }
    Ok((response, Some(bytes)))
}
