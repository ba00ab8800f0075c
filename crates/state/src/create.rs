//! A client stores a state: at once in the request, or announced now and uploaded afterwards ([`crate::upload`]).
//!
//! The caller must hold the workspace's lock. The serial that counts is the one of the request; the one inside the file
//! is not looked at. Repeating a request with the same serial and bytes makes another version of the same content
//! current, so a client that lost the answer may simply ask again. Source: semantics.md §4.1.

use crate::{
    facts,
    file::Output,
    outputs::{self, OutputFact},
    store::{self, Given, Origin},
    verdict::{self, Claim},
    versions::{self, INCLUDES},
};
use authz::perm;
use axum::http::Method;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use db::args;
use http_api::{App, Cx, Error, Reply, Result, Routes, blobs};
use kernel::ids::{RunId, StateVersionId};
use serde::Deserialize;
use std::{borrow::Cow, collections::BTreeMap};
use workspaces::{Workspace, workspaces as table};

/// The operation that stores a state.
pub fn routes() -> Routes {
    Routes::new().op(Method::POST, "/workspaces/{id}/state-versions", "state.versions.create", create)
}

/// A request, decoded.
#[derive(Debug)]
struct Asked {
    claim: Claim,
    run: Option<String>,
    state: Option<Bytes>,
    given: Given,
}

/// The body as sent. States are borrowed from it: they are large, and decoded from base64 right away.
#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    attributes: Attributes<'a>,
    #[serde(default)]
    relationships: Relationships,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes<'a> {
    serial: Option<i64>,
    md5: Option<String>,
    lineage: Option<String>,
    force: Option<bool>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
    #[serde(borrow)]
    json_state: Option<Text<'a>>,
    #[serde(borrow)]
    json_state_outputs: Option<Text<'a>>,
}

/// Text that is borrowed unless it contains escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Default, Deserialize)]
#[serde(default)]
struct Relationships {
    run: Option<Relationship>,
}

#[derive(Deserialize)]
struct Relationship {
    data: Option<Identifier>,
}

#[derive(Deserialize)]
struct Identifier {
    id: String,
}

impl Asked {
    /// Reads a body: JSON, base64, and all that can be said without looking at the workspace.
    fn read(body: &[u8]) -> Result<Self> {
        let Body { data: Data { attributes, relationships } } = serde_json::from_slice(body)
            .map_err(|e| Error::Unprocessable(format!("the body is not a state version: {e}")))?;
        let mut wrong = Vec::new();
        let md5 = attributes.md5.unwrap_or_default().to_ascii_lowercase();
        if md5.is_empty() {
            wrong.push(("md5", "Md5 can't be blank"));
        } else if md5.len() != 32 || !md5.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            wrong.push(("md5", "Md5 must be 32 hexadecimal digits"));
        }
        match attributes.serial {
            None => wrong.push(("serial", "Serial can't be blank")),
            Some(serial) if serial < 0 => wrong.push(("serial", "Serial must not be negative")),
            Some(_) => {}
        }
        if !wrong.is_empty() {
            let owned = |(name, text): (&str, &str)| (name.to_owned(), text.to_owned());
            return Err(Error::Invalid(wrong.into_iter().map(owned).collect()));
        }
        let state = decode("state", attributes.state)?;
        if state.as_ref().is_some_and(Bytes::is_empty) {
            return Err(Error::invalid("state", "State can't be blank"));
        }
        // Terraform before 1.6 sends these empty where it has no schemas, as when it migrates a state.
        let json = decode("json-state", attributes.json_state)?.filter(|json| !json.is_empty());
        let outputs = decode("json-state-outputs", attributes.json_state_outputs)?;
        let outputs = match outputs.filter(|outputs| !outputs.is_empty()) {
            Some(json) => outputs_of(&json)?,
            None => vec![],
        };
        Ok(Self {
            claim: Claim {
                serial: attributes.serial.unwrap_or_default(),
                md5,
                lineage: attributes.lineage.filter(|lineage| !lineage.is_empty()),
                force: attributes.force.unwrap_or(false),
            },
            run: relationships.run.and_then(|run| run.data).map(|data| data.id),
            state,
            given: Given { json, outputs },
        })
    }
}

/// Standard base64; line breaks, as `base64` without `-w0` makes them, do not matter.
fn decode(attribute: &str, text: Option<Text<'_>>) -> Result<Option<Bytes>> {
    let Some(Text(text)) = text else { return Ok(None) };
    let decoded = STANDARD.decode(text.as_bytes()).or_else(|error| {
        if !text.contains(|c: char| c.is_ascii_whitespace()) {
            return Err(error);
        }
        STANDARD.decode(text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect::<Vec<_>>())
    });
    match decoded {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) => {
            Err(Error::invalid(attribute, format!("{} is not valid base64: {error}", title(attribute))))
        }
    }
}

/// `json-state` as a sentence begins with it: `Json state`.
fn title(attribute: &str) -> String {
    let mut text = attribute.replace('-', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

fn outputs_of(json: &[u8]) -> Result<Vec<OutputFact>> {
    let outputs: BTreeMap<String, Output<'_>> = serde_json::from_slice(json).map_err(|e| {
        Error::invalid(
            "json-state-outputs",
            format!("Json state outputs are not outputs by name in JSON: {e}"),
        )
    })?;
    Ok(facts::output_facts(&outputs))
}

async fn create(mut cx: Cx) -> Result<Reply> {
    // Before the body: who may not write here need not send it.
    let (workspace, grants) = table::granted::<perm::WriteState>(&cx).await?;
    let limit = cx.app.settings.state_bytes;
    // In base64, with room for the rest of the request.
    let body = cx.bytes(limit / 3 * 4 + (1 << 20)).await?;
    let asked = blobs::blocking(move || Asked::read(&body)).await?;
    if asked.state.as_ref().is_some_and(|state| state.len() > limit) {
        return Err(Error::TooLarge(format!("a state may have at most {limit} bytes")));
    }
    verdict::expect(&cx.app, &workspace, cx.actor()?, &asked.claim).await?;
    let run = match &asked.run {
        Some(run) => Some(run_of(&cx.app, &workspace, run).await?),
        None => None,
    };
    let id = match asked.state {
        Some(state) => store_now(&cx, &workspace, asked.claim, state, asked.given, run).await?,
        None => announce(&cx, &workspace, asked.claim, asked.given, run).await?,
    };
    let version = versions::by_id(&cx.app, id.as_str()).await?;
    cx.created(versions::one(&cx.app, version, grants).await?, INCLUDES).await
}

/// The run that the request names, which must be of this workspace.
async fn run_of(app: &App, workspace: &Workspace, id: &str) -> Result<RunId> {
    let found: Option<(RunId,)> = app
        .db
        .one("SELECT id FROM runs WHERE id = $1 AND workspace_id = $2", args![id, &workspace.id])
        .await?;
    found.map(|(id,)| id).ok_or_else(|| Error::invalid("run", "Run does not exist in this workspace"))
}

async fn store_now(
    cx: &Cx,
    workspace: &Workspace,
    claim: Claim,
    state: Bytes,
    given: Given,
    run: Option<RunId>,
) -> Result<StateVersionId> {
    let app = &cx.app;
    let actor = cx.actor()?;
    let new = store::prepare_with(app, &workspace.organization_id, state, given).await?;
    let mut tx = app.db.begin().await?;
    let held = table::hold(&mut tx, &workspace.id).await?;
    verdict::decide(&mut tx, &held, actor, &claim, Some(&new.md5)).await?;
    let origin = Origin {
        serial: claim.serial,
        lineage: claim.lineage.unwrap_or_else(|| new.facts.lineage.clone()),
        run,
        created_by: actor.user_id().clone(),
    };
    let id = store::add(app, &mut tx, &held, new, &origin).await?;
    tx.commit().await?;
    Ok(id)
}

async fn announce(
    cx: &Cx,
    workspace: &Workspace,
    claim: Claim,
    given: Given,
    run: Option<RunId>,
) -> Result<StateVersionId> {
    let app = &cx.app;
    let actor = cx.actor()?;
    let key = app.data_key(&workspace.organization_id).await?;
    let outputs = outputs::seal(given.outputs, &key, &app.env);
    let json = store::write(app, &workspace.organization_id, "json-state", given.json).await?;
    let mut tx = app.db.begin().await?;
    let held = table::hold(&mut tx, &workspace.id).await?;
    verdict::decide(&mut tx, &held, actor, &claim, None).await?;
    let origin = Origin {
        serial: claim.serial,
        lineage: claim.lineage.unwrap_or_default(),
        run,
        created_by: actor.user_id().clone(),
    };
    let id = store::add_pending(app, &mut tx, &held, &claim.md5, (json, outputs), &origin).await?;
    tx.commit().await?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(attributes: serde_json::Value) -> Vec<u8> {
        json!({ "data": { "type": "state-versions", "attributes": attributes } }).to_string().into_bytes()
    }

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

    #[test]
    fn a_state_may_come_in_base64_with_line_breaks() {
        let body =
            body(json!({ "serial": 1, "md5": MD5.to_uppercase(), "state": "eyJ2\nZXJzaW9u\nIjo0fQ==\n" }));
        let asked = Asked::read(&body).unwrap();
        assert_eq!(asked.state.unwrap(), r#"{"version":4}"#.as_bytes());
        assert_eq!(asked.claim, Claim { serial: 1, md5: MD5.to_owned(), lineage: None, force: false });
    }

    #[test]
    fn a_malformed_request_is_refused_with_the_attribute_that_is_wrong() {
        let attribute = |attributes| match Asked::read(&body(attributes)) {
            Err(Error::Invalid(wrong)) => wrong.into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(attribute(json!({})), ["md5", "serial"]);
        assert_eq!(attribute(json!({ "serial": -1, "md5": "zz" })), ["md5", "serial"]);
        assert_eq!(attribute(json!({ "serial": 1, "md5": MD5, "state": "*" })), ["state"]);
        assert_eq!(attribute(json!({ "serial": 1, "md5": MD5, "state": "" })), ["state"]);
        assert_eq!(
            attribute(json!({ "serial": 1, "md5": MD5, "json-state-outputs": "W10=" })),
            ["json-state-outputs"]
        );
        assert!(matches!(Asked::read(b"not JSON"), Err(Error::Unprocessable(_))));
        assert!(matches!(
            Asked::read(&body(json!({ "serial": "1", "md5": MD5 }))),
            Err(Error::Unprocessable(_))
        ));
    }

    #[test]
    fn outputs_may_be_given_beside_the_state() {
        let outputs = STANDARD.encode(r#"{"a":{"sensitive":true,"type":["list","string"],"value":["x"]}}"#);
        let asked =
            Asked::read(&body(json!({ "serial": 1, "md5": MD5, "json-state-outputs": outputs }))).unwrap();
        let expected = OutputFact {
            name: "a".to_owned(),
            sensitive: true,
            detailed_type: r#"["list","string"]"#.to_owned(),
            value: r#"["x"]"#.to_owned(),
        };
        assert_eq!(asked.given.outputs, [expected]);
        assert!(asked.state.is_none());
    }

    #[test]
    fn an_empty_json_state_and_empty_outputs_count_as_absent() {
        let attributes =
            json!({ "serial": 1, "md5": MD5, "state": "e30=", "json-state": "", "json-state-outputs": "" });
        let asked = Asked::read(&body(attributes)).unwrap();
        assert!(asked.state.is_some() && asked.given.json.is_none() && asked.given.outputs.is_empty());
    }

    #[test]
    fn relationships_without_data_count_as_absent() {
        let body = json!({ "data": { "attributes": { "serial": 1, "md5": MD5, "state": null },
            "relationships": { "run": { "data": null } } } });
        let asked = Asked::read(body.to_string().as_bytes()).unwrap();
        assert!(asked.run.is_none() && asked.state.is_none());
    }
}
