//! Shell completions and man pages, made from the tree of commands itself.

use clap::Command;
use clap_complete::Shell;
use std::{io::Write, path::PathBuf, process::ExitCode};

/// `ferroform completions`
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = "For bash: source <(ferroform completions bash)")]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// `ferroform man`
#[derive(clap::Args, Clone, Debug)]
pub struct ManArgs {
    /// Folder for one page per command; without it, the page of ferroform itself goes to standard output
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Writes the completions of `command` to standard output.
pub fn completions(args: &CompletionsArgs, mut command: Command) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    written(&script)
}

/// Writes the man pages of `command`.
///
/// # Errors
/// With the file's path, when one cannot be written.
pub fn man(args: &ManArgs, command: Command) -> Result<ExitCode, String> {
    let command = timeless(command);
    match &args.directory {
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page).map_err(|e| e.to_string())?;
            Ok(written(&page))
        }
        Some(directory) => {
            let failed = |e: std::io::Error| {
                format!("the man pages cannot be written to {}: {e}", directory.display())
            };
            std::fs::create_dir_all(directory).map_err(failed)?;
            clap_mangen::generate_to(command, directory).map_err(failed)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Without defaults that are of the machine on which the pages are made.
fn timeless(command: Command) -> Command {
    command.mut_subcommands(|command| {
        command.mut_args(|argument| match argument.get_id().as_str() {
            "data_dir" => argument.hide_default_value(true),
            _ => argument,
        })
    })
}

/// A reader that went away is no error.
fn written(bytes: &[u8]) -> ExitCode {
    let _ = std::io::stdout().lock().write_all(bytes);
    ExitCode::SUCCESS
}
