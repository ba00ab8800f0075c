//! A run's folder on disk: what is where, how it is filled before the engine starts, and what stays of it.
//!
//! ```text
//! <work root>/<run>/        0700, written by the server alone
//!   job.json                the job that is in flight, without values; absent once its outcome is stored
//!   log                     what the engine prints, unmasked
//!   folder                  where the engine was started
//!   pid                     the process group (crate::process::Mark)
//!   interrupted             the group has been sent its one SIGINT
//!   ready.json, warm/       after a plan: facts for the apply, and the engine's `.terraform`
//!   plan/ or apply/         what the engine may write to
//!     config/  home/  tmp/  state/<workspace>/terraform.tfstate
//!     vars/                 variables files
//!     out/                  output and exit codes of the steps
//!     plan.tfplan
//! ```
//!
//! Each phase has a folder of its own, so that a process which escaped from the plan (a daemon in a session of its
//! own) has no access to what the apply works with. Files that the server reads back go through [`Folder`].

use crate::{
    folder::Folder,
    job::{Job, Phase},
    pack::{FACTS, Facts},
    process::Mark,
    variables,
};
use rustix::fs::FileType;
use std::{
    fs, io,
    io::Read,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Component, Path, PathBuf},
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

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log")
    }

    pub(crate) fn state_folder(&self, job: &Job) -> PathBuf {
        self.phase(job.phase).join("state").join(&job.workspace)
    }

    /// The job in flight, if there is one.
    pub(crate) fn job(&self) -> Option<Job> {
        serde_json::from_slice(&fs::read(self.path.join("job.json")).ok()?).ok()
    }

    pub(crate) fn mark(&self) -> Option<Mark> {
        serde_json::from_slice(&fs::read(self.path.join("pid")).ok()?).ok()
    }

    pub(crate) fn set_mark(&self, mark: &Mark) -> io::Result<()> {
        let text = serde_json::to_vec(mark)?;
        // A mark that is half written would be taken for none, and the phase for one that has not begun.
        let new = self.path.join("pid.new");
        fs::write(&new, text)?;
        fs::rename(new, self.path.join("pid"))
    }

    /// Where the engine was started, relative to `config`.
    pub(crate) fn started_folder(&self) -> io::Result<PathBuf> {
        Ok(serde_json::from_slice(&fs::read(self.path.join("folder"))?)?)
    }

    pub(crate) fn set_started_folder(&self, folder: &Path) -> io::Result<()> {
        fs::write(self.path.join("folder"), serde_json::to_vec(folder)?)
    }

    /// The facts of a plan that waits here for its apply.
    pub(crate) fn ready(&self) -> Option<Facts> {
        serde_json::from_slice(&fs::read(self.path.join("ready.json")).ok()?).ok()
    }

    pub(crate) fn set_ready(&self, facts: &Facts) -> io::Result<()> {
        fs::write(self.path.join("ready.json"), serde_json::to_vec(facts)?)
    }

    pub(crate) fn interrupted(&self) -> bool {
        self.path.join("interrupted").exists()
    }

    pub(crate) fn set_interrupted(&self) -> io::Result<()> {
        fs::write(self.path.join("interrupted"), "")
    }

    /// The newest state on disk if it is complete; the engine rewrites the file in place.
    pub(crate) fn state(&self, job: &Job, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let folder = Folder::open(&self.phase(job.phase))?;
        let state = folder.read(&["state", &job.workspace, "terraform.tfstate"], limit)?;
        Ok(state.filter(|bytes| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()))
    }

    /// Begins a phase: removes what an earlier attempt left and records the job.
    pub(crate) fn begin(&self, job: &Job) -> io::Result<()> {
        match job.phase {
            Phase::Plan => remove(&self.path)?,
            Phase::Apply => {
                // Whoever asks for the apply has stored the plan.
                self.settle_plan()?;
                for name in ["apply", "plan"] {
                    remove(&self.path.join(name))?;
                }
                for name in ["log", "pid", "folder", "interrupted"] {
                    remove_file(&self.path.join(name))?;
                }
            }
        }
        private_folder(&self.path)?;
        fs::write(self.path.join("job.json"), serde_json::to_vec(job)?)?;
        private_folder(&self.phase(job.phase))
    }

    fn make_folders(&self, job: &Job, names: &[&str]) -> io::Result<()> {
        let phase = self.phase(job.phase);
        names.iter().try_for_each(|name| private_folder(&phase.join(name)))
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
        let phase = self.phase(job.phase);
        let config = phase.join("config");
        self.make_folders(job, &["config", "home", "tmp", "out"])?;
        let found =
            slug::unpack(archive, &config, limits).map_err(|illegal| Setup::Archive(illegal.to_string()))?;
        let folder = working_folder(&config, &job.working_directory, &found)?;
        let cwd = config.join(&folder);
        let up = "../".repeat(folder.components().count() + 1);
        remove_strays(&cwd)?;
        // Where there is no configuration the override would be one, and plan the end of everything in the state. Without
        // it the engine refuses; a destroy is what such an archive is for.
        if job.destroy || has_configuration(&cwd)? {
            fs::write(cwd.join("zzz_backend_override.tf.json"), backend_override(&up))?;
        }
        let files = variables::files(job, None)?;
        self.place(job, &files, state)?;
        Ok(Prepared { cwd, folder, up, files, warm: false })
    }

    /// Fills the folder for an apply from what the plan has kept.
    pub(crate) fn prepare_apply(
        &self,
        job: &Job,
        engine_version: &str,
        kept: &[u8],
        limits: &slug::Limits,
        state: Option<&[u8]>,
    ) -> Result<Prepared, Setup> {
        let phase = self.phase(job.phase);
        slug::unpack(kept, &phase, limits).map_err(|illegal| Setup::Archive(illegal.to_string()))?;
        self.make_folders(job, &["home", "tmp", "out"])?;
        let facts: Facts = fs::read(phase.join(FACTS))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .ok_or(Setup::NoPlan)?;
        let cwd = phase.join("config").join(&facts.folder);
        let up = "../".repeat(facts.folder.components().count() + 1);
        let warm_data = self.path.join("warm");
        let warm = self.ready().is_some_and(|ready| ready.engine_version == engine_version) && warm_data.exists();
        if warm {
            remove(&cwd.join(".terraform"))?;
            fs::rename(warm_data, cwd.join(".terraform"))?;
        }
        let files =
            if facts.again.is_empty() { Vec::new() } else { variables::files(job, Some(&facts.again))? };
        self.place(job, &files, state)?;
        Ok(Prepared { cwd, folder: facts.folder, up, files, warm })
    }

    fn place(&self, job: &Job, files: &variables::Files, state: Option<&[u8]>) -> io::Result<()> {
        let phase = self.phase(job.phase);
        if !files.is_empty() {
            let vars = phase.join("vars");
            private_folder(&vars)?;
            for (name, content) in files {
                fs::write(vars.join(name), content)?;
            }
        }
        let state_folder = self.state_folder(job);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&state_folder)?;
        if let Some(state) = state {
            fs::write(state_folder.join("terraform.tfstate"), state)?;
        }
        Ok(())
    }

    /// The outcome is stored. Keeps what a warm apply needs after a plan that can be applied, and otherwise nothing.
    pub(crate) fn settle(&self) -> io::Result<()> {
        match self.job().map(|job| job.phase) {
            None => Ok(()),
            Some(Phase::Plan) if self.ready().is_some() => self.settle_plan(),
            Some(_) => self.remove(),
        }
    }

    fn settle_plan(&self) -> io::Result<()> {
        let in_flight = self.job().is_some_and(|job| job.phase == Phase::Plan);
        let Some(facts) = self.ready().filter(|_| in_flight) else { return Ok(()) };
        let plan = self.phase(Phase::Plan);
        if let Ok(folder) = engine_folder(&plan, &facts.folder) {
            let warm = self.path.join("warm");
            let moved =
                rustix::fs::renameat(folder.fd(), ".terraform", rustix::fs::CWD, &warm).map_err(io::Error::from);
            // Without it the apply runs `init` again.
            if let Err(error) = moved {
                tracing::debug!(%error, "no engine data to keep");
            }
        }
        remove(&plan)?;
        for name in ["log", "pid", "folder", "interrupted", "job.json"] {
            remove_file(&self.path.join(name))?;
        }
        Ok(())
    }

    pub(crate) fn remove(&self) -> io::Result<()> {
        // The job last: a folder with a job is looked at again after a crash.
        let Ok(entries) = fs::read_dir(&self.path) else { return Ok(()) };
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
            remove(&entry.path())?;
        }
        remove(&self.path)
    }
}

fn engine_folder(phase: &Path, folder: &Path) -> io::Result<Folder> {
    let mut at = Folder::open(phase)?.sub(b"config")?;
    for step in folder.components() {
        at = at.sub(step.as_os_str().as_encoded_bytes())?;
    }
    Ok(at)
}

/// Local state outside of the configuration tree, whatever backend the configuration asks for. The paths are relative
/// because a plan records them and may be applied somewhere else.
fn backend_override(up: &str) -> Vec<u8> {
    let local = serde_json::json!({
        "path": format!("{up}state/default/terraform.tfstate"),
        "workspace_dir": format!("{up}state"),
    });
    serde_json::json!({ "terraform": { "backend": { "local": local } } }).to_string().into_bytes()
}

/// Removes what an archive may hold by mistake and the engine would take for its own: states, a `terraform.tfvars`
/// (which TFE ignores), and the record of another backend.
fn remove_strays(cwd: &Path) -> io::Result<()> {
    for entry in fs::read_dir(cwd)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == "terraform.tfvars" || name == "terraform.tfvars.json" {
            remove_file(&entry.path())?;
        } else if name.as_encoded_bytes().starts_with(b"terraform.tfstate") {
            if entry.file_type()?.is_dir() { remove(&entry.path())? } else { remove_file(&entry.path())? }
        }
    }
    for name in ["terraform.tfstate", "environment"] {
        remove_file(&cwd.join(".terraform").join(name))?;
    }
    Ok(())
}

/// The folder in which the engine is started, relative to `config` and free of links.
fn working_folder(config: &Path, wanted: &str, found: &slug::Summary) -> Result<PathBuf, Setup> {
    let wanted = wanted.trim().trim_matches('/');
    let relative: PathBuf =
        Path::new(wanted).components().filter(|part| !matches!(part, Component::CurDir)).collect();
    if relative.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(Setup::Layout(format!(
            "the workspace's working-directory {wanted:?} leaves the archive: give a path inside of it"
        )));
    }
    if relative.as_os_str().is_empty() {
        // An archive without any configuration is legal: the engine says so, or destroys what there is.
        return match wrapped_in(found) {
            Some(folder) if !has_configuration(config)? => Err(Setup::Layout(wrapped(folder))),
            _ => Ok(relative),
        };
    }
    let config = fs::canonicalize(config)?;
    let cwd = fs::canonicalize(config.join(&relative)).ok().filter(|cwd| cwd.is_dir());
    let cwd = cwd.ok_or_else(|| Setup::Layout(absent(found, &relative)))?;
    let inside = cwd.strip_prefix(&config).map_err(|_| {
        Setup::Layout(format!("the workspace's working-directory {wanted:?} leads out of the archive by a link"))
    })?;
    Ok(inside.to_owned())
}

fn wrapped(folder: &str) -> String {
    format!(
        "there is no Terraform configuration at the root of the archive; it is in the folder \"{folder}\". Either pack \
         from inside the folder (tar -C {folder} -zcf content.tar.gz .), or set the workspace's working-directory to \
         \"{folder}\""
    )
}

fn absent(found: &slug::Summary, wanted: &Path) -> String {
    let wanted = wanted.display().to_string();
    let missing = format!("the workspace's working-directory \"{wanted}\" is not in the archive");
    let ending = format!("/{wanted}");
    let mut wrappers = found.tf_dirs.iter().filter_map(|folder| folder.strip_suffix(&ending));
    if let (Some(wrapper), None) = (wrappers.next(), wrappers.next()) {
        return format!(
            "{missing}, but the folder \"{wrapper}\" holds it. Either pack from inside that folder (tar -C {wrapper} -zcf \
             content.tar.gz .), or set the working-directory to \"{wrapper}/{wanted}\""
        );
    }
    match wrapped_in(found) {
        _ if found.has_root_tf => format!(
            "{missing}; the configuration is at the archive's root. Either clear the working-directory, or pack so \
             that the folder is part of the archive"
        ),
        Some(folder) => format!(
            "{missing}; the configuration is in the folder \"{folder}\". Either set the working-directory to \
             \"{folder}\", or pack from inside the folder (tar -C {folder} -zcf content.tar.gz .) and clear it"
        ),
        None => format!("{missing}. Set it to a folder that holds *.tf files, or pack that folder too"),
    }
}

/// The folder below the root that holds the configuration, when there is one that lies higher than all others.
fn wrapped_in(found: &slug::Summary) -> Option<&str> {
    let depth = |folder: &&String| folder.matches('/').count();
    let own = || found.tf_dirs.iter().filter(|folder| !folder.is_empty() && !folder.starts_with(".terraform"));
    let highest = own().map(|folder| depth(&folder)).min()?;
    let mut candidates = own().filter(|folder| depth(folder) == highest);
    candidates.next().filter(|_| candidates.next().is_none()).map(String::as_str)
}

/// Whether the engine would find configuration in the folder itself.
fn has_configuration(folder: &Path) -> io::Result<bool> {
    const ENDINGS: [&[u8]; 4] = [b".tf", b".tf.json", b".tofu", b".tofu.json"];
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if ENDINGS.iter().any(|ending| name.as_encoded_bytes().ends_with(ending)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn private_folder(path: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        result => result,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => remove_file(path),
        result => result,
    }
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(()),
        result => result,
    }
}

/// Whether a step wrote down that it ended, and how. A file that is empty yet is one that was not written.
pub(crate) fn exit_code(phase: &Folder, step: &str) -> Option<i32> {
    let text = phase.read(&["out", &format!("{step}.exit")], 16).ok()??;
    str::from_utf8(&text).ok()?.trim().parse().ok()
}

/// Whether the file is there, as a regular file.
pub(crate) fn exists(phase: &Folder, path: &[&str]) -> bool {
    let Some((last, folders)) = path.split_last() else { return false };
    let mut at = None;
    for name in folders {
        let Ok(next) = at.as_ref().unwrap_or(phase).sub(name.as_bytes()) else { return false };
        at = Some(next);
    }
    at.as_ref().unwrap_or(phase).kind(last.as_bytes()) == Some(FileType::RegularFile)
}
