//! Logs: what a long one costs its run, and how soon many readers have a new line.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::Setting;
use crate::bare::Bare;
use crate::measure::{Bar, Report, Times};
use crate::through::{Kind, archive};

const LINES: usize = 50_000;
const READERS: usize = 100;
/// Prints a line with the time (ns since 1970) every 50 ms.
const CLOCK: &str = r#"
resource "terraform_data" "clock" {
  provisioner "local-exec" {
    command = "for i in $(seq 100); do echo \"now=$(date +%s%N).\"; sleep 0.05; done"
  }
}
"#;

/// A long log, then a log with many readers.
pub(crate) fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    long(setting, report)?;
    watched(setting, report)
}

fn long(setting: &Setting, report: &mut Report) -> Result<()> {
    let talk = format!(
        "resource \"terraform_data\" \"talk\" {{\n  provisioner \"local-exec\" {{\n    command = \"seq {LINES}\"\n  }}\n}}\n"
    );
    let (archive, bare) = (archive(&talk)?, Bare::new(&setting.engine, &talk)?);
    // A run prints JSON lines or text as its workspace wants; the engine itself takes longer for JSON.
    for (form, option, structured) in [("text", "-no-color", false), ("JSON lines", "-json", true)] {
        let (mut ours, mut theirs) = (Times::default(), Times::default());
        for turn in 0..setting.turns.div_ceil(4) {
            let name = format!("talk{option}-{turn}");
            let folder = bare.copy(&name)?;
            let attributes = json!({ "name": name, "structured-run-output-enabled": structured });
            let workspace = setting.through.workspace_with(&attributes)?;
            theirs.once(|| bare.apply_as(&folder, option))?;
            ours.once(|| setting.through.run(&workspace, &archive, Kind::AutoApply))?;
        }
        let what = format!("apply that prints {LINES} lines ÷ bare apply, both as {form}");
        report.ratio(&what, &ours, &theirs, Bar::AtMost(1.10));
    }
    Ok(())
}

/// Every reader follows the same log and compares each line's time with its own clock.
fn watched(setting: &Setting, report: &mut Report) -> Result<()> {
    let through = &setting.through;
    let workspace = through.workspace("watched")?;
    let run = through.begin(&workspace, &archive(CLOCK)?, Kind::AutoApply)?;
    let log = through.log_url(&run, "apply")?;
    let latencies = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    let mut late = Times::default();
                    through.follow(&log, |bytes| note_latencies(bytes, &mut late)).map(|()| late)
                })
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().expect("a reader does not panic"))
            .collect::<Result<Vec<_>>>()
    })?;
    through.end(&run, Kind::AutoApply)?;
    let all = Times::merged(latencies);
    ensure!(all.count() >= READERS * 50, "the readers saw only {} lines with a time", all.count());
    let from = format!("{} lines read, median {:.1} ms", all.count(), all.median() * 1e3);
    report.row(
        &format!("log latency, {READERS} readers, p99"),
        all.quantile(0.99) * 1e3,
        "ms",
        from,
        Bar::AtMost(20.0),
    );
    Ok(())
}

/// Adds, for every `now=NANOSECONDS.` in `bytes`, how long ago that was.
#[expect(clippy::disallowed_methods, reason = "it is compared with another process's clock")]
fn note_latencies(bytes: &[u8], late: &mut Times) -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    for stamp in String::from_utf8_lossy(bytes).split("now=").skip(1) {
        // The plan and the announcement of the command hold the text `now=$(date…`, and a chunk may end anywhere.
        let Some((digits, _)) = stamp.split_once('.') else { continue };
        let Ok(nanoseconds) = digits.parse() else { continue };
        late.add(now.saturating_sub(Duration::from_nanos(nanoseconds)));
    }
    Ok(())
}
