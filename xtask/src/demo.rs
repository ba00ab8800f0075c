//! `cargo xtask demo`: the API-driven run workflow from nothing to stored state, told step by step.
//!
//! Everything goes through the public API, as a person with curl would do it; each step prints the curl command that
//! does the same. At the end the server stays up for experiments until Ctrl-C.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::api::{Api, JSON_API};
use crate::build::{self, Profile};
use crate::server::{Server, Tls};
use crate::steps::{self, bold, dim};
use crate::{engines, lifeline, places};

const ORGANIZATION: &str = "demo";
const WORKSPACE: &str = "hello";
const PASSPHRASE: &str = "correct horse battery staple";

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Stop at once at the end instead of leaving the server running
    #[arg(long)]
    exit: bool,
    /// Build and run the optimised program (slower to build)
    #[arg(long)]
    release: bool,
}

/// Runs the demonstration.
///
/// # Errors
/// When any step failed; the error says which, after the server's last words.
pub fn run(arguments: &Arguments) -> Result<()> {
    let mut tour = Tour::default();
    let profile = if arguments.release { Profile::Release } else { Profile::Debug };
    let kind = if arguments.release { "the optimised program" } else { "the program, as the tests build it" };
    let ferroform = tour.stop("Build", kind, "", || build::binary("ferroform", profile))?;
    let engine =
        tour.stop("Engine", "Ferroform ships none; this machine's, or one made for tests", "", || {
            let engine = engines::any()?;
            println!("{}", engine.display());
            Ok(engine)
        })?;
    let server =
        tour.stop("Serve", "an empty folder, embedded defaults: SQLite, local objects, own TLS", "", || {
            let server = Server::start(&ferroform, Tls::Own, &[OsString::from("--engine"), engine.into()])?;
            println!("{} is ready; its data is in {}", server.url(), server.data_dir().display());
            Ok(server)
        })?;
    if let Err(error) = workflow(&mut tour, &server, &ferroform) {
        println!("\n{}\n{}", bold("The server's last words:"), server.log_tail());
        return Err(error);
    }
    if arguments.exit {
        println!("\n{}", bold("All of it worked; stopping the server, as --exit asks."));
        return Ok(());
    }
    say_what_next(&server, &ferroform);
    lifeline::until_interrupted()?;
    println!("\nstopping the server");
    Ok(())
}

/// What a CI pipeline and the people around it do, in order.
fn workflow(tour: &mut Tour, server: &Server, ferroform: &Path) -> Result<()> {
    let api = server.api()?;
    make_organization(tour, &api)?;
    let workspace = make_workspace(tour, &api)?;
    set_variables(tour, &api, &workspace)?;
    push(tour, server, ferroform)?;
    let state_version = show_outputs(tour, &api, &workspace)?;
    show_state(tour, &api, &state_version)
}

fn make_organization(tour: &mut Tour, api: &Api) -> Result<()> {
    let path = "/api/v2/organizations";
    let body = document("organizations", &json!({ "name": ORGANIZATION, "email": "admin@example.com" }));
    tour.stop("Organization", "what owns workspaces, teams and keys", &post_line(path, &body), || {
        let made = api.post(path, &body)?;
        println!("organization {}", text(&made, "/data/id")?);
        Ok(())
    })
}

fn make_workspace(tour: &mut Tour, api: &Api) -> Result<String> {
    let path = format!("/api/v2/organizations/{ORGANIZATION}/workspaces");
    let body = document("workspaces", &json!({ "name": WORKSPACE }));
    tour.stop("Workspace", "one state, its variables and its runs", &post_line(&path, &body), || {
        let made = api.post(&path, &body)?;
        let id = text(&made, "/data/id")?;
        println!("workspace {id}");
        Ok(id)
    })
}

fn set_variables(tour: &mut Tour, api: &Api, workspace: &str) -> Result<()> {
    let path = format!("/api/v2/workspaces/{workspace}/vars");
    let audience = json!({ "key": "audience", "value": r#"["world", "operators"]"#, "hcl": true, "category": "terraform" });
    let passphrase =
        json!({ "key": "passphrase", "value": PASSPHRASE, "sensitive": true, "category": "terraform" });
    let secret = document("vars", &passphrase);
    tour.stop("Variables", "a list, and a secret that only runs can read", &post_line(&path, &secret), || {
        api.post(&path, &document("vars", &audience))?;
        let made = api.post(&path, &secret)?;
        let value = made.pointer("/data/attributes/value");
        ensure!(value.is_none_or(Value::is_null), "a sensitive variable was shown: {made}");
        println!("audience, and passphrase, whose value the API does not show any more");
        Ok(())
    })
}

fn push(tour: &mut Tour, server: &Server, ferroform: &Path) -> Result<()> {
    let curls = format!(
        "POST /api/v2/workspaces/$WORKSPACE_ID/configuration-versions gives an upload-url;\n\
         curl -T content.tar.gz -H 'Content-Type: application/octet-stream' \"$UPLOAD_URL\" starts the run;\n\
         GET  /api/v2/runs/$RUN_ID and the log-read-url of its plan and apply follow it;\n\
         POST /api/v2/runs/$RUN_ID/actions/apply confirms it (or: {ferroform} push)",
        ferroform = ferroform.display(),
    );
    tour.stop("Push", "examples/hello: upload, plan, confirm, apply", &curls, || {
        let mut command = Command::new(ferroform);
        places::forget_settings(&mut command);
        command.env("FERROFORM_ADDRESS", server.url());
        command.env("FERROFORM_TOKEN", server.token()?);
        command.env("FERROFORM_CA_FILE", server.authority_file());
        command.arg("push").arg(example()).arg("--auto-approve");
        command.args(["--organization", ORGANIZATION, "--workspace", WORKSPACE]);
        steps::run(&mut command)
    })
}

fn show_outputs(tour: &mut Tour, api: &Api, workspace: &str) -> Result<Value> {
    let path = format!("/api/v2/workspaces/{workspace}/current-state-version?include=outputs");
    tour.stop("Outputs", "what the configuration gives to others", &get_line(&path), || {
        let version = api.get(&path)?;
        let outputs = version.pointer("/included").and_then(Value::as_array).cloned().unwrap_or_default();
        for output in &outputs {
            let value = output.pointer("/attributes/value").unwrap_or(&Value::Null);
            let shown = if value.is_null() { "(sensitive)".to_owned() } else { value.to_string() };
            println!("{} = {shown}", text(output, "/attributes/name")?);
        }
        let value_of = |name: &str| {
            let found = outputs.iter().find(|output| output["attributes"]["name"] == name);
            found.map(|output| output["attributes"]["value"].clone())
        };
        let greetings = json!(["Hello, operators!", "Hello, world!"]);
        ensure!(
            value_of("greetings") == Some(greetings),
            "the output `greetings` is not what the configuration says"
        );
        ensure!(value_of("passphrase") == Some(Value::Null), "the sensitive output is missing or was shown");
        Ok(version)
    })
}

fn show_state(tour: &mut Tour, api: &Api, version: &Value) -> Result<()> {
    let url = text(version, "/data/attributes/hosted-state-download-url")?;
    let curl = "curl --cacert ca.pem -H \"Authorization: Bearer $TOKEN\" \"$HOSTED_STATE_DOWNLOAD_URL\"";
    tour.stop("State", "what Terraform knows of the world, encrypted on disk", curl, || {
        let state = api.get(&url)?;
        println!("{}, serial {}", text(version, "/data/id")?, state["serial"]);
        let resources = state["resources"].as_array().context("a state has resources")?;
        for resource in resources {
            let instances = resource["instances"].as_array().map_or(0, Vec::len);
            println!("{}.{}: {instances} instance(s)", text(resource, "/type")?, text(resource, "/name")?);
        }
        ensure!(resources.len() == 2, "the state lacks resources of the configuration");
        Ok(())
    })
}

fn say_what_next(server: &Server, ferroform: &Path) {
    println!("\n{}", bold("The server stays up until Ctrl-C. In another terminal:"));
    println!("  export FERROFORM_ADDRESS={}", server.url());
    println!("  export FERROFORM_TOKEN=\"$(cat {})\"", server.token_file().display());
    println!("  export FERROFORM_CA_FILE={}", server.authority_file().display());
    println!("{}", dim("  # plan a change without applying it (edit the example first):"));
    let target = format!("--organization {ORGANIZATION} --workspace {WORKSPACE}");
    println!("  {} push {} {target} --plan-only", ferroform.display(), example().display());
    println!("{}", dim("  # ask the API:"));
    println!(
        "  curl --cacert \"$FERROFORM_CA_FILE\" -H \"Authorization: Bearer $FERROFORM_TOKEN\" \\\n    \
         \"$FERROFORM_ADDRESS/api/v2/organizations/{ORGANIZATION}/workspaces/{WORKSPACE}\""
    );
    println!("{}", dim("  # what else there is:"));
    println!("  curl --cacert \"$FERROFORM_CA_FILE\" \"$FERROFORM_ADDRESS/api/v2/openapi.json\"");
}

/// A walk with numbered stops.
#[derive(Default)]
struct Tour {
    stops: usize,
}

impl Tour {
    /// Says what the next stop is, and with which call anybody can do the same, and does it.
    fn stop<T>(&mut self, name: &str, what: &str, curl: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.stops += 1;
        println!("\n{} {what}", bold(&format!("{}. {name}:", self.stops)));
        for line in curl.lines() {
            println!("   {}", dim(line.trim_start()));
        }
        work().with_context(|| format!("step {} ({name}) failed", self.stops))
    }
}

fn example() -> PathBuf {
    places::workspace().join("examples/hello")
}

/// A JSON:API document for a new resource.
fn document(kind: &str, attributes: &Value) -> Value {
    json!({ "data": { "type": kind, "attributes": attributes } })
}

fn get_line(path: &str) -> String {
    format!("curl --cacert ca.pem -H \"Authorization: Bearer $TOKEN\" \"$URL{path}\"")
}

fn post_line(path: &str, body: &Value) -> String {
    format!("{}\n  -H 'Content-Type: {JSON_API}' -d '{body}'", get_line(path))
}

/// The string at `pointer`.
fn text(value: &Value, pointer: &str) -> Result<String> {
    let found = value.pointer(pointer).and_then(Value::as_str);
    Ok(found.with_context(|| format!("there is no {pointer} in {value}"))?.to_owned())
}
