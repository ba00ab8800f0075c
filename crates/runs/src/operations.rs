//! Operations: runs that carry out another command of the engine than `plan`, such as `import`, `state mv` or `console`.
//!
//! An addition to TFE's API ([ADR 6](../../../docs/adr/0006-one-off-operations-are-runs.md)). `POST /runs` with the attribute
//! `exec` (`arguments`, and `input` for what the command reads) makes one. It waits its turn, takes the workspace's
//! lock and its variables, and has a plan but no apply. This file says which command lines are allowed; it is pure.
//!
//! The rule is a list of what is allowed, option by option: no option names a place on the server, none changes which
//! state is worked on, and nothing here changes anything but the state.

use authz::{WorkspacePermission, WorkspacePermissions, perm};
use runner::Operation;

/// Words of a command line, and bytes of each, at most.
const WORDS: usize = 256;
const WORD_BYTES: usize = 4096;
/// Bytes of what a command reads, at most.
pub(crate) const INPUT_BYTES: usize = 1 << 20;

/// A command that is allowed, and how.
struct Rule {
    /// Its words, separated by spaces.
    command: &'static str,
    /// Its options: `-json` is a flag, `-id=` takes a text, `-var-file=/` a path within the configuration, `-out=.` the name
    /// of a file that it makes there.
    options: &'static [&'static str],
    operands: std::ops::RangeInclusive<usize>,
    /// Given in any case.
    always: &'static [&'static str],
    /// An option without which it would do something else.
    needed: Option<&'static str>,
    takes_variables: bool,
    reads_input: bool,
    writes_state: bool,
}

const BASE: Rule = Rule {
    command: "",
    options: &[],
    operands: 0..=0,
    always: &[],
    needed: None,
    takes_variables: false,
    reads_input: false,
    writes_state: false,
};

const RULES: &[Rule] = &[
    Rule {
        command: "import",
        options: &["-parallelism=", "-var-file=/"],
        operands: 2..=2,
        takes_variables: true,
        writes_state: true,
        ..BASE
    },
    Rule { command: "state list", options: &["-id="], operands: 0..=WORDS, ..BASE },
    Rule { command: "state show", operands: 1..=1, ..BASE },
    Rule { command: "state mv", options: &["-dry-run"], operands: 2..=2, writes_state: true, ..BASE },
    Rule { command: "state rm", options: &["-dry-run"], operands: 1..=WORDS, writes_state: true, ..BASE },
    Rule {
        command: "state replace-provider",
        operands: 2..=2,
        // There is nobody to ask.
        always: &["-auto-approve"],
        options: &["-auto-approve"],
        writes_state: true,
        ..BASE
    },
    Rule { command: "taint", options: &["-allow-missing"], operands: 1..=1, writes_state: true, ..BASE },
    Rule { command: "untaint", options: &["-allow-missing"], operands: 1..=1, writes_state: true, ..BASE },
    Rule {
        command: "console",
        options: &["-plan", "-var-file=/"],
        takes_variables: true,
        reads_input: true,
        ..BASE
    },
    Rule {
        command: "query",
        options: &["-json", "-generate-config-out=.", "-var-file=/"],
        takes_variables: true,
        ..BASE
    },
    Rule { command: "output", options: &["-json", "-raw"], operands: 0..=1, ..BASE },
    Rule { command: "show", options: &["-json"], ..BASE },
    Rule { command: "providers", ..BASE },
    Rule { command: "providers schema", options: &["-json"], needed: Some("-json"), ..BASE },
    Rule { command: "graph", options: &["-type=", "-draw-cycles"], ..BASE },
    Rule { command: "validate", options: &["-json"], ..BASE },
    Rule {
        command: "plan",
        options: &[
            "-generate-config-out=.",
            "-target=",
            "-refresh=",
            "-parallelism=",
            "-compact-warnings",
            "-var-file=/",
        ],
        needed: Some("-generate-config-out=."),
        takes_variables: true,
        ..BASE
    },
];

/// An operation that is allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Allowed {
    /// What the runner is told.
    pub(crate) operation: Operation,
    /// It may change the state.
    pub(crate) writes_state: bool,
    /// It reads what is given to it.
    pub(crate) reads_input: bool,
}

impl Allowed {
    /// Whether somebody with these permissions may do it: each shows the state, or what the workspace's secrets are used
    /// for; and what changes the state asks for the right to do so in both of the usual ways.
    pub(crate) fn permitted(&self, held: &WorkspacePermissions) -> Result<(), &'static str> {
        if !perm::ReadState::allowed(held) {
            return Err("reading its states");
        }
        if self.writes_state && !(perm::WriteState::allowed(held) && perm::ApplyRun::allowed(held)) {
            return Err("applying runs and writing states");
        }
        Ok(())
    }
}

/// Whether a file of this name may come out of an operation: it lies beside the configuration, and is not hidden.
fn is_file_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['.', '-']) && !name.contains('/') && name.len() <= 255
}

fn is_inside(path: &str) -> bool {
    use std::path::{Component, Path};
    !path.is_empty() && Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Takes a command line apart.
///
/// # Errors
/// What is wrong with it, and what would be right.
pub(crate) fn parse(words: &[String]) -> Result<Allowed, String> {
    if words.len() > WORDS || words.iter().any(|word| word.len() > WORD_BYTES || word.contains('\0')) {
        return Err(format!("has at most {WORDS} words of {WORD_BYTES} bytes, without zero bytes"));
    }
    let rule = find(words)?;
    let command: Vec<String> = rule.command.split(' ').map(str::to_owned).collect();
    let mut rest = words[command.len()..].iter();
    let mut arguments: Vec<String> = rule.always.iter().map(|&option| option.to_owned()).collect();
    let mut operands = Vec::new();
    let mut file = None;
    let mut needed = rule.needed.is_none();
    while let Some(word) = rest.next() {
        // As in the engine: what comes after the first operand is an operand.
        if !operands.is_empty() || !word.starts_with('-') || word == "-" {
            operands.push(word.clone());
            continue;
        }
        if word == "--" {
            operands.extend(rest.by_ref().cloned());
            break;
        }
        let option = option(rule, word, &mut rest)?;
        needed |= rule.needed == Some(option.spec);
        if option.spec.ends_with("=.") {
            file = option.value.clone();
        }
        if !arguments.contains(&option.text()) {
            arguments.push(option.text());
        }
    }
    if let (false, Some(option)) = (needed, rule.needed) {
        return Err(format!("{} needs {} here", rule.command, option.replace("=.", "=FILE")));
    }
    if !rule.operands.contains(&operands.len()) {
        let (least, most) = (rule.operands.start(), rule.operands.end());
        let wanted = match (*least, *most) {
            (0, 0) => "no operands".to_owned(),
            (least, WORDS) => format!("at least {least}"),
            (least, most) if least == most => format!("{least} operand{}", if least == 1 { "" } else { "s" }),
            (least, most) => format!("{least} to {most} operands"),
        };
        return Err(format!("{} takes {wanted}, and got {}", rule.command, operands.len()));
    }
    arguments.extend(operands);
    Ok(Allowed {
        operation: Operation {
            command,
            arguments,
            takes_variables: rule.takes_variables,
            file,
            ..Operation::default()
        },
        writes_state: rule.writes_state,
        reads_input: rule.reads_input,
    })
}

/// The name of the file that an operation with this command line makes.
pub(crate) fn file_of(words: &[String]) -> Option<String> {
    parse(words).ok()?.operation.file
}

/// The rule of a command line; of two that fit, the longer.
fn find(words: &[String]) -> Result<&'static Rule, String> {
    let fits = |rule: &&Rule| {
        let command: Vec<&str> = rule.command.split(' ').collect();
        words.len() >= command.len() && command.iter().zip(words).all(|(a, b)| a == b)
    };
    if let Some(rule) = RULES.iter().filter(fits).max_by_key(|rule| rule.command.len()) {
        return Ok(rule);
    }
    let allowed: Vec<&str> = RULES.iter().map(|rule| rule.command).collect();
    let first = words.first().map_or("", String::as_str);
    let instead = match first {
        "apply" | "destroy" | "refresh" => ": make a run, which somebody can confirm",
        "init" => ": every operation begins with it by itself",
        "login" | "logout" | "workspace" | "version" | "fmt" | "get" => ": it works on your own machine",
        "force-unlock" => ": unlock the workspace instead",
        "state" => ": states are read and written with `ferroform state`",
        _ if first.starts_with('-') => ": options come after the command",
        _ => "",
    };
    Err(format!("{first:?} cannot be run this way{instead}. Allowed are {}", allowed.join(", ")))
}

/// An option as it was given.
struct Given {
    spec: &'static str,
    value: Option<String>,
}

impl Given {
    fn text(&self) -> String {
        let name = self.spec.trim_end_matches(['/', '.']);
        match &self.value {
            Some(value) => format!("{name}{value}"),
            None => name.to_owned(),
        }
    }
}

fn option<'a>(rule: &Rule, word: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<Given, String> {
    // Both engines take two dashes for one.
    let plain = format!("-{}", word.trim_start_matches('-'));
    let (name, given) = match plain.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (plain.as_str(), None),
    };
    let of = |spec: &&&'static str| spec.split('=').next() == Some(name);
    let Some(spec) = rule.options.iter().find(of).copied() else {
        return Err(refusal(rule, name));
    };
    if !spec.contains('=') {
        return match given {
            None => Ok(Given { spec, value: None }),
            Some(_) => Err(format!("{name} takes no value")),
        };
    }
    let value = given.or_else(|| rest.next().cloned()).ok_or_else(|| format!("{name} needs a value"))?;
    if spec.ends_with("=.") && !is_file_name(&value) {
        return Err(format!(
            "{name} takes the name of a file without a folder: it is returned, not kept on the server"
        ));
    }
    if spec.ends_with("=/") && !is_inside(&value) {
        return Err(format!("{name} takes a path within the configuration"));
    }
    Ok(Given { spec, value: Some(value) })
}

fn refusal(rule: &Rule, name: &str) -> String {
    let why = match name {
        "-var" => {
            "set the workspace's variables instead, which can be secret; a command line is shown to others"
        }
        "-state" | "-state-out" | "-backup" | "-backup-out" | "-lock" | "-lock-timeout" => {
            "the state is the workspace's, and locked by the run"
        }
        "-no-color" | "-input" => "it is always so here",
        _ => {
            let known: Vec<_> = rule.options.iter().map(|spec| spec.trim_end_matches(['/', '.'])).collect();
            return match known.as_slice() {
                [] => format!("{} takes no options here, and got {name}", rule.command),
                known => format!("{} does not take {name} here, only {}", rule.command, known.join(", ")),
            };
        }
    };
    format!("{name} cannot be given: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn allowed(line: &str) -> Allowed {
        parse(&words(line)).unwrap()
    }

    fn refused(line: &str) -> String {
        parse(&words(line)).unwrap_err()
    }

    #[test]
    fn an_operation_is_its_command_with_options_before_operands() {
        let found = allowed("plan --generate-config-out made.tf -target=a.b");
        assert_eq!(found.operation.command, ["plan"]);
        assert_eq!(found.operation.arguments, ["-generate-config-out=made.tf", "-target=a.b"]);
        assert_eq!(found.operation.file.as_deref(), Some("made.tf"));
        assert!(found.operation.takes_variables && !found.writes_state);
        let found = allowed("state mv a.b a.c");
        assert_eq!(found.operation.command, ["state", "mv"]);
        assert!(found.writes_state && !found.operation.takes_variables);
        assert_eq!(
            allowed("state replace-provider x y").operation.arguments,
            ["-auto-approve", "x", "y"],
            "nobody is there to be asked"
        );
    }

    #[test]
    fn what_follows_an_operand_is_no_option() {
        assert_eq!(allowed("import a.b -state=/etc").operation.arguments, ["a.b", "-state=/etc"]);
        assert_eq!(allowed("import -- -a -b").operation.arguments, ["-a", "-b"]);
    }

    #[test]
    fn what_is_not_on_the_list_is_refused_with_a_reason() {
        assert!(refused("apply").contains("somebody can confirm"));
        assert!(refused("-chdir=/ plan").contains("options come after"));
        assert!(refused("state push x").contains("ferroform state"));
        assert!(refused("").contains("Allowed are import"));
        assert!(refused("import -state=/tmp/x a.b c").contains("locked by the run"));
        assert!(refused("import -var=x=1 a.b c").contains("can be secret"));
        assert!(refused("import -config=/etc a.b c").contains("only -parallelism=, -var-file="));
        assert!(refused("state show -no-such a").contains("takes no options here"));
        assert!(refused("plan").contains("-generate-config-out=FILE"));
        assert!(refused("providers schema").contains("needs -json"));
        assert!(refused("import a.b").contains("takes 2 operands, and got 1"));
        assert!(refused("output -json=1").contains("takes no value"));
    }

    #[test]
    fn no_option_names_a_place_outside_of_the_configuration() {
        for name in ["../x.tf", "/etc/x", ".hidden", "a/b.tf", "-x"] {
            assert!(
                refused(&format!("plan -generate-config-out={name}")).contains("without a folder"),
                "{name}"
            );
        }
        for path in ["../x", "/etc/passwd", "a/../../b", ""] {
            assert!(refused(&format!("import -var-file={path} a b")).contains("within"), "{path}");
        }
        assert!(parse(&words("import -var-file=env/prod.tfvars a b")).is_ok());
        for rule in RULES {
            for place in ["-state", "-chdir", "-out", "-plugin-dir", "-backup", "-config"] {
                assert!(
                    !rule.options.iter().any(|o| o.trim_end_matches(['=', '/', '.']) == place),
                    "{place}"
                );
            }
        }
    }
}
