//! Starting a confined process without copying the server's memory map.
//!
//! The standard library forks whenever something is to be done between fork and exec, and a fork copies the page tables of
//! the whole server: milliseconds for each hundred megabytes, in which its other threads wait too. Here the child shares
//! the server's memory until it has become the new program, as in `posix_spawn`, while the thread that started it waits.
//! It runs on a stack of its own with all signals blocked, and only makes system calls on values prepared for it.

use super::{Limits, enter};
use nix::{errno::Errno, libc};
use std::{
    ffi::{CString, OsStr, c_char, c_int, c_void},
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::{ffi::OsStrExt, process::ExitStatusExt},
    },
    process::{Command, ExitStatus},
    ptr,
    sync::atomic::{AtomicI32, Ordering},
};

/// A confined process. Dropping it leaves it running.
#[derive(Debug)]
pub struct Process {
    id: i32,
}

impl Process {
    /// Its process id, which is also that of its session and process group.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Waits until it has ended, and lets the system forget it. To be called once.
    ///
    /// # Errors
    /// When it was waited for before.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        loop {
            let mut status = 0;
            // SAFETY: the pointer is to a live integer.
            #[expect(unsafe_code, reason = "there is no safe wrapper that returns the raw status")]
            let ended = Errno::result(unsafe { libc::waitpid(self.id, &mut status, 0) });
            match ended {
                Ok(_) => return Ok(ExitStatus::from_raw(status)),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Everything that the child needs. Pointers are into the vectors beside them.
struct Plan<'a> {
    program: CString,
    arguments: Pointers,
    environment: Pointers,
    directory: Option<CString>,
    /// Not among the first three, so that putting one in place does not overwrite another.
    streams: [RawFd; 3],
    rules: Option<BorrowedFd<'a>>,
    limits: Limits,
    /// What went wrong in the child; it shares this memory.
    failure: AtomicI32,
}

/// Strings for `execve`.
struct Pointers {
    pointers: Vec<*const c_char>,
    _strings: Vec<CString>,
}

impl Pointers {
    fn new(strings: Vec<CString>) -> Self {
        let pointers = strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect();
        Self { pointers, _strings: strings }
    }
}

const STACK: usize = 128 << 10;

/// Starts the program of a command with its arguments, its directory, and those variables that were set on it; nothing
/// of the server's environment. Standard streams that are set on it cannot be seen and are not used.
pub(super) fn start(
    command: &Command,
    streams: [BorrowedFd<'_>; 3],
    rules: Option<BorrowedFd<'_>>,
    limits: Limits,
) -> io::Result<Process> {
    // Copies above the standard streams, whatever the originals are.
    let copy = |fd: BorrowedFd<'_>| nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(3));
    let mut copies = Vec::with_capacity(3);
    for stream in streams {
        let fd = copy(stream)?;
        // SAFETY: the call has just returned this descriptor, and nobody else knows it.
        #[expect(unsafe_code, reason = "nix returns the new descriptor as a number")]
        copies.push(unsafe { OwnedFd::from_raw_fd(fd) });
    }
    let mut arguments = vec![text(command.get_program())?];
    for argument in command.get_args() {
        arguments.push(text(argument)?);
    }
    let mut environment = Vec::new();
    for (key, value) in command.get_envs() {
        if let Some(value) = value {
            environment.push(text(OsStr::from_bytes(&[key.as_bytes(), b"=", value.as_bytes()].concat()))?);
        }
    }
    let plan = Plan {
        program: arguments[0].clone(),
        arguments: Pointers::new(arguments),
        environment: Pointers::new(environment),
        directory: command.get_current_dir().map(|path| text(path.as_os_str())).transpose()?,
        streams: [copies[0].as_raw_fd(), copies[1].as_raw_fd(), copies[2].as_raw_fd()],
        rules,
        limits,
        failure: AtomicI32::new(0),
    };
    let process = clone(&plan)?;
    match plan.failure.load(Ordering::Acquire) {
        0 => Ok(process),
        failure => {
            // It has ended; its status says less than what it left here.
            let _ = process.wait();
            Err(io::Error::from_raw_os_error(failure))
        }
    }
}

fn text(string: &OsStr) -> io::Result<CString> {
    CString::new(string.as_bytes()).map_err(io::Error::from)
}

#[expect(
    unsafe_code,
    reason = "the system call that starts a process without copying memory has no safe form"
)]
fn clone(plan: &Plan<'_>) -> io::Result<Process> {
    // Of 16-byte units, because the stack must be aligned to as much.
    let mut stack = vec![0_u128; STACK / size_of::<u128>()];
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the signal sets are live and initialised by the calls. `clone` runs `child` on memory that is ours and
    // large enough, and does not return before the child has become another program or ended, so that the stack and
    // `plan` outlive its use of them. The child starts with every signal blocked: no handler of this process runs on
    // its side.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        let mut before = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let id = Errno::result(libc::clone(
            child,
            stack.as_mut_ptr_range().end.cast(),
            flags,
            ptr::from_ref(plan).cast_mut().cast(),
        ));
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, ptr::null_mut());
        Ok(Process { id: id? })
    }
}

/// The child's side. It must not return normally to anything, allocate, or panic.
#[expect(unsafe_code, reason = "called by `clone` with the pointer given there")]
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: the pointer is to the plan, which outlives this function's use of it (see `clone`).
    let plan = unsafe { &*plan.cast::<Plan<'_>>() };
    let Err(error) = become_program(plan);
    plan.failure.store(error as i32, Ordering::Release);
    127
}

#[expect(unsafe_code, reason = "system calls on prepared values, see the module's documentation")]
fn become_program(plan: &Plan<'_>) -> Result<std::convert::Infallible, Errno> {
    // SAFETY: every pointer is to a live value of the size that the call documents, and the arrays of strings end with
    // a null pointer. Signal handlers, the mask, descriptors, directory and credentials are the child's own.
    unsafe {
        // A handler of the server must not run here once signals are let through, and SIGPIPE, which Rust ignores, is
        // to have its usual effect again.
        let mut default = std::mem::zeroed::<libc::sigaction>();
        default.sa_sigaction = libc::SIG_DFL;
        for signal in 1..=libc::SIGRTMAX() {
            let mut current = std::mem::zeroed::<libc::sigaction>();
            if libc::sigaction(signal, ptr::null(), &mut current) == 0
                && (current.sa_sigaction != libc::SIG_IGN || signal == libc::SIGPIPE)
            {
                libc::sigaction(signal, &default, ptr::null_mut());
            }
        }
        for (target, source) in plan.streams.iter().enumerate() {
            Errno::result(libc::dup2(*source, target as c_int))?;
        }
        if let Some(directory) = &plan.directory {
            Errno::result(libc::chdir(directory.as_ptr()))?;
        }
        enter(plan.rules.as_ref().map(AsRawFd::as_raw_fd), &plan.limits)?;
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        libc::execve(
            plan.program.as_ptr(),
            plan.arguments.pointers.as_ptr(),
            plan.environment.pointers.as_ptr(),
        );
    }
    Err(Errno::last())
}
