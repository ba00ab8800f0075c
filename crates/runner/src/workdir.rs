//! A run's folder on disk: what is where, how it is filled before the engine starts, and what stays of it.
//!
//! ```text
//! <work root>/<run>/        0700, written by the server alone
//!   log                     what the engine prints, unmasked
//!   begun.json              the phase in flight ([`Begun`]); absent once its outcome is stored
//!   interrupted             the group has been sent its one SIGINT
//!   ready.json, warm/       after a plan: [`Ready`], and the engine's `.terraform`
//!   plan/ or apply/         what the engine may write to; its HOME
//!     config/  tmp/  state/<workspace>/terraform.tfstate
//!     *.tfvars, input       variables files; what an operation reads
//!     secrets/              files that environment variables point to
//!     exits, hidden         how the steps ended, and what those printed that are silent while they succeed
//!     plan.tfplan, show.out, generated.tf
//! ```
//!
//! Each phase has a folder of its own, so that a process which escaped from the plan (a daemon in a session of its
//! own) has no access to what the apply works with. Files that the server reads back go through [`Folder`].
//!
//! There are few files because each costs a plan up to a third of a millisecond; see `examples/phase_cost.rs`.

use crate::{
    engine::Origin,
    folder::Folder,
    job::{FOLDER, Job, Phase},
    layout,
    pack::Facts,
    phase::Stop,
    process::{Group, Mark},
    steps::Steps,
    variables,
};
use std::{
    fs, io,
    io::Read,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

/// Why a phase could not be set up. Shown in the run's log after `Setup failed: `.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Setup {
    #[error("failed unpacking terraform config: {0}")]
    Archive(String),
    #[error("{0}")]
    Layout(String),
    #[error(transparent)]
    Variable(#[from] variables::Invalid),
    #[error("the plan of this run is not stored any more")]
    NoPlan,
    #[error("the work directory could not be prepared: {0}")]
    Io(#[from] io::Error),
}

/// The folder of one run.
#[derive(Clone, Debug)]
pub(crate) struct RunDir {
    path: PathBuf,
}

/// What a later server needs to know of a phase whose engine was started.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Begun {
    /// Without values.
    pub(crate) job: Job,
    pub(crate) mark: Mark,
    /// Not looked for again: by then another version may be installed, while this one still runs.
    pub(crate) engine: PathBuf,
    pub(crate) engine_version: String,
    pub(crate) origin: Origin,
    /// Where the engine was started, relative to `config`.
    pub(crate) folder: PathBuf,
}

/// A plan waits here for its apply.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Ready {
    engine_version: String,
    /// The engine had made a `.terraform`, and it is in `warm`.
    data: bool,
}

/// A phase's folder that is ready for the engine.
pub(crate) struct Prepared {
    /// Where the engine is started.
    pub(crate) cwd: PathBuf,
    /// The same, relative to `config`.
    pub(crate) folder: PathBuf,
    /// Leads from there to the phase's folder: `../`, once for each step.
    pub(crate) up: String,
    pub(crate) files: variables::Files,
    /// The engine's `.terraform` is there from the plan.
    pub(crate) warm: bool,
}

impl RunDir {
    /// `None` when the run's id cannot be a folder's name.
    pub(crate) fn new(work_root: &Path, run: &str) -> Option<Self> {
        let safe = !run.is_empty() && run.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        safe.then(|| Self { path: work_root.join(run) })
    }

    /// The run's id.
    pub(crate) fn name(&self) -> Option<&str> {
        self.path.file_name()?.to_str()
    }

    pub(crate) fn phase(&self, phase: Phase) -> PathBuf {
        self.path.join(phase.name())
    }

    /// Where the files of [`Job::files`] are.
    pub(crate) fn secrets(&self, phase: Phase) -> PathBuf {
        self.phase(phase).join("secrets")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn state_folder(&self, job: &Job) -> PathBuf {
        self.phase(job.phase).join("state").join(&job.workspace)
    }

    /// The phase as it was begun. `None` when its engine was never told to go.
    pub(crate) fn begun(&self) -> Option<Begun> {
        serde_json::from_slice(&fs::read(self.path.join("begun.json")).ok()?).ok()
    }

    pub(crate) fn set_begun(&self, begun: &Begun) -> io::Result<()> {
        // One write: a server that dies before it has not told the engine to go either.
        fs::write(self.path.join("begun.json"), serde_json::to_vec(begun)?)
    }

    /// What there is for an apply, if a plan waits here for one.
    pub(crate) fn ready(&self) -> Option<Ready> {
        serde_json::from_slice(&fs::read(self.path.join("ready.json")).ok()?).ok()
    }

    /// Why the group has been sent its one SIGINT, if it has.
    pub(crate) fn interrupted(&self) -> Option<Stop> {
        match fs::read(self.path.join("interrupted")).ok()?.as_slice() {
            b"timed out" => Some(Stop::TimedOut),
            _ => Some(Stop::Canceled),
        }
    }

    pub(crate) fn set_interrupted(&self, why: Stop) -> io::Result<()> {
        let text = if why == Stop::TimedOut { "timed out" } else { "canceled" };
        fs::write(self.path.join("interrupted"), text)
    }

    /// The newest state on disk if it is complete; the engine rewrites the file in place.
    pub(crate) fn state(&self, job: &Job, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let folder = Folder::open(&self.phase(job.phase))?;
        let state = folder.read(&["state", &job.workspace, "terraform.tfstate"], limit)?;
        Ok(state.filter(|bytes| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()))
    }

    /// Ends what still runs for the phase in flight.
    pub(crate) fn end_group(&self) -> io::Result<()> {
        if let Some(group) = self.begun().and_then(|begun| Group::adopt(&begun.mark).transpose()) {
            let group = group?;
            group.kill();
            group.reap();
        }
        Ok(())
    }

    /// Begins a phase: removes what an earlier attempt left.
    pub(crate) fn begin(&self, phase: Phase) -> io::Result<()> {
        self.end_group()?;
        match phase {
            Phase::Plan => remove(&self.path)?,
            Phase::Apply => {
                // Whoever asks for the apply has stored the plan.
                if self.begun().is_some_and(|begun| begun.job.phase == Phase::Plan) {
                    self.settle()?;
                }
                for name in ["apply", "plan", "log", "begun.json", "interrupted"] {
                    remove(&self.path.join(name))?;
                }
            }
        }
        private_folder(&self.path)?;
        private_folder(&self.phase(phase))
    }

    /// The log of a phase, to be appended to, beginning with `preamble`.
    pub(crate) fn open_log(&self, preamble: &[u8]) -> io::Result<fs::File> {
        let mut log = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(self.log())?;
        io::Write::write_all(&mut log, preamble)?;
        Ok(log)
    }

    /// Fills the folder for a plan from the uploaded archive.
    pub(crate) fn prepare_plan(
        &self,
        job: &Job,
        archive: Box<dyn Read + Send>,
        limits: &slug::Limits,
        state: Option<&[u8]>,
    ) -> Result<Prepared, Setup> {
        let config = self.phase(job.phase).join("config");
        private_folder(&config)?;
        let found =
            slug::unpack(archive, &config, limits).map_err(|illegal| Setup::Archive(illegal.to_string()))?;
        let folder =
            layout::working_folder(&config, &job.working_directory, &found).map_err(Setup::Layout)?;
        let cwd = config.join(&folder);
        let up = "../".repeat(folder.components().count() + 1);
        layout::remove_strays(&cwd)?;
        let backend = layout::backend(&cwd, job)?;
        if backend == layout::Backend::Overridden {
            fs::write(cwd.join(layout::OVERRIDE), layout::backend_override(&up))?;
            if job.operation.is_some() {
                // `state mv` and its like put their backup beside where an engine without a backend has the state, wherever
                // it is. An empty folder holds no state that `init` would want to take along.
                fs::create_dir_all(cwd.join(layout::STATES).join(&job.workspace))?;
            }
        }
        let files = variables::files(job, None)?;
        self.place(job, &files, state)?;
        if backend == layout::Backend::Implied {
            symlink(format!("{up}state"), cwd.join(layout::STATES))?;
        }
        layout::select_workspace(&cwd, &job.workspace)?;
        Ok(Prepared { cwd, folder, up, files, warm: false })
    }

    /// Fills the folder for an apply from the archive of what the plan has kept.
    pub(crate) fn prepare_apply(
        &self,
        job: &Job,
        facts: &Facts,
        archive: &[u8],
        limits: &slug::Limits,
        state: Option<&[u8]>,
    ) -> Result<Prepared, Setup> {
        let phase = self.phase(job.phase);
        slug::unpack(archive, &phase, limits).map_err(|illegal| Setup::Archive(illegal.to_string()))?;
        let cwd = phase.join("config").join(&facts.folder);
        let up = "../".repeat(facts.folder.components().count() + 1);
        let ready = self.ready().filter(|ready| ready.engine_version == facts.engine_version);
        if ready.as_ref().is_some_and(|ready| ready.data) {
            // The modules are in the archive too, for runners that have nothing.
            remove(&cwd.join(".terraform"))?;
            fs::rename(self.path.join("warm"), cwd.join(".terraform"))?;
        }
        remove(&self.path.join("ready.json"))?;
        let files =
            if facts.again.is_empty() { Vec::new() } else { variables::files(job, Some(&facts.again))? };
        self.place(job, &files, state)?;
        layout::select_workspace(&cwd, &job.workspace)?;
        if !cwd.join(layout::OVERRIDE).exists() {
            // Without a state the plan left an empty folder there.
            remove(&cwd.join(layout::STATES))?;
            symlink(format!("{up}state"), cwd.join(layout::STATES))?;
        }
        Ok(Prepared { cwd, folder: facts.folder.clone(), up, files, warm: ready.is_some() })
    }

    fn place(&self, job: &Job, files: &variables::Files, state: Option<&[u8]>) -> io::Result<()> {
        private_folder(&self.phase(job.phase).join("tmp"))?;
        for (name, content) in files {
            fs::write(self.phase(job.phase).join(name), content)?;
        }
        if !job.files.is_empty() {
            let folder = self.secrets(job.phase);
            private_folder(&folder)?;
            for file in &job.files {
                let content = file.content.expose().replace(FOLDER, &folder.to_string_lossy());
                fs::write(folder.join(&file.name), content)?;
            }
        }
        // Also without a state: a workspace exists for the engine when its folder does.
        let folder = self.state_folder(job);
        private_tree(&folder)?;
        if let Some(state) = state {
            fs::write(folder.join("terraform.tfstate"), state)?;
        }
        Ok(())
    }

    /// The outcome is stored. Keeps what a warm apply needs after a plan that can be applied, and otherwise nothing.
    pub(crate) fn settle(&self) -> io::Result<()> {
        let Some(begun) = self.begun() else { return Ok(()) };
        let plan = self.phase(Phase::Plan);
        if self.ready().is_none() {
            let steps = Folder::open(&plan).map(|plan| Steps::read(&plan));
            let planned = begun.job.phase == Phase::Plan && steps.is_ok_and(|steps| steps.planned());
            if !planned || begun.job.plan_only {
                return self.remove();
            }
            let ready =
                Ready { data: self.keep_data(&plan, &begun.folder)?, engine_version: begun.engine_version };
            fs::write(self.path.join("ready.json"), serde_json::to_vec(&ready)?)?;
        }
        for name in ["plan", "log", "interrupted", "begun.json"] {
            remove(&self.path.join(name))?;
        }
        Ok(())
    }

    /// Moves the engine's `.terraform` out of the plan's folder. `false` when it has none.
    fn keep_data(&self, plan: &Path, folder: &Path) -> io::Result<bool> {
        let mut at = Folder::open(plan)?.sub(b"config")?;
        for step in folder.components() {
            at = at.sub(step.as_os_str().as_encoded_bytes())?;
        }
        let moved = rustix::fs::renameat(at.fd(), ".terraform", rustix::fs::CWD, self.path.join("warm"));
        match moved.map_err(io::Error::from) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(self.path.join("warm").exists()),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        // What the phase in flight is comes last: a folder that still says so is looked at again after a crash.
        for name in ["plan", "apply", "warm"] {
            remove(&self.path.join(name))?;
        }
        remove(&self.path)
    }
}

fn private_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn private_tree(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Removes a file or a folder, if there is one. Links are not followed.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => remove_file(path),
        result => result,
    }
}

/// Removes a file, if there is one.
pub(crate) fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(())
        }
        result => result,
    }
}
