//! Settings of organizations and what they do.

use serde_json::json;
use testkit::on_both;

on_both! {
    async fn an_organization_that_takes_no_tokens_of_users_takes_those_of_teams(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let owners = admin.get("/organizations/acme/teams?filter%5Bnames%5D=owners").await.ids()[0].clone();
        let made = admin.post(&format!("/teams/{owners}/authentication-token"), json!({})).await.expect(201);
        let team = server.with_token(made.attribute("token").as_str().unwrap());
        let set = |enabled: bool| json!({ "data": { "attributes": { "user-tokens-enabled": enabled } } });
        let shown = team.patch("/organizations/acme", set(false)).await.expect(200);
        assert_eq!(shown.attribute("user-tokens-enabled"), false);
        admin.get("/organizations/acme").await.expect(401);
        admin.get(&format!("/workspaces/{ws}")).await.expect(401);
        admin.patch("/organizations/acme", set(true)).await.expect(401);
        assert!(admin.get("/organizations").await.expect(200).ids().is_empty(), "the rest goes on");
        team.get(&format!("/workspaces/{ws}")).await.expect(200);
        team.patch("/organizations/acme", set(true)).await.expect(200);
        admin.get("/organizations/acme").await.expect(200);
    }
}
