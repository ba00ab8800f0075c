//! What `go test -test.v` prints, read: the verdict of the test and of each of its parts, and why it failed.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Pass,
    Fail,
    Skip,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Skip => "skip",
        })
    }
}

/// One test that ended, somehow.
#[derive(Debug)]
pub(crate) struct Transcript {
    /// A test without a verdict of its own (a panic, a kill) has failed.
    pub(crate) verdict: Verdict,
    /// Why it failed or was skipped, in one line; empty for one that passed.
    pub(crate) message: String,
    /// `Test/part`, for each part that ended.
    pub(crate) parts: BTreeMap<String, (Verdict, String)>,
}

impl Transcript {
    /// Reads `text`, the output of `test`.
    pub(crate) fn read(test: &str, text: &str) -> Self {
        let mut said: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut ended: Vec<(&str, Verdict)> = Vec::new();
        let mut speaker = test;
        let mut panic = None;
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[..] {
                ["===", "RUN" | "NAME" | "CONT", name] => speaker = name,
                ["===", ..] => {}
                ["---", outcome, name, _] => {
                    let verdict = match outcome {
                        "PASS:" => Verdict::Pass,
                        "SKIP:" => Verdict::Skip,
                        _ => Verdict::Fail,
                    };
                    ended.push((name, verdict));
                }
                ["panic:", ..] if panic.is_none() => panic = Some(line),
                _ => said.entry(speaker).or_default().push(line),
            }
        }
        let why = |name: &str| message(said.get(name).map(Vec::as_slice).unwrap_or_default());
        let parts: BTreeMap<_, _> = ended
            .iter()
            .filter(|(name, _)| *name != test)
            .map(|(name, verdict)| {
                let why = if *verdict == Verdict::Pass { String::new() } else { why(name) };
                ((*name).to_owned(), (*verdict, why))
            })
            .collect();
        let verdict = match ended.iter().find(|(name, _)| *name == test) {
            Some((_, verdict)) if panic.is_none() => *verdict,
            _ => Verdict::Fail,
        };
        let own = why(test);
        let message = match (verdict, panic) {
            (Verdict::Pass, _) => String::new(),
            (Verdict::Skip, _) => own,
            // What a part said first is why; the test itself often says only that a part failed.
            (Verdict::Fail, panic) => {
                let failed = ended.iter().find(|(name, verdict)| {
                    *verdict == Verdict::Fail && *name != test && !why(name).is_empty()
                });
                let part = failed.map(|(name, _)| {
                    format!(
                        "{}: {}",
                        name.strip_prefix(test).unwrap_or(name).trim_start_matches('/'),
                        why(name)
                    )
                });
                part.or((!own.is_empty()).then_some(own))
                    .or_else(|| panic.map(str::to_owned))
                    .unwrap_or_else(|| "it ended without saying anything".to_owned())
            }
        };
        Self { verdict, message, parts }
    }

    /// How many of its parts passed.
    pub(crate) fn passed(&self) -> usize {
        self.parts.values().filter(|(verdict, _)| *verdict == Verdict::Pass).count()
    }
}

/// The first complaint among the lines of one test: an assertion's place, error and message, else the last line that
/// names its place (`file_test.go:12: …`), which is that of a fatal one.
fn message(lines: &[&str]) -> String {
    if let Some(at) = lines.iter().position(|line| line.trim_start().starts_with("Error Trace:")) {
        let mut place = lines[at].trim_start().trim_start_matches("Error Trace:").trim();
        place = place.rsplit('/').next().unwrap_or(place);
        let mut error = Vec::new();
        let mut field = "";
        for line in &lines[at + 1..] {
            let line = line.trim();
            if line.starts_with("Error Trace:") || line.starts_with("Test:") {
                break;
            }
            let text = ["Error:", "Messages:"].iter().find_map(|name| {
                let rest = line.strip_prefix(name)?;
                field = name;
                Some(rest)
            });
            let text = text.unwrap_or(line).trim();
            if !field.is_empty() && !text.is_empty() && error.len() < 6 {
                error.push(text);
            }
        }
        return format!("{place}: {}", error.join(" "));
    }
    let named = |line: &&&str| {
        line.trim_start().split_once(": ").is_some_and(|(place, _)| {
            place.rsplit_once(':').is_some_and(|(file, number)| {
                file.ends_with(".go") && number.bytes().all(|byte| byte.is_ascii_digit())
            })
        })
    };
    let warns = |line: &&&str| line.contains(": Warning: ");
    lines
        .iter()
        .rev()
        .find(|line| named(line) && !warns(line))
        .map(|line| line.trim().to_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_that_failed_first_says_why() {
        let text = "\
=== RUN   TestThing
=== RUN   TestThing/when_it_is_there
=== RUN   TestThing/when_it_is_not
    thing_test.go:40: 
        \tError Trace:\t/a/b/thing_test.go:40
        \tError:      \tReceived unexpected error:
        \t            \tresource not found
        \tTest:       \tTestThing/when_it_is_not
--- FAIL: TestThing (0.20s)
    --- PASS: TestThing/when_it_is_there (0.10s)
    --- FAIL: TestThing/when_it_is_not (0.10s)
FAIL
";
        let read = Transcript::read("TestThing", text);
        assert_eq!(read.verdict, Verdict::Fail);
        assert_eq!(read.passed(), 1);
        assert_eq!(
            read.message,
            "when_it_is_not: thing_test.go:40: Received unexpected error: resource not found"
        );
    }

    #[test]
    fn a_skip_is_no_pass_and_a_panic_is_a_failure() {
        let skipped = Transcript::read(
            "TestThing",
            "=== RUN   TestThing\n    helper_test.go:12: Skipping, it is beta\n--- SKIP: TestThing (0.00s)\nPASS\n",
        );
        assert_eq!(
            (skipped.verdict, skipped.message.as_str()),
            (Verdict::Skip, "helper_test.go:12: Skipping, it is beta")
        );
        let panicked = Transcript::read("TestThing", "=== RUN   TestThing\npanic: nil pointer\n");
        assert_eq!((panicked.verdict, panicked.message.as_str()), (Verdict::Fail, "panic: nil pointer"));
        assert_eq!(Transcript::read("TestThing", "").verdict, Verdict::Fail);
    }
}
