//! Markdown that others have written, as markup that does nothing: raw HTML is shown as text, links lead to pages of the web
//! and to this server alone, and pictures are links, because a page asks nothing of any other host.

use maud::{Markup, PreEscaped};
use pulldown_cmark::{CowStr, Event, HeadingLevel, Options, Parser, Tag, TagEnd, html};

/// What a page shows of a text.
pub(super) fn markup(text: &str) -> Markup {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut out = String::with_capacity(text.len() * 2);
    html::push_html(&mut out, Parser::new_ext(text, options).map(tame));
    // Only the writer of markup makes this; in the text it is escaped. What scrolls must be in reach of the keyboard.
    PreEscaped(out.replace("<pre>", "<pre tabindex=\"0\">"))
}

fn tame(event: Event<'_>) -> Event<'_> {
    match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::Link { link_type, dest_url, title, .. })
        | Event::Start(Tag::Image { link_type, dest_url, title, .. }) => {
            let dest_url = if is_harmless(&dest_url) { dest_url } else { CowStr::Borrowed("#") };
            Event::Start(Tag::Link { link_type, dest_url, title, id: CowStr::Borrowed("") })
        }
        Event::End(TagEnd::Image) => Event::End(TagEnd::Link),
        Event::Start(Tag::Heading { level, .. }) => {
            Event::Start(Tag::Heading { level: below(level), id: None, classes: vec![], attrs: vec![] })
        }
        Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
        Event::Start(Tag::Table(columns)) => {
            Event::Start(Tag::Table(vec![pulldown_cmark::Alignment::None; columns.len()]))
        }
        other => other,
    }
}

/// Below the headings of the page that it stands in.
fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H3,
        HeadingLevel::H2 => HeadingLevel::H4,
        HeadingLevel::H3 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

/// Whether a link leads to a page: `http`, `https`, or without a scheme and a host.
fn is_harmless(link: &str) -> bool {
    let lower = link.trim_start().to_ascii_lowercase();
    let before = lower.split(['/', '?', '#']).next().unwrap_or_default();
    let relative = !before.contains(':') && !lower.starts_with("//") && !lower.starts_with(['\\', '/']);
    let clean = !lower.chars().any(|c| c.is_control() || c == '\\');
    clean && (lower.starts_with("http://") || lower.starts_with("https://") || relative)
}

#[cfg(test)]
mod tests {
    use super::markup;

    #[test]
    fn markdown_becomes_markup_below_the_page_s_headings() {
        let shown = markup("# Net\n\nOwned by **us**, see [run](https://a.test/x).\n\n```\ncode\n```\n")
            .into_string();
        assert!(shown.contains("<h3>Net</h3>") && shown.contains("<strong>us</strong>"), "{shown}");
        assert!(shown.contains("<a href=\"https://a.test/x\">run</a>"), "{shown}");
        assert!(shown.contains("<pre tabindex=\"0\"><code>code"), "{shown}");
    }

    #[test]
    fn nothing_in_it_acts() {
        let hostile = [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "[x](javascript:alert(1))",
            "[x](  JaVaScRiPt:alert(1))",
            "[x](data:text/html;base64,AAAA)",
            "![x](https://spy.test/pixel.png)",
            "[x](//spy.test)",
            "[x](vbscript:x)",
            "| a |\n|:-:|\n| b |\n",
            "<div onclick=x>",
        ];
        for text in hostile {
            let shown = markup(text).into_string().to_lowercase();
            for bad in [
                "<script",
                "<img",
                "href=\"javascript",
                "href=\"data",
                "href=\"//",
                "href=\"vbscript",
                "style=\"",
            ] {
                assert!(!shown.contains(bad), "{text}: {shown}");
            }
        }
    }
}
