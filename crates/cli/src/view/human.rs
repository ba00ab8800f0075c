//! The view for people.

use crate::{
    render::{LogRenderer, Style, diagnostic::Diagnostic, style::Colour, words::size},
    run_summary::Outcome,
    view::{Event, PhaseName},
};
use std::io::Write;

/// The view on a terminal, or in the log of a pipeline.
pub struct HumanView {
    out: Box<dyn Write + Send>,
    progress: Option<Box<dyn Write + Send>>,
    style: Style,
    log: LogRenderer,
    percent: Option<u64>,
}

impl HumanView {
    /// Writes to `out`, and what moves to `progress`.
    pub fn new(out: Box<dyn Write + Send>, progress: Option<Box<dyn Write + Send>>, style: Style) -> Self {
        Self { out, progress, style, log: LogRenderer::new(PhaseName::Plan, style), percent: None }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        let style = self.style;
        match event {
            Event::Uploading { sent, total } => self.bar(*sent, *total),
            Event::WorkspaceCreated { id, name } => {
                self.say(&format!("Created the workspace {name} ({id})."))
            }
            Event::Packed { directory, files, bytes } => self.say(&format!(
                "Packed {}: {files} file{}, {}.",
                directory.display(),
                if *files == 1 { "" } else { "s" },
                size(*bytes)
            )),
            Event::Uploaded { configuration_version, bytes } => {
                self.wipe();
                self.say(&format!("Uploaded {} as {configuration_version}.", size(*bytes)));
            }
            Event::RunCreated { id, url } => {
                self.say(&format!("{} {id}\n\n  {url}\n", style.bold("Run")));
            }
            Event::Waiting { reason } => {
                self.say(&style.dim(&format!("Waiting: {}.", reason.trim_end_matches('.'))))
            }
            Event::Status { status } => {
                self.say(&style.dim(&format!("Run is {}.", status.replace('_', " "))))
            }
            Event::Log { phase, bytes } => {
                if *phase == PhaseName::Apply && self.log.phase() == PhaseName::Plan {
                    self.log = LogRenderer::new(PhaseName::Apply, style);
                    self.say("");
                }
                let shown = self.log.feed(bytes);
                self.write(&shown);
            }
            Event::LogEnd { .. } => {
                let shown = self.log.finish();
                self.write(&shown);
            }
            Event::Planned { document, .. } => {
                let shown = self.log.planned(*document);
                self.write(&shown);
            }
            Event::Notice { summary, detail } => {
                self.wipe();
                let line = format!("{} {detail}", style.strong(Colour::Yellow, &format!("{summary}.")));
                self.say(&format!("\n{}", line.trim_end()));
            }
            Event::Error { summary, detail } => {
                self.wipe();
                let shown = Diagnostic::error(*summary, *detail).render(style);
                self.write(&format!("\n{shown}"));
            }
            Event::Finished { outcome, status, run, url, changes } => {
                let planned = changes.map(|changes| format!(": {}", changes.planned())).unwrap_or_default();
                let applied = changes.map(|changes| format!(": {}", changes.applied())).unwrap_or_default();
                let line = match outcome {
                    Outcome::NoChanges => style.strong(Colour::Green, "Nothing to change."),
                    Outcome::Done => style.strong(Colour::Green, "Done."),
                    Outcome::Applied => style.strong(Colour::Green, &format!("Applied{applied}.")),
                    Outcome::Planned => style.bold(&format!("Planned{planned}. This run cannot be applied.")),
                    Outcome::AwaitingConfirmation => style.strong(
                        Colour::Yellow,
                        &format!("Not applied yet{planned}. The run waits ({status})."),
                    ),
                    Outcome::Discarded => style.strong(Colour::Yellow, "Discarded; nothing was applied."),
                    Outcome::Canceled => style.strong(Colour::Red, "Canceled."),
                    Outcome::Errored => style.strong(Colour::Red, &format!("The run failed ({status}).")),
                    Outcome::Left => style.bold(&format!("Left. The run goes on ({status}).")),
                };
                let advice = match outcome {
                    Outcome::AwaitingConfirmation => "Confirm or discard it at ",
                    _ => "Run: ",
                };
                self.say(&format!("\n{line}\n{advice}{url}"));
                if *outcome == Outcome::AwaitingConfirmation {
                    // Not every server has pages.
                    self.say(&format!("or with POST /api/v2/runs/{run}/actions/apply (or /discard)"));
                }
            }
        }
    }

    pub(super) fn question(&mut self, title: &str, text: &str) {
        self.write(&format!(
            "\n{}\n{text}\n\n  {} ",
            self.style.bold(title),
            self.style.bold("Enter a value:")
        ));
    }

    pub(super) fn is_structured(&self) -> bool {
        self.log.is_structured()
    }

    /// The bar of an upload, redrawn when its percentage changes.
    fn bar(&mut self, sent: u64, total: u64) {
        let Some(progress) = &mut self.progress else { return };
        let percent = (sent * 100).checked_div(total).unwrap_or(100).min(100);
        if self.percent.replace(percent) == Some(percent) {
            return;
        }
        let done = usize::try_from(percent).unwrap_or(0) * 30 / 100;
        let bar = format!("{}{}", "━".repeat(done), " ".repeat(30 - done));
        let _ = write!(progress, "\r\x1b[KUploading {bar} {percent:>3} % of {}", size(total));
        let _ = progress.flush();
    }

    fn wipe(&mut self) {
        if self.percent.take().is_some()
            && let Some(progress) = &mut self.progress
        {
            let _ = write!(progress, "\r\x1b[K");
            let _ = progress.flush();
        }
    }

    fn say(&mut self, line: &str) {
        self.write(&format!("{line}\n"));
    }

    fn write(&mut self, text: &str) {
        if !text.is_empty() {
            let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        }
    }
}
