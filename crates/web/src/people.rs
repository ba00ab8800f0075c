//! Acting as another user, for site admins.

use crate::{answer::Answer, layout::form_token, visit::Visit};
use accounts::impersonation;
use http_api::Result;
use maud::{Markup, html};

const PATH: &str = "/app/admin/users";

/// The way to act as a user, whom the list of users shows.
pub(crate) fn act_as(visit: &Visit, id: &str, username: &str) -> Markup {
    html! {
        details.confirm {
            summary { "Act as" span.hidden { " " (username) } }
            form method="post" action={ (PATH) "/" (id) "/impersonate" } {
                (form_token(visit))
                p { "You see and do what they may. The audit trail says that it was you, and why." }
                label.hidden for={ "reason-" (id) } { "Reason" }
                input id={ "reason-" (id) } name="reason" required maxlength="1000"
                    placeholder="Reason" autocomplete="off";
                button type="submit" { "Act as " (username) }
            }
        }
    }
}

pub(crate) async fn impersonate(visit: Visit) -> Result<Answer> {
    let (session, reason) = (visit.session()?, visit.field("reason"));
    let secret =
        impersonation::begin(&visit.app, session, visit.path("user"), reason, &visit.browser()).await?;
    Ok(Answer::see_other("/app").with_cookies(visit.signed_in_cookies(&secret)))
}

pub(crate) async fn return_to_self(visit: Visit) -> Result<Answer> {
    let secret = impersonation::end(&visit.app, visit.session()?).await?;
    Ok(Answer::see_other(PATH).with_cookies(visit.signed_in_cookies(&secret)))
}
