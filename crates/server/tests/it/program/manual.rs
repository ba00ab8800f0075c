//! `docs/operations.md` beside the program's own help.

use super::{ferroform, words};

#[test]
fn every_option_of_serve_is_in_the_manual_and_the_manual_names_no_other() {
    let manual = include_str!("../../../../../docs/operations.md");
    let help = words(&ferroform(&["serve", "--help"]).output().unwrap());
    let flags = |text: &str| -> std::collections::BTreeSet<String> {
        text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .map(|word| word.trim_end_matches('-').to_owned())
            .filter(|word| word.starts_with("--"))
            .collect()
    };
    let (known, documented) = (flags(&help), flags(manual));
    let missing: Vec<_> =
        known.iter().filter(|flag| *flag != "--help" && !documented.contains(*flag)).collect();
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
    let unknown: Vec<_> = documented.iter().filter(|flag| !known.contains(*flag)).collect();
    assert!(unknown.is_empty(), "docs/operations.md speaks of options that serve does not have: {unknown:?}");
}

#[test]
fn the_defaults_of_the_manual_are_the_programs() {
    let manual = include_str!("../../../../../docs/operations.md");
    let help = words(&ferroform(&["serve", "--help"]).output().unwrap());
    // In the help an option is followed by its `[default: …]`; in the manual it is the first cell of a row.
    let mut compared = 0;
    for part in help.split("\n      --").skip(1) {
        let flag = part.split([' ', '\n']).next().unwrap();
        let text = part.split_whitespace().collect::<Vec<_>>().join(" ");
        let Some((_, rest)) = text.split_once(" [default: ") else { continue };
        let default = rest.split_once(']').unwrap().0;
        let row = manual.lines().find(|line| line.starts_with(&format!("| `--{flag}")));
        let row = row.unwrap_or_else(|| panic!("no row for --{flag}"));
        if flag != "data-dir" {
            let cell = row.split('|').nth(2).unwrap().replace('`', "");
            assert_eq!(cell.trim(), default, "--{flag}");
        }
        compared += 1;
    }
    assert!(compared > 15, "{compared}");
}
