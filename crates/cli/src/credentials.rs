//! Terraform's stored tokens: `~/.terraform.d/credentials.tfrc.json`, which `login` writes, and the `credentials` blocks
//! of the CLI configuration, which people write.
//!
//! The file is replaced as a whole and at once, with mode 0600; what else stands in it stays.

use crate::{connection::Error, hcl, world::World};
use kernel::Secret;
use serde_json::{Map, Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

/// Where tokens are stored; `None` for somebody without a home.
pub(crate) fn file(world: &World) -> Option<PathBuf> {
    world.home().map(|home| home.join(".terraform.d/credentials.tfrc.json"))
}

/// The token for a host with the file that it was found in.
///
/// # Errors
/// When a file is there and cannot be read.
pub(crate) fn token(world: &World, host: &str) -> Result<Option<(Secret, PathBuf)>, Error> {
    for path in configurations(world) {
        let Some(text) = read(&path)? else { continue };
        let file = hcl::parse(text.expose());
        let head = ["credentials", host];
        let token = file.blocks(&head).find_map(|block| block.text("token"));
        if let Some(token) = token {
            return Ok(Some((Secret::from(token), path)));
        }
    }
    let Some(path) = file(world) else { return Ok(None) };
    let document = stored(&path)?;
    let token = document["credentials"][host]["token"].as_str().filter(|token| !token.is_empty());
    Ok(token.map(|token| (Secret::from(token), path)))
}

/// The host that tokens are stored for, if it is only one.
pub(crate) fn only_host(world: &World) -> Result<Option<String>, Error> {
    let Some(path) = file(world) else { return Ok(None) };
    let document = stored(&path)?;
    let mut hosts = document["credentials"].as_object().into_iter().flat_map(Map::keys);
    Ok(hosts.next().cloned().filter(|_| hosts.next().is_none()))
}

/// Stores a token for a host.
///
/// # Errors
/// When the file is there and is no JSON, or cannot be written.
pub(crate) fn store(path: &Path, host: &str, token: &Secret) -> Result<(), Error> {
    let mut document = stored(path)?;
    let root = document.as_object_mut().ok_or_else(|| no_object(path))?;
    let hosts = root.entry("credentials").or_insert_with(|| json!({}));
    let hosts = hosts.as_object_mut().ok_or_else(|| no_object(path))?;
    hosts.insert(host.to_owned(), json!({"token": token.expose()}));
    replace(path, &document)
}

/// Forgets the token for a host; `false` when there is none.
///
/// # Errors
/// As [`store`].
pub(crate) fn forget(path: &Path, host: &str) -> Result<bool, Error> {
    let mut document = stored(path)?;
    let hosts = document.get_mut("credentials").and_then(Value::as_object_mut);
    if hosts.is_none_or(|hosts| hosts.remove(host).is_none()) {
        return Ok(false);
    }
    replace(path, &document).map(|()| true)
}

/// The CLI configurations that people write, in Terraform's order.
fn configurations(world: &World) -> Vec<PathBuf> {
    let named = ["TF_CLI_CONFIG_FILE", "TERRAFORM_CONFIG"].iter().find_map(|name| world.variable(name));
    let usual = || world.home().map(|home| home.join(".terraformrc"));
    named.map(PathBuf::from).or_else(usual).into_iter().collect()
}

fn read(path: &Path) -> Result<Option<Secret>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(Secret::new(text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::File { path: path.to_owned(), reason: error.to_string() }),
    }
}

/// What is stored; an empty object when the file is missing.
fn stored(path: &Path) -> Result<Value, Error> {
    let Some(text) = read(path)? else { return Ok(json!({})) };
    // The parser's message may quote what it could not read; only the place is told.
    serde_json::from_str(text.expose()).map_err(|e| Error::File {
        path: path.to_owned(),
        reason: format!("it is not JSON (line {}, column {})", e.line(), e.column()),
    })
}

fn no_object(path: &Path) -> Error {
    Error::File { path: path.to_owned(), reason: "it holds no object of credentials".to_owned() }
}

fn replace(path: &Path, document: &Value) -> Result<(), Error> {
    let failed = |e: std::io::Error| Error::File { path: path.to_owned(), reason: e.to_string() };
    // A link is followed, so that the file stays where its owner has put it.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let directory = target.parent().expect("the file's path has a folder");
    make_private(directory).map_err(failed)?;
    // Made with mode 0600.
    let mut new = tempfile::NamedTempFile::new_in(directory).map_err(failed)?;
    let text = Secret::new(format!("{document:#}\n"));
    new.write_all(text.expose().as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
    new.persist(&target).map_err(|e| failed(e.error)).map(drop)
}

fn make_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn storing_and_forgetting_leave_the_rest_alone_and_the_file_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/credentials.tfrc.json");
        store(&path, "a.example.com", &"one".into()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        store(&path, "b.example.com", &"two".into()).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert!(forget(&path, "a.example.com").unwrap() && !forget(&path, "a.example.com").unwrap());
        assert_eq!(stored(&path).unwrap(), json!({"credentials": {"b.example.com": {"token": "two"}}}));
    }

    #[test]
    fn a_file_that_is_no_json_is_not_overwritten_and_not_quoted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("credentials.tfrc.json");
        for text in ["{\"credentials\": hunter2", "[\"hunter2\"]", "{\"credentials\": \"hunter2\"}"] {
            std::fs::write(&path, text).unwrap();
            let error = store(&path, "h", &"t".into()).unwrap_err().to_string();
            assert!(error.contains("credentials.tfrc.json") && !error.contains("hunter2"), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
