//! Cookies of browsers: what they are called, how they are set and read; and whether a request is one of our own pages'.

use axum::http::{HeaderMap, Uri, header};
use http_api::App;

/// Whether clients reach this server by TLS.
fn over_tls(app: &App) -> bool {
    app.settings.url.starts_with("https:")
}

/// The whole name of a cookie. `__Host-` makes the browser insist on TLS, on this host alone, and on the whole path. It
/// refuses it without TLS.
pub fn name(app: &App, stem: &str) -> String {
    format!("{}ferroform-{stem}", if over_tls(app) { "__Host-" } else { "" })
}

/// The name of the cookie that holds a session's secret.
pub fn session(app: &App) -> String {
    name(app, "session")
}

/// A `Set-Cookie` header. Without `max_age` (seconds) the cookie ends with the browser; with 0 at once.
pub fn text(app: &App, name: &str, value: &str, max_age: Option<i64>) -> String {
    let secure = if over_tls(app) { "; Secure" } else { "" };
    let age = max_age.map(|age| format!("; Max-Age={age}")).unwrap_or_default();
    format!("{name}={value}; Path=/{age}; HttpOnly; SameSite=Lax{secure}")
}

/// The value of a cookie, if it has one.
pub fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(n, value)| *n == name && !value.is_empty()).map(|(_, value)| value)
}

/// Whether the browser says that a form comes from a page of this server. A client that says nothing is no browser of
/// this decade; the form's token decides then.
pub fn same_origin(headers: &HeaderMap, uri: &Uri, own: &str) -> bool {
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return false;
    }
    let Some(origin) = text(header::ORIGIN) else { return true };
    let host = text(header::HOST).or_else(|| uri.authority().map(|authority| authority.as_str()));
    let place = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    origin == own || (place.is_some() && place == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_is_taken_from_our_own_pages_alone() {
        let judge = |pairs: &[(&'static str, &str)]| {
            same_origin(&headers(pairs), &"/sign-in".parse().unwrap(), "https://tfe.test")
        };
        assert!(judge(&[("origin", "https://tfe.test"), ("sec-fetch-site", "same-origin")]));
        assert!(judge(&[("origin", "https://127.0.0.1:8443"), ("host", "127.0.0.1:8443")]));
        assert!(!judge(&[("origin", "https://evil.test"), ("host", "tfe.test")]));
        assert!(!judge(&[("origin", "null"), ("host", "tfe.test")]));
        assert!(!judge(&[("origin", "https://tfe.test"), ("sec-fetch-site", "cross-site")]));
        assert!(!judge(&[("sec-fetch-site", "same-site")]));
    }

    #[test]
    fn a_cookie_is_found_among_others_by_its_whole_name() {
        let headers = headers(&[("cookie", "xa=1; a=2; b=3")]);
        assert_eq!(read(&headers, "a"), Some("2"));
        assert_eq!(read(&headers, "c"), None);
    }
}
