//! A server with the workspace `acme/demo`, and a folder in which Terraform's own command line works on it.

use crate::{
    link::{Held, Link},
    program::{ADMIN, Database, PATIENCE, Program},
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How the server goes away. Either way it comes back at once, on the same port and the same data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// `kill -9`
    Kill,
    /// SIGTERM
    Term,
}

/// See the module.
pub(crate) struct Site {
    pub(crate) program: Program,
    pub(crate) link: Link,
    workspace: String,
    /// What the server is started with, by name.
    options: BTreeMap<&'static str, String>,
    fault: Fault,
}

impl Site {
    /// A server that will meet this fault.
    pub(crate) fn open(database: Database, fault: Fault) -> Self {
        Self::open_behind(database, fault, |link| link)
    }

    /// The same, for command lines that come to its link through another port, which is given the link's.
    pub(crate) fn open_behind(database: Database, fault: Fault, front: impl FnOnce(u16) -> u16) -> Self {
        let program = Program::new(database);
        let dir = program.dir.path();
        let link = Link::new(program.port(), &dir.join("authority.pem"), front);
        fs::create_dir(dir.join("configuration")).unwrap();
        nix::unistd::mkfifo(&dir.join("gate"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let options = BTreeMap::from([
            ("--url", format!("https://{}", link.host())),
            ("--run-read", dir.display().to_string()),
            // What is at a gate then goes on without the server.
            ("--grace-period", "1s".to_owned()),
        ]);
        let mut site = Self { program, link, workspace: String::new(), options, fault };
        site.start();
        let api = site.program.api();
        api.organization("acme");
        site.workspace = api.workspace("acme", "demo");
        site
    }

    /// Starts the server again with this option.
    pub(crate) fn start_again_with(&mut self, name: &'static str, value: &str) {
        self.options.insert(name, value.to_owned());
        self.program.terminate();
        self.start();
    }

    fn start(&mut self) {
        let options: Vec<&str> = self.options.iter().flat_map(|(name, value)| [*name, value]).collect();
        self.program.start_with(&options);
    }

    /// Phases run where the command line is.
    pub(crate) fn run_locally(&self) {
        let body = json!({ "data": { "attributes": { "execution-mode": "local" } } });
        let path = format!("/workspaces/{}", self.workspace);
        self.program.api().json("PATCH", &path, Some(body)).unwrap();
    }

    /// The folder of the command line.
    pub(crate) fn folder(&self) -> PathBuf {
        self.program.dir.path().join("configuration")
    }

    /// A command that waits until [`Site::open_gate`].
    pub(crate) fn gate(&self) -> String {
        format!("read -r line < {}", self.program.dir.path().join("gate").display())
    }

    /// Lets through who waits at the gate, and waits for them to come there.
    pub(crate) fn open_gate(&self) {
        let mut gate = fs::File::options();
        gate.write(true).custom_flags(libc::O_NONBLOCK);
        let begun = Instant::now();
        loop {
            // Which nobody can do while nobody reads.
            match gate.open(self.program.dir.path().join("gate")) {
                Ok(mut gate) => return gate.write_all(b"go\n").unwrap(),
                Err(error) => assert!(begun.elapsed() < PATIENCE / 3, "nobody comes to the gate: {error}"),
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Writes `main.tf`: the `cloud` block, and `resources`.
    pub(crate) fn write(&self, resources: &str) {
        let host = self.link.host();
        let cloud = format!(
            "terraform {{\n  cloud {{\n    hostname = \"{host}\"\n    organization = \"acme\"\n    \
             workspaces {{ name = \"demo\" }}\n  }}\n}}\n"
        );
        fs::write(self.folder().join("main.tf"), cloud + resources).unwrap();
    }

    /// Writes `main.tf` and initializes.
    pub(crate) fn initialize(&self, resources: &str) {
        self.write(resources);
        let output = self.terraform(&["init", "-input=false"]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
    }

    /// A command line that is not started yet, with pipes.
    pub(crate) fn terraform(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(engine());
        command.args(arguments).arg("-no-color").current_dir(self.folder()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.folder());
        command.env("CHECKPOINT_DISABLE", "1").env(format!("TF_TOKEN_{}", self.link.host()), ADMIN);
        command.env("SSL_CERT_FILE", self.program.dir.path().join("authority.pem"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The server goes away and comes back, while a request is held or not.
    pub(crate) fn strike(&mut self, held: Option<Held>) {
        if let Some(held) = &held {
            held.wait();
        }
        match self.fault {
            Fault::Kill => {
                self.program.kill();
                self.link.cut();
                drop(held);
            }
            Fault::Term => {
                self.ask_to_end();
                let (later, now) = held.into_iter().partition::<Vec<_>, _>(Held::unknown_to_the_server);
                now.into_iter().for_each(Held::release);
                self.program.wait_for_the_end();
                self.link.cut();
                drop(later);
            }
        }
        self.come_back();
    }

    /// SIGTERM, and waits until the server has taken notice.
    pub(crate) fn ask_to_end(&self) {
        let log = self.program.dir.path().join("log");
        let endings = || fs::read_to_string(&log).unwrap().matches("ending: no new work").count();
        let before = endings();
        self.program.ask_to_end();
        let begun = Instant::now();
        while endings() == before {
            assert!(begun.elapsed() < PATIENCE, "it takes no notice: {}", self.program.words());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a server that was asked to end has ended, and starts the next.
    pub(crate) fn follow_up(&mut self) {
        self.program.wait_for_the_end();
        self.link.cut();
        self.come_back();
    }

    fn come_back(&mut self) {
        self.start();
        self.link.mend();
    }

    /// The workspace's attributes.
    pub(crate) fn workspace(&self) -> Value {
        let found = self.program.api().get(&format!("/workspaces/{}", self.workspace));
        found["data"]["attributes"].clone()
    }

    /// The state as the server has it.
    pub(crate) fn state(&self) -> String {
        let api = self.program.api();
        let current = api.get(&format!("/workspaces/{}/current-state-version", self.workspace));
        let url = current["data"]["attributes"]["hosted-state-download-url"].as_str().unwrap();
        // The test goes there without the link.
        let path = url.strip_prefix(&format!("https://{}", self.link.host())).unwrap();
        String::from_utf8(api.bytes(path)).unwrap()
    }

    /// The statuses of all runs, the newest first.
    pub(crate) fn runs(&self) -> Vec<String> {
        let path = format!("/workspaces/{}/runs?filter[operation]=plan_only,plan_and_apply", self.workspace);
        let runs = self.program.api().get(&path);
        let status = |run: &Value| run["attributes"]["status"].as_str().unwrap().to_owned();
        runs["data"].as_array().unwrap().iter().map(status).collect()
    }

    /// Waits until no run is under way.
    pub(crate) fn wait_for_rest(&self) {
        let begun = Instant::now();
        loop {
            let statuses = self.runs();
            if statuses.iter().all(|status| crate::load::ENDED.contains(&status.as_str())) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{statuses:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Nothing is under way, no lock is left, and another apply of the same works.
    pub(crate) fn a_second_try_succeeds(&self) {
        self.wait_for_rest();
        assert_eq!(self.workspace()["locked"], false);
        let output = self.terraform(&["apply", "-auto-approve"]).output().unwrap();
        assert!(output.status.success(), "{}", words(&output));
        assert!(self.state().contains("terraform_data"), "{}", self.state());
        assert_eq!(self.workspace()["locked"], false);
    }
}

/// The engine's executable.
pub(crate) fn engine() -> PathBuf {
    if let Some(engine) = std::env::var_os("FERROFORM_TEST_ENGINE") {
        return engine.into();
    }
    let path = std::env::var_os("PATH").unwrap();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join("terraform"));
    places.find(|place| place.is_file()).expect("terraform is on PATH")
}

/// What a command said.
pub(crate) fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Reads the command's output until `text` is there; what was read.
pub(crate) fn until(child: &mut Child, text: &str) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    while !String::from_utf8_lossy(&said).contains(text) {
        let read = child.stdout.as_mut().unwrap().read(&mut buffer).unwrap();
        assert!(read > 0, "it ended without {text:?}: {}", String::from_utf8_lossy(&said));
        said.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

/// Answers the command's question.
pub(crate) fn answer(child: &mut Child, text: &str) {
    child.stdin.as_mut().unwrap().write_all(format!("{text}\n").as_bytes()).unwrap();
}
