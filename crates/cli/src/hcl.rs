//! The little of HCL that is needed to read a `cloud` block and a CLI configuration: blocks, and attributes whose
//! value is plain text or a list of it. Everything else is passed over.

/// A block: its type and labels, its attributes, the blocks in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The type, then the labels.
    pub(crate) head: Vec<String>,
    attributes: Vec<(String, String)>,
    pub(crate) blocks: Vec<Block>,
}

impl Block {
    /// The value of an attribute that is plain text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, value)| key == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// The blocks of this type and labels.
    pub(crate) fn blocks<'a>(&'a self, head: &'a [&str]) -> impl Iterator<Item = &'a Self> {
        self.blocks.iter().filter(move |block| block.head.iter().map(String::as_str).eq(head.iter().copied()))
    }
}

#[derive(Debug, PartialEq, Eq, Clone)]
enum Token {
    Word(String),
    /// `None` where it holds a template, whose value only the engine knows.
    Text(Option<String>),
    Mark(char),
    Break,
}

/// Reads a file. What is malformed is passed over: the engine says what is wrong with it.
pub(crate) fn parse(text: &str) -> Block {
    let tokens = tokens(text);
    let mut at = 0;
    body(&tokens, &mut at)
}

fn body(tokens: &[Token], at: &mut usize) -> Block {
    let mut block = Block::default();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token {
            Token::Mark('}') => break,
            Token::Word(word) => statement(word, tokens, at, &mut block),
            _ => {}
        }
    }
    block
}

/// What begins with a word: an attribute or a block.
fn statement(word: &str, tokens: &[Token], at: &mut usize, into: &mut Block) {
    let mut head = vec![word.to_owned()];
    loop {
        match tokens.get(*at) {
            Some(Token::Word(label) | Token::Text(Some(label))) => head.push(label.clone()),
            Some(Token::Mark('{')) => {
                *at += 1;
                let inner = body(tokens, at);
                into.blocks.push(Block { head, ..inner });
                return;
            }
            Some(Token::Mark('=')) if head.len() == 1 => {
                *at += 1;
                let value = match (tokens.get(*at), tokens.get(*at + 1)) {
                    (Some(Token::Text(Some(text))), None | Some(Token::Break | Token::Mark('}'))) => {
                        Some(text)
                    }
                    _ => None,
                };
                if let Some(value) = value {
                    into.attributes.push((word.to_owned(), value.clone()));
                }
                return skip(tokens, at);
            }
            _ => return,
        }
        *at += 1;
    }
}

/// Passes an expression: up to the end of its line, or of the block that it closes.
fn skip(tokens: &[Token], at: &mut usize) {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(*at) {
        match token {
            Token::Mark('{' | '[' | '(') => depth += 1,
            Token::Mark('}') if depth == 0 => return,
            Token::Mark('}' | ']' | ')') => depth = depth.saturating_sub(1),
            Token::Break if depth == 0 => return,
            _ => {}
        }
        *at += 1;
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = vec![];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let next = &rest[first.len_utf8()..];
        rest = match first {
            '\n' => {
                found.push(Token::Break);
                next
            }
            '#' => until(rest, "\n"),
            '/' if next.starts_with('/') => until(rest, "\n"),
            '/' if next.starts_with('*') => {
                let rest = until(&next[1..], "*/");
                rest.strip_prefix("*/").unwrap_or(rest)
            }
            '<' if next.starts_with('<') => heredoc(&next[1..], &mut found),
            '"' => string(next, &mut found),
            c if c.is_alphanumeric() || c == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'));
                let (word, rest) = rest.split_at(end.unwrap_or(rest.len()));
                found.push(Token::Word(word.to_owned()));
                rest
            }
            c if c.is_whitespace() => next,
            c => {
                found.push(Token::Mark(c));
                next
            }
        };
    }
    found
}

fn until<'a>(text: &'a str, end: &str) -> &'a str {
    text.find(end).map_or("", |at| &text[at..])
}

/// Passes `<<EOT` or `<<-EOT` to the line with that word alone.
fn heredoc<'a>(text: &'a str, found: &mut Vec<Token>) -> &'a str {
    let (line, mut rest) = text.split_once('\n').unwrap_or((text, ""));
    let end = line.trim_start_matches('-').trim();
    found.push(Token::Text(None));
    while !rest.is_empty() {
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        rest = after;
        if line.trim() == end {
            break;
        }
    }
    found.push(Token::Break);
    rest
}

/// Reads a string whose opening quote is gone.
fn string<'a>(text: &'a str, found: &mut Vec<Token>) -> &'a str {
    let mut value = String::new();
    let mut plain = true;
    // Braces of templates, in which quotes do not end the string.
    let mut depth = 0_usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' if depth == 0 => {
                found.push(Token::Text(plain.then_some(value)));
                return &text[at + 1..];
            }
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, other)) => value.push(other),
                None => break,
            },
            '$' | '%' if chars.peek().is_some_and(|(_, next)| *next == '{') => {
                plain = false;
                depth += 1;
                chars.next();
            }
            '{' if depth > 0 => depth += 1,
            '}' if depth > 0 => depth -= 1,
            c => value.push(c),
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_plain_text_are_found_between_all_else() {
        let file = parse(
            r#"
            # terraform { cloud { organization = "not this" } }
            /* nor { this = "one" */ variable "x" { default = { a = "}" } }
            locals { t = <<-EOT
                cloud { organization = "nor this"
                EOT
              f = "${lookup({ "a" = "b" }, "a")}" }
            terraform {
              required_version = ">= 1.1"
              cloud {
                organization = "ac\"me" // the one
                hostname     = "${var.h}"
                workspaces { tags = ["a", "b"]
                  name = "network" }
              }
              backend "remote" {}
            }
            "#,
        );
        let terraform = file.blocks(&["terraform"]).next().unwrap();
        assert_eq!(terraform.text("required_version"), Some(">= 1.1"));
        let cloud = terraform.blocks(&["cloud"]).next().unwrap();
        assert_eq!((cloud.text("organization"), cloud.text("hostname")), (Some("ac\"me"), None));
        let workspaces = cloud.blocks(&["workspaces"]).next().unwrap();
        assert_eq!((workspaces.text("name"), workspaces.text("tags")), (Some("network"), None));
        assert_eq!(terraform.blocks(&["backend", "remote"]).count(), 1);
        assert_eq!(file.blocks(&["locals"]).next().unwrap().attributes.len(), 0);
    }

    #[test]
    fn what_is_cut_off_ends_the_file() {
        for text in ["terraform {", "a = \"", "a = <<EOT\nx", "/*", "terraform { cloud = {", "\"${"] {
            parse(text);
        }
    }
}
