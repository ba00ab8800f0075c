//! Versions of engines, and the ways to ask for one: exactly, by a constraint as in `required_version`, or any.
//!
//! Source: the constraint syntax of HashiCorp's `go-version`, which TFE accepts for a workspace's `terraform-version`.

use semver::Version;
use std::fmt;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Whatever the first place has; the newest where a place has several. Asked for by `latest` or nothing.
    Any,
    /// This one.
    Exact(Version),
    /// One that meets all of these; the newest where a place has several.
    Within(Vec<Bound>),
}

/// One part of a constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bound {
    operator: &'static str,
    version: Version,
    /// How many numbers were written: `~> 1.9` allows 1.10, `~> 1.9.0` does not.
    numbers: usize,
}

/// Longest first, so that `>=` is not read as `>`.
const OPERATORS: [&str; 7] = ["~>", ">=", "<=", "!=", "=", ">", "<"];

impl Wanted {
    /// Reads `1.9.8`, `~> 1.9.0`, `>= 1.5, < 1.10`, `latest`, or nothing.
    pub(super) fn parse(text: Option<&str>) -> Result<Self, String> {
        let text = text.unwrap_or_default().trim();
        if text.is_empty() || text == "latest" {
            return Ok(Self::Any);
        }
        if !text.contains(|c: char| "~<>!=,".contains(c)) {
            return parse_version(text).map(|(version, _)| Self::Exact(version));
        }
        text.split(',').map(Bound::parse).collect::<Result<_, _>>().map(Self::Within)
    }

    /// The release that a development build (`1.9.8-dev`) leads to.
    pub(super) fn without_dev(&self) -> Option<Self> {
        match self {
            Self::Exact(version) if version.pre.as_str() == "dev" => {
                Some(Self::Exact(Version::new(version.major, version.minor, version.patch)))
            }
            _ => None,
        }
    }

    /// Whether a version will do. As in a configuration, a constraint means pre-releases only when it names one.
    pub(super) fn accepts(&self, version: &Version) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(wanted) => version == wanted,
            Self::Within(bounds) => {
                let asked =
                    version.pre.is_empty() || bounds.iter().any(|bound| !bound.version.pre.is_empty());
                asked && bounds.iter().all(|bound| bound.accepts(version))
            }
        }
    }

    /// Whether a version may be chosen from several that nobody in particular put there: a pre-release that one
    /// workspace asked for does not become the latest of all.
    pub(super) fn accepts_release(&self, version: &Version) -> bool {
        self.accepts(version) && (version.pre.is_empty() || *self != Self::Any)
    }
}

impl Bound {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let operator = OPERATORS.into_iter().find(|operator| text.starts_with(operator)).unwrap_or_default();
        let (version, numbers) = parse_version(text[operator.len()..].trim())?;
        Ok(Self { operator: if operator.is_empty() { "=" } else { operator }, version, numbers })
    }

    fn accepts(&self, version: &Version) -> bool {
        let bound = &self.version;
        match self.operator {
            "=" => version == bound,
            "!=" => version != bound,
            ">" => version > bound,
            ">=" => version >= bound,
            "<" => version < bound,
            "<=" => version <= bound,
            // All but the last number written are fixed.
            _ => {
                let fixed = self.numbers > 1 && version.major != bound.major
                    || self.numbers > 2 && version.minor != bound.minor;
                version >= bound && !fixed
            }
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("(any version)"),
            Self::Exact(version) => version.fmt(f),
            Self::Within(bounds) => {
                for (index, Bound { operator, version, numbers }) in bounds.iter().enumerate() {
                    let text = version.to_string();
                    // As it was written: `~> 1.9` and `~> 1.9.0` are not the same.
                    let text = if version.pre.is_empty() {
                        text.split('.').take(*numbers).collect::<Vec<_>>().join(".")
                    } else {
                        text
                    };
                    write!(f, "{}{operator} {text}", if index == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}

/// A version with one to three numbers, and how many it has.
pub(super) fn parse_version(text: &str) -> Result<(Version, usize), String> {
    let wrong = || format!("{text:?} is not a version such as 1.9.8, ~> 1.9.0 or latest");
    let bare = text.strip_prefix('v').unwrap_or(text);
    let core = bare.split(['-', '+']).next().unwrap_or_default();
    let numbers = core.split('.').count();
    let missing = 3_usize.checked_sub(numbers).ok_or_else(wrong)?;
    let full = format!("{core}{}{}", ".0".repeat(missing), &bare[core.len()..]);
    Version::parse(&full).map(|version| (version, numbers)).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(wanted: &str, version: &str) -> bool {
        Wanted::parse(Some(wanted)).unwrap().accepts(&Version::parse(version).unwrap())
    }

    #[test]
    fn constraints_mean_what_they_mean_in_a_configuration() {
        for (wanted, yes, no) in [
            ("1.9.8", &["1.9.8"][..], &["1.9.7", "1.9.8-rc1"][..]),
            ("~> 1.9.0", &["1.9.0", "1.9.8"], &["1.10.0", "1.8.9", "2.0.0"]),
            ("~> 1.9", &["1.9.0", "1.11.4"], &["1.8.9", "2.0.0"]),
            ("~>1", &["1.0.0", "2.0.0"], &["0.15.5"]),
            (">= 1.5, < 1.10.0, != 1.7.0", &["1.5.0", "1.9.8"], &["1.10.0", "1.7.0", "1.4.9"]),
            ("> 1.5.0,<= 1.6", &["1.5.1", "1.6.0"], &["1.5.0", "1.6.1"]),
            ("= 1.9", &["1.9.0"], &["1.9.1"]),
            ("latest", &["0.12.0", "1.11.4"], &[]),
            ("", &["1.11.4"], &[]),
            (">= 1.10.0-rc1", &["1.10.0-rc1", "1.10.0", "1.11.0-beta1"], &["1.10.0-beta1"]),
            ("< 1.10.0", &["1.9.8"], &["1.10.0-rc1"]),
        ] {
            assert!(yes.iter().all(|version| accepts(wanted, version)), "{wanted} accepts {yes:?}");
            assert!(!no.iter().any(|version| accepts(wanted, version)), "{wanted} refuses {no:?}");
        }
    }

    #[test]
    fn what_is_no_version_is_refused_with_an_example() {
        for text in ["newest", "1.2.3.4", "~> x", ">= 1.0,", "1..2", "../../etc"] {
            let error = Wanted::parse(Some(text)).unwrap_err();
            assert!(error.contains("such as 1.9.8"), "{text}: {error}");
        }
    }

    #[test]
    fn the_latest_release_is_no_pre_release() {
        let rc = Version::parse("1.12.0-rc1").unwrap();
        let wanted = |text| Wanted::parse(Some(text)).unwrap();
        assert!(!wanted("latest").accepts_release(&rc));
        assert!(wanted("latest").accepts(&rc), "where an operator put one and nothing else");
        assert!(wanted("1.12.0-rc1").accepts_release(&rc));
    }

    #[test]
    fn a_constraint_is_shown_as_it_was_written() {
        for text in ["1.9.8", "~> 1.9", "~> 1.9.0", ">= 1.5, < 1.10.0", ">= 1.12.0-beta1"] {
            assert_eq!(Wanted::parse(Some(text)).unwrap().to_string(), text);
        }
    }
}
