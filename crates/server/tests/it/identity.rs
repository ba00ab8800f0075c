//! Workload identity: a run's tokens, verified as a cloud would, and what each provider is given.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::{Value, json};
use testkit::{Api, TestServer, archive, on_both};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

/// Prints what the engine finds, in a form that is not masked.
const MAIN: &str = r#"
resource "terraform_data" "it" {
  provisioner "local-exec" {
    command = <<-SH
      show() { echo "$1=$(printf %s "$2" | base64 | tr -d '\n')."; }
      show generic "$TFC_WORKLOAD_IDENTITY_TOKEN"
      show second "$TFC_WORKLOAD_IDENTITY_TOKEN_OTHER"
      show aws "$(cat "$AWS_WEB_IDENTITY_TOKEN_FILE")"
      show role "$AWS_ROLE_ARN"
      show azure "$ARM_CLIENT_ID $ARM_USE_OIDC $(cat "$ARM_OIDC_TOKEN_FILE_PATH" | wc -c)"
      show gcp "$(cat "$GOOGLE_CREDENTIALS")"
      show kube "$KUBE_TOKEN"
      show vault "$VAULT_TOKEN $VAULT_ADDR"
      show asked "$TFC_AWS_PROVIDER_AUTH"
      echo "in the log: $TFC_WORKLOAD_IDENTITY_TOKEN"
    SH
  }
}
"#;

async fn workspace(admin: &Api, variables: &[(&str, &str)]) -> String {
    admin.organization("acme").await;
    let ws = admin.workspace("acme", "demo", json!({ "auto-apply": true })).await;
    for (key, value) in variables {
        let body = json!({ "data": { "attributes": { "key": key, "value": value, "category": "env" } } });
        admin.post(&format!("/workspaces/{ws}/vars"), body).await.expect(201);
    }
    admin.uploaded(&ws, archive(&[("main.tf", MAIN)])).await;
    ws
}

/// What the provisioner printed under a name.
fn shown(log: &str, name: &str) -> String {
    let begin = format!("{name}=");
    let found = log.split(&begin).nth(1).and_then(|rest| rest.split('.').next());
    let encoded = found.unwrap_or_else(|| panic!("no {name} in {log}"));
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// The claims of a token, if the published keys vouch for it.
async fn verified(server: &TestServer, token: &str) -> Value {
    let get = |path: &str| {
        let url = format!("{}{path}", server.url);
        async move {
            serde_json::from_slice::<Value>(&reqwest::get(url).await.unwrap().bytes().await.unwrap()).unwrap()
        }
    };
    let discovery = get("/.well-known/openid-configuration").await;
    assert_eq!(discovery["issuer"], server.url);
    assert!(discovery["jwks_uri"].as_str().unwrap().ends_with("/.well-known/jwks"));
    let [header, claims, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let head: Value = serde_json::from_slice(&B64.decode(header).unwrap()).unwrap();
    assert_eq!(head["alg"], "RS256");
    let keys = get("/.well-known/jwks").await;
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == head["kid"]).unwrap();
    let part = |name: &str| B64.decode(key[name].as_str().unwrap()).unwrap();
    RsaPublicKeyComponents { n: part("n"), e: part("e") }
        .verify(
            &RSA_PKCS1_2048_8192_SHA256,
            format!("{header}.{claims}").as_bytes(),
            &B64.decode(signature).unwrap(),
        )
        .expect("a cloud would refuse the signature");
    serde_json::from_slice(&B64.decode(claims).unwrap()).unwrap()
}

/// A Vault that takes one login. Nothing real can run here: Vault is no package of any registry at hand.
async fn vault() -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut last = String::new();
        // One for the plan, one for the apply.
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 8192];
            while !request.ends_with(b"}") {
                let read = stream.read(&mut buffer).await.unwrap();
                request.extend_from_slice(&buffer[..read]);
            }
            let body = r#"{"auth":{"client_token":"hvs.granted"}}"#;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            last = String::from_utf8(request).unwrap();
        }
        last
    });
    (address, asked)
}

on_both! {
    async fn a_run_proves_to_a_cloud_who_it_is(server) {
        let admin = server.admin();
        let (address, asked) = vault().await;
        let ws = workspace(&admin, &[
            ("TFC_WORKLOAD_IDENTITY_AUDIENCE", "https://cloud.example"),
            ("TFC_WORKLOAD_IDENTITY_AUDIENCE_OTHER", "other"),
            ("TFC_AWS_PROVIDER_AUTH", "true"),
            ("TFC_AWS_RUN_ROLE_ARN", "arn:common"),
            ("TFC_AWS_APPLY_ROLE_ARN", "arn:apply"),
            ("TFC_AZURE_PROVIDER_AUTH", "true"),
            ("TFC_AZURE_RUN_CLIENT_ID", "client"),
            ("TFC_GCP_PROVIDER_AUTH", "true"),
            ("TFC_GCP_RUN_SERVICE_ACCOUNT_EMAIL", "run@project"),
            ("TFC_GCP_PROJECT_NUMBER", "7"),
            ("TFC_GCP_WORKLOAD_POOL_ID", "pool"),
            ("TFC_GCP_WORKLOAD_PROVIDER_ID", "ferroform"),
            ("TFC_KUBERNETES_PROVIDER_AUTH", "true"),
            ("TFC_VAULT_PROVIDER_AUTH", "true"),
            ("TFC_VAULT_ADDR", &address),
            ("TFC_VAULT_RUN_ROLE", "reader"),
        ])
        .await;
        let run = admin.run(&ws, json!({})).await;
        admin.wait(&run, &["applied"]).await;
        let log = admin.log(&run, "apply").await;

        let token = shown(&log, "generic");
        let claims = verified(server, &token).await;
        let project = admin.get("/organizations/acme").await.related("default-project").unwrap().to_owned();
        assert_eq!(claims["sub"], "organization:acme:project:Default Project:workspace:demo:run_phase:apply");
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(server.url), &json!("https://cloud.example")));
        assert_eq!(claims["terraform_run_id"], run.as_str());
        assert_eq!(claims["terraform_workspace_id"], ws.as_str());
        assert_eq!(claims["terraform_project_id"], project.as_str());
        assert!(claims["exp"].as_i64().unwrap() > claims["iat"].as_i64().unwrap());
        assert!(!log.contains(&token) && log.contains("in the log: (sensitive value)"), "{log}");

        assert_eq!(verified(server, &shown(&log, "second")).await["aud"], "other");
        assert_eq!(verified(server, &shown(&log, "aws")).await["aud"], "aws.workload.identity");
        assert_eq!(shown(&log, "role"), "arn:apply");
        assert!(shown(&log, "azure").starts_with("client true "));
        let gcp: Value = serde_json::from_str(&shown(&log, "gcp")).unwrap();
        let pool = "//iam.googleapis.com/projects/7/locations/global/workloadIdentityPools/pool/providers/ferroform";
        assert_eq!(gcp["audience"], pool);
        assert!(gcp["credential_source"]["file"].as_str().unwrap().ends_with("/secrets/gcp.jwt"));
        assert_eq!(verified(server, &shown(&log, "kube")).await["aud"], "kubernetes");
        assert_eq!(shown(&log, "vault"), format!("hvs.granted {address}"));
        assert_eq!(shown(&log, "asked"), "", "what asks is not for the engine");

        let login = asked.await.unwrap();
        assert!(login.starts_with("POST /v1/auth/jwt/login "), "{login}");
        let body: Value = serde_json::from_str(login.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(body["role"], "reader");
        let claims = verified(server, body["jwt"].as_str().unwrap()).await;
        assert_eq!(claims["aud"], "vault.workload.identity");
    }

    async fn an_identity_that_cannot_be_had_fails_the_run_with_the_reason(server) {
        let admin = server.admin();
        let ws = workspace(&admin, &[("TFC_AWS_PROVIDER_AUTH", "true")]).await;
        let run = admin.run(&ws, json!({})).await;
        let failed = admin.wait(&run, &["errored"]).await;
        let why = failed.attribute("error-message").as_str().unwrap();
        assert!(why.contains("TFC_AWS_RUN_ROLE_ARN") && why.contains("TFC_AWS_PLAN_ROLE_ARN"), "{why}");
        assert!(admin.log(&run, "plan").await.contains(why), "the log says it too");
    }
}
