//! SSH keys: who may use them, and that a run does.

use serde_json::{Value, json};
use testkit::{Api, on_both, raw_archive};

/// A repository that is only reachable over SSH, and what stands for ssh: it says what it was given.
const MAIN: &str = "module \"m\" { source = \"git::ssh://git@git.invalid/m.git\" }\n";
const SSH: &str = "#!/bin/sh
echo \"asked with $*\" >&2
while [ $# -gt 0 ]; do [ \"$1\" = -i ] && key=$2; shift; done
echo \"key $(stat -c %a \"$key\") $(cat \"$key\")\" >&2
exit 1
";

async fn key(api: &Api, name: &str, value: &str) -> String {
    let body = json!({ "data": { "type": "ssh-keys", "attributes": { "name": name, "value": value } } });
    api.post("/organizations/acme/ssh-keys", body).await.expect(201).id()
}

fn choice(id: Value) -> Value {
    json!({ "data": { "type": "workspaces", "attributes": { "id": id } } })
}

on_both! {
    async fn modules_are_fetched_with_the_workspaces_key_which_is_gone_after_that(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let id = key(&admin, "git", "not a secret really").await;
        admin.patch(&format!("/workspaces/{ws}/relationships/ssh-key"), choice(json!(id))).await.expect(200);
        let path = json!({ "data": { "attributes": {
            "key": "PATH", "value": "bin:/usr/bin:/bin", "category": "env",
        } } });
        admin.post(&format!("/workspaces/{ws}/vars"), path).await.expect(201);
        let packed = raw_archive(|tar| {
            for (name, content, mode) in [("main.tf", MAIN, 0o644), ("bin/ssh", SSH, 0o755)] {
                let mut header = tar::Header::new_gnu();
                header.set_mode(mode);
                header.set_size(content.len() as u64);
                tar.append_data(&mut header, name, content.as_bytes()).unwrap();
            }
        });
        admin.uploaded(&ws, packed).await;
        let run = admin.run(&ws, json!({})).await;
        admin.wait(&run, &["errored"]).await;
        let log = admin.log(&run, "plan").await;
        for told in ["IdentitiesOnly=yes", "StrictHostKeyChecking=accept-new", "600", "not a secret really"] {
            assert!(log.contains(told), "{told} is not in\n{log}");
        }
    }

    async fn a_keys_value_is_never_shown_and_its_end_takes_it_from_workspaces(server) {
        let admin = server.admin();
        admin.organization("acme").await;
        admin.organization("other").await;
        let ws = admin.workspace("acme", "demo", json!({})).await;
        let theirs = admin.workspace("other", "theirs", json!({})).await;
        let id = key(&admin, "git", "hunter2").await;
        let shown = admin.get(&format!("/ssh-keys/{id}")).await.expect(200);
        assert!(!String::from_utf8_lossy(&shown.bytes).contains("hunter2"));
        let sql = "SELECT value FROM ssh_keys";
        let (stored,): (Vec<u8>,) = server.assembled.app.db.one(sql, vec![]).await.unwrap().unwrap();
        assert!(!stored.windows(7).any(|part| part == b"hunter2"), "it is sealed");
        let taken = json!({ "data": { "attributes": { "name": "git", "value": "x" } } });
        admin.post("/organizations/acme/ssh-keys", taken).await.expect(422);

        let of = |ws: &str| format!("/workspaces/{ws}/relationships/ssh-key");
        admin.patch(&of(&theirs), choice(json!(id))).await.expect(404);
        let set = admin.patch(&of(&ws), choice(json!(id))).await.expect(200);
        assert_eq!(set.related("ssh-key"), Some(id.as_str()));
        let cleared = admin.patch(&of(&ws), choice(Value::Null)).await.expect(200);
        assert_eq!(cleared.related("ssh-key"), None);
        admin.patch(&of(&ws), choice(json!(id))).await.expect(200);
        let manager = server.with_token(&admin.team_token("acme", "managers", &ws, "admin").await);
        manager.get(&format!("/ssh-keys/{id}")).await.expect(404);
        manager.get("/organizations/acme/ssh-keys").await.expect(404);
        admin.delete(&format!("/ssh-keys/{id}")).await.expect(204);
        admin.delete(&format!("/ssh-keys/{id}")).await.expect(404);
        assert_eq!(admin.get(&format!("/workspaces/{ws}")).await.related("ssh-key"), None);
    }
}
