//! What forms of pages are made of, and how they end.
//!
//! A form that the API refuses is shown again, with what was typed and with the API's own words ([`settled`]). One that is
//! taken leads on to a page, whose address says in a word what was done ([`done`]).

use crate::{
    answer::Answer,
    layout::{Tone, describe, form_token, note},
    visit::Visit,
};
use axum::http::StatusCode;
use http_api::{Error, Result};
use maud::{Markup, html};

/// Why the API did not do what a form asked for.
pub(crate) struct Refusal {
    status: StatusCode,
    why: Vec<String>,
}

/// Tells a refusal, which the page of the form shows, from what no form can mend.
///
/// # Errors
/// What is no matter of the form: what it is about is gone or hidden, or the server is broken.
pub(crate) fn settled<T>(result: Result<T>) -> Result<Result<T, Refusal>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Error::Invalid(attributes)) => {
            let why = attributes.into_iter().map(|(_, message)| message).collect();
            Ok(Err(Refusal { status: StatusCode::UNPROCESSABLE_ENTITY, why }))
        }
        Err(
            error @ (Error::BadRequest { .. }
            | Error::Forbidden(_)
            | Error::Conflict { .. }
            | Error::PreconditionFailed(_)
            | Error::Unprocessable(_)
            | Error::NotEntitled(_)),
        ) => {
            let (status, _, why) = describe(&error, "");
            Ok(Err(Refusal { status, why: vec![why] }))
        }
        Err(error) => Err(error),
    }
}

impl Refusal {
    /// The note above or in the form.
    pub(crate) fn note(&self) -> Markup {
        note(Tone::Bad, &html! { @for why in &self.why { p { (why) } } })
    }

    /// The page with the note.
    pub(crate) fn answer(&self, page: Answer) -> Answer {
        page.status(self.status)
    }
}

/// The note of a page to which a form has led: the word of its address, and the sentence for it.
pub(crate) fn done(visit: &Visit, sentences: &[(&str, &str)]) -> Markup {
    let word = visit.query("done").unwrap_or_default();
    let found = sentences.iter().find(|(known, _)| *known == word);
    found.map(|(_, sentence)| note(Tone::Good, &html! { (sentence) })).unwrap_or_default()
}

/// A field with its name, and with a sentence about it.
pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) hint: &'a str,
    /// What is stored; what was typed and refused goes first.
    pub(crate) value: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) required: bool,
    /// Which form of the page it is in, where several have a field of this name.
    pub(crate) of: &'a str,
}

impl<'a> Field<'a> {
    /// An empty line that must be filled.
    pub(crate) fn new(name: &'a str, label: &'a str) -> Self {
        Self { name, label, hint: "", value: "", kind: "text", required: true, of: "" }
    }

    /// With a sentence about it.
    pub(crate) fn hint(self, hint: &'a str) -> Self {
        Self { hint, ..self }
    }

    /// With what is stored.
    pub(crate) fn value(self, value: &'a str) -> Self {
        Self { value, ..self }
    }

    /// Of another kind of input than a line of text.
    pub(crate) fn kind(self, kind: &'a str) -> Self {
        Self { kind, ..self }
    }

    /// Which may stay empty.
    pub(crate) fn optional(self) -> Self {
        Self { required: false, ..self }
    }

    /// In one of several forms that have a field of this name.
    pub(crate) fn of(self, of: &'a str) -> Self {
        Self { of, ..self }
    }

    fn id(&self) -> String {
        if self.of.is_empty() {
            format!("field-{}", self.name)
        } else {
            format!("field-{}-{}", self.of, self.name)
        }
    }

    fn frame(&self, input: &Markup) -> Markup {
        html! {
            div.field {
                label for=(self.id()) { (self.label) @if !self.required { span.muted { " (optional)" } } }
                (input)
                @if !self.hint.is_empty() { p.small id={ (self.id()) "-hint" } { (self.hint) } }
            }
        }
    }

    fn described(&self) -> Option<String> {
        (!self.hint.is_empty()).then(|| format!("{}-hint", self.id()))
    }

    /// A line.
    pub(crate) fn input(&self, visit: &Visit) -> Markup {
        self.frame(&html! {
            input id=(self.id()) type=(self.kind) name=(self.name) value=(visit.typed(self.name, self.value))
                required[self.required] aria-describedby=[self.described()] autocomplete="off" spellcheck="false";
        })
    }

    /// Several lines.
    pub(crate) fn area(&self, visit: &Visit, rows: u32) -> Markup {
        self.frame(&html! {
            textarea id=(self.id()) name=(self.name) rows=(rows) required[self.required] aria-describedby=[self.described()]
                autocomplete="off" spellcheck="false" { (visit.typed(self.name, self.value)) }
        })
    }

    /// One of several, each with its name.
    pub(crate) fn select(&self, visit: &Visit, options: &[(&str, &str)]) -> Markup {
        let chosen = visit.typed(self.name, self.value);
        let plain = Self { required: true, ..*self };
        plain.frame(&html! {
            select id=(self.id()) name=(self.name) aria-describedby=[self.described()] {
                @for (value, name) in options { option value=(value) selected[*value == chosen] { (name) } }
            }
        })
    }
}

/// A box to tick, with a sentence about what it does.
pub(crate) fn tick(visit: &Visit, name: &str, label: &str, hint: &str, stored: bool) -> Markup {
    let id = format!("field-{name}");
    html! {
        div.tick {
            input id=(id) type="checkbox" name=(name) value="true" checked[visit.ticked(name, stored)]
                aria-describedby=[(!hint.is_empty()).then(|| format!("{id}-hint"))];
            div {
                label for=(id) { (label) }
                @if !hint.is_empty() { p.small id={ (id) "-hint" } { (hint) } }
            }
        }
    }
}

/// A button behind a second look: what it is called, what then happens, and what the button says.
pub(crate) fn confirm(
    visit: &Visit,
    action: &str,
    what: &str,
    of: &str,
    effect: &str,
    button: &str,
) -> Markup {
    html! {
        details.confirm {
            summary { (what) span.hidden { " " (of) } }
            form method="post" action=(action) {
                (form_token(visit))
                p { (effect) }
                button.danger type="submit" { (button) }
            }
        }
    }
}

/// Text to be copied.
pub(crate) fn copied(id: &str, text: &str) -> Markup {
    html! {
        div.copied {
            pre id=(id) tabindex="0" { (text) }
            button.quiet type="button" data-copy={ "#" (id) } { "Copy" }
        }
    }
}

/// A secret that is shown this once.
pub(crate) fn shown_once(name: &str, text: &str) -> Markup {
    note(
        Tone::Good,
        &html! {
            p { strong { "Copy " (name) " now." } " It is not shown again." }
            pre.secret #secret tabindex="0" aria-label="The new token" { (text) }
            p { button.quiet type="button" data-copy="#secret" { "Copy" } }
        },
    )
}

/// How long a token may be good for, in days; 0 is for ever.
pub(crate) const LIVES: [(&str, &str); 5] =
    [("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("730", "2 years"), ("0", "No expiry")];

/// The instant at which a token ends that is made now, as the API takes it; null is never.
pub(crate) fn expiry(visit: &Visit) -> Option<String> {
    let days: i64 = visit.field("days").parse().unwrap_or(30);
    let days = days.clamp(0, 36_500);
    (days > 0).then(|| visit.app.now().plus_seconds(days * 24 * 3600).rfc3339())
}
