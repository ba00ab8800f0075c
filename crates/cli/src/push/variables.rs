//! `--var KEY=VALUE`, as the run variables of the API, whose values are HCL expressions.

use crate::render::value::quoted;
use client::RunVariable;

/// Reads all of them. A value that begins with `[` or `{`, or stands in double quotes, is HCL; any other is text.
///
/// Text is right for numbers and booleans too: the engine converts `"1.10"` to what the variable's type asks for, while
/// the number `1.10` would lose its zero on the way to a variable that is text.
///
/// # Errors
/// What is no `KEY=VALUE`, with the reason; never the value, which may be a secret.
pub(super) fn parse(vars: &[String]) -> Result<Vec<RunVariable>, String> {
    vars.iter()
        .map(|var| {
            let (key, value) = var
                .split_once('=')
                .ok_or_else(|| "--var needs KEY=VALUE; one of them has no equals sign".to_owned())?;
            let key = key.trim();
            let good = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            if key.is_empty() || !key.chars().all(good) {
                return Err(format!("--var {key}=…: {key:?} is no name of a variable"));
            }
            let expression = value.starts_with(['[', '{'])
                || (value.len() > 1 && value.starts_with('"') && value.ends_with('"'));
            let value = if expression { value.to_owned() } else { quoted(value) };
            Ok(RunVariable { key: key.to_owned(), value })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_text_unless_it_looks_like_an_expression() {
        for (given, sent) in [
            ("a=text", r#""text""#),
            ("a=1.10", r#""1.10""#),
            ("a=", r#""""#),
            ("a=b=c", r#""b=c""#),
            ("a=${x}", r#""$${x}""#),
            ("a=[1]", "[1]"),
            (r#"a={k="v"}"#, r#"{k="v"}"#),
            (r#"a="{\"json\":1}""#, r#""{\"json\":1}""#),
        ] {
            assert_eq!(parse(&[given.to_owned()]).unwrap()[0].value, sent, "{given}");
        }
    }

    #[test]
    fn what_is_no_assignment_is_refused_without_its_value() {
        assert!(parse(&["hunter2".to_owned()]).unwrap_err().contains("KEY=VALUE"));
        let error = parse(&["my key=hunter2".to_owned()]).unwrap_err();
        assert!(error.contains("my key") && !error.contains("hunter2"), "{error}");
    }
}
