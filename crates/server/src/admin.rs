//! The first site admin's token.

use crate::{boot::Failure, data_dir::write_private};
use accounts::{bootstrap, tokens};
use http_api::App;
use kernel::Secret;
use std::path::Path;

/// The file of the data directory that holds the token.
pub const FILE: &str = "admin-token";

/// A preset token that is easier to guess than this is said to be.
const SHORT: usize = 20;

/// The first site admin's token on a first start.
#[derive(Debug)]
pub struct FirstAdmin {
    /// Its text.
    pub token: Secret,
    /// Whether the operator chose it.
    pub preset: bool,
}

/// Preset by `FERROFORM_ADMIN_TOKEN` or the file that `FERROFORM_ADMIN_TOKEN_FILE` names, or made now; kept in [`FILE`].
/// Nothing on later starts. The database gets it afterwards, so that a start that is cut short in between repeats all.
///
/// # Errors
/// With what could not be read or written.
pub async fn first_admin(app: &App, dir: &Path) -> Result<Option<FirstAdmin>, Failure> {
    if bootstrap::is_initialized(app).await? {
        return Ok(None);
    }
    let file = std::env::var_os("FERROFORM_ADMIN_TOKEN_FILE");
    let preset = preset(std::env::var("FERROFORM_ADMIN_TOKEN").ok(), file.as_deref().map(Path::new))?;
    let admin = match preset {
        Some(token) => FirstAdmin { token, preset: true },
        None => FirstAdmin { token: tokens::generate(app), preset: false },
    };
    write_private(&dir.join(FILE), format!("{}\n", admin.token.expose()).as_bytes())?;
    Ok(Some(admin))
}

/// What the environment presets. Empty is unset, as container platforms like to set what they have no value for.
fn preset(text: Option<String>, file: Option<&Path>) -> Result<Option<Secret>, Failure> {
    let text = text.filter(|text| !text.trim().is_empty());
    let (text, from) = match (text, file.filter(|file| !file.as_os_str().is_empty())) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err("FERROFORM_ADMIN_TOKEN and FERROFORM_ADMIN_TOKEN_FILE are both set: keep one".into());
        }
        (Some(text), None) => (text, "FERROFORM_ADMIN_TOKEN".to_owned()),
        (None, Some(file)) => {
            let from = format!("FERROFORM_ADMIN_TOKEN_FILE, {}", file.display());
            (std::fs::read_to_string(file).map_err(|e| format!("{from}: {e}"))?, from)
        }
    };
    let token = text.trim();
    if token.is_empty() || !token.chars().all(|c| c.is_ascii_graphic()) {
        return Err(
            format!("{from}: a token is one line of letters, digits and signs, without spaces").into()
        );
    }
    if token.len() < SHORT {
        tracing::warn!(
            "{from}: the preset token is short enough to be guessed; 32 random characters are not"
        );
    }
    Ok(Some(Secret::from(token)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: Option<&str>, file: Option<&Path>) -> String {
        preset(text.map(str::to_owned), file).unwrap_err().to_string()
    }

    #[test]
    fn a_token_is_preset_by_a_variable_or_a_file_but_not_by_both() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        std::fs::write(&file, "from-a-file-0123456789\n").unwrap();
        let read = preset(None, Some(&file)).unwrap().unwrap();
        assert_eq!(read.expose(), "from-a-file-0123456789");
        let given = preset(Some(" from-a-variable-0123 ".to_owned()), Some(Path::new(""))).unwrap().unwrap();
        assert_eq!(given.expose(), "from-a-variable-0123");
        assert!(preset(Some(String::new()), None).unwrap().is_none());
        assert!(refusal(Some("from-a-variable-0123"), Some(&file)).contains("keep one"));
    }

    #[test]
    fn a_token_that_cannot_be_sent_is_refused_without_repeating_it() {
        let error = refusal(Some("two words"), None);
        assert!(error.contains("FERROFORM_ADMIN_TOKEN") && !error.contains("two words"), "{error}");
        assert!(refusal(None, Some(Path::new("/no/such"))).contains("/no/such"));
    }
}
