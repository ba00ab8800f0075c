//! Being told of changes to files. One inotify instance serves all runs, because a user may have only 128 of them.

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::{
    collections::HashMap,
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::Notify,
    task::JoinHandle,
};

type Listeners = Arc<Mutex<HashMap<i32, Arc<Notify>>>>;

/// Turns changes on disk into wake-ups.
pub(crate) struct Watcher {
    inotify: Arc<AsyncFd<OwnedFd>>,
    listeners: Listeners,
    reader: JoinHandle<()>,
}

impl Watcher {
    /// Must be called inside a tokio runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let inotify = Arc::new(readiness(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)?);
        let listeners = Listeners::default();
        let reader = tokio::spawn(read(Arc::clone(&inotify), Arc::clone(&listeners)));
        Ok(Self { inotify, listeners, reader })
    }

    /// Wakes whenever the file is written to, or a file in the directory is written to or replaced.
    pub(crate) fn watch(&self, path: &Path) -> io::Result<Watch> {
        let changes = WatchFlags::MODIFY | WatchFlags::MOVED_TO | WatchFlags::DONT_FOLLOW;
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let id = inotify::add_watch(self.inotify.get_ref(), path, changes)?;
        let changed = Arc::new(Notify::new());
        listeners.insert(id, Arc::clone(&changed));
        drop(listeners);
        Ok(Watch { id, changed, inotify: Arc::clone(&self.inotify), listeners: Arc::clone(&self.listeners) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// A watched path; dropping it ends the watch.
pub(crate) struct Watch {
    id: i32,
    changed: Arc<Notify>,
    inotify: Arc<AsyncFd<OwnedFd>>,
    listeners: Listeners,
}

impl Watch {
    /// Resolves when something has changed since the last call.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
        // Fails when the file is gone already, and the watch with it.
        let _ = inotify::remove_watch(self.inotify.get_ref(), self.id);
    }
}

/// Lets a descriptor's readability be awaited. Must be called inside a tokio runtime.
#[expect(
    deprecated,
    reason = "its successor is unsafe for types that may change their descriptor; an OwnedFd cannot"
)]
pub(crate) fn readiness(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

async fn read(inotify: Arc<AsyncFd<OwnedFd>>, listeners: Listeners) {
    let mut buffer = [MaybeUninit::uninit(); 16 * 1024];
    loop {
        let Ok(mut ready) = inotify.readable().await else { return };
        let mut events = inotify::Reader::new(inotify.get_ref(), &mut buffer);
        while let Ok(event) = events.next() {
            let listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
            if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                listeners.values().for_each(|listener| listener.notify_one());
            } else if let Some(listener) = listeners.get(&event.wd()) {
                listener.notify_one();
            }
        }
        ready.clear_ready();
    }
}
