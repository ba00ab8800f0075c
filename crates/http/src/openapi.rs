//! `GET /api/v2/openapi.json`: the operation table as an OpenAPI 3.1 document.
//!
//! It lists what exists, and nothing else: method, path, parameters, the form of bodies, who may call and how refusals
//! look. What attributes a resource has, the API's documentation says.

use crate::{
    Access, Routes,
    document::{MEDIA_TYPE, SCIM_MEDIA_TYPE},
    serve::full_path,
};
use axum::http::Method;
use serde_json::{Map, Value, json};

/// What any reading operation may be asked; one that has no pages, no includes or no order ignores it.
const QUERY: [&str; 5] = ["page-number", "page-size", "include", "sort", "q"];

fn query(name: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "schema": schema })
}

/// The document for a table.
pub fn document(routes: &Routes) -> Value {
    let mut paths = Map::new();
    for operation in routes.operations() {
        let path = full_path(operation);
        let mut parameters: Vec<Value> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        let media_type = if operation.access == Access::Scim { SCIM_MEDIA_TYPE } else { MEDIA_TYPE };
        let refusal = if operation.access == Access::Scim { "scim-error" } else { "errors" };
        let mut entry = json!({
            "operationId": operation.name,
            "tags": [operation.name.split('.').next().unwrap_or_default()],
            "responses": {
                "2XX": { "description": "Success", "content": { media_type: { "schema": { "type": "object" } } } },
                "4XX": { "description": "Refusal", "content": { media_type: {
                    "schema": { "$ref": format!("#/components/schemas/{refusal}") },
                } } },
            },
        });
        if operation.access == Access::Token && operation.method == Method::GET {
            parameters.extend(QUERY.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") })));
        }
        if operation.access == Access::Token && operation.method != Method::GET {
            let schema = json!({ "$ref": "#/components/schemas/document" });
            entry["requestBody"] = json!({ "content": { MEDIA_TYPE: { "schema": schema } } });
        }
        if !parameters.is_empty() {
            entry["parameters"] = Value::Array(parameters);
        }
        match operation.access {
            Access::Token => entry["security"] = json!([{ "token": [] }]),
            Access::Scim => entry["security"] = json!([{ "scim-token": [] }]),
            Access::Public | Access::Signed => {}
        }
        let method = operation.method.as_str().to_lowercase();
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = entry;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Ferroform", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" } },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "scim-token": { "type": "http", "scheme": "bearer" },
            },
            "parameters": {
                "page-number": query("page[number]", &json!({ "type": "integer", "minimum": 1 })),
                "page-size": query("page[size]", &json!({ "type": "integer", "minimum": 1, "maximum": 100 })),
                "include": query("include", &json!({ "type": "string" })),
                "sort": query("sort", &json!({ "type": "string" })),
                "q": query("q", &json!({ "type": "string" })),
            },
            "schemas": { "scim-error": { "type": "object", "required": ["schemas", "status"], "properties": {
                "schemas": { "type": "array", "items": { "type": "string" } }, "status": { "type": "string" },
                "scimType": { "type": "string" }, "detail": { "type": "string" },
            } }, "document": {
                "type": "object", "required": ["data"], "properties": { "data": { "anyOf": [
                    { "$ref": "#/components/schemas/resource" },
                    { "type": "array", "items": { "$ref": "#/components/schemas/resource" } },
                ] } },
            }, "resource": { "type": "object", "properties": {
                "id": { "type": "string" }, "type": { "type": "string" }, "attributes": { "type": "object" },
                "relationships": { "type": "object", "additionalProperties": { "type": "object", "properties": { "data": {
                    "anyOf": [{ "type": "null" }, { "$ref": "#/components/schemas/identifier" },
                        { "type": "array", "items": { "$ref": "#/components/schemas/identifier" } }],
                } } } },
            } }, "identifier": { "type": "object", "required": ["id"], "properties": {
                "id": { "type": "string" }, "type": { "type": "string" },
            } }, "errors": { "type": "object", "required": ["errors"], "properties": { "errors": { "type": "array", "items": {
                "type": "object", "required": ["status", "title"],
                "properties": { "status": { "type": "string" }, "title": { "type": "string" }, "detail": { "type": "string" },
                                "source": { "type": "object" } },
            }}}}},
        },
    })
}
