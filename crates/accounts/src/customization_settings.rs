//! Texts of an installation's own on its pages: `/admin/customization-settings`. Plain text, never markup.
//!
//! Source: the Admin Settings API.

use crate::admin_organizations::only_site_admins;
use axum::http::Method;
use http_api::{Cx, Data, Error, Reply, Resource, Result, Routes, site::Customization};
use serde::Deserialize;

/// Characters of one text.
const MOST: usize = 10_000;

/// The operations on the texts.
pub fn routes() -> Routes {
    let path = "/admin/customization-settings";
    Routes::new().op(Method::GET, path, "accounts.customization-settings.read", read).op(
        Method::PATCH,
        path,
        "accounts.customization-settings.update",
        update,
    )
}

/// What a request may set; an empty text is none.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    support_email_address: Option<String>,
    login_help: Option<String>,
    footer: Option<String>,
    error: Option<String>,
    new_user: Option<String>,
}

impl Attributes {
    fn apply(self, texts: &mut Customization) -> Result<()> {
        let mut wrong = Vec::new();
        let mut set = |name: &str, to: &mut String, text: Option<String>| {
            let Some(text) = text else { return };
            if text.chars().count() > MOST {
                wrong.push((name.to_owned(), format!("is too long (maximum is {MOST} characters)")));
            }
            *to = text;
        };
        set("support-email-address", &mut texts.support_email_address, self.support_email_address);
        set("login-help", &mut texts.login_help, self.login_help);
        set("footer", &mut texts.footer, self.footer);
        set("error", &mut texts.error, self.error);
        set("new-user", &mut texts.new_user, self.new_user);
        let address = &texts.support_email_address;
        if !address.is_empty() && !address.contains('@') {
            wrong.push(("support-email-address".to_owned(), "is not a valid email address".to_owned()));
        }
        if wrong.is_empty() { Ok(()) } else { Err(Error::Invalid(wrong)) }
    }
}

async fn read(cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    Ok(Reply::one(document(&cx.app.site().customization)))
}

async fn update(mut cx: Cx) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    let texts = cx.app.change_site(|texts| data.attributes.apply(texts)).await?;
    Ok(Reply::one(document(&texts)))
}

fn document(texts: &Customization) -> Resource {
    Resource::new("customization-settings", "customization", texts)
}
