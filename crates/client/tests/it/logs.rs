//! Following a log, from a server that is told beforehand what it answers to each read.

use crate::server::{client, one, serve};
use axum::{
    Router,
    extract::{Path, Query, State},
    http::StatusCode,
    routing::get,
};
use client::Phase;
use serde::Deserialize;
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What one read is answered.
#[derive(Clone)]
enum Answer {
    /// These bytes; nothing when empty.
    Bytes(&'static [u8]),
    /// These bytes, as soon as the test says so.
    Held(&'static [u8]),
    Status(u16),
    /// The address has expired.
    Expired,
}

struct Log {
    answers: Mutex<std::vec::IntoIter<Answer>>,
    /// Bytes given out so far: where the next read has to begin.
    given: Mutex<usize>,
    /// The plan ends when this many answers are left.
    ends_with: usize,
    reads: Mutex<usize>,
    generation: Mutex<u32>,
    waiting: Notify,
    go: Notify,
}

#[derive(Deserialize)]
struct Window {
    limit: usize,
    offset: usize,
}

async fn read(
    State(log): State<Arc<Log>>,
    Path(generation): Path<u32>,
    Query(window): Query<Window>,
) -> (StatusCode, Vec<u8>) {
    assert_eq!(window.limit, 65_536);
    if generation != *log.generation.lock().unwrap() {
        return (StatusCode::FORBIDDEN, vec![]);
    }
    *log.reads.lock().unwrap() += 1;
    assert_eq!(window.offset, *log.given.lock().unwrap(), "a read begins where the last one ended");
    let answer = log.answers.lock().unwrap().next();
    let bytes = match answer {
        None => b"",
        Some(Answer::Bytes(bytes)) => bytes,
        Some(Answer::Held(bytes)) => {
            log.waiting.notify_one();
            log.go.notified().await;
            bytes
        }
        Some(Answer::Status(status)) => return (StatusCode::from_u16(status).unwrap(), vec![]),
        Some(Answer::Expired) => {
            *log.generation.lock().unwrap() += 1;
            return (StatusCode::FORBIDDEN, vec![]);
        }
    };
    *log.given.lock().unwrap() += bytes.len();
    (StatusCode::OK, bytes.to_vec())
}

async fn plan(State(log): State<Arc<Log>>) -> axum::Json<serde_json::Value> {
    let left = log.answers.lock().unwrap().len();
    let status = if left <= log.ends_with { "finished" } else { "running" };
    let url = format!("/signed/{}", log.generation.lock().unwrap());
    one("plans", "plan-1", json!({"status": status, "log-read-url": url}))
}

async fn start(answers: Vec<Answer>, ends_with: usize) -> (String, Arc<Log>) {
    let log = Arc::new(Log {
        answers: Mutex::new(answers.into_iter()),
        given: Mutex::default(),
        ends_with,
        reads: Mutex::default(),
        generation: Mutex::default(),
        waiting: Notify::new(),
        go: Notify::new(),
    });
    let api = Router::new().route("/plans/{id}", get(plan)).with_state(Arc::clone(&log));
    let signed = Router::new().route("/signed/{generation}", get(read)).with_state(Arc::clone(&log));
    (serve(api, signed).await, log)
}

async fn follow(answers: Vec<Answer>, ends_with: usize) -> (client::Result<String>, usize) {
    let (address, log) = start(answers, ends_with).await;
    let mut follower = client(&address).follow_log(Phase::Plan("plan-1".into()));
    let mut text = vec![];
    let outcome = loop {
        match follower.next().await {
            Ok(Some(bytes)) => text.extend_from_slice(&bytes),
            Ok(None) => break Ok(String::from_utf8(text).unwrap()),
            Err(error) => break Err(error),
        }
    };
    let reads = *log.reads.lock().unwrap();
    (outcome, reads)
}

#[tokio::test]
async fn a_log_is_what_stands_between_stx_and_etx() {
    use Answer::Bytes;
    let (text, reads) =
        follow(vec![Bytes(b"\x02"), Bytes(b"one\nt"), Bytes(b"wo\n"), Bytes(b"three\n\x03")], 0).await;
    assert_eq!(text.unwrap(), "one\ntwo\nthree\n");
    assert_eq!(reads, 4, "nothing is read after the end");
}

#[tokio::test]
async fn an_empty_answer_is_waited_out() {
    use Answer::Bytes;
    let (text, _) = follow(vec![Bytes(b"\x02a"), Bytes(b""), Bytes(b""), Bytes(b"b\x03")], 0).await;
    assert_eq!(text.unwrap(), "ab");
}

#[tokio::test]
async fn an_etx_in_the_middle_is_content() {
    use Answer::Bytes;
    // It comes last in its chunk while the plan still runs.
    let (text, _) = follow(vec![Bytes(b"\x02a\x03"), Bytes(b"b\x03c\x03")], 0).await;
    assert_eq!(text.unwrap(), "a\u{3}b\u{3}c");
}

#[tokio::test]
async fn a_log_whose_writer_died_ends_with_its_plan() {
    use Answer::Bytes;
    let (text, _) = follow(vec![Bytes(b"\x02a"), Bytes(b"b")], 0).await;
    assert_eq!(text.unwrap(), "ab");
    let (text, _) = follow(vec![Bytes(b"no framing "), Bytes(b"at all")], 0).await;
    assert_eq!(text.unwrap(), "no framing at all");
    let (text, _) = follow(vec![], 0).await;
    assert_eq!(text.unwrap(), "");
}

#[tokio::test]
async fn what_is_written_while_the_plan_ends_is_not_lost() {
    use Answer::Bytes;
    // The plan is finished when the first empty answer is looked into, and yet there is more.
    let (text, _) = follow(vec![Bytes(b"a"), Bytes(b""), Bytes(b"b"), Bytes(b"c")], 2).await;
    assert_eq!(text.unwrap(), "abc");
}

#[tokio::test]
async fn a_server_error_is_tried_again_and_an_expired_address_is_renewed() {
    use Answer::{Bytes, Expired, Status};
    let (text, _) =
        follow(vec![Bytes(b"\x02a"), Status(502), Bytes(b"b"), Expired, Bytes(b"c\x03")], 0).await;
    assert_eq!(text.unwrap(), "abc");
}

#[tokio::test]
async fn a_refused_log_is_an_error_without_its_address() {
    let (text, _) = follow(vec![Answer::Status(404)], 0).await;
    let error = text.unwrap_err().to_string();
    assert_eq!(error, "GET of the log of plan-1 was refused (404)");
}

#[tokio::test]
async fn a_held_read_is_waited_for_and_dropping_it_loses_nothing() {
    use Answer::{Bytes, Held};
    let (address, log) = start(vec![Bytes(b"\x02a"), Held(b""), Bytes(b"b\x03")], 0).await;
    let mut follower = client(&address).follow_log(Phase::Plan("plan-1".into()));
    assert_eq!(follower.next().await.unwrap().unwrap(), "a");
    tokio::select! {
        _ = follower.next() => panic!("the server holds this read"),
        () = log.waiting.notified() => {}
    }
    log.go.notify_one();
    assert_eq!(follower.next().await.unwrap().unwrap(), "b");
    assert_eq!(follower.next().await.unwrap(), None);
}
