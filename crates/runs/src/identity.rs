//! Workload identity: tokens by which a run proves to a cloud who it is, so that no secret of the cloud need be stored.
//!
//! Environment variables of the workspace ask for them, by the names that TFE documents; what comes of them are the variables
//! and files that each provider reads. A token is a JWT signed by this server ([`http_api::signing`]); the cloud trusts
//! `/.well-known/openid-configuration`, and decides by `sub` and the other claims. Each phase of a run has tokens of its own,
//! which die with its time limit; a server that takes the phase up after a restart makes the same ones, and hides them in
//! the log (but for Vault's, which Vault makes anew). Source: "Dynamic provider credentials" and "Manually generate workload identity tokens"
//! of TFE's documentation.

use http_api::{App, Error, Result, signing};
use kernel::{Secret, Timestamp, ids::RunId};
use runner::{Category, Phase, SecretFile, Variable};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use workspaces::variables::Value;

/// How long Vault may take to answer.
const VAULT_TIME: Duration = Duration::from_secs(10);

/// Who a token speaks for.
pub(crate) struct Bearer<'a> {
    pub(crate) organization: (&'a str, &'a str),
    pub(crate) project: (&'a str, &'a str),
    pub(crate) workspace: (&'a str, &'a str),
    pub(crate) run: &'a RunId,
    pub(crate) phase: Phase,
    /// Names the work on the phase, for tokens' ids.
    pub(crate) lease: &'a str,
    /// When the phase began, and until when it may last: tokens are good for that time.
    pub(crate) since: Timestamp,
    pub(crate) until: Timestamp,
}

/// What a run gets.
#[derive(Default)]
pub(crate) struct Identity {
    pub(crate) variables: Vec<Variable>,
    pub(crate) files: Vec<SecretFile>,
}

/// Begins of names by which a workspace asks for tokens. They are for this module alone: the engine does not get them.
const ASKING: [&str; 6] =
    ["TFC_WORKLOAD_IDENTITY_AUDIENCE", "TFC_AWS_", "TFC_AZURE_", "TFC_GCP_", "TFC_VAULT_", "TFC_KUBERNETES_"];

/// Whether a variable only asks for an identity.
pub(crate) fn is_asking(variable: &Value) -> bool {
    variable.category == "env" && ASKING.iter().any(|begin| variable.key.starts_with(begin))
}

/// Gives a run the tokens that its workspace's variables ask for.
///
/// # Errors
/// The inner one is for the run's log: what is asked for is incomplete, or Vault refused.
pub(crate) async fn provide(
    app: &App,
    bearer: &Bearer<'_>,
    given: &[Value],
) -> Result<std::result::Result<Identity, String>> {
    let asked = Asked {
        values: given
            .iter()
            .filter(|value| is_asking(value))
            .map(|v| (v.key.as_str(), v.value.as_str()))
            .collect(),
        phase: bearer.phase,
    };
    let mut making = Making { app, bearer, identity: Identity::default() };
    if asked.values.is_empty() {
        return Ok(Ok(making.identity));
    }
    for (key, audience) in &asked.values {
        if let Some(tag) = key.strip_prefix("TFC_WORKLOAD_IDENTITY_AUDIENCE") {
            let token = making.token(audience).await?;
            making.variable(&format!("TFC_WORKLOAD_IDENTITY_TOKEN{tag}"), token);
        }
    }
    Ok(match making.clouds(&asked).await {
        Ok(()) => Ok(making.identity),
        Err(Failure::Asked(why)) => Err(why),
        Err(Failure::Ours(error)) => return Err(error),
    })
}

/// The variables that ask.
struct Asked<'a> {
    values: BTreeMap<&'a str, &'a str>,
    phase: Phase,
}

enum Failure {
    /// The workspace's variables, or the other side.
    Asked(String),
    Ours(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Asked<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).copied().map(str::trim).filter(|value| !value.is_empty())
    }

    fn is_on(&self, cloud: &str) -> bool {
        self.get(&format!("TFC_{cloud}_PROVIDER_AUTH")) == Some("true")
    }

    fn audience<'a>(&'a self, cloud: &str, usual: &'a str) -> &'a str {
        self.get(&format!("TFC_{cloud}_WORKLOAD_IDENTITY_AUDIENCE")).unwrap_or(usual)
    }

    /// The setting `TFC_<cloud>_RUN_<name>`, or in its place the phase's own.
    fn of_phase(&self, cloud: &str, name: &str) -> std::result::Result<&str, Failure> {
        let phase = match self.phase {
            Phase::Plan => "PLAN",
            Phase::Apply => "APPLY",
        };
        let own = format!("TFC_{cloud}_{phase}_{name}");
        let common = format!("TFC_{cloud}_RUN_{name}");
        self.get(&own).or_else(|| self.get(&common)).ok_or_else(|| {
            Failure::Asked(format!(
                "the variable TFC_{cloud}_PROVIDER_AUTH asks for an identity, and neither {common} nor {own} is set"
            ))
        })
    }
}

/// `https://host` as the issuer of tokens is called.
pub(crate) fn issuer(app: &App) -> &str {
    app.settings.url.trim_end_matches('/')
}

struct Making<'a> {
    app: &'a App,
    bearer: &'a Bearer<'a>,
    identity: Identity,
}

impl Making<'_> {
    async fn token(&self, audience: &str) -> Result<Secret> {
        #[derive(Serialize)]
        struct Claims<'a> {
            jti: String,
            iss: &'a str,
            aud: &'a str,
            iat: i64,
            nbf: i64,
            exp: i64,
            sub: String,
            terraform_run_phase: &'a str,
            terraform_workspace_id: &'a str,
            terraform_workspace_name: &'a str,
            terraform_organization_id: &'a str,
            terraform_organization_name: &'a str,
            terraform_project_id: &'a str,
            terraform_project_name: &'a str,
            terraform_run_id: &'a str,
            terraform_full_workspace: String,
        }
        let Bearer { organization, project, workspace, run, phase, lease, since, until } = self.bearer;
        let seconds = |at: &Timestamp| at.micros() / 1_000_000;
        let place =
            format!("organization:{}:project:{}:workspace:{}", organization.1, project.1, workspace.1);
        signing::sign(
            self.app,
            &Claims {
                // All of a token follows from the phase, so that it can be told again.
                jti: self.app.hasher.hash(&format!("identity {lease} {audience}")),
                iss: issuer(self.app),
                aud: audience,
                iat: seconds(since),
                // Clocks of clouds are a little behind ours, or ahead.
                nbf: seconds(since) - 5,
                exp: seconds(until),
                sub: format!("{place}:run_phase:{}", phase.name()),
                terraform_run_phase: phase.name(),
                terraform_workspace_id: workspace.0,
                terraform_workspace_name: workspace.1,
                terraform_organization_id: organization.0,
                terraform_organization_name: organization.1,
                terraform_project_id: project.0,
                terraform_project_name: project.1,
                terraform_run_id: run.as_str(),
                terraform_full_workspace: place,
            },
        )
        .await
    }

    fn variable(&mut self, key: &str, value: Secret) {
        self.identity.variables.push(Variable {
            key: key.to_owned(),
            value,
            category: Category::Env,
            hcl: false,
            sensitive: true,
            priority: false,
        });
    }

    fn plain(&mut self, key: &str, value: &str) {
        self.variable(key, Secret::new(value.to_owned()));
        if let Some(last) = self.identity.variables.last_mut() {
            last.sensitive = false;
        }
    }

    fn file(&mut self, name: &'static str, content: Secret, variable: &str) {
        self.identity.files.push(SecretFile {
            name: name.to_owned(),
            content,
            variable: variable.to_owned(),
        });
    }

    async fn clouds(&mut self, asked: &Asked<'_>) -> std::result::Result<(), Failure> {
        if asked.is_on("AWS") {
            self.plain("AWS_ROLE_ARN", asked.of_phase("AWS", "ROLE_ARN")?);
            self.plain("AWS_ROLE_SESSION_NAME", self.bearer.run.as_str());
            let token = self.token(asked.audience("AWS", "aws.workload.identity")).await?;
            self.file("aws.jwt", token, "AWS_WEB_IDENTITY_TOKEN_FILE");
        }
        if asked.is_on("AZURE") {
            self.plain("ARM_CLIENT_ID", asked.of_phase("AZURE", "CLIENT_ID")?);
            self.plain("ARM_USE_OIDC", "true");
            let token = self.token(asked.audience("AZURE", "api://AzureADTokenExchange")).await?;
            self.file("azure.jwt", token, "ARM_OIDC_TOKEN_FILE_PATH");
        }
        if asked.is_on("GCP") {
            self.gcp(asked).await?;
        }
        if asked.is_on("KUBERNETES") {
            let token = self.token(asked.audience("KUBERNETES", "kubernetes")).await?;
            self.variable("KUBE_TOKEN", token);
        }
        if asked.is_on("VAULT") {
            self.vault(asked).await?;
        }
        Ok(())
    }

    async fn gcp(&mut self, asked: &Asked<'_>) -> std::result::Result<(), Failure> {
        let account = asked.of_phase("GCP", "SERVICE_ACCOUNT_EMAIL")?.to_owned();
        let pool = |name| asked.get(name).ok_or(name);
        let provider = match asked.get("TFC_GCP_WORKLOAD_PROVIDER_NAME") {
            Some(name) => name.to_owned(),
            None => {
                let parts = (|| {
                    Ok(format!(
                        "projects/{}/locations/global/workloadIdentityPools/{}/providers/{}",
                        pool("TFC_GCP_PROJECT_NUMBER")?,
                        pool("TFC_GCP_WORKLOAD_POOL_ID")?,
                        pool("TFC_GCP_WORKLOAD_PROVIDER_ID")?
                    ))
                })();
                parts.map_err(|missing: &str| {
                    Failure::Asked(format!(
                        "the variable TFC_GCP_PROVIDER_AUTH asks for an identity, and neither \
                         TFC_GCP_WORKLOAD_PROVIDER_NAME nor {missing} is set"
                    ))
                })?
            }
        };
        let audience = format!("//iam.googleapis.com/{provider}");
        let token = self.token(asked.audience("GCP", &audience)).await?;
        self.file("gcp.jwt", token, "TFC_GCP_TOKEN_FILE");
        // The token's place is known only where the run is.
        let configuration = serde_json::json!({
            "type": "external_account",
            "audience": audience,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "service_account_impersonation_url": format!(
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
            ),
            "credential_source": { "file": format!("{}/gcp.jwt", runner::FOLDER), "format": { "type": "text" } },
        });
        self.file("gcp.json", Secret::new(configuration.to_string()), "GOOGLE_CREDENTIALS");
        Ok(())
    }

    /// Vault's provider takes no JWT: the token is exchanged here, as TFE does.
    async fn vault(&mut self, asked: &Asked<'_>) -> std::result::Result<(), Failure> {
        let incomplete = |name: &str| {
            Failure::Asked(format!(
                "the variable TFC_VAULT_PROVIDER_AUTH asks for an identity, and {name} is not set"
            ))
        };
        let address = asked.get("TFC_VAULT_ADDR").ok_or_else(|| incomplete("TFC_VAULT_ADDR"))?;
        let role = asked.of_phase("VAULT", "ROLE")?;
        let path = asked.get("TFC_VAULT_AUTH_PATH").unwrap_or("jwt").trim_matches('/');
        let namespace = asked.get("TFC_VAULT_NAMESPACE");
        let token = self.token(asked.audience("VAULT", "vault.workload.identity")).await?;
        let login = Login { address: address.trim_end_matches('/'), path, role, namespace };
        let authority = asked.get("TFC_VAULT_ENCODED_CACERT");
        let client = login.exchange(&token, authority).await.map_err(|why| {
            Failure::Asked(format!(
                "Vault at {address} did not accept the run's identity for the role {role:?}: {why}"
            ))
        })?;
        self.plain("VAULT_ADDR", address);
        if let Some(namespace) = namespace {
            self.plain("VAULT_NAMESPACE", namespace);
        }
        self.variable("VAULT_TOKEN", client);
        Ok(())
    }
}

/// A login at Vault by its JWT method.
struct Login<'a> {
    address: &'a str,
    path: &'a str,
    role: &'a str,
    namespace: Option<&'a str>,
}

impl Login<'_> {
    async fn exchange(&self, token: &Secret, authority: Option<&str>) -> std::result::Result<Secret, String> {
        #[derive(Deserialize)]
        struct Answer {
            auth: Auth,
        }
        #[derive(Deserialize)]
        struct Auth {
            client_token: String,
        }
        let url = format!("{}/v1/auth/{}/login", self.address, self.path);
        let mut client = runner::outbound::client(&url).timeout(VAULT_TIME);
        if let Some(encoded) = authority {
            let pem = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded.trim())
                .map_err(|_| "TFC_VAULT_ENCODED_CACERT is not base64".to_owned())?;
            let certificate = reqwest::Certificate::from_pem(&pem)
                .map_err(|_| "TFC_VAULT_ENCODED_CACERT holds no certificate in PEM".to_owned())?;
            client = client.add_root_certificate(certificate);
        }
        let client = client.build().map_err(|error| error.to_string())?;
        let body = serde_json::json!({ "role": self.role, "jwt": token.expose() });
        let mut request = client.post(url).header("X-Vault-Request", "true").json(&body);
        if let Some(namespace) = self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        // The error's own text repeats the address and never the body.
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("it answered {status}"));
        }
        let answer: Answer =
            answer.json().await.map_err(|_| "its answer holds no auth.client_token".to_owned())?;
        Ok(Secret::new(answer.auth.client_token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked<'a>(values: &[(&'a str, &'a str)], phase: Phase) -> Asked<'a> {
        Asked { values: values.iter().copied().collect(), phase }
    }

    #[test]
    fn the_phases_own_setting_beats_the_common_one() {
        let values = [("TFC_AWS_RUN_ROLE_ARN", "both"), ("TFC_AWS_APPLY_ROLE_ARN", "apply")];
        let role = |phase| asked(&values, phase).of_phase("AWS", "ROLE_ARN").ok().map(str::to_owned);
        assert_eq!(role(Phase::Plan).as_deref(), Some("both"));
        assert_eq!(role(Phase::Apply).as_deref(), Some("apply"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let Err(Failure::Asked(why)) = asked(&[], Phase::Plan).of_phase("AZURE", "CLIENT_ID") else {
            panic!()
        };
        assert!(why.contains("TFC_AZURE_RUN_CLIENT_ID") && why.contains("TFC_AZURE_PLAN_CLIENT_ID"), "{why}");
    }
}
