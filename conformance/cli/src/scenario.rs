//! What a scenario file says, before anything is run.
//!
//! A scenario is a text in `scenarios/`: comments on top that say what it shows, then steps from top to bottom. A line at
//! the left edge begins a step; indented lines below belong to it.
//!
//! ```text
//! # One sentence about the behaviour.
//! only terraform 1.10+             the whole file is for these versions
//! any-engine                       its runs need not be of the command line's version
//! runners 1                        it has a server of its own, which works on so many runs at the same time
//! cloud name = "demo"              writes backend.tf: a cloud block with workspaces { name = "demo" }
//! remote prefix = "app-"           the same with the remote backend
//! in DIR                           files and commands from here on are in this folder
//! file main.tf                     writes the indented lines
//!   output "o" { value = 1 }
//! $ terraform apply                runs it by /bin/sh; afterwards:
//!   exit 1                         its exit code (else 0), or `any`
//!   has TEXT                       its output, without colours, holds this
//!   lacks TEXT                     … and does not hold this
//!   like REGEX                     … and this matches
//!   < yes                          typed when the next "Enter a value:" appears
//!   when TEXT => approve demo      done when TEXT appears: approve, discard, cancel, lock, unlock a workspace('s newest
//!                                  run); `interrupt` is Ctrl-C; `answer WORD` types; `do LINE` runs another shell beside
//!                                  it; `api …` as below
//! api POST /path {"data":…}        the API answers 2xx
//! fact workspace demo locked = false       an attribute, of a workspace, its newest run (`run`) or its state (`state`)
//! fact output demo greeting = "hi"         an output of its current state
//! fact count demo runs = 2                 how many of its runs or state-versions there are
//! fact names = ["a","b"]                   the organization's workspaces
//! until run demo status = "applied"        as fact, but waited for
//! ```
//!
//! What a command line opens in a browser is written to `~/visited` instead.
//!
//! Any line may begin with `[CONDITION]`, such as `[1.10+]`, `[-1.9]`, `[tofu]`, `[terraform 1.14+]`, and is left out where
//! that does not hold. Terraform before 1.4 has no `terraform_data` and is told `null_resource`, with a trigger for its `input`
//! ([`Version::words`]). `@ORG@`, `@HOST@`, `@URL@`, `@TOKEN@`, `@VERSION@`, `@MINOR@`, `@TOOL@`, `@FERROFORM@` (the program), `@MIRROR@` (of providers),
//! `@WS:name@` (a workspace's
//! id) and `@RUN:name@` (its newest run's id) stand for what they name.

use anyhow::{Context, Result, bail};

use crate::versions::{Tool, Version};

/// A file of `scenarios/`.
pub(crate) struct Scenario {
    pub(crate) name: String,
    /// The comment on top.
    pub(crate) shows: String,
    pub(crate) only: Condition,
    /// Whether its runs may be of another version than the command line's.
    pub(crate) any_engine: bool,
    /// Of its own server; none: it shares one.
    pub(crate) runners: Option<u32>,
    pub(crate) steps: Vec<Guarded<Step>>,
}

/// Something that is left out where its condition does not hold.
pub(crate) struct Guarded<T> {
    condition: Condition,
    line: usize,
    what: T,
}

impl<T> Guarded<T> {
    /// It and its line, where it applies to `version`.
    pub(crate) fn at(&self, version: &Version) -> Option<(usize, &T)> {
        self.condition.holds(version).then_some((self.line, &self.what))
    }
}

pub(crate) enum Step {
    Backend { kind: &'static str, workspaces: String },
    Folder(String),
    File { name: String, text: String },
    Command { line: String, expected: Vec<Guarded<Expected>> },
    Act(Action),
    Fact { question: String, answer: String, patient: bool },
}

pub(crate) enum Expected {
    /// None: whichever.
    Exit(Option<i32>),
    Has(String),
    Lacks(String),
    Like(String),
    When {
        text: String,
        action: Action,
    },
}

/// What somebody does.
pub(crate) enum Action {
    Answer(String),
    Interrupt,
    /// A shell line that ends well.
    Do(String),
    /// One of the verbs, and a workspace's name.
    Verb(Verb, String),
    Api {
        method: String,
        path: String,
        document: Option<String>,
    },
}

#[derive(Clone, Copy)]
pub(crate) enum Verb {
    Approve,
    Discard,
    Cancel,
    Lock,
    Unlock,
}

/// Which versions something is for.
#[derive(Default, Clone)]
pub(crate) struct Condition {
    tool: Option<Tool>,
    from: Option<u64>,
    to: Option<u64>,
}

impl Condition {
    fn parse(text: &str) -> Result<Self> {
        let mut condition = Self::default();
        let minor = |text: &str| -> Result<u64> {
            let minor = text.strip_prefix("1.").and_then(|minor| minor.parse().ok());
            minor.with_context(|| format!("{text:?} is no minor version such as 1.10"))
        };
        for word in text.split_whitespace() {
            match word {
                "terraform" => condition.tool = Some(Tool::Terraform),
                "tofu" => condition.tool = Some(Tool::Tofu),
                _ if word.ends_with('+') => condition.from = Some(minor(word.trim_end_matches('+'))?),
                _ if word.starts_with('-') => condition.to = Some(minor(word.trim_start_matches('-'))?),
                _ => bail!("{word:?} is no condition: terraform, tofu, 1.10+, -1.9"),
            }
        }
        Ok(condition)
    }

    pub(crate) fn holds(&self, version: &Version) -> bool {
        self.covers(version.tool == Tool::Tofu, version.minor)
    }

    /// As [`Condition::holds`], for a column of the table.
    pub(crate) fn covers(&self, tofu: bool, minor: u64) -> bool {
        self.tool.is_none_or(|tool| (tool == Tool::Tofu) == tofu)
            && self.from.is_none_or(|from| minor >= from)
            && self.to.is_none_or(|to| minor <= to)
    }
}

impl Scenario {
    /// # Errors
    /// When a line is not understood; the error names it.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self> {
        let lines: Vec<&str> = text.lines().collect();
        let comment = lines.iter().map_while(|line| line.strip_prefix('#')).map(str::trim);
        let shows = comment.collect::<Vec<_>>().join(" ");
        let mut scenario = Self {
            name: name.to_owned(),
            shows,
            only: Condition::default(),
            any_engine: false,
            runners: None,
            steps: Vec::new(),
        };
        let mut next = 0;
        while next < lines.len() {
            let first = next;
            next += 1;
            while next < lines.len() && (lines[next].starts_with("  ") || lines[next].trim().is_empty()) {
                next += 1;
            }
            let block = &lines[first + 1..next];
            scenario.take(first + 1, lines[first], block).with_context(|| format!("{name}:{}", first + 1))?;
        }
        Ok(scenario)
    }

    /// One step: its line at the left edge, and what is indented below.
    fn take(&mut self, number: usize, line: &str, block: &[&str]) -> Result<()> {
        if line.trim().is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let (condition, line) = guard(line)?;
        let (word, rest) = split(line);
        let step = match word {
            "only" => {
                self.only = Condition::parse(rest)?;
                return Ok(());
            }
            "any-engine" => {
                self.any_engine = true;
                return Ok(());
            }
            "runners" => {
                self.runners = Some(rest.parse().context("runners are a number")?);
                return Ok(());
            }
            "cloud" => Step::Backend { kind: "cloud", workspaces: rest.to_owned() },
            "remote" => Step::Backend { kind: "remote", workspaces: rest.to_owned() },
            "in" => Step::Folder(rest.to_owned()),
            "file" => Step::File { name: rest.to_owned(), text: dedent(block) },
            "$" => Step::Command { line: rest.to_owned(), expected: expectations(number, block)? },
            "fact" | "until" => {
                let (question, answer) =
                    rest.split_once(" = ").context("a fact is a question, ` = ` and an answer")?;
                Step::Fact {
                    question: question.trim().to_owned(),
                    answer: answer.trim().to_owned(),
                    patient: word == "until",
                }
            }
            _ => Step::Act(action(line)?),
        };
        self.steps.push(Guarded { condition, line: number, what: step });
        Ok(())
    }
}

fn expectations(above: usize, block: &[&str]) -> Result<Vec<Guarded<Expected>>> {
    let mut all = Vec::new();
    for (index, line) in block.iter().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (condition, line) = guard(line)?;
        let (word, rest) = split(line);
        let rest = rest.to_owned();
        let what = match word {
            "exit" if rest == "any" => Expected::Exit(None),
            "exit" => Expected::Exit(Some(rest.parse().context("an exit code is a number, or `any`")?)),
            "has" => Expected::Has(rest),
            "lacks" => Expected::Lacks(rest),
            "like" => Expected::Like(rest),
            "<" => Expected::When { text: "Enter a value:".to_owned(), action: Action::Answer(rest) },
            "when" => {
                let (text, act) = rest.split_once(" => ").context("when TEXT => ACTION")?;
                Expected::When { text: text.to_owned(), action: action(act)? }
            }
            _ => bail!("{line:?} is no expectation: exit, has, lacks, like, <, when"),
        };
        all.push(Guarded { condition, line: above + 1 + index, what });
    }
    Ok(all)
}

fn action(line: &str) -> Result<Action> {
    let (word, rest) = split(line);
    let verb = match word {
        "answer" => return Ok(Action::Answer(rest.to_owned())),
        "interrupt" => return Ok(Action::Interrupt),
        "do" => return Ok(Action::Do(rest.to_owned())),
        "api" => {
            let (method, rest) = split(rest);
            let (path, document) = split(rest);
            let document = Some(document.to_owned()).filter(|document| !document.is_empty());
            return Ok(Action::Api { method: method.to_owned(), path: path.to_owned(), document });
        }
        "approve" => Verb::Approve,
        "discard" => Verb::Discard,
        "cancel" => Verb::Cancel,
        "lock" => Verb::Lock,
        "unlock" => Verb::Unlock,
        _ => bail!("{word:?} begins no step"),
    };
    Ok(Action::Verb(verb, rest.to_owned()))
}

/// The condition in front of a line, and the line.
fn guard(line: &str) -> Result<(Condition, &str)> {
    match line.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        Some((condition, rest)) => Ok((Condition::parse(condition)?, rest)),
        None => Ok((Condition::default(), line)),
    }
}

fn split(line: &str) -> (&str, &str) {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    (word, rest.trim())
}

fn dedent(block: &[&str]) -> String {
    let text: Vec<&str> = block.iter().map(|line| line.strip_prefix("  ").unwrap_or("")).collect();
    format!("{}\n", text.join("\n").trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# Shows something
# and more.
only terraform 1.8+
file main.tf
  output "o" {

    value = 1
  }
[-1.9] $ terraform plan
  exit 1
  [1.9+] has words
until run demo status = "applied"
"#;

    fn version(tool: Tool, minor: u64) -> Version {
        Version { tool, minor, full: format!("1.{minor}.0"), program: "terraform".into(), on_path: false }
    }

    #[test]
    fn a_scenario_is_its_comment_its_versions_and_its_steps() {
        let scenario = Scenario::parse("some", TEXT).unwrap();
        assert_eq!(scenario.shows, "Shows something and more.");
        assert!(scenario.only.holds(&version(Tool::Terraform, 8)));
        assert!(!scenario.only.holds(&version(Tool::Terraform, 7)));
        assert!(!scenario.only.holds(&version(Tool::Tofu, 9)));
        let steps: Vec<_> =
            scenario.steps.iter().filter_map(|step| step.at(&version(Tool::Terraform, 9))).collect();
        let [
            (4, Step::File { name, text }),
            (9, Step::Command { expected, .. }),
            (12, Step::Fact { patient: true, .. }),
        ] = steps[..]
        else {
            panic!("{} steps", steps.len());
        };
        assert_eq!((name.as_str(), text.as_str()), ("main.tf", "output \"o\" {\n\n  value = 1\n}\n"));
        assert_eq!(expected.iter().filter(|one| one.at(&version(Tool::Terraform, 8)).is_some()).count(), 1);
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        let error = Scenario::parse("some", "# x\n$ true\n  shows nothing\n").map(drop).unwrap_err();
        assert!(format!("{error:#}").starts_with("some:2: "), "{error:#}");
    }
}
