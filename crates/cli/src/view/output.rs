//! The view of an operation: the engine's output goes to standard output, so that it can be piped, and everything about
//! the run to standard error.

use crate::{
    render::{Style, diagnostic::Diagnostic, style::Colour},
    run_summary::Outcome,
    view::Event,
};
use std::io::Write;

/// Lines with which every log begins, and which the engine itself would not print.
const PREAMBLE_LINES: usize = 3;

/// The view of an operation.
pub struct OutputView {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// How what goes to standard error is dressed.
    style: Style,
    /// Lines of the preamble that have passed.
    passed: usize,
}

impl OutputView {
    /// Writes the engine's output to `out` and the rest to `err`.
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, style: Style) -> Self {
        Self { out, err, style, passed: 0 }
    }

    pub(super) fn show(&mut self, event: &Event<'_>) {
        let style = self.style;
        match event {
            Event::Log { bytes, .. } => self.log(bytes),
            Event::RunCreated { id, url } => self.say(&style.dim(&format!("Run {id}: {url}"))),
            Event::Waiting { reason } => {
                self.say(&style.dim(&format!("Waiting: {}.", reason.trim_end_matches('.'))));
            }
            Event::Notice { summary, detail } => {
                let line = format!("{} {detail}", style.strong(Colour::Yellow, &format!("{summary}.")));
                self.say(line.trim_end());
            }
            Event::Error { summary, detail } => {
                self.say(Diagnostic::error(*summary, *detail).render(style).trim_end());
            }
            Event::Finished { outcome, status, .. } => match outcome {
                Outcome::Canceled => self.say(&style.strong(Colour::Red, "Canceled.")),
                Outcome::Errored => {
                    self.say(&style.strong(Colour::Red, &format!("The run failed ({status}).")));
                }
                Outcome::Left => self.say(&style.bold(&format!("Left. The run goes on ({status})."))),
                _ => {}
            },
            _ => {}
        }
    }

    pub(super) fn question(&mut self, title: &str, text: &str) {
        let style = self.style;
        let question = format!("\n{}\n{text}\n\n  {} ", style.bold(title), style.bold("Enter a value:"));
        let _ = self.err.write_all(question.as_bytes()).and_then(|()| self.err.flush());
    }

    fn log(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.passed < PREAMBLE_LINES {
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return };
            rest = &rest[end + 1..];
            self.passed += 1;
        }
        let _ = self.out.write_all(rest).and_then(|()| self.out.flush());
    }

    fn say(&mut self, line: &str) {
        let _ = writeln!(self.err, "{line}").and_then(|()| self.err.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::PhaseName;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_output_is_the_engines_alone_however_it_is_cut() {
        let (out, err) = (Page::default(), Page::default());
        let style = Style { colour: false, width: 80 };
        let mut view = OutputView::new(Box::new(out.clone()), Box::new(err.clone()), style);
        view.show(&Event::RunCreated { id: "run-1", url: "https://x" });
        for bytes in ["Terraform v1.11.4\non lin", "ux_amd64\nInitializing plugins and modules...\na", ".b\n"]
        {
            view.show(&Event::Log { phase: PhaseName::Plan, bytes: bytes.as_bytes() });
        }
        assert_eq!(out.0.lock().unwrap().as_slice(), b"a.b\n");
        assert_eq!(err.0.lock().unwrap().as_slice(), b"Run run-1: https://x\n");
    }
}
