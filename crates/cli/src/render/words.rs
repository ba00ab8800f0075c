//! Small words of tables: ages, statuses, sizes.

use crate::render::Style;
use kernel::Timestamp;

/// `3 minutes ago`, from an ISO 8601 instant; the text itself where it is none.
pub fn age(now: Timestamp, then: &str) -> String {
    let Some(at) = Timestamp::parse(then) else { return then.to_owned() };
    let seconds = now.since(at).as_secs();
    let (count, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400..5_184_000 => (seconds / 86_400, "day"),
        _ => return then.get(..10).unwrap_or(then).to_owned(),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

/// An instant and how long it is ago.
pub fn instant(now: Timestamp, then: &str) -> String {
    match age(now, then) {
        age if then.starts_with(&age) => then.to_owned(),
        age => format!("{then} ({age})"),
    }
}

/// A run's status in the colour of what it means: good, bad, somebody is needed, under way.
pub fn status(style: Style, status: &str) -> String {
    match status {
        "applied" | "planned_and_finished" | "planned_and_saved" | "assessed" => style.green(status),
        "errored" | "policy_soft_failed" => style.red(status),
        "planned" | "cost_estimated" | "policy_checked" | "policy_override" => style.yellow(status),
        "canceled" | "discarded" => style.dim(status),
        _ => style.cyan(status),
    }
}

/// `1.2 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    // Tenths, rounded down, in whole numbers.
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        assert_eq!(size(1023), "1023 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 << 30), "5.0 GiB");
    }

    #[test]
    fn ages_are_told_in_the_unit_that_fits() {
        let now = Timestamp::parse("2024-03-01T12:00:00Z").unwrap();
        for (then, told) in [
            ("2024-03-01T12:00:05.000Z", "just now"),
            ("2024-03-01T11:59:00.000Z", "1 minute ago"),
            ("2024-03-01T09:00:00.000Z", "3 hours ago"),
            ("2024-02-20T12:00:00.000Z", "10 days ago"),
            ("2021-02-20T12:00:00.000Z", "2021-02-20"),
            ("soon", "soon"),
        ] {
            assert_eq!(age(now, then), told);
        }
        assert_eq!(instant(now, "2021-02-20T12:00:00.000Z"), "2021-02-20T12:00:00.000Z");
        assert_eq!(instant(now, "2024-03-01T09:00:00.000Z"), "2024-03-01T09:00:00.000Z (3 hours ago)");
    }
}
