//! What a run may touch: its own directories, the system's programs and libraries, and the network; nothing else.
//!
//! A configuration is somebody's program (`local-exec`, `external`, any provider), so it is confined by the kernel:
//!
//! - **Files.** Landlock: every open, rename and removal outside the lists below fails with `EACCES`. Not in them: the
//!   database, keys, other runs, home directories, `/tmp`, `/proc` (with it other processes' environments), most of
//!   `/etc`.
//! - **Processes.** Where the kernel can, no signal and no abstract socket leaves the sandbox. Landlock also refuses
//!   tracing of, and reading the memory of, processes outside.
//! - **Privileges.** `no_new_privs`, and no capability, even when the server runs as root.
//! - **Resources.** Limits on memory (each process), size of a file, open files; no core dumps.
//! - **Descent.** A session of its own, so that one signal reaches the whole run and none meant for the server does;
//!   `umask 077`; no file descriptor besides the three standard ones.
//!
//! What stays open, on purpose or for want of kernel support, is what [`Sandbox::support`] says. What stays closed although
//! programs of provisioners may want it: `/dev/shm` (shared by all, so POSIX semaphores cannot be had), terminals.
//!
//! Source: `Documentation/userspace-api/landlock.rst` of Linux.
//! Reading order: [`Sandbox::spawn`], the lists, [`start`], `enter` (the child's side).

mod start;

pub use start::Process;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use nix::{errno::Errno, libc};
use std::{
    fs::Metadata,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd, RawFd},
        unix::fs::FileTypeExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

/// The newest set of rules asked for; older kernels enforce the part they know.
const ASKED: ABI = ABI::V9;

/// Programs and libraries: read and executed, whole trees.
const SYSTEM: &[&str] = &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"];

/// What programs read in `/etc` to resolve names, trust certificates and load libraries. A list, because the rest of
/// `/etc` is where machines keep their secrets.
const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/bash.bashrc",
    "/etc/ca-certificates",
    "/etc/ca-certificates.conf",
    "/etc/crypto-policies",
    "/etc/debian_version",
    "/etc/gai.conf",
    // Git takes a system configuration that exists and cannot be read for a fatal error.
    "/etc/gitconfig",
    "/etc/group",
    "/etc/host.conf",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/locale.alias",
    "/etc/locale.conf",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/passwd",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/profile",
    "/etc/protocols",
    "/etc/redhat-release",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssh/ssh_config",
    "/etc/ssh/ssh_config.d",
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/timezone",
    "/etc/wgetrc",
];

/// What language runtimes ask of the kernel at start. Each file says something of the machine, none of a process.
const KERNEL: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/filesystems",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/sys/kernel/cap_last_cap",
    "/proc/sys/kernel/ngroups_max",
    "/proc/sys/kernel/osrelease",
    "/proc/sys/kernel/pid_max",
    "/proc/sys/kernel/random/uuid",
    "/proc/sys/net/core/somaxconn",
    "/proc/sys/vm/overcommit_memory",
    "/proc/uptime",
    "/proc/version",
    "/sys/devices/system/cpu",
    "/sys/fs/cgroup",
    "/sys/kernel/mm/transparent_hugepage",
];

/// Devices that are no hardware.
const DEVICES: &[&str] = &["/dev/full", "/dev/null", "/dev/random", "/dev/tty", "/dev/urandom", "/dev/zero"];

/// What runs may use.
#[derive(Clone, Debug, Default)]
pub struct SandboxConfig {
    /// Refuse to run when the kernel lacks an essential protection (see [`Support::essential`]).
    pub require: bool,
    /// Bytes of private writable memory each process may map (`RLIMIT_DATA`); 0 is no limit. Terraform 1.11 with a
    /// small provider needs 128 MiB; large providers several times as much.
    pub memory_bytes: u64,
    /// Bytes of the largest file that may be written, the run's log included; 0 is no limit.
    pub file_size_bytes: u64,
    /// Files open at once in each process; 0 is no limit.
    pub open_files: u64,
    /// Further files and directories that every run may read and execute (`/opt/tools`, a plugin mirror).
    pub extra_read: Vec<PathBuf>,
}

/// One protection, and whether this kernel offers it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Support {
    /// `files`, `signals`, `sockets`, `privileges`, `limits`.
    pub name: &'static str,
    /// Whether runs are protected so.
    pub available: bool,
    /// Whether [`SandboxConfig::require`] refuses to run without it.
    pub essential: bool,
    /// What it does; when it is missing, what a run can therefore do, and what to do about it.
    pub detail: String,
}

/// Why a command was not started.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// [`SandboxConfig::require`] is set and the kernel cannot.
    #[error("runs must be sandboxed (require-sandbox), and this kernel cannot: {0}")]
    Unsupported(String),
    /// A directory that the run is to have is not there.
    #[error("the sandbox cannot open {path}: {source}", path = path.display())]
    Path {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The program cannot be started.
    #[error("{program} cannot be started: {source}")]
    Start {
        /// Its path.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refused a rule.
    #[error("the kernel refused the sandbox's rules: {0}")]
    Rules(#[from] landlock::RulesetError),
}

/// Starts commands confined; made once.
#[derive(Debug)]
pub struct Sandbox {
    config: SandboxConfig,
    lacking: Option<String>,
}

impl Sandbox {
    /// Asks the kernel once what it can do.
    pub fn new(config: SandboxConfig) -> Self {
        let lacking: Vec<_> = Self::support().into_iter().filter(|s| s.essential && !s.available).collect();
        let lacking = (!lacking.is_empty()).then(|| {
            lacking.iter().map(|s| format!("{}: {}", s.name, s.detail)).collect::<Vec<_>>().join("; ")
        });
        Self { config, lacking }
    }

    /// What this kernel protects against, for `doctor` and the log.
    pub fn support() -> Vec<Support> {
        support_of(landlock_abi())
    }

    /// The limit on the memory of each process, where there is one.
    pub(crate) fn memory_bytes(&self) -> Option<u64> {
        Some(self.config.memory_bytes).filter(|bytes| *bytes > 0)
    }

    /// Starts a command confined, in a session of its own: it reads and executes what is under `read` and the system's
    /// programs, and does anything (short of device nodes) under `write`. Paths are followed if they are links, and
    /// must exist. Blocks for about a millisecond, however much memory this process has.
    ///
    /// Of the command count its program (an absolute path), arguments, directory, and the variables set on it, which are
    /// all that the process gets. `streams` become its standard input, output and error.
    ///
    /// # Errors
    /// When a path of `read` or `write` cannot be opened, the kernel lacks what the configuration requires, or the
    /// program cannot be started.
    pub fn spawn(
        &self,
        command: &Command,
        streams: [BorrowedFd<'_>; 3],
        read: &[&Path],
        write: &[&Path],
    ) -> Result<Process, SandboxError> {
        if let (true, Some(lacking)) = (self.config.require, &self.lacking) {
            return Err(SandboxError::Unsupported(lacking.clone()));
        }
        let rules = self.rules(read, write)?;
        start::start(command, streams, rules.as_ref().map(AsFd::as_fd), self.limits()).map_err(|source| {
            SandboxError::Start { program: command.get_program().to_string_lossy().into_owned(), source }
        })
    }

    /// The Landlock rules as a descriptor, or none where the kernel has no Landlock.
    fn rules(&self, read: &[&Path], write: &[&Path]) -> Result<Option<OwnedFd>, SandboxError> {
        let reading = AccessFs::from_read(ASKED);
        let looking = reading & !BitFlags::from(AccessFs::Execute);
        let writing = AccessFs::from_all(ASKED) & !(AccessFs::MakeChar | AccessFs::MakeBlock);
        let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate;
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ASKED))?
            .scope(Scope::from_all(ASKED))?
            .create()?;
        // Opened anew each time: files of /etc are replaced by renaming, and a rule is bound to the file, not its name.
        let system = SYSTEM.iter().map(|path| (*path, reading));
        let system = system.chain(ETC.iter().chain(KERNEL).map(|path| (*path, looking)));
        for (path, access) in system.chain(DEVICES.iter().map(|path| (*path, device))) {
            if let Ok(fd) = PathFd::new(path) {
                rules = rules.add_rule(PathBeneath::new(fd, access))?;
            }
        }
        for path in &self.config.extra_read {
            if let Ok(fd) = PathFd::new(path) {
                rules = rules.add_rule(PathBeneath::new(fd, reading))?;
            }
        }
        let given = read.iter().map(|path| (*path, reading)).chain(write.iter().map(|path| (*path, writing)));
        for (path, access) in given {
            let source = |error| SandboxError::Path { path: path.to_owned(), source: error };
            let kind = std::fs::metadata(path).map_err(source)?;
            if is_ordinary(&kind) {
                let fd = PathFd::new(path).map_err(|error| source(io::Error::other(error)))?;
                rules = rules.add_rule(PathBeneath::new(fd, access))?;
            } else {
                return Err(source(io::Error::other("it is neither a file nor a directory")));
            }
        }
        Ok(rules.into())
    }

    /// What `setrlimit` is to be called with. A hard limit can only be lowered.
    fn limits(&self) -> Limits {
        use nix::sys::resource::{Resource, getrlimit};
        let lower = |resource, wanted: u64| {
            let hard = getrlimit(resource).map_or(libc::RLIM_INFINITY, |(_, hard)| hard);
            if wanted == 0 { hard } else { wanted.min(hard) }
        };
        [
            (libc::RLIMIT_CORE, 0),
            (libc::RLIMIT_DATA, lower(Resource::RLIMIT_DATA, self.config.memory_bytes)),
            (libc::RLIMIT_FSIZE, lower(Resource::RLIMIT_FSIZE, self.config.file_size_bytes)),
            (libc::RLIMIT_NOFILE, lower(Resource::RLIMIT_NOFILE, self.config.open_files)),
        ]
    }
}

/// Resources and the most that may be used of each.
type Limits = [(libc::__rlimit_resource_t, u64); 4];

fn is_ordinary(kind: &Metadata) -> bool {
    let kind = kind.file_type();
    !(kind.is_block_device() || kind.is_char_device() || kind.is_fifo() || kind.is_socket())
}

/// What the child does to itself before it becomes the program (see [`start`] for what it may do): system calls only.
#[expect(unsafe_code, reason = "system calls without a safe wrapper that promises async-signal-safety")]
fn enter(rules: Option<RawFd>, limits: &Limits) -> Result<(), Errno> {
    /// `struct __user_cap_header_struct` and the two `__user_cap_data_struct` of version 3, all empty.
    const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
    let mut header = [CAPABILITY_VERSION_3, 0];
    let none = [0_u32; 6];
    // SAFETY: every pointer is to a live value of the size that the call documents; the rest are integers.
    unsafe {
        Errno::result(libc::setsid())?;
        libc::umask(0o077);
        // Rust opens everything close-on-exec; a C library inside the server might not.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
        for (resource, value) in limits {
            let limit = libc::rlimit { rlim_cur: *value, rlim_max: *value };
            Errno::result(libc::setrlimit(*resource, &limit))?;
        }
        Errno::result(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        if let Some(rules) = rules {
            Errno::result(libc::syscall(libc::SYS_landlock_restrict_self, rules, 0))?;
        }
        // With no_new_privs, exec gives root back no more than it holds now.
        Errno::result(libc::syscall(libc::SYS_capset, header.as_mut_ptr(), none.as_ptr()))?;
    }
    Ok(())
}

/// The version of Landlock's interface; 0 where it is not built in or not switched on.
#[expect(unsafe_code, reason = "the landlock crate does not tell the version")]
fn landlock_abi() -> i32 {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call takes no pointer and only returns a number.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<libc::c_void>(), 0_usize, VERSION)
    };
    i32::try_from(version).unwrap_or(0).max(0)
}

fn support_of(abi: i32) -> Vec<Support> {
    let say = |name, available, essential, yes: &str, no: &str| {
        let detail = if available { yes.to_owned() } else { no.to_owned() };
        Support { name, available, essential, detail }
    };
    let missing = match abi {
        0 => {
            "a run reads and writes whatever the server's user may: this kernel has no Landlock, or it is not switched \
              on (Linux 5.13 or later, with `landlock` in the `lsm=` boot parameter)"
        }
        _ => "a run can truncate files that it may not write (fixed in Linux 6.2)",
    };
    vec![
        say("files", abi >= 3, true, "a run reads and writes only what it is given (Landlock)", missing),
        say(
            "signals",
            abi >= 6,
            true,
            "a run cannot signal the server or other runs, nor reach their abstract sockets",
            "a run can signal, and so stop, every process of the server's user (Linux 6.12 or later prevents it)",
        ),
        say(
            "sockets",
            abi >= 9,
            false,
            "a run cannot connect to Unix sockets of the machine",
            "a run can connect to Unix sockets that the server's user may open, such as a container engine's: keep that \
             user out of such groups (Linux 7.1 or later prevents it)",
        ),
        say("privileges", true, true, "no capabilities and no set-user-id programs", ""),
        say(
            "limits",
            true,
            true,
            "memory, open files and file size are limited for each process of a run; the sum is not: use the service \
             manager's or container's memory limit for that",
            "",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_told_what_a_run_could_do_there() {
        let missing = |abi| -> Vec<_> { support_of(abi).into_iter().filter(|s| !s.available).collect() };
        let names = |abi| -> Vec<_> { missing(abi).iter().map(|s| s.name).collect() };
        assert_eq!(names(0), ["files", "signals", "sockets"]);
        assert_eq!(names(3), ["signals", "sockets"]);
        assert_eq!(names(9), [""; 0]);
        assert!(missing(0)[0].detail.contains("Linux 5.13"));
    }

    #[test]
    fn a_kernel_without_protection_refuses_to_run_what_must_be_sandboxed() {
        let config = SandboxConfig { require: true, ..SandboxConfig::default() };
        let sandbox = Sandbox { config, lacking: Some("files: no Landlock".into()) };
        let null = std::fs::File::open("/dev/null").unwrap();
        let error = sandbox.spawn(&Command::new("/bin/true"), [null.as_fd(); 3], &[], &[]).unwrap_err();
        assert!(error.to_string().contains("no Landlock"), "{error}");
    }
}
