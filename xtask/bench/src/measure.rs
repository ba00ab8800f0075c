//! Numbers, the bars they are held to, and how they are told.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::json;

/// What a number may be at most, or must be at least.
#[derive(Clone, Copy)]
pub(crate) enum Bar {
    /// Smaller is better.
    AtMost(f64),
    /// Larger is better.
    AtLeast(f64),
}

impl Bar {
    fn met(self, value: f64) -> bool {
        match self {
            Self::AtMost(limit) => value <= limit,
            Self::AtLeast(limit) => value >= limit,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {limit}"),
            Self::AtLeast(limit) => format!("≥ {limit}"),
        }
    }
}

/// One line of the table.
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    detail: String,
    bar: Bar,
}

/// All that was measured.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds how many times as long `ours` takes as `bare`, medians of both.
    pub(crate) fn ratio(&mut self, what: &str, ours: &Times, bare: &Times, bar: Bar) {
        let detail = format!("{} / {}, medians of {}", ours.median_text(), bare.median_text(), ours.0.len());
        self.row(what, ours.median() / bare.median(), "×", detail, bar);
    }

    /// Adds one number with its unit.
    pub(crate) fn row(&mut self, what: &str, value: f64, unit: &'static str, detail: String, bar: Bar) {
        self.rows.push(Row { what: what.to_owned(), value, unit, detail, bar });
    }

    /// Whether every number meets its bar.
    pub(crate) fn all_met(&self) -> bool {
        self.rows.iter().all(|row| row.bar.met(row.value))
    }

    /// A Markdown table.
    pub(crate) fn table(&self) -> String {
        let mut table = String::from("| what | measured | bar | met | from |\n|---|---|---|---|---|\n");
        for Row { what, value, unit, detail, bar } in &self.rows {
            let met = if bar.met(*value) { "yes" } else { "**no**" };
            writeln!(table, "| {what} | {value:.2} {unit} | {} | {met} | {detail} |", bar.text())
                .expect("a string takes all that is written to it");
        }
        table
    }

    /// The same for machines: an array of rows, in the table's order.
    pub(crate) fn json(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(|Row { what, value, unit, detail, bar }| {
            let (limit, better) = match bar {
                Bar::AtMost(limit) => (limit, "smaller"),
                Bar::AtLeast(limit) => (limit, "larger"),
            };
            json!({ "what": what, "value": value, "unit": unit, "detail": detail, "bar": limit, "better": better, "met": bar.met(*value) })
        }).collect();
        serde_json::to_string_pretty(&rows).expect("rows of numbers and strings are JSON")
    }
}

/// How long something took, again and again.
#[derive(Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Does `work` once more and remembers how long it took.
    ///
    /// # Errors
    /// What `work` fails with.
    pub(crate) fn once<T>(&mut self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        let value = work()?;
        self.0.push(started.elapsed());
        Ok(value)
    }

    /// Adds one that was measured elsewhere.
    pub(crate) fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// All of `many` as one.
    pub(crate) fn merged(many: Vec<Self>) -> Self {
        Self(many.into_iter().flat_map(|times| times.0).collect())
    }

    /// How many.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// How many took no longer than `limit`.
    pub(crate) fn within(&self, limit: Duration) -> usize {
        self.0.iter().filter(|took| **took <= limit).count()
    }

    /// Seconds.
    pub(crate) fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Seconds that the share `q` (0 to 1) of all stayed below.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let mut sorted: Vec<f64> = self.0.iter().map(Duration::as_secs_f64).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index of a short list"
        )]
        let index = ((sorted.len() - 1) as f64 * q).round() as usize;
        sorted[index]
    }

    fn median_text(&self) -> String {
        format!("{:.1} ms", self.median() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_and_the_tail_are_taken_from_sorted_times() {
        let times = Times([30, 10, 20, 40, 500].map(Duration::from_millis).to_vec());
        assert_eq!(times.median(), 0.030);
        assert_eq!(times.quantile(0.99), 0.500);
    }

    #[test]
    fn one_bar_that_is_missed_is_told() {
        let mut report = Report::default();
        report.row("a", 1.05, "×", String::new(), Bar::AtMost(1.1));
        assert!(report.all_met());
        report.row("b", 0.7, "×", String::new(), Bar::AtLeast(0.8));
        assert!(!report.all_met());
        assert!(report.table().contains("| b | 0.70 × | ≥ 0.8 | **no** |"));
        assert!(report.json().contains("\"better\": \"larger\""));
    }
}
