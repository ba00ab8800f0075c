//! A decision about a permission, with many grants held.

use std::hint::black_box;
use std::time::Instant;

use authz::{AccessLevel, Grants, InWorkspace, ProjectAccess, ProjectLevel, TeamAccess, perm};
use kernel::ids::{OrganizationId, ProjectId, WorkspaceId};

use crate::measure::{Bar, Report};

const GRANTS: usize = 2_000;
const DECISIONS: u32 = 1_000_000;

struct Row {
    workspace: WorkspaceId,
    project: ProjectId,
    organization: OrganizationId,
}

impl InWorkspace for Row {
    fn workspace(&self) -> &WorkspaceId {
        &self.workspace
    }
    fn project(&self) -> &ProjectId {
        &self.project
    }
    fn organization(&self) -> &OrganizationId {
        &self.organization
    }
}

/// Decides again and again, for a member whose teams hold [`GRANTS`] workspaces and as many projects.
pub(crate) fn measure(report: &mut Report) {
    let mut grants = Grants::none("org-1".into());
    grants.member = true;
    let plan = TeamAccess::preset(AccessLevel::Plan).permissions();
    let write = ProjectAccess::preset(ProjectLevel::Write).permissions();
    grants.workspaces = (0..GRANTS).map(|n| (format!("ws-{n}").into(), plan)).collect();
    grants.projects = (0..GRANTS).map(|n| (format!("prj-{n}").into(), write)).collect();
    let rows: Vec<Row> = (0..GRANTS)
        .map(|n| Row {
            workspace: format!("ws-{n}").into(),
            project: format!("prj-{}", n / 2).into(),
            organization: "org-1".into(),
        })
        .collect();
    let started = Instant::now();
    for (_, row) in (0..DECISIONS).zip(rows.iter().cycle()) {
        let decided = black_box(&grants).prove_workspace::<perm::ApplyRun, _>(black_box(row));
        assert!(black_box(decided).is_ok(), "a project's writers may apply");
    }
    let each = started.elapsed().as_secs_f64() * 1e6 / f64::from(DECISIONS);
    let from = format!("mean of {DECISIONS}, {GRANTS} workspaces and as many projects granted");
    report.row("a permission decided", each, "µs", from, Bar::AtMost(10.0));
}
