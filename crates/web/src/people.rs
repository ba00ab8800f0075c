//! Users, for site admins: who there is, and acting as one of them.

use crate::{
    answer::Answer,
    layout::{Area, Frame, form_token, framed, moment},
    visit::Visit,
};
use accounts::{
    impersonation,
    people::{self, Person},
};
use http_api::{Error, Result};
use maud::{Markup, html};

const PATH: &str = "/admin/users";
/// Users on the page; a search shows the others.
const MOST: usize = 100;

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    if !visit.session()?.site_admin {
        return Err(Error::NotFound);
    }
    let search = visit.query("q").unwrap_or_default();
    let wanted = search.trim().to_lowercase();
    let fits = |person: &Person| {
        person.username.to_lowercase().contains(&wanted) || person.email.to_lowercase().contains(&wanted)
    };
    let found: Vec<Person> = people::list(&visit.app).await?.into_iter().filter(fits).collect();
    let body = html! {
        section.panel {
            form.row method="get" action=(PATH) role="search" {
                div.grow {
                    label for="q" { "Name or email" }
                    input #q name="q" type="search" value=(search) autocomplete="off" autocapitalize="none";
                }
                button.quiet type="submit" { "Search" }
            }
            @if found.is_empty() {
                p.muted { "There is nobody of this name." }
            } @else {
                table {
                    thead { tr {
                        th scope="col" { "User" } th scope="col" { "Standing" } th scope="col" { "Made" }
                        th scope="col" { span.hidden { "Actions" } }
                    } }
                    tbody { @for person in found.iter().take(MOST) { (row(&visit, person)) } }
                }
                @if found.len() > MOST {
                    p.small { "The first " (MOST) " of " (found.len()) ". Search for the others." }
                }
            }
        }
    };
    Ok(Answer::page(framed(&visit, &Frame::new(Area::Site, "Users", "Users"), &body)))
}

fn row(visit: &Visit, person: &Person) -> Markup {
    let standing = match (person.suspended, person.site_admin) {
        (true, _) => html! { span.ended { "suspended" } },
        (false, true) => html! { "site admin" },
        (false, false) => html! { "user" },
    };
    html! {
        tr {
            th scope="row" { (person.username) div.small { (person.email) } }
            td data-name="Standing" { (standing) }
            td data-name="Made" { (moment(visit.app.now(), person.created_at)) }
            td.actions {
                @if !person.site_admin && !person.suspended {
                    details.confirm {
                        summary { "Act as" span.hidden { " " (person.username) } }
                        form method="post" action={ (PATH) "/" (person.id) "/impersonate" } {
                            (form_token(visit))
                            p { "You see and do what they may. The audit trail says that it was you, and why." }
                            label.hidden for={ "reason-" (person.id) } { "Reason" }
                            input id={ "reason-" (person.id) } name="reason" required maxlength="1000"
                                placeholder="Reason" autocomplete="off";
                            button type="submit" { "Act as " (person.username) }
                        }
                    }
                }
            }
        }
    }
}

pub(crate) async fn impersonate(visit: Visit) -> Result<Answer> {
    let (session, reason) = (visit.session()?, visit.field("reason"));
    let secret =
        impersonation::begin(&visit.app, session, visit.path("id"), reason, &visit.browser()).await?;
    Ok(Answer::see_other("/app").with_cookies(visit.signed_in_cookies(&secret)))
}

pub(crate) async fn return_to_self(visit: Visit) -> Result<Answer> {
    let secret = impersonation::end(&visit.app, visit.session()?).await?;
    Ok(Answer::see_other(PATH).with_cookies(visit.signed_in_cookies(&secret)))
}
