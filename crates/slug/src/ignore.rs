//! `.terraformignore`: which paths are left out when a folder is packed.
//!
//! One pattern a line; blank lines and those that begin with `#` are skipped, white space around is dropped. The last
//! pattern that matches decides. `!` in front includes again; a `/` at the end means a folder and all below it; a `/`
//! in front binds to the root, else the pattern matches at any depth. `*` and `?` stop at a `/`, `**` does not,
//! `[a-z]` is a class, `\` takes the next character literally. Before the file's own patterns come
//! `.terraform/`, `!.terraform/modules/` and `.git/`.
//!
//! As in go-slug a pattern is translated to a regular expression for the whole path, and a pattern without a slash at
//! its end that names a folder leaves out nothing of what is in it. A pattern that cannot be translated matches nothing.
//! Patterns and paths are compared in Unicode's composed form (NFC).

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

/// The patterns in force for one folder.
#[derive(Debug)]
pub struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    /// None matches nothing.
    regex: Option<Regex>,
    includes: bool,
    /// A later rule may include again what this one leaves out.
    undone_later: bool,
}

/// What the rules say about a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The path is left out.
    pub excluded: bool,
    /// No later rule includes anything again, so that what lies below a folder need not be looked at.
    pub dominating: bool,
}

impl Rules {
    /// The built-in rules alone.
    pub fn builtin() -> Self {
        Self::parse("")
    }

    /// The built-in rules and those of a `.terraformignore` file.
    pub fn parse(text: &str) -> Self {
        let builtin =
            [("**/.terraform/**", false), ("**/.terraform/modules/**", true), ("**/.git/**", false)];
        let mut rules: Vec<Rule> = vec![];
        let own = text.lines().filter_map(read_line);
        for (pattern, includes) in builtin.map(|(p, i)| (p.to_owned(), i)).into_iter().chain(own) {
            if includes {
                rules.iter_mut().for_each(|earlier| earlier.undone_later = true);
            }
            let regex = Regex::new(&translate(&pattern)).ok();
            rules.push(Rule { regex, includes, undone_later: false });
        }
        Self(rules)
    }

    /// What the rules say about a path relative to the root. A folder is asked about twice, with and without a `/` at
    /// its end.
    pub fn verdict(&self, path: &str) -> Verdict {
        let path: String = path.nfc().collect();
        let matches = |rule: &&Rule| rule.regex.as_ref().is_some_and(|regex| regex.is_match(&path));
        self.0.iter().rfind(matches).map_or_else(Verdict::default, |rule| Verdict {
            excluded: !rule.includes,
            dominating: !rule.includes && !rule.undone_later,
        })
    }
}

/// A line as a pattern for whole paths, and whether it includes.
fn read_line(line: &str) -> Option<(String, bool)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (pattern, includes) = match line.strip_prefix('!') {
        Some(rest) => (rest, true),
        None => (line, false),
    };
    if pattern.is_empty() {
        return None;
    }
    let below = if pattern.ends_with('/') { "**" } else { "" };
    Some(match pattern.strip_prefix('/') {
        Some(rooted) => (format!("{rooted}{below}"), includes),
        None => (format!("**/{pattern}{below}"), includes),
    })
}

fn translate(pattern: &str) -> String {
    let pattern: String = pattern.nfc().collect();
    let mut regex = String::from("^");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                // `**/` and `**` are the same, and at the end everything is meant.
                chars.next_if_eq(&'/');
                regex.push_str(if chars.peek().is_none() { ".*" } else { "(.*/)?" });
            }
            '*' => regex.push_str("[^/]*"),
            '?' => regex.push_str("[^/]"),
            '.' | '$' | '{' | '}' => regex.extend(['\\', c]),
            '\\' => match chars.next() {
                Some(next) => regex.push_str(&regex::escape(&next.to_string())),
                None => regex.push_str(r"\\"),
            },
            c => regex.push(c),
        }
    }
    regex.push('$');
    regex
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(rules: &str, path: &str) -> bool {
        Rules::parse(rules).verdict(path).excluded
    }

    #[test]
    fn built_in_rules_leave_out_git_and_terraform_but_not_modules() {
        for (path, out) in [
            (".git/", true),
            (".git/HEAD", true),
            ("sub/.git/HEAD", true),
            (".gitignore", false),
            (".github/workflow.yml", false),
            (".terraform/", true),
            (".terraform/providers/x", true),
            ("sub/.terraform/plugins/x", true),
            (".terraform/modules/", false),
            (".terraform/modules/modules.json", false),
            ("sub/.terraform/modules/a/b.tf", false),
            (".terraform.lock.hcl", false),
            (".terraformrc", false),
            ("foo.terraform/bar.txt", false),
            ("terraform.tfstate", false),
            ("prod.tfvars", false),
        ] {
            assert_eq!(excluded("", path), out, "{path}");
        }
    }

    #[test]
    fn each_kind_of_pattern_matches_what_it_says() {
        for (rules, path, out) in [
            ("baz.txt", "baz.txt", true),
            ("baz.txt", "a/b/baz.txt", true),
            ("baz.txt", "a/with-baz.txt", false),
            ("baz.txt", "a/baz.txt.bak", false),
            ("  baz.txt  ", "baz.txt", true),
            ("# baz.txt", "baz.txt", false),
            (" # baz.txt", "baz.txt", false),
            ("\n   \nbaz.txt\r\n", "baz.txt", true),
            ("/baz.txt", "baz.txt", true),
            ("/baz.txt", "a/baz.txt", false),
            ("logs/", "logs/", true),
            ("logs/", "logs/a/b", true),
            ("logs/", "a/logs/b", true),
            ("logs/", "logs", false),
            ("/logs/", "a/logs/b", false),
            ("logs", "logs/a", false),
            ("*.md", "a/README.md", true),
            ("foo/*.md", "foo/a.md", true),
            ("foo/*.md", "foo/a/b.md", false),
            ("foo/**/*.md", "foo/a/b.md", true),
            ("foo/**/*.md", "foo/b.md", true),
            ("**/foo/bar.tf", "parent/foo/bar.tf", true),
            ("**/foo/bar.tf", "parent/bar/bar.tf", false),
            ("/src/**", "src/a/b", true),
            ("file?.txt", "file1.txt", true),
            ("file?.txt", "file/.txt", false),
            ("something-[a-z].txt", "bar/something-a.txt", true),
            ("something-[a-z].txt", "bar/something-1.txt", false),
            (r"\*.txt", "a.txt", false),
            (r"\*.txt", "*.txt", true),
            ("a.b", "axb", false),
            ("a{b}", "a{b}", true),
            ("données.txt", "donne\u{301}es.txt", true),
            ("cafe.txt", "café.txt", false),
        ] {
            assert_eq!(excluded(rules, path), out, "{rules:?} on {path}");
        }
    }

    #[test]
    fn the_last_rule_that_matches_decides() {
        let rules = "terraform.d/\n!/terraform.d/\nboop.txt\n!/boop.txt\n";
        for (path, out) in [
            ("modules/terraform.d/x", true),
            ("terraform.d/", false),
            ("terraform.d/foo", false),
            ("baz/boop.txt", true),
            ("boop.txt", false),
        ] {
            assert_eq!(excluded(rules, path), out, "{path}");
        }
        assert!(excluded("!/keep.txt\nkeep.txt", "keep.txt"));
        assert!(excluded("!.git/config\n.git/", ".git/config"));
    }

    #[test]
    fn a_rule_dominates_unless_a_later_one_includes() {
        let rules = Rules::parse("src/**/*\n!src/foo/bar.txt\nlogs/\n");
        assert_eq!(rules.verdict("logs/"), Verdict { excluded: true, dominating: true });
        assert_eq!(rules.verdict("src/a/"), Verdict { excluded: true, dominating: false });
        assert!(!rules.verdict("src/foo/bar.txt").excluded);
        assert_eq!(rules.verdict(".git/"), Verdict { excluded: true, dominating: false });
        assert!(Rules::builtin().verdict(".git/").dominating);
        assert!(!Rules::builtin().verdict(".terraform/").dominating, "modules below it are kept");
    }

    #[test]
    fn lines_that_are_no_pattern_are_passed_over() {
        for rules in ["!", "[", "(", "\\", "   "] {
            assert!(!excluded(rules, "main.tf"), "{rules:?}");
        }
    }
}
