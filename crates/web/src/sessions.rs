//! A person's own sessions: in which browsers they are signed in, and how to end that.

use crate::{
    answer::Answer,
    layout::{Place, Tone, form_token, moment, note, page},
    visit::Visit,
};
use accounts::sessions::{self, Listed};
use http_api::Result;
use kernel::{Timestamp, ids::SessionId};
use maud::{Markup, html};

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    let session = visit.session()?;
    let all = sessions::of_user(&visit.app, &session.user_id).await?;
    let now = visit.app.now();
    let body = html! {
        @if visit.query("ended").is_some() {
            (note(Tone::Good, &html! { "Done: what you ended is signed out." }))
        }
        section.panel {
            h2 { "Where you are signed in" }
            p.muted { "Do you not know one of these? End it, then " a href="/app/settings/password" { "change your password" } "." }
            table {
                thead { tr {
                    th scope="col" { "Browser" } th scope="col" { "From" } th scope="col" { "Signed in" }
                    th scope="col" { "Last seen" } th scope="col" { span.hidden { "Actions" } }
                } }
                tbody { @for one in &all { (row(&visit, one, &session.id, now)) } }
            }
            @if all.len() > 1 {
                form.row method="post" action="/app/settings/sessions/end-others" {
                    (form_token(&visit))
                    button.danger type="submit" { "Sign out everywhere else" }
                }
            }
            p.small { "Programs and command lines use tokens, which are not listed here and stay valid: see "
                a href="/app/settings/tokens" { "Tokens" } "." }
        }
    };
    Ok(Answer::page(page(&visit, Place::Sessions, "Sessions", &body)))
}

fn row(visit: &Visit, one: &Listed, own: &SessionId, now: Timestamp) -> Markup {
    let name = describe(one.agent.as_deref());
    let way = match one.method.as_str() {
        "password" => "by password",
        "link" => "by a link",
        "impersonation" => "a site admin, acting as you",
        "oidc" => "by your organization's sign-in",
        other => other,
    };
    html! {
        tr {
            th scope="row" title=[one.agent.as_deref()] {
                (name) @if one.id == *own { " " span.mark { "this one" } }
            }
            td data-name="From" { (one.address.as_deref().unwrap_or("unknown")) }
            td data-name="Signed in" { (moment(now, one.created_at)) div.small { (way) } }
            td data-name="Last seen" { (moment(now, one.last_seen_at)) }
            td.actions {
                form method="post" action={ "/app/settings/sessions/" (one.id) "/end" } {
                    (form_token(visit))
                    button.quiet type="submit" { "Sign out" span.hidden { " " (name) } }
                }
            }
        }
    }
}

/// `Firefox on Linux`, from what a browser says of itself. Every browser names others too, so the order counts.
fn describe(agent: Option<&str>) -> String {
    let Some(agent) = agent.filter(|agent| !agent.is_empty()) else { return "Unknown browser".to_owned() };
    let first = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| agent.contains(mark)).map(|(_, name)| *name)
    };
    let browser = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ]);
    match (browser, system) {
        (Some(browser), Some(system)) => format!("{browser} on {system}"),
        (Some(browser), None) => browser.to_owned(),
        // A program: what it calls itself, without its version.
        (None, _) => agent.split(['/', ' ']).next().unwrap_or(agent).to_owned(),
    }
}

pub(crate) async fn end(visit: Visit) -> Result<Answer> {
    let session = visit.session()?;
    let id = visit.path("id").to_owned();
    sessions::end_own(&visit.app, &session.user_id, &id).await?;
    if session.id.as_str() == id {
        return Ok(Answer::see_other("/signed-out").with_cookies([visit.signed_out_cookie()]));
    }
    Ok(Answer::see_other("/app/settings/sessions?ended=1"))
}

pub(crate) async fn end_others(visit: Visit) -> Result<Answer> {
    sessions::end_others(&visit.app, visit.session()?).await?;
    Ok(Answer::see_other("/app/settings/sessions?ended=1"))
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn a_browser_is_called_as_people_call_it() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
        assert_eq!(describe(Some(chrome)), "Chrome on Linux");
        assert_eq!(describe(Some(&format!("{chrome} Edg/141.0"))), "Edge on Linux");
        let phone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Safari/604.1";
        assert_eq!(describe(Some(phone)), "Safari on iPhone");
        assert_eq!(describe(Some("curl/8.5.0")), "curl");
        assert_eq!(describe(None), "Unknown browser");
    }
}
