//! Which server is meant and whose token is used.
//!
//! A token is never an option's value, since every process of a machine can read every other's command line.

use crate::{args::PushArgs, world::World};
use client::Endpoint;
use kernel::Secret;
use std::path::{Path, PathBuf};

/// A server, and where its token was found, to be named when it is refused.
#[derive(Debug)]
pub struct Connection {
    /// For the client.
    pub endpoint: Endpoint,
    /// As `the environment variable TFE_TOKEN`.
    pub token_source: String,
}

/// Why there is no connection to try.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address anywhere.
    #[error("no server is named; use --address or set FERROFORM_ADDRESS (or TFE_ADDRESS, TFE_HOSTNAME)")]
    NoAddress,
    /// No token anywhere.
    #[error(
        "no token for {host}; set FERROFORM_TOKEN (or TFE_TOKEN, {variable}), use --token-file, or run \
         `terraform login {host}`"
    )]
    NoToken {
        /// The server.
        host: String,
        /// The variable that Terraform would read.
        variable: String,
    },
    /// A file that was named, or is the last resort, does not serve.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
}

/// Finds server and token.
///
/// The address: `--address`, `FERROFORM_ADDRESS`, `TFE_ADDRESS`, `TFE_HOSTNAME`. The token: `--token-file`,
/// `FERROFORM_TOKEN`, `TFE_TOKEN`, `TF_TOKEN_<host>`, `~/.terraform.d/credentials.tfrc.json`.
///
/// # Errors
/// When there is no address or no token, or a file cannot be used.
pub fn find(args: &PushArgs, world: &World) -> Result<Connection, Error> {
    let named =
        || ["FERROFORM_ADDRESS", "TFE_ADDRESS", "TFE_HOSTNAME"].iter().find_map(|name| world.variable(name));
    let address = args.address.as_deref().filter(|address| !address.is_empty()).or_else(named);
    let address = address.ok_or(Error::NoAddress)?.to_owned();
    let host = host_of(&address);
    let (token, token_source) = token(args, world, &host)?;
    let mut endpoint = Endpoint::new(address, token);
    endpoint.ca_file = args.ca_file.clone();
    Ok(Connection { endpoint, token_source })
}

fn token(args: &PushArgs, world: &World, host: &str) -> Result<(Secret, String), Error> {
    if let Some(path) = &args.token_file {
        let failed = |reason: String| Error::File { path: path.clone(), reason };
        let text = Secret::new(std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?);
        let token = text.expose().trim();
        if token.is_empty() {
            return Err(failed("the file holds no token".to_owned()));
        }
        return Ok((Secret::from(token), format!("the file {}", path.display())));
    }
    for name in ["FERROFORM_TOKEN", "TFE_TOKEN"] {
        if let Some(token) = world.variable(name) {
            return Ok((Secret::from(token.trim()), format!("the environment variable {name}")));
        }
    }
    let names_host =
        |name: &&String| name.strip_prefix("TF_TOKEN_").is_some_and(|rest| is_name_of(rest, host));
    if let Some(name) = world.environment.keys().find(names_host)
        && let Some(token) = world.variable(name)
    {
        return Ok((Secret::from(token.trim()), format!("the environment variable {name}")));
    }
    if let Some(path) = world.home().map(|home| home.join(".terraform.d/credentials.tfrc.json"))
        && let Some(token) = from_credentials(&path, host)?
    {
        return Ok((token, format!("the file {}", path.display())));
    }
    Err(Error::NoToken { host: host.to_owned(), variable: variable_of(host) })
}

/// What `terraform login` has stored. A missing file is no error, one that cannot be read is.
fn from_credentials(path: &Path, host: &str) -> Result<Option<Secret>, Error> {
    let failed = |reason: String| Error::File { path: path.to_owned(), reason };
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Secret::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    // The parser's message may quote what it could not read; only the place is told.
    let document: serde_json::Value = serde_json::from_str(text.expose())
        .map_err(|e| failed(format!("it is not JSON (line {}, column {})", e.line(), e.column())))?;
    Ok(document["credentials"][host]["token"].as_str().filter(|token| !token.is_empty()).map(Secret::from))
}

/// Host and port as Terraform names a server: no scheme, no path, the port of https left out.
fn host_of(address: &str) -> String {
    let (scheme, rest) = address.trim().split_once("://").unwrap_or(("https", address.trim()));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default().to_lowercase();
    let default_port = if scheme == "http" { ":80" } else { ":443" };
    host.strip_suffix(default_port).unwrap_or(&host).to_owned()
}

/// Whether the rest of `TF_TOKEN_…` means the host: literally, or with `__` for a hyphen and `_` for a dot.
fn is_name_of(rest: &str, host: &str) -> bool {
    rest == host || rest.replace("__", "-").replace('_', ".").eq_ignore_ascii_case(host)
}

fn variable_of(host: &str) -> String {
    format!("TF_TOKEN_{}", host.replace('-', "__").replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_as_terraform_names_them() {
        for (address, host) in [
            ("https://TFE.example.com/", "tfe.example.com"),
            ("tfe.example.com:443", "tfe.example.com"),
            ("http://localhost:8080/app", "localhost:8080"),
            ("https://127.0.0.1:8443", "127.0.0.1:8443"),
        ] {
            assert_eq!(host_of(address), host);
        }
        assert!(is_name_of("my__tfe_example_com", "my-tfe.example.com"));
        assert!(is_name_of("localhost:8443", "localhost:8443"));
        assert!(!is_name_of("localhost", "localhost:8443"));
        assert_eq!(variable_of("my-tfe.example.com"), "TF_TOKEN_my__tfe_example_com");
    }
}
