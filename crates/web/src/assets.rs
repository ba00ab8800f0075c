//! The style sheet and the icon: compiled in, named by their content, kept by browsers for ever.

use crate::{answer::Answer, visit::Visit};
use http_api::{Error, Result};
use ring::digest;
use std::sync::LazyLock;

const STYLE: &[u8] = include_bytes!("../assets/style.css");
const ICON: &[u8] = include_bytes!("../assets/icon.svg");

struct Names {
    style: String,
    icon: String,
}

static NAMES: LazyLock<Names> =
    LazyLock::new(|| Names { style: named("style", STYLE, "css"), icon: named("icon", ICON, "svg") });

fn named(stem: &str, content: &[u8], extension: &str) -> String {
    let digest = digest::digest(&digest::SHA256, content);
    let hash: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{stem}-{hash}.{extension}")
}

/// Where the style sheet is.
pub(crate) fn style() -> String {
    format!("/_assets/{}", NAMES.style)
}

/// Where the icon is.
pub(crate) fn icon() -> String {
    format!("/_assets/{}", NAMES.icon)
}

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    match visit.path("name") {
        name if name == NAMES.style => Ok(Answer::forever("text/css; charset=utf-8", STYLE)),
        name if name == NAMES.icon => Ok(Answer::forever("image/svg+xml", ICON)),
        _ => Err(Error::NotFound),
    }
}
