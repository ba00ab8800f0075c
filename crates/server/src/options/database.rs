//! Which database: two options that say the same thing in two ways.

use clap::{ArgMatches, FromArgMatches, error::ErrorKind, parser::ValueSource};
use kernel::Secret;
use std::path::PathBuf;

/// Where the database is. Its URL may hold a password, and is never printed.
#[derive(Clone, Debug)]
pub enum DatabaseSource {
    /// As given: `sqlite` or a URL.
    Given(Secret),
    /// In this file.
    File(PathBuf),
}

/// As declared; of the two the one from the stronger source counts.
#[derive(clap::Args)]
struct Declared {
    /// sqlite, or a postgres:// URL (which may hold a password: then prefer the environment or --database-file)
    #[arg(
        long,
        value_name = "DATABASE",
        env = "FERROFORM_DATABASE",
        default_value = "sqlite",
        hide_env_values = true,
        help_heading = "Where"
    )]
    database: String,
    /// File that holds the value of --database
    #[arg(long, value_name = "FILE", env = "FERROFORM_DATABASE_FILE", help_heading = "Where")]
    database_file: Option<PathBuf>,
}

impl DatabaseSource {
    /// The PostgreSQL URL, or nothing for the embedded SQLite.
    ///
    /// # Errors
    /// A sentence, when the file cannot be read or the value is neither. It does not hold the value.
    pub fn postgres(&self) -> Result<Option<Secret>, String> {
        let (text, from) = match self {
            Self::Given(text) => (text.expose().trim().to_owned(), "--database".to_owned()),
            Self::File(file) => {
                let text = std::fs::read_to_string(file)
                    .map_err(|e| format!("the database file {}: {e}", file.display()))?;
                (text.trim().to_owned(), file.display().to_string())
            }
        };
        if text == "sqlite" {
            return Ok(None);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Some(Secret::new(text)));
        }
        Err(format!("{from} must say `sqlite` or a URL that begins with postgres://"))
    }
}

impl clap::Args for DatabaseSource {
    fn augment_args(command: clap::Command) -> clap::Command {
        Declared::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Declared::augment_args_for_update(command)
    }
}

impl FromArgMatches for DatabaseSource {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let strength = |id| match matches.value_source(id) {
            Some(ValueSource::CommandLine) => 2,
            Some(ValueSource::EnvVariable) => 1,
            _ => 0,
        };
        let (text, file) = (strength("database"), strength("database_file"));
        if text > 0 && text == file {
            let message = "--database and --database-file are both set, and say the same thing: keep one\n";
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
        }
        let declared = Declared::from_arg_matches(matches)?;
        Ok(match declared.database_file {
            Some(path) if file > text => Self::File(path),
            _ => Self::Given(Secret::new(declared.database)),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_database_is_refused_without_repeating_it() {
        let given = DatabaseSource::Given(Secret::from("mysql://u:planted@h/d"));
        let error = given.postgres().unwrap_err();
        assert!(error.contains("postgres://") && !error.contains("planted"), "{error}");
        assert!(!format!("{given:?}").contains("planted"));
    }

    #[test]
    fn the_file_may_end_with_a_line_break() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("url");
        std::fs::write(&file, "postgres://u:p@h/d\n").unwrap();
        let url = DatabaseSource::File(file).postgres().unwrap().unwrap();
        assert_eq!(url.expose(), "postgres://u:p@h/d");
    }
}
