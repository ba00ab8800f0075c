#![allow(warnings)]
#[path = "it/world.rs"]
mod world;
use serde_json::json;
use std::time::Instant;
use world::*;
fn big(resources: usize, per: usize, bytes: usize, salt: usize) -> Vec<u8> {
    let n = resources * per;
    let filler = "abcdefghij\\n".repeat(bytes / n / 12);
    let mut s = String::from(
        "{\n  \"version\": 4,\n  \"terraform_version\": \"1.11.4\",\n  \"serial\": 1,\n  \"lineage\": \"l\",\n  \"outputs\": {},\n  \"resources\": [\n",
    );
    for r in 0..resources {
        if r > 0 {
            s.push(',');
        }
        s += &format!(
            "{{\"module\":\"module.a\",\"mode\":\"managed\",\"type\":\"aws_instance\",\"name\":\"r{r}\",\"provider\":\"provider[\\\"registry.terraform.io/hashicorp/aws\\\"]\",\"instances\":["
        );
        for i in 0..per {
            if i > 0 {
                s.push(',');
            }
            s += &format!(
                "{{\"index_key\":{i},\"schema_version\":1,\"attributes\":{{\"id\":\"i-{r}-{i}-{salt}\",\"user_data\":\"{filler}\",\"tags\":{{\"a\":\"b\"}}}},\"sensitive_attributes\":[],\"private\":\"eyJ\"}}"
            );
        }
        s += "]}";
    }
    s += "]}\n";
    s.into_bytes()
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn perf() {
    for (resources, per) in [(10000, 1), (100,100)] {
        let world = World::new().await;
        let workspace = world.locked_workspace().await;
        for round in 0..4 {
            let state = big(resources, per, 16 << 20, if round == 3 { 2 } else { round });
            let body = attributes(inline(round as i64, &state)).to_string();
            let t = Instant::now();
            let a = world
                .call(
                    axum::http::Method::POST,
                    &format!("/workspaces/{workspace}/state-versions"),
                    Some(ADMIN),
                    body,
                )
                .await;
            let d = t.elapsed();
            a.expect(201);
            let t = Instant::now();
            world.current(&workspace).await.expect(200);
            println!(
                "{resources}x{per} round {round}: {} MB {:?}; current {:?}",
                state.len() >> 20,
                d,
                t.elapsed()
            );
        }
        let state = big(resources, per, 16 << 20, 9);
        let t = Instant::now();
        let m = md5(&state);
        println!("  md5 {:?}", t.elapsed());
        let t = Instant::now();
        let f = state::facts::Facts::of(&state);
        println!("  facts {:?}", t.elapsed());
        let b = base64(&state);
        let t = Instant::now();
        use base64::Engine;
        let v = base64::engine::general_purpose::STANDARD.decode(&b).unwrap();
        println!("  base64 {:?}", t.elapsed());
        let body = attributes(inline(1, &state)).to_string();
        let t = Instant::now();
        let v: serde::de::IgnoredAny = serde_json::from_slice(body.as_bytes()).unwrap();
        println!("  json {:?}", t.elapsed());
        let org: (String,) = world
            .app
            .db
            .one("SELECT organization_id FROM workspaces WHERE id=$1", db::args![&workspace])
            .await
            .unwrap()
            .unwrap();
        let t = Instant::now();
        let _ =
            http_api::blobs::write(&world.app, &org.0.as_str().into(), "state", state.clone()).await.unwrap();
        println!("  blob write {:?}", t.elapsed());
        let t = Instant::now();
        let n = state::store::prepare(&world.app, &org.0.as_str().into(), state.clone()).await.unwrap();
        println!("  prepare {:?}", t.elapsed());
    }
}
