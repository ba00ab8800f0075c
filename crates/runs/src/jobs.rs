//! The jobs that this process works on: their signals, their live logs, and who watches their runs.
//!
//! Nothing here is truth: after a restart it is built again from the rows and the work directories.

use crate::logs::LiveLog;
use kernel::{Timestamp, ids::RunId};
use runner::{Runner, Signal};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};
use tokio::sync::{Notify, watch};

/// Bytes of finished logs kept in memory, so that those who follow a log read its end without a trip to the store.
const FINISHED_LOGS: usize = 4 << 20;

/// See the module.
pub struct Jobs {
    /// Runs the engine.
    pub runner: Arc<Runner>,
    /// Jobs at a time.
    pub capacity: u32,
    running: Mutex<HashMap<RunId, watch::Sender<Signal>>>,
    logs: Mutex<LiveLogs>,
    watchers: Mutex<HashMap<RunId, Arc<Notify>>>,
    ended: watch::Sender<u64>,
    /// When the newest job was queued.
    queued_at: Mutex<Timestamp>,
}

#[derive(Default)]
struct LiveLogs {
    /// By the id of the plan or the apply.
    by_phase: HashMap<String, Arc<LiveLog>>,
    /// The oldest first, with its size.
    finished: VecDeque<(String, usize)>,
}

impl LiveLogs {
    fn drop_oldest(&mut self) {
        let mut size: usize = self.finished.iter().map(|(_, size)| size).sum();
        // Never the newest, however large: its readers are here.
        while size > FINISHED_LOGS && self.finished.len() > 1 {
            let Some((oldest, its_size)) = self.finished.pop_front() else { return };
            self.by_phase.remove(&oldest);
            size -= its_size;
        }
    }
}

impl std::fmt::Debug for Jobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Jobs")
    }
}

const LOCK: &str = "no holder of this lock panics";

impl Jobs {
    /// No job yet.
    pub fn new(runner: Arc<Runner>, capacity: u32) -> Self {
        Self {
            runner,
            capacity,
            running: Mutex::default(),
            logs: Mutex::default(),
            watchers: Mutex::default(),
            ended: watch::Sender::new(0),
            queued_at: Mutex::default(),
        }
    }

    /// Notes that a job begins. A run has one job at a time: the next one waits until [`Jobs::works_on`] says no more.
    pub fn begin(&self, run: &RunId) -> watch::Receiver<Signal> {
        let (sender, receiver) = watch::channel(Signal::Continue);
        self.running.lock().expect(LOCK).insert(run.clone(), sender);
        receiver
    }

    /// Notes that a job has ended and its outcome is stored.
    pub fn end(&self, run: &RunId) {
        self.running.lock().expect(LOCK).remove(run);
        self.ended.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Waits until a job ends, or returns at once when none runs.
    pub async fn one_ended(&self) {
        let mut ended = self.ended.subscribe();
        if self.running() > 0 {
            // The sender lives as long as this, so waiting cannot fail.
            let _ = ended.changed().await;
        }
    }

    /// How many jobs run.
    pub fn running(&self) -> usize {
        self.running.lock().expect(LOCK).len()
    }

    /// Whether a job of this run has not ended yet. Its outcome may be stored already: then it is still putting the run's
    /// work directory in order, and whoever took up the run's next phase now would find it changing.
    pub fn works_on(&self, run: &RunId) -> bool {
        self.running.lock().expect(LOCK).contains_key(run)
    }

    /// When a job that is queued at `now` counts as queued: after all before it, also by a clock that was set back, or it
    /// would overtake them.
    pub fn queued_at(&self, now: Timestamp) -> Timestamp {
        let mut newest = self.queued_at.lock().expect(LOCK);
        *newest = now.max(Timestamp::from_micros(newest.micros().saturating_add(1)));
        *newest
    }

    /// Whether another job may begin.
    pub fn has_room(&self) -> bool {
        self.running() < self.capacity as usize
    }

    /// The runs that this process works on.
    pub fn runs(&self) -> Vec<RunId> {
        self.running.lock().expect(LOCK).keys().cloned().collect()
    }

    /// Tells the process of a run. Signals only rise.
    pub fn signal(&self, run: &RunId, signal: Signal) {
        if let Some(sender) = self.running.lock().expect(LOCK).get(run) {
            sender.send_if_modified(|current| {
                let rises = signal > *current;
                if rises {
                    *current = signal;
                }
                rises
            });
        }
    }

    /// The live log of a plan or an apply, made when it is not there.
    pub fn log(&self, phase_id: &str) -> Arc<LiveLog> {
        let mut logs = self.logs.lock().expect(LOCK);
        logs.by_phase.entry(phase_id.to_owned()).or_default().clone()
    }

    /// The live log of a plan or an apply, if this process has it.
    pub fn known_log(&self, phase_id: &str) -> Option<Arc<LiveLog>> {
        self.logs.lock().expect(LOCK).by_phase.get(phase_id).cloned()
    }

    /// Notes that a log is complete and stored; the oldest such are dropped from memory.
    pub fn finish_log(&self, phase_id: &str) {
        let mut logs = self.logs.lock().expect(LOCK);
        if let Some(log) = logs.by_phase.get(phase_id) {
            log.finish();
            let size = log.size();
            logs.finished.push_back((phase_id.to_owned(), size));
        }
        logs.drop_oldest();
    }

    /// Keeps a complete log that was read from the store.
    pub fn keep_log(&self, phase_id: &str, log: Arc<LiveLog>) {
        let mut logs = self.logs.lock().expect(LOCK);
        // Whoever else has read it keeps the same.
        if logs.by_phase.contains_key(phase_id) {
            return;
        }
        logs.finished.push_back((phase_id.to_owned(), log.size()));
        logs.by_phase.insert(phase_id.to_owned(), log);
        logs.drop_oldest();
    }

    /// Forgets a complete log that is kept no longer.
    pub fn drop_log(&self, phase_id: &str) {
        let mut logs = self.logs.lock().expect(LOCK);
        logs.finished.retain(|(id, _)| id != phase_id);
        logs.by_phase.remove(phase_id);
    }

    /// Wakes those who wait for a change of a run.
    pub fn changed(&self, run: &RunId) {
        if let Some(watchers) = self.watchers.lock().expect(LOCK).remove(run) {
            watchers.notify_waiters();
        }
    }

    /// Something that is notified at the next change of a run. Enable it before reading the row.
    pub fn watch(&self, run: &RunId) -> Arc<Notify> {
        self.watchers.lock().expect(LOCK).entry(run.clone()).or_default().clone()
    }

    /// Removes what the runner kept of a run that has ended without it.
    pub fn forget(&self, run: &RunId) {
        if self.works_on(run) {
            // Its own job settles the directory once the process is gone.
            return;
        }
        let (runner, run) = (self.runner.clone(), run.clone());
        tokio::spawn(async move {
            if let Err(error) = runner.forget(&run).await {
                tracing::warn!(%run, %error, "the work directory of an ended run was not removed");
            }
        });
    }
}
