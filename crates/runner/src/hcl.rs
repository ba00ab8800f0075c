//! Just enough of HCL's lexical rules to keep one variable's value from reaching into the next.
//!
//! A variable marked as HCL is written into a variables file as it was given. Without a check, a value such as
//! `1` followed by a line `other = 2`, or one that opens a bracket, string, comment or heredoc and never closes it, would
//! change what the rest of the file means. Whether the expression is valid is left to the engine, which explains it better.

/// Why a value cannot stand as one expression.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Stray {
    /// Something that opens and never closes.
    #[error("a {0} is opened and never closed")]
    Unclosed(&'static str),
    /// More lines after the expression has ended.
    #[error("more text follows on the next line")]
    SecondLine,
    /// Nothing but blanks and comments.
    #[error("it is empty")]
    Empty,
}

/// A value as it stands inside HCL quotes, escapes included.
pub(crate) fn quoted(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ => out.push(c),
        }
    }
    out.replace("${", "$${").replace("%{", "%%{")
}

/// The quoted strings in an expression, as written between their quotes.
pub(crate) fn strings(expression: &str) -> Vec<String> {
    let mut scanner = Scanner { text: expression.as_bytes(), at: 0, strings: Vec::new() };
    // An expression that is not whole still has its strings up to there.
    let _ = scanner.expression();
    scanner.strings.into_iter().map(|(from, to)| expression[from..to].to_owned()).collect()
}

/// Checks that the text is lexically one expression: everything opened is closed, and it ends where the text ends.
pub(crate) fn one_expression(text: &str) -> Result<(), Stray> {
    Scanner { text: text.as_bytes(), at: 0, strings: Vec::new() }.expression()
}

/// Whether a name can stand on the left of `=`.
pub(crate) fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && chars.all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    strings: Vec<(usize, usize)>,
}

impl Scanner<'_> {
    fn rest(&self) -> &[u8] {
        &self.text[self.at.min(self.text.len())..]
    }

    fn expression(&mut self) -> Result<(), Stray> {
        let (mut depth, mut seen, mut ended) = (0_usize, false, false);
        while let Some(byte) = self.rest().first().copied() {
            let significant = !byte.is_ascii_whitespace() && !self.at_comment();
            if significant && ended {
                return Err(Stray::SecondLine);
            }
            seen |= significant;
            match byte {
                b'\n' => {
                    ended |= depth == 0 && seen;
                    self.at += 1;
                }
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b')' | b']' | b'}' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                _ => self.token()?,
            }
        }
        match (depth, seen) {
            (0, true) => Ok(()),
            (0, false) => Err(Stray::Empty),
            _ => Err(Stray::Unclosed("bracket")),
        }
    }

    fn at_comment(&self) -> bool {
        let rest = self.rest();
        rest.starts_with(b"#") || rest.starts_with(b"//") || rest.starts_with(b"/*")
    }

    /// Anything whose insides do not count, or one byte.
    fn token(&mut self) -> Result<(), Stray> {
        let rest = self.rest();
        if rest.starts_with(b"\"") {
            self.string()
        } else if rest.starts_with(b"<<") {
            self.heredoc()
        } else if rest.starts_with(b"/*") {
            let end = find(rest, b"*/").ok_or(Stray::Unclosed("comment"))?;
            self.at += end + 2;
            Ok(())
        } else if self.at_comment() {
            self.at += find(rest, b"\n").unwrap_or(rest.len());
            Ok(())
        } else {
            self.at += 1;
            Ok(())
        }
    }

    fn string(&mut self) -> Result<(), Stray> {
        self.at += 1;
        let from = self.at;
        loop {
            let rest = self.rest();
            match rest {
                [] | [b'\n', ..] => return Err(Stray::Unclosed("string")),
                [b'"', ..] => {
                    self.strings.push((from, self.at));
                    self.at += 1;
                    return Ok(());
                }
                [b'\\', ..] => self.at += 2,
                [b'$', b'$', b'{', ..] | [b'%', b'%', b'{', ..] => self.at += 3,
                [b'$', b'{', ..] | [b'%', b'{', ..] => {
                    self.at += 2;
                    self.template()?;
                }
                _ => self.at += 1,
            }
        }
    }

    /// The inside of `${ }`, which may hold strings of its own.
    fn template(&mut self) -> Result<(), Stray> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.rest().first() {
                None => return Err(Stray::Unclosed("template")),
                Some(b'{') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}') => {
                    depth -= 1;
                    self.at += 1;
                }
                Some(_) => self.token()?,
            }
        }
        Ok(())
    }

    fn heredoc(&mut self) -> Result<(), Stray> {
        let rest = self.rest();
        let unclosed = Stray::Unclosed("heredoc");
        let Some(line_end) = find(rest, b"\n") else {
            // `a << b` on one line is not a heredoc; the engine will say what it is.
            self.at += 2;
            return Ok(());
        };
        let marker = rest[2..line_end].strip_prefix(b"-").unwrap_or(&rest[2..line_end]).trim_ascii();
        if marker.is_empty() {
            self.at += 2;
            return Ok(());
        }
        let mut at = line_end + 1;
        while at < rest.len() {
            let end = find(&rest[at..], b"\n").map_or(rest.len(), |length| at + length);
            if rest[at..end].trim_ascii() == marker {
                self.at += end;
                return Ok(());
            }
            at = end + 1;
        }
        Err(unclosed)
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_expression_may_have_many_lines() {
        for good in [
            "1",
            "\"a\"",
            "[1,\n 2]\n",
            "{\n a = \"}\" # }\n b = 2\n}\n\n# done\n",
            "<<EOT\nfree ( text\nEOT\n",
            "\"${join(\",\", [\"a\", \"}\"])}\"",
            "\"$${not a template\"",
            "Hello, World!",
            "(1\n+ 2) /* ( */",
        ] {
            assert_eq!(one_expression(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_value_cannot_reach_beyond_itself() {
        for bad in [
            "1\nother = 2",
            "1)\nother = (2",
            "[1",
            "\"a",
            "/* a",
            "<<EOT\na\n",
            "\"${a\"",
            "",
            " \n# x",
            "\"a\nb = \"c\"",
            "<<EOT\na\nEOT\nother = 1",
        ] {
            assert!(one_expression(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn strings_are_found() {
        assert_eq!(strings("{ a = \"x\", b = [\"y\\\"z\"] }"), ["x", "y\\\"z"]);
    }
}
