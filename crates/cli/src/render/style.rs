//! Colours, where they are wanted.

use std::borrow::Cow;

/// How to dress text: with ANSI colours or without, and how wide a line may be.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether ANSI colours are written.
    pub colour: bool,
    /// Columns of the terminal, for wrapping prose.
    pub width: usize,
}

impl Style {
    /// No colours, 78 columns.
    pub const PLAIN: Self = Self { colour: false, width: 78 };

    fn dress(self, codes: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{codes}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Headings and addresses.
    pub fn bold(self, text: &str) -> String {
        self.dress("1", text)
    }

    /// Errors and what is destroyed.
    pub fn red(self, text: &str) -> String {
        self.dress("31", text)
    }

    /// What is added, and success.
    pub fn green(self, text: &str) -> String {
        self.dress("32", text)
    }

    /// What is changed, and warnings.
    pub fn yellow(self, text: &str) -> String {
        self.dress("33", text)
    }

    /// What is read.
    pub fn cyan(self, text: &str) -> String {
        self.dress("36", text)
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.dress("90", text)
    }

    /// The place in a line of source that is meant.
    pub fn underline(self, text: &str) -> String {
        self.dress("4", text)
    }

    /// Bold in red, green or yellow.
    pub fn strong(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Red => "1;31",
            Colour::Green => "1;32",
            Colour::Yellow => "1;33",
        };
        self.dress(code, text)
    }

    /// Text of others: as it is where colours are wanted, without its escape sequences where they are not.
    pub fn foreign(self, text: &str) -> Cow<'_, str> {
        if self.colour || !text.contains('\x1b') { Cow::Borrowed(text) } else { Cow::Owned(strip(text)) }
    }
}

/// The colours of [`Style::strong`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Errors.
    Red,
    /// Success.
    Green,
    /// Warnings.
    Yellow,
}

/// Takes CSI (`ESC [ … letter`) and OSC (`ESC ] … BEL` or `ESC \`) sequences out.
fn strip(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '\x1b' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('[') => {
                chars.by_ref().find(|c| ('@'..='~').contains(c));
            }
            Some(']') => {
                while let Some(c) = chars.next() {
                    if c == '\x07' || (c == '\x1b' && chars.next_if_eq(&'\\').is_some()) {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_colours_are_kept_on_a_terminal_and_taken_off_elsewhere() {
        let text = "\x1b[1m\x1b[32mok\x1b[0m \x1b]8;;http://x\x1b\\link\x1b]8;;\x07!";
        assert_eq!(Style { colour: true, width: 80 }.foreign(text), text);
        assert_eq!(Style::PLAIN.foreign(text), "ok link!");
    }
}
