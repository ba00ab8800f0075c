//! The frame of an organization's settings: the page, and beside it the way to the others.

use super::{Organization, Permissions};
use crate::{
    answer::Answer,
    layout::{Area, Frame, framed},
    visit::{Visit, segment},
};
use maud::{Markup, html};

/// The pages of the settings: name, address, and who sees them.
type Part = (&'static str, &'static str, fn(&Permissions) -> bool);

const PARTS: [Part; 9] = [
    ("General", "", |_| true),
    ("Teams", "/teams", |_| true),
    ("Access", "/access", |may| may.can_create_team),
    ("Users", "/users", |may| may.can_view_users),
    ("Variable sets", "/variable-sets", |may| may.can_read_varsets),
    ("Tokens", "/tokens", |may| may.can_update_api_token),
    ("Tags", "/tags", |_| true),
    ("SSH keys", "/ssh-keys", |may| may.can_update_ssh_keys),
    ("Audit trail", "/audit-trail", |may| may.can_view_usage),
];

/// A page of the settings.
pub(super) struct Sided<'a> {
    /// Which of the pages it is or belongs to.
    pub(super) part: &'a str,
    /// Its heading.
    pub(super) title: &'a str,
    /// What stands at the right of the heading.
    pub(super) actions: Markup,
}

impl<'a> Sided<'a> {
    /// The page of a part itself.
    pub(super) fn new(part: &'a str) -> Self {
        Self { part, title: part, actions: Markup::default() }
    }

    pub(super) fn answer(self, visit: &Visit, organization: &Organization, body: &Markup) -> Answer {
        let base = format!("/app/{}/settings", segment(&organization.name));
        let beside = html! {
            div.sided {
                nav.settings-nav aria-label="Settings" {
                    @for (name, path, _) in PARTS.iter().filter(|(.., seen)| seen(&organization.permissions)) {
                        a href={ (base) (path) } aria-current=[(*name == self.part).then_some("page")] { (name) }
                    }
                }
                div.stack {
                    @if self.title != self.part {
                        @let path = PARTS.iter().find(|(name, ..)| *name == self.part).map_or("", |(_, path, _)| path);
                        p.within { a.back href={ (base) (path) } { "‹ " (self.part) } }
                    }
                    (body)
                }
            }
        };
        let frame = Frame {
            actions: self.actions,
            ..Frame::new(Area::Organization(&organization.name), "Settings", self.title)
        };
        Answer::page(framed(visit, &frame, &beside))
    }
}
