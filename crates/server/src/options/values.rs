//! Values as people write them: addresses, times, sizes. Every refusal shows how it is written.

use super::Tls;
use axum::http::Uri;
use http_api::origin::{Network, RangeKind};
use std::{net::SocketAddr, time::Duration};

/// `127.0.0.1:8443`, `[::]:443`.
pub(super) fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| "expected an IP address and a port, such as 127.0.0.1:8443 or [::]:443".to_owned())
}

/// `api=203.0.113.0/24`.
pub(super) fn parse_range(text: &str) -> Result<(RangeKind, Network), String> {
    let wrong = || {
        "expected api=, notifications=, sentinel= or vcs=, and a network such as 203.0.113.0/24".to_owned()
    };
    let (kind, network) = text.split_once('=').ok_or_else(wrong)?;
    let kind = RangeKind::ALL.into_iter().find(|known| known.name() == kind).ok_or_else(wrong)?;
    Ok((kind, network.parse()?))
}

/// `https://host[:port]`, returned without a slash at its end.
pub(super) fn parse_url(text: &str) -> Result<String, String> {
    let wrong =
        || "expected https://HOST or https://HOST:PORT (or http://…), and nothing after it".to_owned();
    let bare = text.trim_end_matches('/');
    let uri: Uri = bare.parse().map_err(|_| wrong())?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    // The path of a URL without one is read as a slash.
    let rest = uri.path().len() > 1 || uri.query().is_some();
    if known && host && !rest { Ok(bare.to_owned()) } else { Err(wrong()) }
}

/// `auto`, `off`, `CERT,KEY`.
pub(super) fn parse_tls(text: &str) -> Result<Tls, String> {
    match text {
        "auto" => Ok(Tls::Auto),
        "off" => Ok(Tls::Off),
        files => match files.split_once(',') {
            Some((cert, key)) if !cert.is_empty() && !key.is_empty() => {
                Ok(Tls::Files(cert.into(), key.into()))
            }
            _ => Err("expected `auto`, `off`, or two PEM files as CERT,KEY".to_owned()),
        },
    }
}

/// `0`, `1`, `2`, …
pub(super) fn parse_number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| match text.parse::<u64>() {
        Ok(_) => "this is too large".to_owned(),
        Err(_) => "expected a whole number, such as 0 or 8".to_owned(),
    })
}

/// `90s`, `15m`, `1h30m`, `2d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut rest = text;
    let mut seconds = 0_u64;
    while !rest.is_empty() || text.is_empty() {
        let (number, after) = leading_number(rest)
            .ok_or_else(|| "expected a number with a unit: 90s, 15m, 1h30m, 2d".to_owned())?;
        let unit = match after.chars().next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            Some('d') => 86_400,
            _ => return Err(format!("the unit must be s, m, h or d, as in {number}s")),
        };
        rest = &after[1..];
        seconds = number
            .checked_mul(unit)
            .and_then(|more| seconds.checked_add(more))
            .ok_or_else(|| "too long".to_owned())?;
    }
    Ok(Duration::from_secs(seconds))
}

/// `1024`, `64KiB`, `100MiB`, `1GiB`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) =
        leading_number(text).ok_or_else(|| "expected a size: 1024, 64KiB, 100MiB, 1GiB".to_owned())?;
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("the unit must be KiB, MiB or GiB, as in {number}MiB")),
    };
    number.checked_mul(factor).ok_or_else(|| "too large".to_owned())
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    Some((digits.parse().ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_and_a_time_have_units() {
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("1024"), Ok(1024));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_duration("1h30m"), Ok(Duration::from_secs(5400)));
        for wrong in ["", "2", "h", "2 hours", "1h30", "2ü", "99999999999999999999s", "999999999999999999d"]
        {
            parse_duration(wrong).unwrap_err();
        }
        for wrong in ["", "10MB", "MiB", "-1", "99999999999GiB", "18446744073709551615KiB"] {
            parse_size(wrong).unwrap_err();
        }
    }

    #[test]
    fn the_url_is_a_scheme_and_a_host() {
        assert_eq!(parse_url("https://tfe.example.com/"), Ok("https://tfe.example.com".to_owned()));
        assert_eq!(parse_url("http://[::1]:8080"), Ok("http://[::1]:8080".to_owned()));
        for wrong in ["tfe.example.com", "ftp://a", "https://", "https://a/b", "https://a?b", "https://u:p@a"]
        {
            assert!(parse_url(wrong).unwrap_err().contains("HOST"), "{wrong}");
        }
    }

    #[test]
    fn tls_is_one_of_three_things() {
        assert_eq!(parse_tls("a.pem,b.pem"), Ok(Tls::Files("a.pem".into(), "b.pem".into())));
        for wrong in ["on", "a.pem", ",b.pem", "a.pem,"] {
            assert!(parse_tls(wrong).unwrap_err().contains("CERT,KEY"), "{wrong}");
        }
    }
}
