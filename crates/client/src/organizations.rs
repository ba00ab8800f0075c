//! The server itself, the account behind the token, and organizations.

use crate::{Account, Client, Organization, Result};
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
}
