//! Filters that people keep under a name.

use serde_json::json;
use testkit::on_both;

const ALL: &str = "/organizations/acme/saved-filters";

on_both! {
    async fn a_person_keeps_filters_that_nobody_else_sees(server) {
        let api = server.admin();
        api.organization("acme").await;
        let mona = server.as_user("mona", "acme", &[]).await;
        let filter = |name: &str, query: &str| json!({ "data": { "attributes": { "name": name, "query": query } } });
        let id = api.post(ALL, filter("Broken", "status=errored")).await.expect(201).id();
        let listed = api.get(ALL).await.expect(200);
        assert_eq!(listed.ids(), [id.as_str()]);
        assert_eq!(listed.json["data"][0]["attributes"], json!({ "name": "Broken", "query": "status=errored" }));
        api.post(ALL, filter("Broken", "q=x")).await.expect(422);
        api.post(ALL, filter(" ", "q=x")).await.expect(422);
        api.post(ALL, filter("Empty", "")).await.expect(422);
        assert!(mona.get(ALL).await.expect(200).ids().is_empty());
        mona.post(ALL, filter("Broken", "q=hers")).await.expect(201);
        mona.delete(&format!("/saved-filters/{id}")).await.expect(404);
        api.delete(&format!("/saved-filters/{id}")).await.expect(204);
        assert!(api.get(ALL).await.expect(200).ids().is_empty());
        // Teams and organizations are nobody who keeps filters.
        server.with_token(&api.organization_token("acme").await).get(ALL).await.expect(404);
    }
}
