//! The external provider that people may sign in by.

use accounts::external::provider::ProviderSettings;
use kernel::Secret;
use std::path::PathBuf;

/// The variable that may hold the client's secret: not an option, whose value everybody on the machine could see.
const SECRET: &str = "FERROFORM_OIDC_CLIENT_SECRET";
const HEADING: &str = "Signing in by an OpenID provider";

/// What the operator says of the provider.
#[derive(clap::Args, Clone, Debug)]
pub struct ExternalOptions {
    /// Address of the OpenID provider, exactly as it calls itself; without it there is none
    #[arg(long, value_name = "URL", env = "FERROFORM_OIDC_ISSUER", value_parser = parse_issuer, requires = "oidc_client_id", help_heading = HEADING)]
    oidc_issuer: Option<String>,
    /// What this server is called at the provider. There it may send people back to <url>/sign-in/external/callback
    #[arg(long, value_name = "ID", env = "FERROFORM_OIDC_CLIENT_ID", help_heading = HEADING)]
    oidc_client_id: Option<String>,
    /// File with the client's secret, or the variable FERROFORM_OIDC_CLIENT_SECRET; a public client has neither
    #[arg(long, value_name = "FILE", env = "FERROFORM_OIDC_CLIENT_SECRET_FILE", help_heading = HEADING)]
    oidc_client_secret_file: Option<PathBuf>,
    /// What people call the provider, on the page to sign in
    #[arg(
        long,
        value_name = "NAME",
        env = "FERROFORM_OIDC_NAME",
        default_value = "SSO",
        help_heading = HEADING
    )]
    oidc_name: String,
    /// What is asked for besides `openid` (repeatable, or separated by commas)
    #[arg(
        long,
        value_name = "SCOPE",
        env = "FERROFORM_OIDC_SCOPE",
        value_delimiter = ',',
        default_value = "email,profile",
        help_heading = HEADING
    )]
    oidc_scope: Vec<String>,
    /// Claim that is the name of a new user
    #[arg(
        long,
        value_name = "CLAIM",
        env = "FERROFORM_OIDC_USERNAME_CLAIM",
        default_value = "preferred_username",
        help_heading = HEADING
    )]
    oidc_username_claim: String,
    /// Claim that is a person's email address
    #[arg(
        long,
        value_name = "CLAIM",
        env = "FERROFORM_OIDC_EMAIL_CLAIM",
        default_value = "email",
        help_heading = HEADING
    )]
    oidc_email_claim: String,
    /// Believe addresses though the provider does not say that it has verified them
    #[arg(long, env = "FERROFORM_OIDC_TRUST_EMAIL", help_heading = HEADING)]
    oidc_trust_email: bool,
    /// Make a user for who has no account yet; otherwise only invited people and users get in
    #[arg(long, env = "FERROFORM_OIDC_CREATE_USERS", help_heading = HEADING)]
    oidc_create_users: bool,
}

impl ExternalOptions {
    /// The provider, if there is one.
    ///
    /// # Errors
    /// A sentence, when its secret cannot be read.
    pub fn provider(&self) -> Result<Option<ProviderSettings>, String> {
        let (Some(issuer), Some(client_id)) = (&self.oidc_issuer, &self.oidc_client_id) else {
            return Ok(None);
        };
        Ok(Some(ProviderSettings {
            issuer: issuer.clone(),
            client_id: client_id.clone(),
            client_secret: self.secret()?,
            name: self.oidc_name.clone(),
            scopes: self.oidc_scope.clone(),
            username_claim: self.oidc_username_claim.clone(),
            email_claim: self.oidc_email_claim.clone(),
            trust_email: self.oidc_trust_email,
            create_users: self.oidc_create_users,
        }))
    }

    fn secret(&self) -> Result<Option<Secret>, String> {
        let Some(file) = &self.oidc_client_secret_file else {
            return Ok(std::env::var(SECRET).ok().filter(|text| !text.is_empty()).map(Secret::new));
        };
        let text = std::fs::read_to_string(file)
            .map_err(|e| format!("the client's secret of the OpenID provider, {}: {e}", file.display()))?;
        match text.trim() {
            "" => Err(format!("{} holds no client secret", file.display())),
            secret => Ok(Some(Secret::from(secret))),
        }
    }
}

/// `https://host[:port][/path]`. What is said there decides who gets in, so it must not be changed on the way.
fn parse_issuer(text: &str) -> Result<String, String> {
    let url = reqwest::Url::parse(text)
        .map_err(|_| "expected https://HOST, with a path if it has one".to_owned())?;
    let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if url.query().is_some() || url.fragment().is_some() {
        return Err("an issuer has no query and no fragment".to_owned());
    }
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        "http" if loopback => Ok(text.to_owned()),
        _ => Err("expected https://, or http:// for a provider on this machine".to_owned()),
    }
}
