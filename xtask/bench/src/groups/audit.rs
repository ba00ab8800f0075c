//! Writes with the audit trail, against the same program without it, in turns.
//!
//! Two servers of their own, on SQLite, whose one client writes without a pause: what a write costs, and what the chain
//! costs that is made beside it.

use anyhow::{Result, ensure};
use serde_json::json;
use xtask::server::{Server, Tls};

use crate::measure::{Bar, Report, Times};
use crate::through::{Through, document};
use crate::{Setting, engine_option};

const WRITES: usize = 1000;
/// The first writes only warm up.
const WARM: usize = 100;

/// A server, and a workspace that is changed.
struct Side {
    // Ends when it is dropped.
    _server: Server,
    through: Through,
    workspace: String,
}

impl Side {
    fn new(setting: &Setting, more: &[&str]) -> Result<Self> {
        let mut options = engine_option(&setting.engine);
        options.extend(more.iter().map(Into::into));
        let server = Server::start(&setting.ferroform, Tls::Off, &options)?;
        let through = Through::new(&server)?;
        let workspace = through.workspace("changed")?;
        Ok(Self { _server: server, through, workspace })
    }

    fn change(&self, number: usize) -> Result<()> {
        let path = format!("/api/v2/workspaces/{}", self.workspace);
        let body = document("workspaces", &json!({ "description": format!("change {number}") }));
        let (status, _) = self.through.api().send("PATCH", &path, Some(&body))?;
        ensure!(status == 200, "the server answers {status} to a change");
        Ok(())
    }
}

/// POST and PATCH of a workspace.
pub(crate) fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let (audited, bare) = (Side::new(setting, &[])?, Side::new(setting, &["--no-audit"])?);
    let mut times: [Times; 4] = Default::default();
    for number in 0..WRITES + WARM {
        let [made, made_bare, changed, changed_bare] = &mut times;
        let name = format!("made-{number}");
        made.once(|| audited.through.workspace(&name))?;
        made_bare.once(|| bare.through.workspace(&name))?;
        changed.once(|| audited.change(number))?;
        changed_bare.once(|| bare.change(number))?;
        if number + 1 == WARM {
            times = Default::default();
        }
    }
    let [made, made_bare, changed, changed_bare] = &times;
    report.ratio("POST of a workspace, with ÷ without the audit trail", made, made_bare, Bar::AtMost(1.10));
    report.ratio(
        "PATCH of a workspace, with ÷ without the audit trail",
        changed,
        changed_bare,
        Bar::AtMost(1.10),
    );
    Ok(())
}
