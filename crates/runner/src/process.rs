//! The process group of a phase: started so that it outlives the server, and found again by the next one.
//!
//! The leader is a shell in its own session ([`crate::script`]). Its end is a readable pidfd, which works for a child of
//! ours as for one that a dead server left behind. A [`Mark`] on disk names the leader by pid, start time and boot, so
//! that a pid which another process has got since is never signalled. The mark is written *before* the engine starts:
//! the shell waits for a line on its input, and ends without having done anything when the server dies instead.

use crate::{
    sandbox::{Process, Sandbox, SandboxError},
    watch::readiness,
};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{
        Pid, PidfdFlags, Signal, kill_process, kill_process_group, pidfd_open, pidfd_send_signal,
        test_kill_process_group,
    },
};
use std::{
    fs::{self, File},
    io::{self, PipeWriter, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::Command,
    sync::LazyLock,
    time::Duration,
};
use tokio::io::unix::AsyncFd;

/// What identifies a group's leader across restarts of the server.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Mark {
    pid: i32,
    /// Clock ticks since boot at which it was started.
    start: u64,
    boot: String,
}

/// A started shell that waits to be told to go.
pub(crate) struct Held {
    leader: Process,
    input: PipeWriter,
    pub(crate) mark: Mark,
}

impl Held {
    /// Starts a confined command whose first act is to read a line.
    pub(crate) fn start(
        sandbox: &Sandbox,
        command: &Command,
        output: &File,
        read: &[&Path],
        write: &[&Path],
    ) -> Result<Self, SandboxError> {
        let started = |source| SandboxError::Start { program: "the engine's shell".to_owned(), source };
        let (stdin, input) = io::pipe().map_err(started)?;
        let leader = sandbox.spawn(command, [stdin.as_fd(), output.as_fd(), output.as_fd()], read, write)?;
        let pid = leader.id();
        let start = stat(pid).map_err(started)?.start;
        Ok(Self { leader, input, mark: Mark { pid, start, boot: boot_id().to_owned() } })
    }

    /// Lets it run. Call once the mark is written.
    pub(crate) fn go(mut self) -> io::Result<Group> {
        let pid = Pid::from_raw(self.leader.id()).ok_or(io::ErrorKind::NotFound)?;
        let leader = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        // It may have been killed by now; then there is nothing to tell it, and its end is seen as any other.
        let _ = self.input.write_all(b"go\n");
        Ok(Group { pid, leader, child: Some(self.leader) })
    }

    /// Ends it before it has done anything.
    pub(crate) fn abandon(self) {
        drop(self.input);
        let _ = self.leader.wait();
    }
}

/// A running group. Dropping it leaves it running.
pub(crate) struct Group {
    pid: Pid,
    leader: OwnedFd,
    child: Option<Process>,
}

impl Group {
    /// Finds the group that an earlier server started. `None` when its leader has ended; what it left running in its
    /// group is killed then.
    pub(crate) fn adopt(mark: &Mark) -> io::Result<Option<Self>> {
        let Some(pid) = Pid::from_raw(mark.pid).filter(|_| mark.boot == boot_id()) else { return Ok(None) };
        let is_leader = || stat(mark.pid).is_ok_and(|stat| stat.start == mark.start && stat.state != 'Z');
        if is_leader() {
            let leader = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
            // Only now is the number tied to a process; ask again who that is.
            if is_leader() {
                return Ok(Some(Self { pid, leader, child: None }));
            }
        }
        // A number stays taken as long as anything uses it as its session.
        end_session(mark.pid, mark.start);
        Ok(None)
    }

    /// Interrupts the shell, so that it starts no further step, and the engine that it waits for. `false` when no engine
    /// was found: the shell is between two steps, or just starting one.
    ///
    /// The rest of the group is left to the engine, which ends what it has started. A signal to the whole group, as a
    /// terminal sends it, can reach a process that the engine is about to become a program of; Terraform then takes it for
    /// a second interrupt, and leaves without writing its state (seen once in thirty with 1.11.4).
    pub(crate) fn interrupt(&self) -> bool {
        let leader = self.pid.as_raw_nonzero().get();
        let _ = kill_process(self.pid, Signal::INT);
        let mut found = false;
        for (pid, stat) in processes().filter(|(_, stat)| stat.parent == leader && stat.session == leader) {
            found |= open(pid, &stat).is_some_and(|engine| pidfd_send_signal(&engine, Signal::INT).is_ok());
        }
        found
    }

    /// Kills every process of the group.
    pub(crate) fn kill(&self) {
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    /// A handle on which the leader's end can be awaited.
    pub(crate) fn end(&self) -> io::Result<AsyncFd<OwnedFd>> {
        readiness(self.leader.try_clone()?)
    }

    /// Call once the leader has ended: kills what it has left in its group, and waits until that is gone.
    pub(crate) fn reap(self) {
        // Before the leader is waited for: until then its number cannot be given to another group.
        self.kill();
        if let Some(child) = self.child {
            let _ = child.wait();
        }
        // Mostly there was nothing else, and one system call says so.
        if test_kill_process_group(self.pid).is_ok() {
            end_session(self.pid.as_raw_nonzero().get(), 0);
        }
    }
}

/// Kills the processes of a session whose leader has ended, and waits until they are gone. Those that are only waiting to
/// be noticed by their parents are gone. `since` keeps apart a session that has got the number again.
fn end_session(session: i32, since: u64) {
    let members = processes().filter(|(_, stat)| {
        stat.session == session && stat.start >= since && !matches!(stat.state, 'Z' | 'X')
    });
    for (pid, stat) in members {
        let Some(member) = open(pid, &stat) else { continue };
        let _ = pidfd_send_signal(&member, Signal::KILL);
        // It may have been in the middle of a write; then this takes as long as the disk does.
        let _ = poll(&mut [PollFd::new(&member, PollFlags::IN)], None);
    }
}

/// Ties a process that was seen in `/proc` to a descriptor, if it is still the same.
fn open(pid: i32, seen: &Stat) -> Option<OwnedFd> {
    let fd = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    stat(pid).is_ok_and(|now| now.start == seen.start).then_some(fd)
}

fn processes() -> impl Iterator<Item = (i32, Stat)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| Some((pid, stat(pid).ok()?)))
}

/// How long ago the marked process was started.
pub(crate) fn age(mark: &Mark) -> Duration {
    let uptime = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let now: f64 = uptime.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0.0);
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    Duration::from_secs_f64(now)
        .saturating_sub(Duration::from_millis(mark.start.saturating_mul(1000) / ticks))
}

struct Stat {
    state: char,
    parent: i32,
    session: i32,
    start: u64,
}

/// The fields of `/proc/PID/stat`; its second field, the name, may hold anything, so counting starts after it.
fn stat(pid: i32) -> io::Result<Stat> {
    let bytes = fs::read(format!("/proc/{pid}/stat"))?;
    let text = String::from_utf8_lossy(&bytes);
    let fields: Vec<&str> = text.rsplit_once(") ").map_or("", |(_, rest)| rest).split(' ').collect();
    let parsed = (|| {
        Some(Stat {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            start: fields.get(19)?.parse().ok()?,
        })
    })();
    parsed.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as expected"))
    })
}

fn boot_id() -> &'static str {
    static BOOT: LazyLock<String> = LazyLock::new(|| {
        fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    });
    &BOOT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::SandboxConfig;

    fn held(script: &str, write: &[&Path]) -> Held {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env("PATH", "/usr/bin:/bin");
        let nowhere = File::options().write(true).open("/dev/null").unwrap();
        Held::start(&Sandbox::new(SandboxConfig::default()), &command, &nowhere, &[], write).unwrap()
    }

    #[test]
    fn a_recycled_pid_is_not_adopted() {
        let held = held("read -r go; exec sleep 1000", &[]);
        let mark = held.mark.clone();
        let group = held.go().unwrap();
        assert!(Group::adopt(&mark).unwrap().is_some());
        assert!(Group::adopt(&Mark { start: mark.start + 1, ..mark.clone() }).unwrap().is_none());
        assert!(Group::adopt(&Mark { boot: "another".into(), ..mark.clone() }).unwrap().is_none());
        group.kill();
        group.reap();
        assert!(Group::adopt(&mark).unwrap().is_none());
    }

    #[test]
    fn nothing_starts_when_the_server_dies_before_the_mark_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ran");
        let script = format!("read -r go || exit; touch {}", file.display());
        held(&script, &[dir.path()]).abandon();
        assert!(!file.exists());
        let group = held(&script, &[dir.path()]).go().unwrap();
        group.child.unwrap().wait().unwrap();
        assert!(file.exists());
    }
}
