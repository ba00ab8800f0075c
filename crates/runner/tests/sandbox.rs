//! A run inside the sandbox: what a hostile one tries, and what an ordinary one needs.
//!
//! These tests need a kernel with all essential protections (Linux 6.12 or later) and say so where it is older.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use nix::{sys::signal::kill, unistd::Pid};
use runner::sandbox::{Process, Sandbox, SandboxConfig};
use std::{
    fs::File,
    io::{PipeReader, PipeWriter, Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::process::ExitStatusExt,
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
};

/// A run's directory, with a secret and another run beside it.
struct Run {
    root: tempfile::TempDir,
    sandbox: Sandbox,
}

impl Run {
    fn new() -> Self {
        Self::with(SandboxConfig::default())
    }

    fn with(config: SandboxConfig) -> Self {
        let root = tempfile::tempdir().unwrap();
        for folder in ["work", "other"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        std::fs::write(root.path().join("other/state"), "another run's state").unwrap();
        std::fs::write(root.path().join("root.key"), "planted-secret").unwrap();
        Self { root, sandbox: Sandbox::new(SandboxConfig { require: true, ..config }) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let work = self.path("work");
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&work).env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.env("HOME", &work).env("TMPDIR", &work);
        command
    }

    /// Runs a command to its end.
    fn output(&self, command: &Command, read: &[&Path]) -> Output {
        let work = self.path("work");
        let null = File::open("/dev/null").unwrap();
        // Where the runner has its log: inside, so that `/dev/stderr` can be opened.
        let (out, err) = (work.join(".out"), work.join(".err"));
        let files = [File::create(&out).unwrap(), File::create(&err).unwrap()];
        let streams = [null.as_fd(), files[0].as_fd(), files[1].as_fd()];
        let process = self.sandbox.spawn(command, streams, read, &[&work]).unwrap();
        let status = process.wait().unwrap();
        Output { status, stdout: std::fs::read(out).unwrap(), stderr: std::fs::read(err).unwrap() }
    }

    fn sh(&self, script: &str) -> Output {
        self.output(&self.command("/bin/sh", &["-c", script]), &[])
    }

    /// Runs a script that must fail.
    fn refuses(&self, script: &str) {
        let output = self.sh(script);
        assert!(!output.status.success(), "{script}\nsucceeded: {}", String::from_utf8_lossy(&output.stdout));
    }

    /// Runs a script that must succeed.
    fn allows(&self, script: &str) -> String {
        let output = self.sh(script);
        assert!(output.status.success(), "{script}\nfailed: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A process that waits until its standard input is closed.
    fn waiting(&self) -> Waiting {
        let (input, mut writer) = std::io::pipe().unwrap();
        let (mut reader, output) = std::io::pipe().unwrap();
        let streams = [input.as_fd(), output.as_fd(), output.as_fd()];
        let work = self.path("work");
        let process = self.sandbox.spawn(&self.command("/bin/cat", &[]), streams, &[], &[&work]).unwrap();
        // Its answer shows that it has come through exec.
        writer.write_all(b"x").unwrap();
        reader.read_exact(&mut [0]).unwrap();
        Waiting { process, _pipes: (writer, reader) }
    }
}

struct Waiting {
    process: Process,
    _pipes: (PipeWriter, PipeReader),
}

impl Waiting {
    fn id(&self) -> i32 {
        self.process.id()
    }

    /// Ends it.
    fn kill(self) -> ExitStatus {
        kill(Pid::from_raw(self.id()), nix::sys::signal::SIGKILL).unwrap();
        self.process.wait().unwrap()
    }
}

#[test]
fn a_hostile_run_reads_nothing_but_its_own() {
    let run = Run::new();
    let pid = std::process::id();
    for path in [
        "/etc/shadow",
        &format!("/proc/{pid}/environ"),
        &format!("/proc/{pid}/cmdline"),
        &format!("/proc/{pid}/fd/0"),
        &format!("/proc/{pid}/root/etc/shadow"),
        "/proc/self/environ",
        "/proc/1/environ",
        "/proc/kallsyms",
        "/dev/mem",
        &run.path("root.key").display().to_string(),
        &run.path("other/state").display().to_string(),
    ] {
        run.refuses(&format!("cat {path}"));
        run.refuses(&format!("cp {path} copy"));
        run.refuses(&format!("ln -s {path} link; cat link"));
    }
    for folder in ["/", "/root", "/home", "/tmp", "/etc", "/proc", "/var", "/run", ".."] {
        run.refuses(&format!("ls {folder}"));
    }
    run.refuses("ln ../other/state stolen");
    run.refuses("mv ../other/state stolen");
}

#[test]
fn a_hostile_run_writes_nothing_but_its_own() {
    let run = Run::new();
    let home = std::env::var("HOME").unwrap();
    let outside = [
        "/tmp/ferroform-sandbox-test",
        &format!("{home}/ferroform-sandbox-test"),
        "/usr/ferroform-sandbox-test",
        "/dev/shm/ferroform-sandbox-test",
        "../ferroform-sandbox-test",
        "../other/state",
        "../root.key",
    ];
    for path in outside {
        run.refuses(&format!("echo x > {path}"));
        run.refuses(&format!("echo x > mine; mv mine {path}"));
        run.refuses(&format!("truncate -s 0 {path}"));
        run.refuses(&format!("mkdir {path}"));
    }
    run.refuses("rm ../other/state");
    run.refuses("mknod device c 1 1");
    run.refuses("chown 1 . && echo it kept the capabilities of root");
    assert_eq!(std::fs::read_to_string(run.path("other/state")).unwrap(), "another run's state");
    assert_eq!(std::fs::read_to_string(run.path("root.key")).unwrap(), "planted-secret");
}

#[test]
fn a_hostile_run_signals_neither_the_server_nor_other_runs() {
    let run = Run::new();
    let pid = std::process::id();
    run.refuses(&format!("kill -0 {pid}"));
    run.refuses(&format!("kill -TERM {pid}"));
    let other = run.waiting();
    run.refuses(&format!("kill -KILL {}", other.id()));
    run.refuses(&format!("kill -KILL -- -{}", other.id()));
    let state = std::fs::read_to_string(format!("/proc/{}/stat", other.id())).unwrap();
    assert!(!state.contains(") Z "), "the other run lives");
    // Its own processes it may signal, and the server may signal it.
    run.allows("sleep 60 & kill $!");
    assert_eq!(other.kill().signal(), Some(9));
}

#[test]
fn a_run_is_a_session_of_its_own_without_privileges_and_inherited_files() {
    let run = Run::new();
    let leaked = File::open("/etc/passwd").unwrap();
    let leaked = nix::unistd::dup(&leaked).unwrap();
    assert!(leaked.as_raw_fd() > 2, "`dup` makes a descriptor that is not closed on exec");
    let child = run.waiting();
    let of_child = |name: &str| std::fs::read_to_string(format!("/proc/{}/{name}", child.id())).unwrap();
    let status = of_child("status");
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Umask:"), "0077");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    let stat = of_child("stat");
    let session = stat.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap();
    assert_eq!(session, child.id().to_string());
    let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().count();
    assert_eq!(open, 3, "standard input, output and error");
    assert!(of_child("limits").lines().any(|line| line.starts_with("Max core file size        0 ")));
    child.kill();
}

#[test]
fn memory_file_size_and_open_files_end_at_their_limits() {
    let run = Run::with(SandboxConfig {
        memory_bytes: 256 << 20,
        file_size_bytes: 1 << 20,
        open_files: 64,
        ..SandboxConfig::default()
    });
    run.allows("head -c 1048576 /dev/zero > fits");
    run.refuses("head -c 1048577 /dev/zero > large");
    assert_eq!(std::fs::metadata(run.path("work/large")).unwrap().len(), 1 << 20);
    assert_eq!(run.allows("ulimit -n").trim(), "64");
    run.refuses("ulimit -n 65");
    run.allows("head -c 64M /dev/zero | tail -c 32M > /dev/null");
    run.refuses("head -c 512M /dev/zero | tail -c 400M > /dev/null");
}

#[test]
fn an_ordinary_script_has_what_it_needs() {
    let run = Run::new();
    run.allows("cat /etc/hosts /etc/passwd /proc/meminfo > /dev/null");
    run.allows("test -n \"$(head -c 8 /dev/urandom | od -A n -t x8)\"");
    run.allows("ls /usr/bin > /dev/null && ls -l . > /dev/null");
    run.allows(
        "mkdir -p a/b c && echo x > a/b/file && mv a/b/file c/ && ln -s c/file link && cat link && rm -r a",
    );
    run.allows("printf '#!/bin/sh\\necho hello' > tool && chmod +x tool && ./tool");
    run.allows("echo to-stderr > /dev/stderr");
    run.allows("if command -v git > /dev/null; then git config --list; fi");
    run.allows("mkfifo pipe && (echo x > pipe &) && cat pipe");
    assert!(run.sh("cat /etc/resolv.conf").status.success() || !Path::new("/etc/resolv.conf").exists());
}

#[test]
fn further_programs_are_readable_where_the_configuration_lists_them() {
    let tools = tempfile::tempdir().unwrap();
    std::fs::write(tools.path().join("data"), "listed").unwrap();
    let read = format!("cat {}/data", tools.path().display());
    Run::new().refuses(&read);
    let extra_read = vec![tools.path().to_owned(), PathBuf::from("/nonexistent")];
    let run = Run::with(SandboxConfig { extra_read, ..SandboxConfig::default() });
    assert_eq!(run.allows(&read), "listed");
    run.refuses(&format!("echo x > {}/data", tools.path().display()));
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let null = File::open("/dev/null").unwrap();
    let missing = Path::new("/nonexistent/work");
    let run = Run::new();
    let streams = [null.as_fd(); 3];
    let error = run.sandbox.spawn(&Command::new("/bin/true"), streams, &[], &[missing]).unwrap_err();
    assert!(error.to_string().contains("/nonexistent/work"), "{error}");
    let absent = Command::new("/nonexistent/program");
    let error = run.sandbox.spawn(&absent, streams, &[], &[&run.path("work")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "/nonexistent/program cannot be started: No such file or directory (os error 2)"
    );
}

#[test]
fn the_environment_is_what_was_set_and_signals_have_their_usual_effect() {
    let run = Run::new();
    let mut command = run.command("/usr/bin/env", &[]);
    command.env("LAST", "=a b\n").env_remove("TMPDIR");
    let output = run.output(&command, &[]);
    let work = run.path("work");
    let expected = format!("HOME={}\nLAST==a b\n\nPATH=/usr/local/bin:/usr/bin:/bin\n", work.display());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    // Rust ignores SIGPIPE; a shell's pipelines rely on it. The tests' own handlers and masks are not inherited either.
    assert_eq!(run.sh("kill -PIPE $$; echo survived").status.signal(), Some(13));
    let child = run.waiting();
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    for mask in ["SigBlk:", "SigCgt:"] {
        assert!(status.contains(&format!("{mask}\t0000000000000000")), "{status}");
    }
    child.kill();
}

#[test]
fn many_threads_start_processes_at_once() {
    let run = Run::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let run = &run;
            scope.spawn(move || {
                let work = run.path("work");
                let file = File::create(work.join(format!("log{thread}"))).unwrap();
                for number in 0..20 {
                    let script = format!("echo {number} $$; exit {}", number % 3);
                    let command = run.command("/bin/sh", &["-c", &script]);
                    let process = run.sandbox.spawn(&command, [file.as_fd(); 3], &[], &[&work]).unwrap();
                    assert_eq!(process.wait().unwrap().code(), Some(number % 3));
                }
                let log = std::fs::read_to_string(work.join(format!("log{thread}"))).unwrap();
                assert_eq!(log.lines().count(), 20);
            });
        }
    });
}

#[test]
fn the_real_engine_plans_and_applies_within_the_limits_recommended() {
    let run = Run::with(SandboxConfig {
        memory_bytes: 512 << 20,
        file_size_bytes: 64 << 20,
        open_files: 256,
        ..SandboxConfig::default()
    });
    let script = r#"
        resource "terraform_data" "one" {
          input = "hello"
          provisioner "local-exec" { command = "echo from the provisioner; cat ../root.key; echo done > provisioned" }
        }
        output "greeting" { value = terraform_data.one.output }
    "#;
    std::fs::write(run.path("work/main.tf"), script).unwrap();
    let terraform = find_terraform();
    let engine = terraform.parent().unwrap();
    for arguments in [
        &["init", "-input=false"][..],
        &["plan", "-input=false", "-out=tfplan"],
        &["show", "-json", "tfplan"],
        &["providers", "schema", "-json"],
        &["apply", "-input=false", "tfplan"],
    ] {
        let mut command = run.command(terraform.to_str().unwrap(), arguments);
        command.env("CHECKPOINT_DISABLE", "1");
        let output = run.output(&command, &[engine]);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        assert!(!out.contains("planted-secret"), "{out}");
        if arguments[0] == "apply" {
            assert!(out.contains("from the provisioner") && out.contains("ermission denied"), "{out}");
        }
    }
    assert!(run.path("work/provisioned").exists());
    assert!(run.path("work/terraform.tfstate").exists());
}

fn find_terraform() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    let found =
        std::env::split_paths(&path).map(|folder| folder.join("terraform")).find(|file| file.is_file());
    found.expect("this test needs terraform on PATH").canonicalize().unwrap()
}
