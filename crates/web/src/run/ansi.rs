//! A terminal's colours as classes: what engines and provisioners print to be seen in one.
//!
//! Colours and weights (SGR) become spans, other sequences are left out. A style lasts until it is changed, also over the
//! end of a line, so whoever shows a part of a text brings the style in which it begins.

use maud::{Markup, PreEscaped, Render};
use std::borrow::Cow;

/// How text looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    bold: bool,
    faint: bool,
    italic: bool,
    underlined: bool,
    /// Of the sixteen colours that terminals name.
    colour: Option<u8>,
}

impl Style {
    /// What follows a sequence of numbers.
    fn then(mut self, numbers: &str) -> Self {
        let mut codes = numbers.split(';').map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => self = Self::default(),
                1 => self.bold = true,
                2 => self.faint = true,
                3 => self.italic = true,
                4 => self.underlined = true,
                22 => (self.bold, self.faint) = (false, false),
                23 => self.italic = false,
                24 => self.underlined = false,
                30..=37 => self.colour = u8::try_from(code - 30).ok(),
                90..=97 => self.colour = u8::try_from(code - 82).ok(),
                39 => self.colour = None,
                38 | 48 => {
                    let chosen = match codes.next() {
                        Some(5) => codes.next(),
                        // Three numbers, of which no class can tell.
                        _ => codes.nth(2).and(None),
                    };
                    if code == 38 {
                        self.colour = chosen.and_then(|c| u8::try_from(c).ok()).filter(|c| *c < 16);
                    }
                }
                _ => {}
            }
        }
        self
    }

    fn classes(self) -> String {
        let flags = [(self.bold, "b"), (self.faint, "f"), (self.italic, "i"), (self.underlined, "u")];
        let mut classes: Vec<String> =
            flags.iter().filter(|(on, _)| *on).map(|(_, class)| (*class).to_owned()).collect();
        classes.extend(self.colour.map(|colour| format!("k{colour}")));
        classes.join(" ")
    }
}

/// A piece of a text.
enum Piece<'a> {
    Text(&'a str),
    Style(&'a str),
}

/// A text in pieces, without what is neither.
fn pieces(mut rest: &str) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let Some(at) = rest.find('\x1b') else { return Some(Piece::Text(std::mem::take(&mut rest))) };
            if at > 0 {
                let (text, after) = rest.split_at(at);
                rest = after;
                return Some(Piece::Text(text));
            }
            if let Some(sequence) = rest.strip_prefix("\x1b[") {
                let end = sequence.find(|c: char| ('@'..='~').contains(&c)).unwrap_or(sequence.len());
                let (numbers, last) = sequence.split_at(end);
                rest = last.get(1..).unwrap_or_default();
                if last.starts_with('m') {
                    return Some(Piece::Style(numbers));
                }
            } else if let Some(command) = rest.strip_prefix("\x1b]") {
                let end = command.find('\x07').map_or(command.len(), |end| end + 1);
                rest = &command[end..];
            } else {
                let mut chars = rest.chars();
                chars.next();
                chars.next();
                rest = chars.as_str();
            }
        }
    })
}

/// The style after a text that begins in `style`.
pub(super) fn after(style: Style, text: &str) -> Style {
    if !text.contains('\x1b') {
        return style;
    }
    pieces(text).fold(style, |style, piece| match piece {
        Piece::Style(numbers) => style.then(numbers),
        Piece::Text(_) => style,
    })
}

/// A text without styles.
pub(super) fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains('\x1b') {
        return text.into();
    }
    let texts = pieces(text).filter_map(|piece| match piece {
        Piece::Text(text) => Some(text),
        Piece::Style(_) => None,
    });
    texts.collect::<String>().into()
}

/// A text that begins in `style`, which is then the one in which it ends.
pub(super) fn show(style: &mut Style, text: &str) -> Markup {
    let mut html = String::with_capacity(text.len() + 16);
    for piece in pieces(text) {
        match piece {
            Piece::Style(numbers) => *style = style.then(numbers),
            Piece::Text(text) if *style == Style::default() => text.render_to(&mut html),
            Piece::Text(text) => {
                html.push_str("<span class=\"");
                html.push_str(&style.classes());
                html.push_str("\">");
                text.render_to(&mut html);
                html.push_str("</span>");
            }
        }
    }
    PreEscaped(html)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        show(&mut Style::default(), text).into_string()
    }

    #[test]
    fn colours_become_classes_and_text_is_escaped() {
        assert_eq!(shown("a <b> & c"), "a &lt;b&gt; &amp; c");
        assert_eq!(shown("\x1b[1m\x1b[31mError:\x1b[0m <x>"), "<span class=\"b k1\">Error:</span> &lt;x&gt;");
        assert_eq!(shown("\x1b[92mok\x1b[39m."), "<span class=\"k10\">ok</span>.");
        assert_eq!(shown("\x1b[38;5;3ma\x1b[38;2;1;2;3mb"), "<span class=\"k3\">a</span>b");
        assert_eq!(shown("\x1b[1;32mx\x1b[22my"), "<span class=\"b k2\">x</span><span class=\"k2\">y</span>");
    }

    #[test]
    fn what_moves_the_cursor_or_names_a_window_is_left_out() {
        assert_eq!(shown("a\x1b[2Kb\x1b]0;title\x07c\x1b(Bd\x1b[\x1b"), "abcBd");
        assert_eq!(plain("\x1b[1ma\x1b[0mb"), "ab");
    }

    #[test]
    fn a_style_lasts_beyond_the_end_of_a_line() {
        let style = after(Style::default(), "\x1b[31mred");
        let mut next = style;
        assert_eq!(show(&mut next, "still\x1b[0m").into_string(), "<span class=\"k1\">still</span>");
        assert_eq!(next, Style::default());
        assert_eq!(after(style, "no change"), style);
    }
}
