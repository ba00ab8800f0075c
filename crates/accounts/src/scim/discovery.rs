//! What this server can do of SCIM: `/scim/v2/ServiceProviderConfig`, `ResourceTypes`, `Schemas`. RFC 7643 §5 to §7.

use super::{
    path::{GROUP, USER},
    resource,
};
use axum::http::{Method, StatusCode};
use http_api::{Cx, Error, Reply, Result, Routes};
use serde_json::{Value, json};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The operations of discovery.
pub(super) fn routes() -> Routes {
    let get = Method::GET;
    Routes::new()
        .scim(get.clone(), "/ServiceProviderConfig", "accounts.scim-configuration.read", configuration)
        .scim(get.clone(), "/ResourceTypes", "accounts.scim-resource-types.list", types)
        .scim(get.clone(), "/ResourceTypes/{id}", "accounts.scim-resource-types.read", one_type)
        .scim(get.clone(), "/Schemas", "accounts.scim-schemas.list", schemas)
        .scim(get, "/Schemas/{id}", "accounts.scim-schemas.read", schema)
}

async fn configuration(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    let no = json!({ "supported": false });
    Ok(Reply::Scim(
        StatusCode::OK,
        Box::new(json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
            "patch": { "supported": true },
            "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
            "filter": { "supported": true, "maxResults": resource::MOST },
            "changePassword": no,
            "sort": no,
            "etag": { "supported": true },
            "authenticationSchemes": [{
                "type": "oauthbearertoken", "name": "SCIM token", "primary": true,
                "description": "A token that a site admin makes by POST /api/v2/admin/scim-tokens",
            }],
            "meta": { "resourceType": "ServiceProviderConfig", "location": cx.app.url("/scim/v2/ServiceProviderConfig") },
        })),
    ))
}

fn all(resources: Vec<Value>) -> Reply {
    Reply::Scim(
        StatusCode::OK,
        Box::new(json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": resources.len(), "startIndex": 1, "itemsPerPage": resources.len(), "Resources": resources,
        })),
    )
}

fn by_id(cx: &Cx, resources: Vec<Value>) -> Result<Reply> {
    let found = resources.into_iter().find(|resource| resource["id"] == cx.path("id"));
    found.map(|found| Reply::Scim(StatusCode::OK, Box::new(found))).ok_or(Error::NotFound)
}

fn resource_types(cx: &Cx) -> Vec<Value> {
    let kind = |id: &str, endpoint: &str, schema: &str, extensions: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": id, "name": id, "endpoint": endpoint, "schema": schema, "schemaExtensions": extensions,
            "meta": { "resourceType": "ResourceType", "location": cx.app.url(&format!("/scim/v2/ResourceTypes/{id}")) },
        })
    };
    vec![
        kind("User", "/Users", USER, json!([{ "schema": ENTERPRISE, "required": false }])),
        kind("Group", "/Groups", GROUP, json!([])),
    ]
}

async fn types(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    Ok(all(resource_types(&cx)))
}

async fn one_type(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    by_id(&cx, resource_types(&cx))
}

/// An attribute that is neither required nor compared by its case.
fn attribute(name: &str, kind: &str) -> Value {
    json!({
        "name": name, "type": kind, "multiValued": false, "required": false, "caseExact": false,
        "mutability": "readWrite", "returned": "default", "uniqueness": "none",
    })
}

fn with(mut attribute: Value, changes: Value) -> Value {
    if let (Some(attribute), Value::Object(changes)) = (attribute.as_object_mut(), changes) {
        attribute.extend(changes);
    }
    attribute
}

fn complex(name: &str, parts: &[&str], many: bool) -> Value {
    let parts: Vec<Value> = parts
        .iter()
        .map(|part| attribute(part, if *part == "primary" { "boolean" } else { "string" }))
        .collect();
    with(attribute(name, "complex"), json!({ "multiValued": many, "subAttributes": parts }))
}

fn all_schemas(cx: &Cx) -> Vec<Value> {
    let text = |name: &str| attribute(name, "string");
    let key = |name: &str| with(text(name), json!({ "required": true, "uniqueness": "server" }));
    let exact = |name: &str| with(text(name), json!({ "caseExact": true }));
    let groups = with(complex("groups", &["value", "display"], true), json!({ "mutability": "readOnly" }));
    let user = vec![
        key("userName"),
        exact("externalId"),
        complex("name", &["formatted", "familyName", "givenName", "middleName"], false),
        text("displayName"),
        text("title"),
        complex("emails", &["value", "type", "primary"], true),
        attribute("active", "boolean"),
        groups,
    ];
    let group =
        vec![key("displayName"), exact("externalId"), complex("members", &["value", "display"], true)];
    let enterprise =
        ["employeeNumber", "costCenter", "organization", "division", "department"].map(text).to_vec();
    let schema = |id: &str, name: &str, attributes: Vec<Value>| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id, "name": name, "description": name, "attributes": attributes,
            "meta": { "resourceType": "Schema", "location": cx.app.url(&format!("/scim/v2/Schemas/{id}")) },
        })
    };
    vec![
        schema(USER, "User", user),
        schema(GROUP, "Group", group),
        schema(ENTERPRISE, "EnterpriseUser", enterprise),
    ]
}

async fn schemas(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    Ok(all(all_schemas(&cx)))
}

async fn schema(cx: Cx) -> Result<Reply> {
    resource::readable(&cx)?;
    by_id(&cx, all_schemas(&cx))
}
