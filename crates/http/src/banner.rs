//! What site admins tell everybody on every page, and to whom it is shown.
//!
//! The one banner that may be shown is remembered with the settings of the installation ([`crate::site`]): no page reads it.

use db::{Db, FromRow};
use kernel::{Result, Timestamp, ids::BannerId};

/// A banner as stored.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Banner {
    /// Stable id.
    pub id: BannerId,
    /// Its heading.
    pub title: String,
    /// What it says, in the HTML that [`sanitized`] leaves.
    pub body: String,
    /// `info`, `warning` or `critical`.
    pub style: String,
    /// `all_users`, or `authenticated_only`.
    pub audience: String,
    /// When it appears, if it has a schedule.
    pub publish_at: Option<Timestamp>,
    /// When it disappears by itself.
    pub expire_at: Option<Timestamp>,
    /// The time zone that its admin thinks in.
    pub timezone: Option<String>,
    /// When it appeared, if it has no schedule.
    pub published_at: Option<Timestamp>,
    /// When it was taken away.
    pub deactivated_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// All columns of [`Banner`].
pub const COLUMNS: &str =
    "id, title, body, style, audience, publish_at, expire_at, timezone, published_at, deactivated_at,
    created_at";

impl Banner {
    /// Since when it is there, if it is by now.
    pub fn since(&self, now: Timestamp) -> Option<Timestamp> {
        self.publish_at.filter(|at| *at <= now).or(self.published_at)
    }

    /// When it went, if it has by now.
    pub fn gone(&self, now: Timestamp) -> Option<Timestamp> {
        self.deactivated_at.or(self.expire_at.filter(|at| *at <= now))
    }

    /// Whether it is there for who is signed in, or for who is not.
    pub fn is_shown(&self, now: Timestamp, signed_in: bool) -> bool {
        self.since(now).is_some() && self.gone(now).is_none() && (signed_in || self.audience == "all_users")
    }
}

/// The banner that was not taken away. There is one at most.
pub(crate) async fn current(db: &Db) -> Result<Option<Banner>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM admin_banners WHERE deactivated_at IS NULL ORDER BY created_at DESC LIMIT 1"
    );
    db.one(db::AssertSqlSafe(sql), vec![]).await
}

/// The elements that a body may have. Whatever else looks like one is left out, with its attributes; what stands in it stays.
const ELEMENTS: [&str; 5] = ["strong", "em", "b", "i", "a"];

/// HTML in which there are only those elements, closed as they were opened, and links to where a link may lead. Safe to show
/// as it is; unchanged when done again.
pub fn sanitized(html: &str) -> String {
    let mut out = String::new();
    let mut open: Vec<&str> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        escape(&mut out, &rest[..at], false);
        rest = &rest[at + 1..];
        let Some(end) = rest.find('>') else {
            out.push_str("&lt;");
            continue;
        };
        let tag = &rest[..end];
        let closes = tag.starts_with('/');
        let name =
            tag.trim_start_matches('/').split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or("");
        if name.is_empty() && !tag.starts_with('!') {
            // Not a tag at all, as in `a < b`.
            out.push_str("&lt;");
            continue;
        }
        rest = &rest[end + 1..];
        let Some(known) = ELEMENTS.iter().find(|known| known.eq_ignore_ascii_case(name)) else { continue };
        if closes {
            if let Some(depth) = open.iter().rposition(|opened| opened == known) {
                for opened in open.drain(depth..).rev() {
                    close(&mut out, opened);
                }
            }
            continue;
        }
        out.push('<');
        out.push_str(known);
        if let Some(to) = (*known == "a").then(|| destination(tag)).flatten() {
            out.push_str(" href=\"");
            escape(&mut out, to, true);
            out.push('"');
        }
        out.push('>');
        open.push(known);
    }
    escape(&mut out, rest, false);
    for opened in open.iter().rev() {
        close(&mut out, opened);
    }
    out
}

fn close(out: &mut String, element: &str) {
    out.push_str("</");
    out.push_str(element);
    out.push('>');
}

/// Where a link leads, if it may: to pages and addresses, and never to a script.
fn destination(tag: &str) -> Option<&str> {
    let lower = tag.to_ascii_lowercase();
    let at = lower.find("href")?;
    let value = tag[at + 4..].trim_start().strip_prefix('=')?.trim_start();
    let to = match value.chars().next()? {
        quote @ ('"' | '\'') => value[1..].split(quote).next()?,
        _ => value.split_whitespace().next()?,
    };
    let to = to.trim();
    let fits = |start: &&str| to.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start));
    let own = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
    (own || ["https://", "http://", "mailto:"].iter().any(fits)).then_some(to)
}

/// Text as HTML. Entities that are there already stay.
fn escape(out: &mut String, text: &str, quoted: bool) {
    for (at, c) in text.char_indices() {
        match c {
            '&' if !is_entity(&text[at..]) => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' if quoted => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
}

/// Whether a text that begins with `&` begins with an entity.
fn is_entity(text: &str) -> bool {
    let Some(end) = text.find(';').filter(|end| (2..=10).contains(end)) else { return false };
    let name = &text[1..end];
    let name = name.strip_prefix('#').unwrap_or(name);
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_emphasis_and_links_are_left_of_html() {
        for (html, left) in [
            ("plain & simple", "plain &amp; simple"),
            ("<b>Down</b> at <em>8</em>", "<b>Down</b> at <em>8</em>"),
            ("<script>alert(1)</script>", "alert(1)"),
            ("<b onclick=\"x()\">bold</b>", "<b>bold</b>"),
            (
                "<a href=\"https://a.test/?b=1&c=2\" target=_blank>s</a>",
                "<a href=\"https://a.test/?b=1&amp;c=2\">s</a>",
            ),
            ("<a href='javascript:alert(1)'>x</a>", "<a>x</a>"),
            ("<a href=//evil.test>x</a>", "<a>x</a>"),
            ("<A HREF=/app>x", "<a href=\"/app\">x</a>"),
            ("<b><i>x</b>y</i>", "<b><i>x</i></b>y"),
            ("a < b and c > d", "a &lt; b and c &gt; d"),
            ("&lt;b&gt; &copy; &nope", "&lt;b&gt; &copy; &amp;nope"),
            ("<<b>x", "&lt;<b>x</b>"),
            ("<img src=x onerror=y>", ""),
            ("<!-- c -->x</a>", "x"),
            ("<a href=\"https://a.test/\"onmouseover=\"x\">x</a>", "<a href=\"https://a.test/\">x</a>"),
        ] {
            assert_eq!(sanitized(html), left, "{html}");
            assert_eq!(sanitized(left), left, "again: {html}");
        }
    }
}
