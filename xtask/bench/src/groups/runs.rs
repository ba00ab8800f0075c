//! Runs through the API, each against the same engine's bare commands.

use std::path::PathBuf;

use anyhow::Result;

use crate::Setting;
use crate::bare::Bare;
use crate::measure::{Bar, Report, Times};
use crate::through::{Kind, archive};

const CONFIGURATION: &str = "resource \"terraform_data\" \"one\" {\n  input = \"one\"\n}\n";
const FLEET: usize = 60;

/// Plan-only, auto-apply, and many at once.
pub(crate) fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let archive = archive(CONFIGURATION)?;
    let bare = Bare::new(&setting.engine, CONFIGURATION)?;
    plan_only(setting, report, &archive, &bare)?;
    auto_apply(setting, report, &archive, &bare)?;
    fleet(setting, report, &archive, &bare)
}

fn plan_only(setting: &Setting, report: &mut Report, archive: &[u8], bare: &Bare) -> Result<()> {
    let workspace = setting.through.workspace("plan-only")?;
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for turn in 0..setting.turns {
        let folder = bare.copy(&format!("plan-{turn}"))?;
        theirs.once(|| bare.plan(&folder))?;
        ours.once(|| setting.through.run(&workspace, archive, Kind::PlanOnly))?;
    }
    report.ratio("plan-only run ÷ bare init, plan, show", &ours, &theirs, Bar::AtMost(1.10));
    Ok(())
}

/// Every turn has a workspace of its own, because a second apply of the same would have nothing to do.
fn auto_apply(setting: &Setting, report: &mut Report, archive: &[u8], bare: &Bare) -> Result<()> {
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for turn in 0..setting.turns {
        let folder = bare.copy(&format!("apply-{turn}"))?;
        let workspace = setting.through.workspace(&format!("apply-{turn}"))?;
        theirs.once(|| bare.apply(&folder))?;
        ours.once(|| setting.through.run(&workspace, archive, Kind::AutoApply))?;
    }
    report.ratio("auto-apply run ÷ bare init, plan, show, apply", &ours, &theirs, Bar::AtMost(1.10));
    Ok(())
}

fn fleet(setting: &Setting, report: &mut Report, archive: &[u8], bare: &Bare) -> Result<()> {
    let names: Vec<String> = (0..FLEET).map(|number| format!("fleet-{number}")).collect();
    let workspaces = names.iter().map(|name| setting.through.workspace(name)).collect::<Result<Vec<_>>>()?;
    let (mut ours, mut theirs) = (Times::default(), Times::default());
    for turn in 0..setting.turns.div_ceil(7) {
        let folders = names
            .iter()
            .map(|name| bare.copy(&format!("{name}-{turn}")))
            .collect::<Result<Vec<PathBuf>>>()?;
        theirs.once(|| bare.plan_all(&folders, setting.at_once))?;
        ours.once(|| setting.through.run_all(&workspaces, archive))?;
    }
    let what = format!("{FLEET} runs, {} at once ÷ xargs -P of the bare commands", setting.at_once);
    report.ratio(&what, &ours, &theirs, Bar::AtMost(1.10));
    Ok(())
}
