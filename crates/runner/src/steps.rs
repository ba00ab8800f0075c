//! How far a phase's steps came, as the shell wrote it down.

use crate::folder::Folder;

/// Exit codes of the steps; `None` for one that did not come to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    pub(crate) init: Option<i32>,
    /// Of `plan` or `apply`, or of the operation.
    pub(crate) main: Option<i32>,
    pub(crate) show: Option<i32>,
    /// The apply was started.
    pub(crate) applying: bool,
    /// The shell came to its own end: it was not killed.
    pub(crate) ended: bool,
}

impl Steps {
    /// Reads the steps of the phase in this folder. A line that is cut off counts for nothing.
    pub(crate) fn read(phase: &Folder) -> Self {
        let text = phase.read(&["exits"], 4096).ok().flatten().unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Self {
        let mut steps = Self::default();
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("init", code) => steps.init = code.parse().ok(),
                ("plan" | "apply" | "operation", code) => steps.main = code.parse().ok(),
                ("show", code) => steps.show = code.parse().ok(),
                ("applying", _) => steps.applying = true,
                ("end", _) => steps.ended = true,
                _ => {}
            }
        }
        steps
    }

    /// There is a plan, and a description of it.
    pub(crate) fn planned(&self) -> bool {
        matches!(self.main, Some(0 | 2)) && self.show == Some(0)
    }

    /// The step that failed, in one line; `main` is what the main step is called.
    pub(crate) fn failure(&self, main: &str) -> String {
        match *self {
            Self { init: Some(code), .. } if code != 0 => format!("init failed with exit code {code}"),
            Self { main: Some(0 | 2), show: Some(code), .. } => {
                format!("the plan was made, but describing it failed with exit code {code}")
            }
            Self { main: Some(code), .. } => format!("{main} failed with exit code {code}"),
            _ => format!("{main} came to no end; its processes were killed"),
        }
    }

    /// The step that failed printed where nobody has seen it yet.
    pub(crate) fn failed_silently(&self) -> bool {
        self.init.is_some_and(|code| code != 0) || self.show.is_some_and(|code| code != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_cut_off_counts_for_nothing() {
        let steps = Steps::parse("init 0\nplan 2\nshow 1");
        assert_eq!(steps, Steps { init: Some(0), main: Some(2), ..Steps::default() });
        assert!(!steps.planned());
        assert!(Steps::parse("init 0\nplan 2\nshow 0\nend\n").planned());
    }
}
