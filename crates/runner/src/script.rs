//! The engine's command lines of a phase, and the shell that carries them out one after another.
//!
//! The shell, not the server, starts each step and writes down how it ended, so that a phase goes on when the server
//! dies. Its text is fixed: paths and options reach it as arguments and are never read as shell code. It catches the
//! interrupt that a cancel sends to the whole group, so that the engine's answer to it is still recorded, and
//! starts no further step.

use crate::{
    job::{Job, Operation, Phase},
    variables::Files,
};

/// Comes before [`PLAN`], [`APPLY`] and [`OPERATION`]: how the engine is initialised. Where the workspace has an SSH key, git
/// gets it for as long as that takes, and for nothing else: no configuration, no provider runs then. Hosts are trusted when
/// they are first seen, for the same while, besides those that the machine knows. The names in the command are git's shell's
/// to read, so that no path is taken apart.
pub(crate) const INIT: &str = r#"
_ff_init() {
  if [ -e "$_ff_phase/ssh-key" ]; then
    FF_SSH_KEY="$_ff_phase/ssh-key" GIT_SSH_COMMAND='ssh -i "$FF_SSH_KEY" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o "UserKnownHostsFile=\"$FF_SSH_KEY.hosts\""' \
      "$_ff_engine" init -input=false -no-color >"$_ff_phase/hidden" 2>&1
    _ff_code=$?
    rm -f "$_ff_phase/ssh-key" "$_ff_phase/ssh-key.hosts"
  else
    "$_ff_engine" init -input=false -no-color >"$_ff_phase/hidden" 2>&1
    _ff_code=$?
  fi
}
"#;

/// `$1` engine, `$2` phase's folder, then the options of `plan`. The shell's own variables have names that no workspace
/// gives its environment variables, because assigning to one of those would change what the engine gets.
pub(crate) const PLAN: &str = r#"
read -r _ff_go && exec </dev/null || exit
_ff_stop=
trap _ff_stop=1 INT
_ff_engine=$1 _ff_phase=$2
shift 2
_ff_init
echo init $_ff_code >"$_ff_phase/exits"
if [ $_ff_code = 0 ] && [ -z "$_ff_stop" ]; then
  "$_ff_engine" plan "$@"
  echo plan $? >>"$_ff_phase/exits"
  if [ -e "$_ff_phase/plan.tfplan" ] && [ -z "$_ff_stop" ]; then
    "$_ff_engine" show -json "$_ff_phase/plan.tfplan" >"$_ff_phase/show.out" 2>>"$_ff_phase/hidden"
    echo show $? >>"$_ff_phase/exits"
  fi
fi
echo end >>"$_ff_phase/exits"
"#;

/// `$1` engine, `$2` phase's folder, `$3` whether `init` is needed, then the options of `apply`.
pub(crate) const APPLY: &str = r#"
read -r _ff_go && exec </dev/null || exit
_ff_stop= _ff_code=0
trap _ff_stop=1 INT
_ff_engine=$1 _ff_phase=$2 _ff_warm=$3
shift 3
if [ "$_ff_warm" = init ]; then
  _ff_init
  echo init $_ff_code >"$_ff_phase/exits"
fi
if [ $_ff_code = 0 ] && [ -z "$_ff_stop" ]; then
  echo applying >>"$_ff_phase/exits"
  "$_ff_engine" apply "$@"
  echo apply $? >>"$_ff_phase/exits"
fi
echo end >>"$_ff_phase/exits"
"#;

/// `$1` engine, `$2` phase's folder, `$3` what the operation reads, then the operation and its arguments.
pub(crate) const OPERATION: &str = r#"
read -r _ff_go && exec </dev/null || exit
_ff_stop=
trap _ff_stop=1 INT
_ff_engine=$1 _ff_phase=$2 _ff_input=$3
shift 3
_ff_init
echo init $_ff_code >"$_ff_phase/exits"
if [ $_ff_code = 0 ] && [ -z "$_ff_stop" ]; then
  "$_ff_engine" "$@" <"$_ff_input"
  echo operation $? >>"$_ff_phase/exits"
fi
echo end >>"$_ff_phase/exits"
"#;

/// Prints the schemas of the providers in use. `$1` engine, `$2` phase's folder.
pub(crate) const SCHEMAS: &str = r#"
read -r _ff_go && exec </dev/null || exit
"$1" providers schema -json >"$2/schemas.out" 2>"$2/schemas.err"
"#;

/// The options of the phase's command. `up` leads from the engine's folder to the phase's; paths in messages are
/// shorter and say nothing about this machine when they are relative.
pub(crate) fn options(
    job: &Job,
    up: &str,
    files: &Files,
    json_lines: bool,
    parallelism: Option<u16>,
) -> Vec<String> {
    let mut options = vec!["-input=false".to_owned(), "-lock=false".to_owned()];
    options.push(if json_lines { "-json" } else { "-no-color" }.to_owned());
    options.extend(parallelism.map(|n| format!("-parallelism={n}")));
    options.extend(files.iter().map(|(name, _)| format!("-var-file={up}{name}")));
    match job.phase {
        Phase::Plan => {
            options.push("-detailed-exitcode".to_owned());
            options.push(format!("-out={up}plan.tfplan"));
            let flags = [
                (job.destroy, "-destroy"),
                (job.refresh_only, "-refresh-only"),
                (!job.refresh, "-refresh=false"),
            ];
            options.extend(flags.into_iter().filter(|(set, _)| *set).map(|(_, flag)| flag.to_owned()));
            options.extend(job.targets.iter().map(|address| format!("-target={address}")));
            options.extend(job.replace.iter().map(|address| format!("-replace={address}")));
            if job.allow_config_generation {
                options.push(format!("-generate-config-out={up}generated.tf"));
            }
        }
        Phase::Apply => {
            options.push("-auto-approve".to_owned());
            options.push(format!("{up}plan.tfplan"));
        }
    }
    options
}

/// An operation's command line: the command, the options that are ours, the rest.
pub(crate) fn operation(job: &Job, operation: &Operation, up: &str, files: &Files) -> Vec<String> {
    let mut words = operation.command.clone();
    words.push("-no-color".to_owned());
    if operation.command == ["console"] {
        // It alone does not ask its backend where the state is, but takes a `terraform.tfstate` where it is started.
        words.push(format!("-state={up}state/{}/terraform.tfstate", job.workspace));
    }
    if operation.takes_variables {
        words.extend(files.iter().map(|(name, _)| format!("-var-file={up}{name}")));
    }
    words.extend(operation.arguments.iter().cloned());
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::tests::job;

    #[test]
    fn variables_go_only_to_operations_that_take_them() {
        let mut import = Operation {
            command: vec!["import".into()],
            arguments: vec!["a.b".into(), "-id".into()],
            takes_variables: true,
            ..Operation::default()
        };
        let files: Files = vec![("ws.tfvars.json", Vec::new())];
        assert_eq!(
            operation(&job(), &import, "../", &files),
            ["import", "-no-color", "-var-file=../ws.tfvars.json", "a.b", "-id"]
        );
        import.takes_variables = false;
        assert_eq!(operation(&job(), &import, "../", &files), ["import", "-no-color", "a.b", "-id"]);
    }

    #[test]
    fn every_option_of_a_run_becomes_one_argument() {
        let mut job = job();
        job.destroy = true;
        job.refresh = false;
        job.targets = vec!["a.b[\"; rm -rf /\"]".into()];
        job.replace = vec!["a.c".into()];
        job.allow_config_generation = true;
        let files: Files = vec![("ws.tfvars.json", Vec::new())];
        assert_eq!(
            options(&job, "../../", &files, true, Some(3)),
            [
                "-input=false",
                "-lock=false",
                "-json",
                "-parallelism=3",
                "-var-file=../../ws.tfvars.json",
                "-detailed-exitcode",
                "-out=../../plan.tfplan",
                "-destroy",
                "-refresh=false",
                "-target=a.b[\"; rm -rf /\"]",
                "-replace=a.c",
                "-generate-config-out=../../generated.tf",
            ]
        );
        job.phase = Phase::Apply;
        assert_eq!(options(&job, "../", &Vec::new(), false, None).last().unwrap(), "../plan.tfplan");
    }
}
