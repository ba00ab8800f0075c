//! What an identity provider keeps here by SCIM: as Okta and Entra ID ask for it, and what follows for people.

use http_api::{Access, serve::full_path};
use reqwest::{Method, header::ETAG};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::{Answer, Api, TestServer, on_both};

const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn attributes(attributes: Value) -> Value {
    json!({ "data": { "attributes": attributes } })
}

/// An identity provider with a token.
pub(super) struct Provider {
    api: Api,
    url: String,
    token: String,
    /// The token's id.
    pub(super) token_id: String,
}

/// Switches SCIM on, and makes the provider a token.
pub(super) async fn provider(server: &TestServer) -> Provider {
    let admin = server.admin();
    let saml = json!({
        "enabled": true, "sso-endpoint-url": "https://idp.example.com/sso", "idp-cert": "certificate",
        "provider-type": "okta",
    });
    admin.patch("/admin/saml-settings", attributes(saml)).await.expect(200);
    admin.patch("/admin/scim-settings", attributes(json!({ "enabled": true }))).await.expect(200);
    let made =
        admin.post("/admin/scim-tokens", attributes(json!({ "description": "Okta" }))).await.expect(201);
    let token = made.attribute("token").as_str().unwrap().to_owned();
    Provider { api: server.anonymous(), url: format!("{}/scim/v2", server.url), token, token_id: made.id() }
}

/// What the tests of all operations need.
pub(super) async fn fixtures(server: &TestServer) -> BTreeMap<&'static str, String> {
    let provider = provider(server).await;
    let name = format!("group of {}", provider.token_id);
    let group = provider.group(&name, &[]).await;
    BTreeMap::from([("scim-tokens", provider.token_id), ("scim-groups", group)])
}

impl Provider {
    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.send_with(method, path, body, &[]).await
    }

    async fn send_with(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        more: &[(&str, &str)],
    ) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("authorization", bearer.as_str()), ("accept", "application/scim+json")];
        headers.extend(more);
        self.api.send_with(method, &format!("{}{path}", self.url), body, &headers).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// The ids that a list gives, whose filter is encoded here.
    async fn found(&self, path: &str, filter: &str) -> Vec<String> {
        let filter: String = filter.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let answer = self.get(&format!("{path}?filter={filter}")).await.expect(200);
        ids(&answer)
    }

    async fn user(&self, name: &str) -> String {
        let body = json!({ "schemas": [format!("{SCHEMA}:User")], "userName": name, "active": true });
        id(&self.send(Method::POST, "/Users", Some(body)).await.expect(201))
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
        let body = json!({ "schemas": [format!("{SCHEMA}:Group")], "displayName": name, "members": members });
        id(&self.send(Method::POST, "/Groups", Some(body)).await.expect(201))
    }

    async fn patch(&self, path: &str, operations: Value) -> Answer {
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
        let body = json!({ "schemas": schemas, "Operations": operations });
        self.send(Method::PATCH, path, Some(body)).await
    }
}

fn id(answer: &Answer) -> String {
    answer.json["id"].as_str().unwrap_or_else(|| panic!("no id in {}", answer.json)).to_owned()
}

fn ids(list: &Answer) -> Vec<String> {
    let resources = list.json["Resources"].as_array().unwrap();
    resources.iter().map(|resource| resource["id"].as_str().unwrap().to_owned()).collect()
}

/// A refusal's status and kind, which the document repeats.
#[track_caller]
fn refused(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.json);
    assert_eq!(answer.headers["content-type"], "application/scim+json");
    assert_eq!(answer.json["schemas"][0], "urn:ietf:params:scim:api:messages:2.0:Error");
    assert_eq!(answer.json["status"], status.to_string());
    assert_eq!(answer.json["scimType"].as_str().unwrap_or_default(), kind, "{}", answer.json);
    assert!(answer.json["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
}

async fn team(admin: &Api, organization: &str, name: &str) -> String {
    let path = format!("/organizations/{organization}/teams");
    admin.post(&path, attributes(json!({ "name": name }))).await.expect(201).id()
}

async fn link(admin: &Api, team: &str, group: &str) {
    let path = format!("/admin/teams/{team}/scim-group-mapping");
    admin.post(&path, attributes(json!({ "scim-group-id": group }))).await.expect(201);
}

/// The ids of a team's members.
async fn members(admin: &Api, team: &str) -> Vec<String> {
    let team = admin.get(&format!("/teams/{team}")).await.expect(200);
    let users = team.json["data"]["relationships"]["users"]["data"].as_array().unwrap().clone();
    users.iter().map(|user| user["id"].as_str().unwrap().to_owned()).collect()
}

/// The addresses of an organization's members, and whether they are active.
async fn people(admin: &Api, organization: &str) -> Vec<(String, String)> {
    let list =
        admin.get(&format!("/organizations/{organization}/organization-memberships")).await.expect(200);
    let of = |member: &Value, name: &str| member["attributes"][name].as_str().unwrap().to_owned();
    list.json["data"].as_array().unwrap().iter().map(|one| (of(one, "email"), of(one, "status"))).collect()
}

/// The API as an account that the provider made.
async fn signed_in(server: &TestServer, username: &str) -> Api {
    let made = accounts::tokens::create_for(&server.assembled.app, username, "of a test", None).await;
    server.with_token(made.unwrap().1.expose())
}

on_both! {
    async fn okta_brings_a_user_finds_changes_deactivates_and_reactivates_them(server) {
        let okta = provider(server).await;
        assert!(okta.found("/Users", "userName eq \"mona@example.com\"").await.is_empty());
        let made = okta.send(Method::POST, "/Users", Some(json!({
            "schemas": [format!("{SCHEMA}:User")], "userName": "Mona@example.com", "externalId": "00u1",
            "name": { "givenName": "Mona", "familyName": "Ray" }, "locale": "en-US", "groups": [],
            "emails": [{ "primary": true, "value": "mona@example.com", "type": "work" }],
            "displayName": "Mona Ray", "password": "planted-secret", "active": true,
        }))).await.expect(201);
        let user = id(&made);
        assert_eq!(made.headers["content-type"], "application/scim+json");
        assert_eq!(made.headers["location"], format!("{}/Users/{user}", okta.url).as_str());
        assert_eq!((&made.json["active"], &made.json["meta"]["resourceType"]), (&json!(true), &json!("User")));
        assert!(!String::from_utf8_lossy(&made.bytes).contains("planted"));
        assert_eq!(okta.found("/Users", "userName eq \"mona@EXAMPLE.com\"").await, [user.as_str()]);
        assert_eq!(okta.found("/Users", "externalId eq \"00u1\" and active eq true").await, [user.as_str()]);
        let mona = signed_in(server, "Mona").await;
        mona.get("/account/details").await.expect(200);

        let mut whole = okta.get(&format!("/Users/{user}")).await.expect(200).json;
        whole["name"]["familyName"] = json!("Stone");
        let put = okta.send(Method::PUT, &format!("/Users/{user}"), Some(whole)).await.expect(200);
        assert_eq!(put.json["name"], json!({ "givenName": "Mona", "familyName": "Stone" }));
        assert_eq!(put.json["displayName"], "Mona Ray");

        let off = json!([{ "op": "replace", "value": { "active": false } }]);
        let off = okta.patch(&format!("/Users/{user}"), off).await.expect(200);
        assert_eq!(off.json["active"], false);
        mona.get("/account/details").await.expect(401);
        let on = json!([{ "op": "replace", "value": { "active": true } }]);
        okta.patch(&format!("/Users/{user}"), on).await.expect(200);
        mona.get("/account/details").await.expect(200);
    }

    async fn entra_brings_a_user_and_sends_its_own_dialect_of_patch(server) {
        let entra = provider(server).await;
        let made = entra.send(Method::POST, "/Users", Some(json!({
            "schemas": [format!("{SCHEMA}:User"), ENTERPRISE], "externalId": "ada", "userName": "ada@example.com",
            "active": true, "displayName": "Ada", "meta": { "resourceType": "User" },
            "name": { "formatted": "Ada L", "familyName": "L", "givenName": "Ada" },
        }))).await.expect(201);
        let user = id(&made);
        let ada = signed_in(server, "ada").await;
        let changed = entra.patch(&format!("/Users/{user}"), json!([
            { "op": "Add", "path": "emails[type eq \"work\"].value", "value": "ada@new.example.com" },
            { "op": "Replace", "path": "name.familyName", "value": "Lovelace" },
            { "op": "Add", "path": format!("{ENTERPRISE}:department"), "value": "Research" },
        ])).await.expect(200);
        assert_eq!(changed.json["emails"], json!([{ "type": "work", "value": "ada@new.example.com" }]));
        assert_eq!(changed.json[ENTERPRISE]["department"], "Research");
        assert_eq!(changed.json["schemas"], json!([format!("{SCHEMA}:User"), ENTERPRISE]));
        let details = ada.get("/account/details").await.expect(200);
        assert_eq!(*details.attribute("email"), json!("ada@new.example.com"));
        assert_eq!(*details.attribute("is-scim-managed"), json!(true));
        ada.patch("/account/update", attributes(json!({ "email": "other@example.com" }))).await.expect(422);
        assert_eq!(*details.attribute("scim-username"), json!("ada@example.com"));

        entra.patch(&format!("/Users/{user}"), json!([{ "op": "Replace", "path": "active", "value": "False" }]))
            .await.expect(200);
        ada.get("/account/details").await.expect(401);
        entra.send(Method::DELETE, &format!("/Users/{user}"), None).await.expect(204);
        refused(&entra.get(&format!("/Users/{user}")).await, 404, "");
        refused(&entra.send(Method::DELETE, &format!("/Users/{user}"), None).await, 404, "");
        assert!(entra.found("/Users", "userName eq \"ada@example.com\"").await.is_empty());
        // The account is theirs again when they come back, without the tokens of the past.
        let again = json!({ "userName": "ada@new.example.com" });
        let again = entra.send(Method::POST, "/Users", Some(again)).await.expect(201);
        assert_eq!((id(&again), &again.json["active"]), (user, &json!(true)));
        ada.get("/account/details").await.expect(401);
    }

    async fn a_group_keeps_the_members_of_its_teams_and_of_their_organization(server) {
        let (entra, admin) = (provider(server).await, server.admin());
        admin.organization("acme").await;
        let (mona, ada) = (entra.user("mona@example.com").await, entra.user("ada@example.com").await);
        let group = entra.group("Network", &[&mona]).await;
        let (network, other) = (team(&admin, "acme", "network").await, team(&admin, "acme", "other").await);
        link(&admin, &network, &group).await;
        assert_eq!(members(&admin, &network).await, [mona.as_str()]);
        let caller = signed_in(server, "mona").await;
        caller.get("/organizations/acme").await.expect(200);

        let path = format!("/Groups/{group}");
        let add = json!([{ "op": "Add", "path": "members", "value": [{ "value": ada }] }]);
        entra.patch(&path, add).await.expect(204);
        assert_eq!(members(&admin, &network).await.len(), 2);
        assert_eq!(people(&admin, "acme").await.len(), 3);
        assert_eq!(entra.found("/Groups", &format!("id eq \"{group}\" and members eq \"{ada}\"")).await, [group.as_str()]);
        let seen = entra.get(&format!("/Users/{ada}")).await.expect(200);
        assert_eq!(seen.json["groups"][0]["display"], "Network");

        // In another team by hand, so that the membership of the organization stays.
        let by_hand = json!({ "data": [{ "type": "users", "id": ada }] });
        admin.post(&format!("/teams/{other}/relationships/users"), by_hand.clone()).await.expect(204);
        let refused = admin.post(&format!("/teams/{network}/relationships/users"), by_hand).await.expect(409);
        assert!(refused.error().contains("Network"), "{}", refused.error());
        let listed = "/organizations/acme/organization-memberships?q=mona";
        let membership = admin.get(listed).await.expect(200).ids()[0].clone();
        admin.delete(&format!("/organization-memberships/{membership}")).await.expect(409);
        let invited = json!({ "data": {
            "attributes": { "email": "new@example.com" },
            "relationships": { "teams": { "data": [{ "type": "teams", "id": network }] } },
        } });
        admin.post("/organizations/acme/organization-memberships", invited).await.expect(409);
        let remove = json!([
            { "op": "Remove", "path": "members", "value": [{ "value": mona }] },
            { "op": "remove", "path": format!("members[value eq \"{ada}\"]") },
        ]);
        entra.patch(&path, remove).await.expect(204);
        assert!(members(&admin, &network).await.is_empty());
        caller.get("/organizations/acme").await.expect(404);
        let left: Vec<String> = people(&admin, "acme").await.into_iter().map(|(email, _)| email).collect();
        assert_eq!(left, ["admin@localhost.localdomain", "ada@example.com"]);
    }

    async fn okta_pushes_a_group_renames_and_deletes_it(server) {
        let (okta, admin) = (provider(server).await, server.admin());
        admin.organization("acme").await;
        admin.invite("acme", "mona@example.com", &[]).await;
        assert_eq!(people(&admin, "acme").await[1], ("mona@example.com".to_owned(), "invited".to_owned()));
        let mona = okta.user("MONA@example.com").await;
        let group = okta.group("Ops", &[]).await;
        let ops = team(&admin, "acme", "ops").await;
        link(&admin, &ops, &group).await;
        let path = format!("/Groups/{group}");
        okta.patch(&path, json!([{ "op": "replace", "value": { "id": group, "displayName": "Operations" } }]))
            .await.expect(204);
        okta.patch(&path, json!([{ "op": "replace", "path": "members", "value": [{ "value": mona, "display": "m" }] }]))
            .await.expect(204);
        let seen = admin.get(&format!("/teams/{ops}")).await.expect(200);
        assert_eq!(*seen.attribute("scim-group-name"), json!("Operations"));
        assert_eq!(*seen.attribute("scim-linked"), json!(true));
        assert_eq!(members(&admin, &ops).await, [mona.as_str()]);
        // The invitation is accepted by it, and is nobody's to take back with the group.
        assert_eq!(people(&admin, "acme").await[1].1, "active");
        let whole = okta.get(&path).await.expect(200);
        assert_eq!(whole.json["members"][0]["value"], mona);
        let without = okta.get(&format!("{path}?excludedAttributes=members")).await.expect(200);
        assert_eq!((&without.json["members"], &without.json["id"]), (&Value::Null, &json!(group)));
        let put = json!({ "displayName": "Operations" });
        okta.send(Method::PUT, &path, Some(put)).await.expect(200);
        assert_eq!(members(&admin, &ops).await, [mona]);
        okta.send(Method::DELETE, &path, None).await.expect(204);
        assert!(members(&admin, &ops).await.is_empty());
        assert_eq!(people(&admin, "acme").await.len(), 2);
        let seen = admin.get(&format!("/teams/{ops}")).await.expect(200);
        assert_eq!((seen.attribute("scim-linked"), seen.attribute("scim-group-name")), (&json!(false), &Value::Null));
    }

    async fn the_site_admin_group_makes_site_admins_and_never_takes_the_last_one(server) {
        let (okta, admin) = (provider(server).await, server.admin());
        let mona = okta.user("mona@example.com").await;
        let group = okta.group("Admins", &[&mona]).await;
        let caller = signed_in(server, "mona").await;
        caller.get("/admin/users").await.expect(404);
        let set = |id: Value| attributes(json!({ "site-admin-group-scim-id": id }));
        let chosen = admin.patch("/admin/scim-settings", set(json!(group))).await.expect(200);
        assert_eq!(*chosen.attribute("site-admin-group-display-name"), json!("Admins"));
        caller.get("/admin/users").await.expect(200);
        admin.patch("/admin/scim-settings", set(json!("absent"))).await.expect(422);

        admin.organization("acme").await;
        let ops = team(&admin, "acme", "ops").await;
        let mapping = attributes(json!({ "scim-group-id": group }));
        let path = format!("/admin/teams/{ops}/scim-group-mapping");
        let answer = admin.post(&path, mapping).await.expect(422);
        assert!(answer.error().contains("The site admin group cannot be linked to a team"));

        // The first site admin goes; the one who is left is so by the group, and can neither leave it nor be deactivated.
        let first = admin.get("/account/details").await.id();
        caller.post(&format!("/admin/users/{first}/actions/revoke_admin"), json!({})).await.expect(200);
        let empty = json!([{ "op": "remove", "path": "members" }]);
        refused(&okta.patch(&format!("/Groups/{group}"), empty.clone()).await, 400, "invalidValue");
        let off = json!([{ "op": "replace", "value": { "active": false } }]);
        refused(&okta.patch(&format!("/Users/{mona}"), off).await, 400, "invalidValue");
        caller.post(&format!("/admin/users/{first}/actions/grant_admin"), json!({})).await.expect(200);
        okta.patch(&format!("/Groups/{group}"), empty).await.expect(204);
        caller.get("/admin/users").await.expect(404);
        admin.get("/admin/users").await.expect(200);
        let cleared = admin.patch("/admin/scim-settings", set(Value::Null)).await.expect(200);
        assert_eq!(*cleared.attribute("site-admin-group-scim-id"), Value::Null);
    }

    async fn a_pause_stops_changes_and_what_was_missed_follows_when_it_ends(server) {
        let (okta, admin) = (provider(server).await, server.admin());
        admin.organization("acme").await;
        let ops = team(&admin, "acme", "ops").await;
        let (mona, ada) = (okta.user("mona@example.com").await, okta.user("ada@example.com").await);
        let group = okta.group("Ops", &[&mona]).await;
        admin.patch("/admin/scim-settings", attributes(json!({ "paused": true }))).await.expect(200);
        refused(&okta.send(Method::DELETE, &format!("/Groups/{group}"), None).await, 403, "");
        okta.get(&format!("/Groups/{group}")).await.expect(200);
        link(&admin, &ops, &group).await;
        assert!(members(&admin, &ops).await.is_empty());
        admin.patch("/admin/scim-settings", attributes(json!({ "paused": false }))).await.expect(200);
        assert_eq!(members(&admin, &ops).await, [mona.as_str()]);

        // One team alone is paused: the group goes on, the team stays and may be changed by hand.
        let mapping = format!("/admin/teams/{ops}/scim-group-mapping");
        let pause = |paused: bool| attributes(json!({ "scim-sync-paused": paused }));
        admin.patch(&mapping, pause(true)).await.expect(200);
        let replace = json!([{ "op": "replace", "path": "members", "value": [{ "value": ada }] }]);
        okta.patch(&format!("/Groups/{group}"), replace).await.expect(204);
        assert_eq!(members(&admin, &ops).await, [mona.as_str()]);
        let seen = admin.get(&format!("/teams/{ops}")).await.expect(200);
        assert_eq!(*seen.attribute("scim-sync-paused"), json!(true));
        admin.patch(&mapping, pause(false)).await.expect(200);
        assert_eq!(members(&admin, &ops).await, [ada]);
        admin.delete(&mapping).await.expect(204);
        assert_eq!(members(&admin, &ops).await.len(), 1);
        for answer in [admin.patch(&mapping, pause(true)).await, admin.delete(&mapping).await] {
            assert_eq!(answer.expect(409).error(), "conflict: Team is not linked to a SCIM group");
        }
    }

    async fn a_team_is_linked_once_and_never_the_owners(server) {
        let (okta, admin) = (provider(server).await, server.admin());
        admin.organization("acme").await;
        let ops = team(&admin, "acme", "ops").await;
        let group = okta.group("Ops", &[]).await;
        link(&admin, &ops, &group).await;
        let wanted = |id: &str| attributes(json!({ "scim-group-id": id }));
        let mapping = |team: &str| format!("/admin/teams/{team}/scim-group-mapping");
        let again = admin.post(&mapping(&ops), wanted(&group)).await.expect(409);
        assert_eq!(again.error(), "conflict: Team is already linked to a SCIM group");
        let owners = admin.get("/organizations/acme/teams?q=owners").await.ids()[0].clone();
        let refused = admin.post(&mapping(&owners), wanted(&group)).await.expect(422);
        assert!(refused.error().contains("Owners team SCIM linking is not yet supported"));
        let other = team(&admin, "acme", "other").await;
        admin.post(&mapping(&other), wanted("absent")).await.expect(404);
        admin.post(&mapping("absent"), wanted(&group)).await.expect(404);
        assert_eq!(admin.get("/admin/scim-groups?q=OP").await.expect(200).ids(), [group]);
        assert!(admin.get("/admin/scim-groups?q=%25").await.expect(200).ids().is_empty());
    }

    async fn scim_stands_on_saml_and_forgets_what_it_was_told_when_it_is_deleted(server) {
        let admin = server.admin();
        let on = attributes(json!({ "enabled": true }));
        assert!(admin.patch("/admin/scim-settings", on.clone()).await.expect(422).error().contains("SAML"));
        let description = attributes(json!({ "description": "Okta" }));
        admin.post("/admin/scim-tokens", description).await.expect(422);
        let details = admin.get("/account/details").await.expect(200);
        assert!(details.attribute("is-scim-managed").is_null());
        let okta = provider(server).await;
        assert_eq!(*admin.get("/account/details").await.attribute("is-scim-managed"), json!(false));
        for off in [json!({ "enabled": false }), json!({ "provider-type": "unknown" })] {
            assert!(admin.patch("/admin/saml-settings", attributes(off)).await.expect(422).error().contains("SCIM"));
        }
        okta.user("mona@example.com").await;
        okta.group("Ops", &[]).await;
        admin.patch("/admin/scim-settings", attributes(json!({ "enabled": false }))).await.expect(200);
        refused(&okta.get("/Users").await, 403, "");
        admin.patch("/admin/scim-settings", on).await.expect(200);
        assert_eq!(okta.get("/Users").await.expect(200).json["totalResults"], 1);
        admin.delete("/admin/scim-settings").await.expect(204);
        admin.delete("/admin/scim-settings").await.expect(204);
        let settings = admin.get("/admin/scim-settings").await.expect(200);
        assert_eq!((settings.id(), settings.attribute("enabled")), ("scim".to_owned(), &json!(false)));
        refused(&okta.get("/Users").await, 401, "");
        let okta = provider(server).await;
        assert_eq!(okta.get("/Users").await.expect(200).json["totalResults"], 0);
        assert_eq!(okta.get("/Groups").await.expect(200).json["totalResults"], 0);
        // The account is there still, and the provider's again when it says so.
        okta.user("mona@example.com").await;
        let found = admin.get("/admin/users?q=mona").await.expect(200);
        assert_eq!(found.json["meta"]["pagination"]["total-count"], 1);
        assert_eq!(found.json["data"][0]["attributes"]["scim-username"], "mona@example.com");
    }

    async fn saml_settings_are_checked_and_their_key_is_never_shown(server) {
        let admin = server.admin();
        let path = "/admin/saml-settings";
        let before = admin.get(path).await.expect(200);
        assert_eq!((before.id(), before.attribute("provider-type")), ("saml".to_owned(), &json!("unknown")));
        for wrong in [
            json!({ "enabled": true }),
            json!({ "provider-type": "other" }),
            json!({ "signature-digest-method": "SHA1234" }),
            json!({ "sso-endpoint-url": "javascript:alert(1)" }),
            json!({ "authn-requests-signed": true }),
            json!({ "idp-cert": "-----BEGIN CERTIFICATE-----\nAAAA" }),
        ] {
            admin.patch(path, attributes(wrong)).await.expect(422);
        }
        assert_eq!(admin.get(path).await.json, before.json);
        let set = json!({
            "enabled": true, "sso-endpoint-url": "https://idp.example.com/sso", "idp-cert": "first",
            "certificate": "ours", "private-key": "planted-key", "authn-requests-signed": true,
        });
        admin.patch(path, attributes(set)).await.expect(200);
        let next = admin.patch(path, attributes(json!({ "idp-cert": "second" }))).await.expect(200);
        assert_eq!((next.attribute("idp-cert"), next.attribute("old-idp-cert")), (&json!("second"), &json!("first")));
        assert_eq!(*next.attribute("private-key"), Value::Null);
        let revoked = admin.post(&format!("{path}/actions/revoke-old-certificate"), json!({})).await.expect(200);
        assert_eq!(*revoked.attribute("old-idp-cert"), Value::Null);
        let app = &server.assembled.app;
        let sql = "SELECT value FROM settings WHERE name = 'saml-settings'";
        let (stored,): (String,) = app.db.one(sql, vec![]).await.unwrap().unwrap();
        assert!(stored.contains("ours") && !stored.contains("planted-key"));
        let trail = admin.get("/admin/audit-trail?page%5Bsize%5D=100").await.expect(200);
        assert!(!trail.json.to_string().contains("planted-key"));
    }

    async fn a_scim_token_opens_scim_and_nothing_else_and_no_other_token_opens_scim(server) {
        let (okta, admin) = (provider(server).await, server.admin());
        let as_api = server.with_token(&okta.token);
        let foreign = Provider { token: testkit::server::ADMIN.to_owned(), ..provider(server).await };
        let nobody = Provider { token: "unknown".to_owned(), ..provider(server).await };
        let mut seen = 0;
        for operation in server.assembled.routes.operations() {
            let body = (operation.method != "GET").then(|| json!({}));
            match operation.access {
                Access::Token => {
                    let path = operation.path.replace(['{', '}'], "");
                    as_api.send(operation.method.clone(), &path, body).await.expect(401);
                }
                Access::Scim => {
                    seen += 1;
                    let path = full_path(operation).replace("/scim/v2", "").replace(['{', '}'], "");
                    for caller in [&foreign, &nobody] {
                        let answer = caller.send(operation.method.clone(), &path, body.clone()).await;
                        refused(&answer, 401, "");
                        assert_eq!(answer.headers["www-authenticate"], "Bearer");
                    }
                    let answer = okta.send(operation.method.clone(), &path, body).await;
                    assert!(answer.status.is_success() || answer.json["detail"].is_string(), "{operation:?}");
                }
                Access::Public | Access::Signed => {}
            }
        }
        assert_eq!(seen, 17);
        refused(&okta.get("/Bulk").await, 404, "");
        refused(&nobody.get("/Bulk").await, 401, "");

        let tokens = admin.get("/admin/scim-tokens").await.expect(200);
        assert!(tokens.ids().contains(&okta.token_id) && tokens.json["data"][0]["attributes"]["token"].is_null());
        assert!(!admin.get(&format!("/admin/scim-tokens/{}", okta.token_id)).await.expect(200).id().is_empty());
        let description = json!({ "description": "Entra", "expired-at": "2020-01-01T00:00:00Z" });
        admin.post("/admin/scim-tokens", attributes(description)).await.expect(422);
        // The SDK deletes it where all tokens are deleted.
        admin.delete(&format!("/authentication-tokens/{}", okta.token_id)).await.expect(204);
        admin.get(&format!("/admin/scim-tokens/{}", okta.token_id)).await.expect(404);
        refused(&okta.get("/Users").await, 401, "");
    }

    async fn names_are_one_resources_and_nonsense_is_refused_by_its_kind(server) {
        let okta = provider(server).await;
        let mona = okta.user("mona@example.com").await;
        let group = okta.group("Ops", &[]).await;
        let post = |path: &'static str, body: Value| okta.send(Method::POST, path, Some(body));
        refused(&post("/Users", json!({ "userName": "MONA@example.com" })).await, 409, "uniqueness");
        let same_address = json!({ "userName": "other", "emails": [{ "value": "mona@example.com" }] });
        refused(&post("/Users", same_address).await, 409, "uniqueness");
        refused(&post("/Groups", json!({ "displayName": "ops" })).await, 409, "uniqueness");
        // Whom the provider has brought is invited as who they are.
        let admin = server.admin();
        admin.organization("acme").await;
        admin.invite("acme", "Mona@Example.com", &[]).await;
        assert_eq!(people(&admin, "acme").await[1].0, "mona@example.com");
        refused(&post("/Users", json!({})).await, 400, "invalidValue");
        refused(&post("/Users", json!({ "userName": "no-address" })).await, 400, "invalidValue");
        refused(&post("/Users", json!([])).await, 400, "invalidValue");
        let stranger = json!({ "displayName": "New", "members": [{ "value": mona }, { "value": "user-nobody" }] });
        let answer = post("/Groups", stranger).await;
        refused(&answer, 400, "invalidValue");
        assert!(answer.json["detail"].as_str().unwrap().contains("user-nobody"));
        for filter in ["userName%20eq", "title%20eq%20%22a%22", "userName%20eq%20%22a%22%20or%20id%20eq%20%22b%22"] {
            refused(&okta.get(&format!("/Users?filter={filter}")).await, 400, "invalidFilter");
        }
        refused(&okta.get("/Users?startIndex=x").await, 400, "invalidValue");
        let path = format!("/Groups/{group}");
        refused(&okta.patch(&path, json!([{ "op": "move" }])).await, 400, "invalidSyntax");
        refused(&okta.patch(&path, json!([{ "op": "add", "path": "a b", "value": 1 }])).await, 400, "invalidPath");
        refused(&okta.patch(&path, json!([{ "op": "remove" }])).await, 400, "noTarget");
        refused(&okta.patch(&path, json!([{ "op": "remove", "path": "displayName" }])).await, 400, "invalidValue");
    }

    async fn lists_come_in_parts_and_a_known_version_is_not_sent_again(server) {
        let okta = provider(server).await;
        let mut all = Vec::new();
        for number in 0..3 {
            all.push(okta.user(&format!("user{number}@example.com")).await);
        }
        let part = okta.get("/Users?startIndex=2&count=1").await.expect(200);
        assert_eq!((ids(&part), &part.json["totalResults"]), (vec![all[1].clone()], &json!(3)));
        assert_eq!((&part.json["startIndex"], &part.json["itemsPerPage"]), (&json!(2), &json!(1)));
        let none = okta.get("/Users?count=0").await.expect(200);
        assert_eq!((&none.json["totalResults"], ids(&none).len()), (&json!(3), 0));
        let names = okta.get("/Users?attributes=userName").await.expect(200);
        let keys: Vec<&String> = names.json["Resources"][0].as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 4, "{keys:?}");
        assert_eq!(okta.found("/Users", "userName sw \"USER1\"").await, [all[1].clone()]);

        let path = format!("/Users/{}", all[0]);
        let read = okta.get(&path).await.expect(200);
        let version = read.headers[ETAG].to_str().unwrap().to_owned();
        assert_eq!(read.json["meta"]["version"], version.as_str());
        okta.send_with(Method::GET, &path, None, &[("if-none-match", &version)]).await.expect(304);
        let change = |name: &str| Some(json!({ "userName": "user0@example.com", "displayName": name }));
        let first = okta.send_with(Method::PUT, &path, change("a"), &[("if-match", &version)]).await.expect(200);
        assert_ne!(first.headers[ETAG].to_str().unwrap(), version);
        refused(&okta.send_with(Method::PUT, &path, change("b"), &[("if-match", &version)]).await, 412, "");
        for (path, id) in [("/ServiceProviderConfig", None), ("/ResourceTypes", Some("User")), ("/Schemas", None)] {
            let answer = okta.get(path).await.expect(200);
            assert_eq!(answer.headers["content-type"], "application/scim+json");
            if let Some(id) = id {
                assert_eq!(answer.json["Resources"][0]["id"], id);
            }
        }
        okta.get(&format!("/Schemas/{SCHEMA}:User")).await.expect(200);
    }

    async fn what_a_provider_changes_is_in_the_audit_trail(server) {
        let (okta, admin) = (provider(server).await, server.admin());
        let mona = okta.user("mona@example.com").await;
        let off = json!([{ "op": "replace", "path": "active", "value": false }]);
        okta.patch(&format!("/Users/{mona}"), off).await.expect(200);
        let path = format!("/admin/audit-trail?filter%5Bresource%5D%5Bid%5D={mona}");
        let trail = admin.get(&path).await.expect(200);
        let entries = trail.json["data"].as_array().unwrap();
        let operations: Vec<&str> =
            entries.iter().map(|entry| entry["resource"]["meta"]["operation"].as_str().unwrap()).collect();
        assert_eq!(operations, ["accounts.scim-users.create", "accounts.scim-users.update"]);
        let token = &entries[1]["resource"]["meta"]["token"];
        assert_eq!((&token["kind"], &token["id"]), (&json!("scim"), &json!(okta.token_id)));
        assert!(entries[1].to_string().contains("\"active\":true") && entries[1].to_string().contains("\"active\":false"));
        refused(&okta.send(Method::POST, "/Users", Some(json!({}))).await, 400, "invalidValue");
        assert_eq!(admin.get(&path).await.json["data"].as_array().unwrap().len(), 2);
    }
}
