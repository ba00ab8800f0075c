//! What an organization shows that has nothing yet: the ways to make a run, with text to copy that holds its names.

use super::{Organization, page};
use crate::{authorize, form::copied, visit::Visit};
use maud::{Markup, html};

/// The three ways to make a first run.
pub(super) fn first_steps(visit: &Visit, organization: &Organization) -> Markup {
    let name = &organization.name;
    html! {
        section.panel #first-steps {
            h2 { "Make the first run" }
            p.muted {
                "A workspace holds the state, the variables and the runs of one configuration. “" (name) "” has none yet. \
                 There are three ways to begin; each makes a workspace and plans in it."
            }
            @if !organization.permissions.can_create_workspace {
                p { "You may not create workspaces in “" (name) "”. Ask one of its owners for access, or for a workspace." }
            }
        }
        div.ways {
            section.panel {
                h2 { "From the command line" }
                p { "Put this block into your configuration, log in once, and work with Terraform as ever." }
                (copied("way-cloud", &cloud_block(visit, name)))
                (copied("way-commands", &format!("terraform login {}\nterraform init\nterraform apply", authorize::host(visit))))
            }
            section.panel {
                h2 { "From this browser" }
                p { "Choose a folder or an archive with your configuration. It is uploaded and planned at once; nothing \
                     is changed until you confirm." }
                @if organization.permissions.can_create_workspace {
                    p { a.button href=(page(visit, "/workspaces/new")) { "Upload a configuration" } }
                }
            }
            section.panel {
                h2 { "Through the API" }
                p { "Make a " a href="/app/settings/tokens" { "token" } ", then a workspace, a configuration version, and upload." }
                (copied("way-api", &curl(visit, name)))
            }
        }
    }
}

/// For an organization that has workspaces, and no run in two weeks.
pub(super) fn no_runs(visit: &Visit) -> Markup {
    html! {
        section.panel {
            h2 { "No runs in the last 14 days" }
            p.muted {
                "A run plans and applies a configuration. Start one in a "
                a href=(page(visit, "/workspaces")) { "workspace" }
                ", with “Start new run”, or with " code { "terraform plan" } " where its configuration is."
            }
        }
    }
}

/// The block that names this server and the organization.
pub(crate) fn cloud_block(visit: &Visit, organization: &str) -> String {
    format!(
        "terraform {{\n  cloud {{\n    hostname     = \"{}\"\n    organization = \"{organization}\"\n    \
         workspaces {{\n      name = \"my-workspace\"\n    }}\n  }}\n}}",
        authorize::host(visit)
    )
}

fn curl(visit: &Visit, organization: &str) -> String {
    let url = &visit.app.settings.url;
    format!(
        "export TOKEN=…\n\
         api() {{ curl -s -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/vnd.api+json' \"$@\"; }}\n\n\
         # A workspace\n\
         WS=$(api {url}/api/v2/organizations/{organization}/workspaces -d '{{\"data\":{{\"type\":\"workspaces\",\n  \
         \"attributes\":{{\"name\":\"my-workspace\"}}}}}}' | jq -r .data.id)\n\n\
         # Your configuration; the upload starts the run\n\
         tar czf configuration.tar.gz -C . .\n\
         UPLOAD=$(api {url}/api/v2/workspaces/$WS/configuration-versions -d '{{\"data\":{{\"type\":\"configuration-versions\"}}}}' \\\n  \
         | jq -r '.data.attributes[\"upload-url\"]')\n\
         curl -s -X PUT -H 'Content-Type: application/octet-stream' --data-binary @configuration.tar.gz \"$UPLOAD\""
    )
}
