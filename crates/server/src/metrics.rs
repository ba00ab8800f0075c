//! `/metrics` as Prometheus text: requests by operation and class of status, their time, and what the runner does.
//!
//! A handful of counters needs no library: an operation's numbers are four atomics, found by its name in a table that is
//! made once from the operation table.

use axum::{
    extract::Request,
    middleware::Next,
    response::Response,
};
use http_api::{OperationName, Routes};
use std::{
    collections::HashMap,
    fmt::Write,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

/// Upper bounds of the time buckets, in milliseconds.
const BUCKETS: [u64; 8] = [1, 5, 10, 50, 100, 500, 1000, 30_000];

#[derive(Debug, Default)]
struct Numbers {
    /// By class: 2xx, 3xx, 4xx, 5xx.
    by_class: [AtomicU64; 4],
    buckets: [AtomicU64; BUCKETS.len()],
    micros: AtomicU64,
}

/// The counters of all operations.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<HashMap<&'static str, Numbers>>);

impl Metrics {
    /// Counters for a table.
    pub fn new(routes: &Routes) -> Self {
        let names = routes.operations().iter().map(|operation| operation.name).chain(["absent"]);
        Self(Arc::new(names.map(|name| (name, Numbers::default())).collect()))
    }

    /// Counts one request.
    pub async fn record(self, request: Request, next: Next) -> Response {
        let begun = Instant::now();
        let response = next.run(request).await;
        let name = response.extensions().get::<OperationName>().map_or("absent", |name| name.0);
        if let Some(numbers) = self.0.get(name) {
            let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let class = usize::from(response.status().as_u16() / 100).clamp(2, 5) - 2;
            numbers.by_class[class].fetch_add(1, Relaxed);
            numbers.micros.fetch_add(micros, Relaxed);
            if let Some(bucket) = BUCKETS.iter().position(|bound| micros <= bound * 1000) {
                numbers.buckets[bucket].fetch_add(1, Relaxed);
            }
        }
        response
    }

    /// The text that Prometheus reads; `running` and `capacity` are the runner's.
    pub fn text(&self, running: usize, capacity: u32) -> String {
        let mut text = String::from(
            "# HELP ferroform_requests_total Requests answered.\n# TYPE ferroform_requests_total counter\n",
        );
        let mut operations: Vec<_> = self.0.iter().collect();
        operations.sort_by_key(|(name, _)| **name);
        for (name, numbers) in &operations {
            for (class, count) in ["2xx", "3xx", "4xx", "5xx"].iter().zip(&numbers.by_class) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let _ = writeln!(text, "ferroform_requests_total{{operation=\"{name}\",status=\"{class}\"}} {count}");
                }
            }
        }
        text.push_str(
            "# HELP ferroform_request_seconds Time from a request's head to its answer.\n# TYPE ferroform_request_seconds histogram\n",
        );
        for (name, numbers) in &operations {
            let total: u64 = numbers.by_class.iter().map(|count| count.load(Relaxed)).sum();
            if total == 0 {
                continue;
            }
            let mut below = 0;
            for (bound, count) in BUCKETS.iter().zip(&numbers.buckets) {
                below += count.load(Relaxed);
                let seconds = *bound as f64 / 1000.0;
                let _ = writeln!(text, "ferroform_request_seconds_bucket{{operation=\"{name}\",le=\"{seconds}\"}} {below}");
            }
            let _ = writeln!(text, "ferroform_request_seconds_bucket{{operation=\"{name}\",le=\"+Inf\"}} {total}");
            let seconds = numbers.micros.load(Relaxed) as f64 / 1e6;
            let _ = writeln!(text, "ferroform_request_seconds_sum{{operation=\"{name}\"}} {seconds}");
            let _ = writeln!(text, "ferroform_request_seconds_count{{operation=\"{name}\"}} {total}");
        }
        let _ = write!(
            text,
            "# HELP ferroform_jobs_running Phases of runs in progress.\n# TYPE ferroform_jobs_running gauge\n\
             ferroform_jobs_running {running}\n\
             # HELP ferroform_jobs_capacity Phases that may be in progress.\n# TYPE ferroform_jobs_capacity gauge\n\
             ferroform_jobs_capacity {capacity}\n"
        );
        text
    }
}
