//! Values as HCL, as `terraform output` shows them.

use serde_json::Value;

/// A value as HCL. Lines after the first are indented by `indent` columns; what is nested by two more.
pub fn hcl(value: &Value, indent: usize) -> String {
    let pad = " ".repeat(indent);
    match value {
        Value::String(text) if text.contains('\n') => heredoc(text, indent),
        Value::String(text) => quoted(text),
        Value::Array(items) if items.is_empty() => "[]".to_owned(),
        Value::Array(items) => {
            let lines: String =
                items.iter().map(|item| format!("{pad}  {},\n", hcl(item, indent + 2))).collect();
            format!("[\n{lines}{pad}]")
        }
        Value::Object(members) if members.is_empty() => "{}".to_owned(),
        Value::Object(members) => {
            let lines: String = members
                .iter()
                .map(|(name, member)| format!("{pad}  {} = {}\n", quoted(name), hcl(member, indent + 2)))
                .collect();
            format!("{{\n{lines}{pad}}}")
        }
        other => other.to_string(),
    }
}

fn heredoc(text: &str, indent: usize) -> String {
    let pad = " ".repeat(indent);
    let lines: String =
        text.trim_end_matches('\n').split('\n').map(|line| format!("{pad}{line}\n")).collect();
    format!("<<-EOT\n{lines}{pad}EOT")
}

/// Text as a quoted HCL template without interpolation.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' | '%' if chars.peek() == Some(&'{') => {
                out.push(c);
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_is_quoted_so_that_nothing_in_it_is_evaluated() {
        assert_eq!(quoted(r#"a"b\c${d}%{e}$f"#), r#""a\"b\\c$${d}%%{e}$f""#);
    }

    #[test]
    fn nested_values_are_indented_by_two() {
        let value = json!({"a": [1, true, null], "b": "x\ny", "c": {}});
        assert_eq!(
            hcl(&value, 0),
            "{\n  \"a\" = [\n    1,\n    true,\n    null,\n  ]\n  \"b\" = <<-EOT\n  x\n  y\n  EOT\n  \"c\" = {}\n}"
        );
    }
}
