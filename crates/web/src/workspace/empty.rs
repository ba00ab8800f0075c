//! What a workspace teaches before its first run: the three ways to make one, with its own names in them.

use super::At;
use crate::{authorize, visit::Visit};
use maud::{Markup, html};

/// The three ways.
pub(super) fn ways(visit: &Visit, at: &At) -> Markup {
    let workspace = &at.workspace;
    let local = workspace.execution_mode == "local";
    let (host, url) = (authorize::host(visit), &visit.app.settings.url);
    html! {
        section.panel #first-run aria-labelledby="first-run-heading" {
            h2 #first-run-heading { @if local { "No state yet" } @else { "No run yet" } }
            p.muted {
                @if local {
                    "Runs of this workspace happen on your machine, because its execution mode is Local; it keeps the state. "
                    "The first apply from the command line writes it."
                } @else {
                    "A run plans a configuration, and applies it when somebody confirms. There are three ways to make the first."
                }
            }
            ol.steps {
                @if !local && workspace.permissions.can_queue_run {
                    li #way-browser {
                        h3 { "Upload a configuration from the browser" }
                        p.muted { "Choose a folder with " code { ".tf" } " files, or an archive of one." }
                        div.buttons { a.button href=(at.page("/runs/new")) { "Upload and start a run" } }
                    }
                }
                li #way-cli {
                    h3 { "Use the command line" }
                    p.muted { "Add this to your configuration:" }
                    (super::copied("cloud-block", &cloud_block(host, &at.organization, &workspace.name)))
                    p.muted { "Then, in its folder:" }
                    (super::copied("commands", &format!("{0} login {host}\n{0} init\n{0} apply", command(&workspace.engine))))
                }
                @if !local {
                    li #way-api {
                        h3 { "Call the API" }
                        p.muted {
                            "With a token of your own from " a href="/app/settings/tokens" { "Tokens" } " in " code { "TOKEN" }
                            ", in the folder of the configuration. The upload makes the run."
                        }
                        (super::copied("api-calls", &api_calls(url, &workspace.id)))
                    }
                }
            }
        }
    }
}

fn command(engine: &str) -> &str {
    if engine == "tofu" { "tofu" } else { "terraform" }
}

fn cloud_block(host: &str, organization: &str, workspace: &str) -> String {
    format!(
        "terraform {{\n  cloud {{\n    hostname     = \"{host}\"\n    organization = \"{organization}\"\n    \
         workspaces {{\n      name = \"{workspace}\"\n    }}\n  }}\n}}"
    )
}

fn api_calls(url: &str, workspace: &str) -> String {
    format!(
        "tar -czf config.tar.gz --exclude=.terraform --exclude=.git --exclude=config.tar.gz .\n\
         UPLOAD=$(curl -s -X POST -H \"Authorization: Bearer $TOKEN\" \\\n  \
         -H \"Content-Type: application/vnd.api+json\" \\\n  \
         -d '{{\"data\":{{\"type\":\"configuration-versions\"}}}}' \\\n  \
         {url}/api/v2/workspaces/{workspace}/configuration-versions \\\n  \
         | jq -r '.data.attributes[\"upload-url\"]')\n\
         curl -X PUT -H \"Content-Type: application/octet-stream\" --data-binary @config.tar.gz \"$UPLOAD\""
    )
}
