//! `/metrics` as Prometheus text: requests by operation and class of status, their time and database statements, and what
//! the runner does.
//!
//! A handful of counters needs no library: an operation's numbers are a few atomics, found by its name in a table that is
//! made once from the operation table. Runs of the engine are processes of their own, and not part of this one's memory.

use axum::{extract::Request, middleware::Next, response::Response};
use http_api::{OperationName, Routes, Statements};
use kernel::Timestamp;
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
    statements: AtomicU64,
}

/// The counters of all operations.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    operations: HashMap<&'static str, Numbers>,
    started: Timestamp,
}

/// The names of what is served beside the table, and of what is not there at all.
pub(crate) const HEALTH: OperationName = OperationName("server.health.read");
pub(crate) const METRICS: OperationName = OperationName("server.metrics.read");
const ABSENT: OperationName = OperationName("absent");

impl Metrics {
    /// Counters for a table, and the instant of the start.
    pub fn new(routes: &Routes, started: Timestamp) -> Self {
        let more = [HEALTH.0, METRICS.0, ABSENT.0];
        let pages = web::routes().into_iter().map(|page| page.name);
        let names = routes.operations().iter().map(|operation| operation.name).chain(more).chain(pages);
        let operations = names.map(|name| (name, Numbers::default())).collect();
        Self(Arc::new(Counters { operations, started }))
    }

    /// Counts one request.
    pub async fn record(self, request: Request, next: Next) -> Response {
        let begun = Instant::now();
        let response = next.run(request).await;
        let name = response.extensions().get::<OperationName>().map_or(ABSENT.0, |name| name.0);
        if let Some(numbers) = self.0.operations.get(name) {
            let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            let class = usize::from(response.status().as_u16() / 100).clamp(2, 5) - 2;
            numbers.by_class[class].fetch_add(1, Relaxed);
            numbers.micros.fetch_add(micros, Relaxed);
            let statements = response.extensions().get::<Statements>().map_or(0, |statements| statements.0);
            numbers.statements.fetch_add(statements, Relaxed);
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
        let mut operations: Vec<_> = self.0.operations.iter().collect();
        operations.sort_by_key(|(name, _)| **name);
        for (name, numbers) in &operations {
            for (class, count) in ["2xx", "3xx", "4xx", "5xx"].iter().zip(&numbers.by_class) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let _ = writeln!(
                        text,
                        "ferroform_requests_total{{operation=\"{name}\",status=\"{class}\"}} {count}"
                    );
                }
            }
        }
        text.push_str(
            "# HELP ferroform_request_statements_total Database statements of requests.\n\
             # TYPE ferroform_request_statements_total counter\n",
        );
        for (name, numbers) in &operations {
            let count = numbers.statements.load(Relaxed);
            if count > 0 {
                let _ = writeln!(text, "ferroform_request_statements_total{{operation=\"{name}\"}} {count}");
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
                let _ = writeln!(
                    text,
                    "ferroform_request_seconds_bucket{{operation=\"{name}\",le=\"{seconds}\"}} {below}"
                );
            }
            let _ = writeln!(
                text,
                "ferroform_request_seconds_bucket{{operation=\"{name}\",le=\"+Inf\"}} {total}"
            );
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
        self.process(&mut text);
        text
    }

    /// What Prometheus' own libraries say of a process, by the names that dashboards know; what the system does not tell
    /// is left out.
    fn process(&self, text: &mut String) {
        let started = self.0.started.micros() as f64 / 1e6;
        let memory = memory();
        let open = std::fs::read_dir("/proc/self/fd").map(|files| files.count() as f64).ok();
        let gauges = [
            ("process_start_time_seconds", "Start of the process, in seconds since 1970.", Some(started)),
            ("process_resident_memory_bytes", "Memory that the server holds, without its runs.", memory),
            ("process_open_fds", "Open files and connections.", open),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n");
            }
        }
    }
}

/// Bytes that this process holds.
pub(crate) fn memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, extract::Extension, middleware, routing::get};
    use tower::ServiceExt;

    #[tokio::test]
    async fn a_request_is_counted_by_its_operation_and_absence_as_such() {
        let metrics = Metrics::new(&Routes::new(), Timestamp::from_micros(1_500_000));
        let counted = metrics.clone();
        let router = Router::new()
            .route("/here", get(|| async { (Extension(HEALTH), Extension(Statements(3))) }))
            .layer(middleware::from_fn(move |request, next| counted.clone().record(request, next)));
        for path in ["/here", "/here", "/elsewhere"] {
            router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        }
        let text = metrics.text(1, 2);
        for line in [
            "ferroform_requests_total{operation=\"server.health.read\",status=\"2xx\"} 2",
            "ferroform_requests_total{operation=\"absent\",status=\"4xx\"} 1",
            "ferroform_request_seconds_bucket{operation=\"server.health.read\",le=\"+Inf\"} 2",
            "ferroform_request_seconds_count{operation=\"absent\"} 1",
            "ferroform_request_statements_total{operation=\"server.health.read\"} 6",
            "ferroform_jobs_running 1",
            "process_start_time_seconds 1.5",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        // What Prometheus requires: every sample's family was declared before it.
        for sample in text.lines().filter(|line| !line.starts_with('#')) {
            let name = sample.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let declared = |name: &str| text.contains(&format!("# TYPE {name} "));
            assert!(declared(name) || family.is_some_and(declared), "{sample}");
        }
    }
}
