//! Instants, as microseconds since the Unix epoch: what both databases store and compare as one integer.

/// An instant with a resolution of one microsecond.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(transparent))]
pub struct Timestamp(i64);

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// This instant plus a number of whole seconds (which may be negative).
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }

    /// The same time of day so many calendar years later; of a 29th of February, where that year has none, the day before.
    pub fn plus_years(self, years: i16) -> Self {
        let utc = jiff::tz::Offset::UTC;
        let later = utc.to_datetime(self.civil()).checked_add(jiff::Span::new().years(years));
        let later = later.and_then(|later| utc.to_timestamp(later)).unwrap_or(jiff::Timestamp::MAX);
        Self(later.as_microsecond())
    }

    /// The time from `earlier` until this instant; zero when `earlier` is later, as after a clock that jumped.
    pub fn since(self, earlier: Self) -> std::time::Duration {
        std::time::Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2021-05-24T07:38:04.171Z`: resource attributes. The official SDK's decoder demands the literal `Z`.
    pub fn iso8601(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
    }

    /// `2021-05-24T07:38:04+00:00`: the values of `status-timestamps`.
    pub fn rfc3339(self) -> String {
        self.civil().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
    }

    /// Reads an ISO 8601 instant with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse::<jiff::Timestamp>().ok().map(|t| Self(t.as_microsecond()))
    }

    /// `Sun, 24 May 2026 07:38:04 GMT`: the dates of HTTP's headers.
    pub fn http_date(self) -> String {
        self.civil().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// Reads a date of HTTP's headers.
    pub fn parse_http_date(text: &str) -> Option<Self> {
        let date = jiff::fmt::strtime::parse("%a, %d %b %Y %H:%M:%S GMT", text).ok()?.to_datetime().ok()?;
        jiff::tz::Offset::UTC.to_timestamp(date).ok().map(|t| Self(t.as_microsecond()))
    }

    fn civil(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn years_are_those_of_the_calendar() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        assert_eq!(at("2026-11-24T07:38:04Z").plus_years(2), at("2028-11-24T07:38:04Z"));
        assert_eq!(at("2028-02-29T07:38:04Z").plus_years(2), at("2030-02-28T07:38:04Z"));
    }

    #[test]
    fn dates_of_headers_are_read_as_they_are_written() {
        let at = Timestamp::parse("2026-05-24T07:38:04Z").unwrap();
        assert_eq!(at.http_date(), "Sun, 24 May 2026 07:38:04 GMT");
        assert_eq!(Timestamp::parse_http_date(&at.http_date()), Some(at));
        assert_eq!(Timestamp::parse_http_date("2026-05-24"), None);
    }

    #[test]
    fn attributes_carry_milliseconds_and_a_literal_z() {
        let t = Timestamp::parse("2021-05-24T09:38:04.171234+02:00").unwrap();
        assert_eq!(t.iso8601(), "2021-05-24T07:38:04.171Z");
        assert_eq!(t.rfc3339(), "2021-05-24T07:38:04+00:00");
    }
}
