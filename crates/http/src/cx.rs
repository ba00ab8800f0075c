//! One request, as a handler sees it.

use crate::{
    App, Error, Reply, Resource, Result, audit,
    auth::admit_to_administration,
    document::{Document, Primary},
    include,
};
use authz::{Actor, Grants};
use axum::{
    body::Body,
    http::{HeaderMap, StatusCode, Uri},
};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kernel::{Page, Paged, ids::OrganizationId};
use serde::{Deserialize, de::DeserializeOwned};
use std::{
    net::IpAddr,
    sync::{Arc, Mutex},
};

/// One request: who calls, what they ask, and the application to answer with.
pub struct Cx {
    /// The server's parts.
    pub app: App,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's URI.
    pub uri: Uri,
    /// Names this request in logs and in answers.
    pub request_id: Arc<str>,
    /// Where from, if that is known.
    pub address: Option<IpAddr>,
    pub(crate) actor: Option<Arc<Actor>>,
    pub(crate) params: Arc<[(String, String)]>,
    pub(crate) query: Arc<[(String, String)]>,
    // A body is not `Sync`; the mutex makes this context so, and is never contended.
    pub(crate) body: Mutex<Option<Body>>,
}

/// A member of a list in a request: a resource identifier, or a resource with whatever attributes.
pub type Member = Data<serde_json::Map<String, serde_json::Value>>;

/// The `data` of a JSON:API request.
#[derive(Debug, Default, Deserialize)]
#[serde(bound(deserialize = "A: DeserializeOwned + Default"))]
pub struct Data<A> {
    /// The type that the client claims; never checked, clients send it empty.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The id, where the client sends one.
    #[serde(default)]
    pub id: Option<String>,
    /// The attributes; an absent object is an empty one.
    #[serde(default)]
    pub attributes: A,
    #[serde(default)]
    relationships: serde_json::Map<String, serde_json::Value>,
}

impl<A> Data<A> {
    /// The id that a to-one relationship names. `{"data": null}` and an absent one are alike: not given.
    pub fn related(&self, name: &str) -> Option<&str> {
        self.relationships.get(name)?.get("data")?.get("id")?.as_str()
    }

    /// The members of a to-many relationship, which may carry attributes; `None` where the request has no such list.
    ///
    /// # Errors
    /// [`Error::Unprocessable`] when one of them is no resource object.
    pub fn related_list(&self, name: &str) -> Result<Option<Vec<Member>>> {
        let Some(list) = self.relationship(name).filter(|data| data.is_array()) else { return Ok(None) };
        Deserialize::deserialize(list).map(Some).map_err(|e| {
            Error::Unprocessable(format!("the relationship {name} does not have the expected shape: {e}"))
        })
    }

    /// The `data` of a relationship as sent, for to-many relationships.
    pub fn relationship(&self, name: &str) -> Option<&serde_json::Value> {
        self.relationships.get(name)?.get("data")
    }
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "A: DeserializeOwned + Default"))]
struct Wrapper<A> {
    data: Data<A>,
}

impl Cx {
    /// Who calls.
    ///
    /// # Errors
    /// [`Error::Unauthorized`] without a token; an operation declared for tokens never gets there.
    pub fn actor(&self) -> Result<&Actor> {
        self.actor.as_deref().ok_or(Error::Unauthorized)
    }

    /// What the caller holds in an organization: remembered for moments, forgotten when access changes.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when the organization does not let its members in from where this one is.
    pub async fn grants(&self, organization: &OrganizationId) -> Result<Arc<Grants>> {
        audit::organization(organization);
        let actor = self.actor()?;
        let held = self.app.identities.held(&self.app, actor, organization).await?;
        if held.grants.member {
            held.networks.admit(actor, self.address)?;
        }
        Ok(held.grants)
    }

    /// Refuses a token of an organization from where the organization lets nobody in, for what needs no grants.
    ///
    /// # Errors
    /// [`Error::Forbidden`], as [`Cx::grants`].
    pub async fn admit(&self, organization: &OrganizationId) -> Result<()> {
        let actor = self.actor()?;
        self.app.identities.held(&self.app, actor, organization).await?.networks.admit(actor, self.address)
    }

    /// Refuses administration to a site admin without a second factor, where site admins have said so.
    pub(crate) async fn admit_to_administration(&self) -> Result<()> {
        match self.actor.as_deref() {
            Some(actor) if self.is_administration() => admit_to_administration(&self.app, actor).await,
            _ => Ok(()),
        }
    }

    /// Reads what the caller holds in each of several organizations, for a list that then asks for each.
    pub async fn prepare_grants(&self, organizations: &[OrganizationId]) -> Result<()> {
        self.app.identities.prepare(&self.app, self.actor()?, organizations).await
    }

    /// What the caller holds in an organization, for documents of resources of many organizations: for site admins, who
    /// are as good as owners everywhere, without a look at each.
    pub async fn grants_to_show(&self, organization: &OrganizationId) -> Result<Arc<Grants>> {
        if !self.actor()?.is_site_admin() {
            return self.grants(organization).await;
        }
        let mut grants = Grants::none(organization.clone());
        grants.site_admin = true;
        Ok(Arc::new(grants))
    }

    /// Whether this is a request to the Admin API, whose documents of organizations are its own.
    pub fn is_administration(&self) -> bool {
        self.uri.path().starts_with("/api/v2/admin/")
    }

    /// A parameter of the path.
    pub fn path(&self, name: &str) -> &str {
        self.params
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
            .expect("handlers name parameters of the path that they are declared with")
    }

    /// Whether the path has a parameter of this name.
    pub fn has_path(&self, name: &str) -> bool {
        self.params.iter().any(|(n, _)| n == name)
    }

    /// The first value of a query parameter, decoded.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A query parameter that is a comma-separated list of alternatives; empty when absent.
    pub fn query_list(&self, name: &str) -> Vec<&str> {
        self.query(name).unwrap_or_default().split(',').map(str::trim).filter(|v| !v.is_empty()).collect()
    }

    /// All query parameters, decoded, in order.
    pub fn query_pairs(&self) -> &[(String, String)] {
        &self.query
    }

    /// Which page of a list is asked for.
    pub fn page(&self) -> Page {
        let number = |name| self.query(name).and_then(|v| v.parse().ok());
        Page::new(number("page[number]").unwrap_or(1), number("page[size]").unwrap_or(20))
    }

    /// The request's body as a stream; only once.
    pub fn body(&mut self) -> Body {
        self.body.get_mut().expect("no holder of this lock panics").take().unwrap_or_default()
    }

    /// The whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] past the limit, [`Error::BadRequest`] when the connection broke.
    pub async fn bytes(&mut self, limit: usize) -> Result<Bytes> {
        match Limited::new(self.body(), limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(e) if e.is::<LengthLimitError>() => {
                Err(Error::TooLarge(format!("the body of this request may have at most {limit} bytes")))
            }
            Err(e) => {
                Err(Error::bad_request("bad request", format!("the body could not be read whole: {e}")))
            }
        }
    }

    /// A request header, where it is there once and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The `data` of a JSON:API body.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when it is not JSON; [`Error::Unprocessable`] naming the place when its shape is wrong.
    pub async fn data<A: DeserializeOwned + Default>(&mut self) -> Result<Data<A>> {
        let limit = self.app.settings.json_body_bytes;
        self.data_within(limit).await
    }

    /// A body of JSON that is no JSON:API document.
    ///
    /// # Errors
    /// As [`Cx::data`].
    pub async fn json<T: DeserializeOwned>(&mut self) -> Result<T> {
        let body = self.bytes(self.app.settings.json_body_bytes).await?;
        decode(&body)
    }

    /// [`Cx::data`] with a limit of its own.
    pub async fn data_within<A: DeserializeOwned + Default>(&mut self, limit: usize) -> Result<Data<A>> {
        let body = self.bytes(limit).await?;
        decode::<Wrapper<A>>(&body).map(|w| w.data)
    }

    /// The attributes of a body that may also be empty, or an object without `data`: clients send all three.
    pub async fn optional_attributes<A: DeserializeOwned + Default>(&mut self) -> Result<A> {
        #[derive(Deserialize)]
        #[serde(bound(deserialize = "A: DeserializeOwned + Default"))]
        struct Optional<A> {
            data: Option<Data<A>>,
        }
        let body = self.bytes(self.app.settings.json_body_bytes).await?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(A::default());
        }
        let body: Optional<A> = decode(&body)?;
        Ok(body.data.map(|data| data.attributes).unwrap_or_default())
    }

    /// The `data` of a relationship body: a list of resource identifiers, or of whole resources.
    pub async fn data_list(&mut self) -> Result<Vec<Member>> {
        #[derive(Deserialize)]
        struct List {
            data: Vec<Member>,
        }
        let body = self.bytes(self.app.settings.json_body_bytes).await?;
        decode::<List>(&body).map(|list| list.data)
    }

    /// The one field `name` of an action's body: bare (`{"comment": …}`), as an attribute of a JSON:API document, or
    /// absent. Clients send all three.
    pub async fn action_field(&mut self, name: &str) -> Result<Option<String>> {
        let body = self.bytes(self.app.settings.json_body_bytes).await?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(None);
        }
        let body: serde_json::Value = decode(&body)?;
        let found = body.get(name).or_else(|| body.get("data")?.get("attributes")?.get(name));
        Ok(found.and_then(|v| v.as_str()).filter(|text| !text.is_empty()).map(str::to_owned))
    }

    /// Answers one resource with what `include=` asks among `offered` paths (snake_case).
    pub async fn one(&self, resource: Resource, offered: &[&str]) -> Result<Reply> {
        self.document(StatusCode::OK, Document::one(resource), offered).await
    }

    /// Answers the resource that was made, likewise.
    pub async fn created(&self, resource: Resource, offered: &[&str]) -> Result<Reply> {
        self.document(StatusCode::CREATED, Document::one(resource), offered).await
    }

    /// Answers the resource that was made together with the resource that its relationship `always` names.
    pub async fn created_including(
        &self,
        resource: Resource,
        offered: &[&str],
        always: &str,
    ) -> Result<Reply> {
        let mut document = Document::one(resource);
        let mut paths = include::parse(self.query("include"), offered)?;
        paths.push(vec![always.to_owned()]);
        if let Primary::One(one) = &document.data {
            document.included = include::resolve(self, std::slice::from_ref(one), &paths).await?;
        }
        Ok(Reply::Document(StatusCode::CREATED, Box::new(document)))
    }

    /// Answers a page of a list, likewise.
    pub async fn page_of(&self, paged: Paged<Resource>, offered: &[&str]) -> Result<Reply> {
        let mut document = Document::many(vec![]);
        document.paginate(&paged, &self.base_link());
        document.data = Primary::Many(paged.items);
        self.document(StatusCode::OK, document, offered).await
    }

    /// Answers a whole list, likewise.
    pub async fn list(&self, resources: Vec<Resource>, offered: &[&str]) -> Result<Reply> {
        self.document(StatusCode::OK, Document::many(resources), offered).await
    }

    async fn document(&self, status: StatusCode, mut document: Document, offered: &[&str]) -> Result<Reply> {
        let paths = include::parse(self.query("include"), offered)?;
        if !paths.is_empty() {
            document.included = match &document.data {
                Primary::One(one) => include::resolve(self, std::slice::from_ref(one), &paths).await?,
                Primary::Many(many) => include::resolve(self, many, &paths).await?,
            };
        }
        Ok(Reply::Document(status, Box::new(document)))
    }

    /// This request for a part of its answer: the same caller, no body.
    pub(crate) fn fork(&self) -> Self {
        Self {
            app: self.app.clone(),
            headers: HeaderMap::new(),
            uri: self.uri.clone(),
            request_id: self.request_id.clone(),
            address: self.address,
            actor: self.actor.clone(),
            params: self.params.clone(),
            query: self.query.clone(),
            body: Mutex::default(),
        }
    }

    /// The request for what this one changes: the same caller and path, no query, no body.
    pub(crate) fn sibling(&self) -> Self {
        let uri = self.uri.path().parse().unwrap_or_else(|_| self.uri.clone());
        Self { uri, query: Arc::new([]), ..self.fork() }
    }

    /// Gives back the body that was taken.
    pub(crate) fn put_back(&mut self, body: Body) {
        *self.body.get_mut().expect("no holder of this lock panics") = Some(body);
    }

    fn base_link(&self) -> String {
        let kept: Vec<&str> = self
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("page%5B") && !pair.starts_with("page["))
            .collect();
        let path = self.app.url(self.uri.path());
        if kept.is_empty() { path } else { format!("{path}?{}", kept.join("&")) }
    }
}

/// Whether a text in a JSON document has a zero byte, which PostgreSQL's texts cannot have. `\\u0000` is a backslash and five
/// more characters.
fn names_a_zero_byte(json: &[u8]) -> bool {
    let escapes = |at: usize| json[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0;
    memchr::memmem::find_iter(json, br"\u0000").any(escapes)
}

fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    if names_a_zero_byte(body) {
        return Err(Error::Unprocessable(
            "the body has a zero byte (\\u0000) in a text; remove it".to_owned(),
        ));
    }
    serde_json::from_slice(body).map_err(|e| match e.classify() {
        serde_json::error::Category::Data => {
            Error::Unprocessable(format!("the body does not have the expected shape: {e}"))
        }
        _ => Error::bad_request("bad request", format!("the body is not JSON: {e}")),
    })
}
