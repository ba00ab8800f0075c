//! Which source of an option wins, decided once for all options.
//!
//! An option that neither a flag nor the environment sets is taken from the file as if it had been given as a flag, so
//! its value is read and refused in the same way. A refusal names the source: the flag, the variable, or the file and key.

use super::ServeOptions;
use clap::{
    ArgMatches, Command, CommandFactory, Error, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

/// Options that say the same thing: a stronger source of one silences a weaker source of the other.
const SAME: [&str; 2] = ["database", "database-file"];

/// Reads a command line (program name first), the environment, and the file that these name. `T` is a command that has
/// all of [`ServeOptions`], or one with such commands below it; other commands are read without a file.
///
/// # Errors
/// clap's own, which also carries `--help`.
pub fn parse<T: CommandFactory + FromArgMatches>(arguments: Vec<OsString>) -> Result<T, Error> {
    let mut command = T::command();
    command.build();
    let matches = command
        .clone()
        .try_get_matches_from(&arguments)
        .map_err(|error| name_variable(&command, &arguments, error))?;
    let (target, given, begin) = match matches.subcommand() {
        Some((name, given)) => (command.find_subcommand(name), given, 2),
        None => (Some(&command), &matches, 1),
    };
    let Some(target) = target.filter(|target| takes_file(target)) else {
        return T::from_arg_matches(&matches);
    };
    let Some((file, table)) = read_file(target, given)? else { return T::from_arg_matches(&matches) };
    let (start, rest) = arguments.split_at(begin.min(arguments.len()));
    let layer = Layer { command: &command, target, given, start, file: &file };
    let mut all = start.to_vec();
    for (key, value) in &table {
        all.extend(layer.flags_of(key, value)?);
    }
    all.extend_from_slice(rest);
    T::from_arg_matches(&command.clone().try_get_matches_from(all)?)
}

fn takes_file(command: &Command) -> bool {
    let has = |id| command.get_arguments().any(|argument| argument.get_id() == id);
    ServeOptions::command().get_arguments().all(|argument| has(argument.get_id()))
}

/// The file's path and content; `None` when none was named and the usual one is not there.
fn read_file(command: &Command, given: &ArgMatches) -> Result<Option<(PathBuf, toml::Table)>, Error> {
    let named = given.get_one::<PathBuf>("config");
    let usual = || given.get_one::<PathBuf>("data_dir").map(|dir| dir.join("ferroform.toml"));
    let Some(file) = named.cloned().or_else(usual) else { return Ok(None) };
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // The data directory is no folder: whoever uses it says so.
        Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotADirectory => return Ok(None),
        Err(error) => {
            let option = if named.is_some() { "--config" } else { "--data-dir" };
            let why = format!("{} cannot be read: {error}; is {option} right?", file.display());
            return Err(fault(command, &why));
        }
    };
    match text.parse() {
        Ok(table) => Ok(Some((file, table))),
        // Without the line itself, which may hold a password.
        Err(error) => {
            let line = 1 + text[..error.span().map_or(0, |span| span.start)].matches('\n').count();
            let why = format!("{}, line {line}: {}", file.display(), error.message());
            Err(fault(command, &why))
        }
    }
}

/// The file, between what was given and what is left open.
struct Layer<'a> {
    command: &'a Command,
    /// The command that takes the options: `command`, or one below it.
    target: &'a Command,
    given: &'a ArgMatches,
    /// The arguments up to the name of `target`.
    start: &'a [OsString],
    file: &'a Path,
}

impl Layer<'_> {
    /// A key as the flags that say the same; none when a stronger source has spoken.
    fn flags_of(&self, key: &str, value: &toml::Value) -> Result<Vec<OsString>, Error> {
        let file = self.file.display();
        if !is_option(key) {
            return Err(fault(
                self.target,
                &format!("{file}: there is no option `{key}`{}", self.similar(key)),
            ));
        }
        let silenced = if SAME.contains(&key) { &SAME[..] } else { &[key][..] };
        if silenced.iter().any(|key| self.is_given(key)) {
            return Ok(Vec::new());
        }
        let mut flags = Vec::new();
        append_flags(key, value, &mut flags)
            .map_err(|why| fault(self.target, &format!("{file}: the value of `{key}` {why}")))?;
        // Alone, so that a refusal is known to be this key's.
        let alone: Vec<_> = self.start.iter().chain(&flags).cloned().collect();
        match self.command.clone().try_get_matches_from(alone) {
            Ok(_) => Ok(flags),
            Err(error) => Err(fault(self.target, &format!("{file}: {}", reason(&error)))),
        }
    }

    fn is_given(&self, key: &str) -> bool {
        let source = self.given.value_source(&key.replace('-', "_"));
        matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
    }

    /// `; did you mean …?`
    fn similar(&self, key: &str) -> String {
        let alone = self.start.iter().cloned().chain([format!("--{key}").into()]);
        let error = self.command.clone().try_get_matches_from(alone).err();
        match error.as_ref().and_then(|error| error.get(ContextKind::SuggestedArg)) {
            Some(ContextValue::String(flag)) => {
                format!("; did you mean `{}`?", flag.trim_start_matches('-'))
            }
            _ => "; `ferroform serve --help` lists them".to_owned(),
        }
    }
}

/// Whether the file may have this key: every option of `serve` but the one that names the file.
fn is_option(key: &str) -> bool {
    key != "config" && ServeOptions::command().get_arguments().any(|a| a.get_long() == Some(key))
}

fn append_flags(key: &str, value: &toml::Value, flags: &mut Vec<OsString>) -> Result<(), &'static str> {
    let is_switch = ServeOptions::command()
        .get_arguments()
        .any(|argument| argument.get_long() == Some(key) && !argument.get_action().takes_values());
    if is_switch && !value.is_bool() {
        return Err("must be true or false");
    }
    let text = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Integer(number) => number.to_string(),
        toml::Value::Boolean(true) => {
            flags.push(format!("--{key}").into());
            return Ok(());
        }
        toml::Value::Boolean(false) => return Ok(()),
        toml::Value::Array(items) => {
            return items.iter().try_for_each(|item| append_flags(key, item, flags));
        }
        _ => return Err("must be text, a whole number, true or false, or a list of these"),
    };
    flags.push(format!("--{key}={text}").into());
    Ok(())
}

/// clap speaks of flags also where the value is a variable's: then the variable is named.
fn name_variable(command: &Command, arguments: &[OsString], error: Error) -> Error {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return error;
    }
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = shown.split([' ', '=']).next().unwrap_or(shown).trim_start_matches('-');
    let is_flag = |argument: &OsString| {
        argument.to_string_lossy().strip_prefix("--").and_then(|a| a.split('=').next()) == Some(flag)
    };
    if arguments.iter().any(is_flag) {
        return error;
    }
    let variable = ServeOptions::command()
        .get_arguments()
        .find(|argument| argument.get_long() == Some(flag))
        .and_then(|argument| argument.get_env().map(|name| name.to_string_lossy().into_owned()));
    match variable {
        Some(variable) => fault(command, &format!("{variable}: {}", reason(&error))),
        None => error,
    }
}

/// What clap says is wrong, without its word `error` and its advice.
fn reason(error: &Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let advice = ["\n\nUsage", "\n\nFor more information"].iter().filter_map(|mark| text.find(mark)).min();
    text[..advice.unwrap_or(text.len())].trim_end().to_owned()
}

fn fault(command: &Command, message: &str) -> Error {
    command.clone().error(ErrorKind::ValueValidation, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::DatabaseSource;
    use std::time::Duration;

    fn options(arguments: &[&str]) -> Result<ServeOptions, Error> {
        parse(std::iter::once("serve").chain(arguments.iter().copied()).map(OsString::from).collect())
    }

    fn with_file(text: &str, arguments: &[&str]) -> Result<ServeOptions, Error> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("ferroform.toml"), text).unwrap();
        let dir = dir.path().to_str().unwrap();
        options(&[&["--data-dir", dir], arguments].concat())
    }

    fn refusal(text: &str) -> String {
        with_file(text, &[]).unwrap_err().to_string()
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        assert_eq!(with_file("", &[]).unwrap().plan_timeout, Duration::from_secs(7200));
        assert_eq!(with_file("plan-timeout = \"5m\"", &[]).unwrap().plan_timeout, Duration::from_secs(300));
        let both = with_file("plan-timeout = \"5m\"", &["--plan-timeout", "9s"]).unwrap();
        assert_eq!(both.plan_timeout, Duration::from_secs(9));
    }

    #[test]
    fn every_option_can_come_from_the_environment() {
        for argument in ServeOptions::command().get_arguments() {
            let flag = argument.get_long().unwrap();
            let variable = argument.get_env().unwrap_or_else(|| panic!("--{flag}")).to_str().unwrap();
            assert_eq!(variable, format!("FERROFORM_{}", flag.replace('-', "_").to_uppercase()));
            assert!(argument.get_help_heading().is_some() && argument.get_help().is_some(), "--{flag}");
        }
    }

    #[test]
    fn an_unknown_key_of_the_file_is_named_with_the_one_that_was_meant() {
        let error = refusal("plan-timeuot = \"5m\"");
        assert!(error.contains("there is no option `plan-timeuot`; did you mean `plan-timeout`?"), "{error}");
        assert!(refusal("config = \"x\"").contains("no option `config`"));
    }

    #[test]
    fn a_wrong_value_of_the_file_names_the_file_and_the_key() {
        let error = refusal("plan-timeout = \"2 hours\"");
        assert!(error.contains("ferroform.toml: ") && error.contains("--plan-timeout"), "{error}");
        assert!(error.contains("s, m, h or d"), "{error}");
        assert!(refusal("listen = 1.5").contains("the value of `listen` must be"));
    }

    #[test]
    fn a_broken_file_is_refused_without_repeating_its_lines() {
        let error = refusal("runners = 1\ndatabase = \"postgres://u:planted@h/d");
        assert!(error.contains("line 2") && !error.contains("planted"), "{error}");
    }

    #[test]
    fn lists_and_switches_come_from_the_file_too() {
        let o = with_file("run-env = [\"A\", \"B\"]\nrequire-sandbox = true\nentry-limit = 7", &[]).unwrap();
        assert_eq!(o.run_env, ["A", "B"]);
        assert!(o.require_sandbox);
        assert_eq!(o.entry_limit, 7);
        assert!(!with_file("require-sandbox = false", &[]).unwrap().require_sandbox);
    }

    #[test]
    fn of_the_two_options_for_the_database_the_stronger_source_counts() {
        let file = "database-file = \"/no/such\"";
        assert!(matches!(with_file(file, &[]).unwrap().database, DatabaseSource::File(_)));
        let given = with_file(file, &["--database", "sqlite"]).unwrap().database;
        assert!(given.postgres().unwrap().is_none());
        let error = options(&["--database", "sqlite", "--database-file", "x"]).unwrap_err().to_string();
        assert!(error.contains("keep one"), "{error}");
    }

    #[test]
    fn a_named_file_must_be_there() {
        assert!(options(&["--config", "/no/such.toml"]).unwrap_err().to_string().contains("/no/such.toml"));
    }
}
