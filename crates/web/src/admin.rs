//! Site administration: the pages of who administers the whole installation. For everybody else they are 404, as the
//! operations behind them are.

mod health;
mod organization;
mod organizations;
mod runs;
mod settings;
mod users;
mod version;
mod versions;

use crate::{
    answer::Answer,
    layout::{Area, Frame, framed},
    serve::Table,
    visit::Visit,
};
use http_api::{Error, Result};
use maud::{Markup, html};

pub(crate) fn routes(table: Table) -> Table {
    let all = [
        health::routes,
        runs::routes,
        organizations::routes,
        organization::routes,
        users::routes,
        versions::routes,
        version::routes,
        settings::routes,
    ];
    all.into_iter().fold(table, |table, more| more(table))
}

/// Where no read of the page itself is for site admins alone.
fn only_site_admins(visit: &Visit) -> Result<()> {
    if visit.session()?.site_admin { Ok(()) } else { Err(Error::NotFound) }
}

/// A page at one of the places.
fn answer(visit: &Visit, place: &str, body: &Markup) -> Answer {
    Answer::page(framed(visit, &Frame::new(Area::Site, place, place), body))
}

/// A page below one of the places.
fn below(visit: &Visit, place: &str, title: &str, body: &Markup) -> Answer {
    let frame = Frame { within: true, ..Frame::new(Area::Site, place, title) };
    Answer::page(framed(visit, &frame, body))
}

/// The field to search in a list.
fn search(action: &str, text: &str, by: &str, more: &Markup) -> Markup {
    html! {
        form.list-filters method="get" action=(action) role="search" {
            input.grow type="search" name="q" value=(text) placeholder=(by) aria-label=(by) data-search;
            (more)
            button.quiet type="submit" { "Search" }
        }
    }
}
