//! The server itself, the account behind the token, organizations, teams and tokens.

use crate::{Account, Client, Organization, Result, Team, Token};
use kernel::ids::{TeamId, UserId};
use reqwest::Method;
use serde_json::json;

impl Client {
    /// Asks whether the API is there. Needs no valid token on some servers; use [`Client::account`] to check one.
    pub async fn ping(&self) -> Result<()> {
        self.call(Method::GET, &["ping"]).send().await.map(drop)
    }

    /// Whose token this is.
    pub async fn account(&self) -> Result<Account> {
        self.call(Method::GET, &["account", "details"]).one().await
    }

    /// Creates an organization.
    pub async fn create_organization(&self, name: &str, email: &str) -> Result<Organization> {
        let body = json!({"data": {"type": "organizations", "attributes": {"name": name, "email": email}}});
        self.call(Method::POST, &["organizations"]).body(body).one().await
    }

    /// Reads an organization by its name.
    pub async fn organization(&self, name: &str) -> Result<Organization> {
        self.call(Method::GET, &["organizations", name]).one().await
    }

    /// Creates a team whose members and access are still to be given.
    pub async fn create_team(&self, organization: &str, name: &str) -> Result<Team> {
        let body = json!({"data": {"type": "teams", "attributes": {"name": name}}});
        self.call(Method::POST, &["organizations", organization, "teams"]).body(body).one().await
    }

    /// Creates a team's token, replacing the one it had.
    pub async fn create_team_token(&self, team: &TeamId) -> Result<Token> {
        let body = json!({"data": {"type": "authentication-token"}});
        self.call(Method::POST, &["teams", team.as_str(), "authentication-token"]).body(body).one().await
    }

    /// Creates an organization's token, replacing the one it had.
    pub async fn create_organization_token(&self, organization: &str) -> Result<Token> {
        let body = json!({"data": {"type": "authentication-token"}});
        self.call(Method::POST, &["organizations", organization, "authentication-token"])
            .body(body)
            .one()
            .await
    }

    /// Creates one more token of a user.
    pub async fn create_user_token(&self, user: &UserId, description: &str) -> Result<Token> {
        let body =
            json!({"data": {"type": "authentication-tokens", "attributes": {"description": description}}});
        self.call(Method::POST, &["users", user.as_str(), "authentication-tokens"]).body(body).one().await
    }
}
