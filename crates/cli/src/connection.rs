//! Which server is meant and whose token is used.
//!
//! A token is never an option's value, since every process of a machine can read every other's command line.

use crate::{
    credentials,
    failure::Failure,
    place::{Address, ServerArgs},
    world::World,
};
use client::Endpoint;
use kernel::Secret;
use std::path::{Path, PathBuf};

/// Variables with a token for whatever server is named.
const HOSTLESS: [&str; 2] = ["FERROFORM_TOKEN", "TFE_TOKEN"];

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
    #[error(
        "no server is named; use --address or set FERROFORM_ADDRESS (or TFE_ADDRESS, TFE_HOSTNAME, TF_CLOUD_HOSTNAME)"
    )]
    NoAddress,
    /// No token anywhere.
    #[error(
        "no token for {host}; set FERROFORM_TOKEN (or TFE_TOKEN, {variable}), use --token-file, or run \
         `ferroform login {host}` (or `terraform login {host}`)"
    )]
    NoToken {
        /// The server.
        host: String,
        /// The variable that Terraform would read.
        variable: String,
    },
    /// There is one that names no server, and nobody has named the server either.
    #[error(
        "no token for {host}, which only a file names; {variable} is not sent there unless you name the server yourself, with \
         --address {host} or FERROFORM_ADDRESS"
    )]
    HostlessToken {
        /// The server.
        host: String,
        /// The variable that holds a token.
        variable: &'static str,
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
/// The address: [`ServerArgs::address`]. The token: `--token-file`, `FERROFORM_TOKEN`, `TFE_TOKEN`, `TF_TOKEN_<host>`, the
/// `credentials` blocks of the CLI configuration, `~/.terraform.d/credentials.tfrc.json`.
///
/// # Errors
/// When there is no address or no token, or a file cannot be used.
pub(crate) fn find(args: &ServerArgs, world: &World, folder: &Path) -> Result<Connection, Failure> {
    let address = args.address(world, folder)?.ok_or(Error::NoAddress)?;
    let (token, token_source) = token(args, world, &address)?;
    let mut endpoint = Endpoint::new(address.text, token);
    endpoint.ca_file = args.ca_file.clone();
    Ok(Connection { endpoint, token_source })
}

/// The token for a server, and where it was found.
fn token(args: &ServerArgs, world: &World, address: &Address) -> Result<(Secret, String), Error> {
    let host = &*host_of(&address.text);
    if let Some(path) = &args.token_file {
        let failed = |reason: String| Error::File { path: path.clone(), reason };
        let text = Secret::new(std::fs::read_to_string(path).map_err(|e| failed(e.to_string()))?);
        let token = text.expose().trim();
        if token.is_empty() {
            return Err(failed("the file holds no token".to_owned()));
        }
        return Ok((Secret::from(token), format!("the file {}", path.display())));
    }
    if let Some((token, name)) = of_environment(world, host, address.is_named) {
        return Ok((token, format!("the environment variable {name}")));
    }
    if let Some((token, path)) = credentials::token(world, host)? {
        return Ok((token, format!("the file {}", path.display())));
    }
    let unused = HOSTLESS.into_iter().find(|name| world.variable(name).is_some());
    Err(match unused {
        Some(variable) => Error::HostlessToken { host: host.to_owned(), variable },
        None => Error::NoToken { host: host.to_owned(), variable: variable_of(host) },
    })
}

/// A token of the environment, which wins over all that is stored, and its variable. Whether those that name no host
/// count is `hostless`.
pub(crate) fn of_environment(world: &World, host: &str, hostless: bool) -> Option<(Secret, String)> {
    let names_host = |name: &&str| name.strip_prefix("TF_TOKEN_").is_some_and(|rest| is_name_of(rest, host));
    let of_host = world.environment.keys().map(String::as_str).filter(names_host);
    let mut names = HOSTLESS.into_iter().filter(|_| hostless).chain(of_host);
    let name = names.find(|name| world.variable(name).is_some())?;
    Some((Secret::from(world.variable(name)?.trim()), name.to_owned()))
}

/// Host and port as Terraform names a server: no scheme, no path, the port of https left out.
pub(crate) fn host_of(address: &str) -> String {
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
