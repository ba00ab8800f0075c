//! State versions: one of 16 MB, sent inline.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde_json::json;

use crate::Setting;
use crate::measure::{Bar, Report, Times};

const SIZE: usize = 16_000_000;
const TURNS: u32 = 5;

/// Creates state versions under a lock, as the command line's `state push` does.
pub(crate) fn measure(setting: &Setting, report: &mut Report) -> Result<()> {
    let workspace = setting.through.workspace("large-state")?;
    let api = setting.through.api();
    api.post(&format!("/api/v2/workspaces/{workspace}/actions/lock"), &json!({ "reason": "a benchmark" }))?;
    let mut times = Times::default();
    for serial in 1..=TURNS {
        let state = state(serial);
        let hash: String = Md5::digest(&state).iter().map(|byte| format!("{byte:02x}")).collect();
        let attributes =
            json!({ "serial": serial, "md5": hash, "lineage": "large", "state": STANDARD.encode(&state) });
        let body = json!({ "data": { "type": "state-versions", "attributes": attributes } });
        times.once(|| api.post(&format!("/api/v2/workspaces/{workspace}/state-versions"), &body))?;
    }
    let from = format!("median of {TURNS}");
    report.row("16 MB state version, inline", times.median(), "s", from, Bar::AtMost(0.25));
    Ok(())
}

/// A state of [`SIZE`] bytes: many resources with attributes that do not compress to nothing.
fn state(serial: u32) -> Vec<u8> {
    let mut resources = Vec::new();
    let mut left = SIZE;
    let mut number = u64::from(serial);
    while left > 2_000 {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let resource = json!({
            "mode": "managed", "type": "terraform_data", "name": format!("r{}", resources.len()),
            "provider": "provider[\"terraform.io/builtin/terraform\"]",
            "instances": [{ "schema_version": 0, "attributes": {
                "id": format!("{number:016x}"), "input": format!("{number:x}").repeat(100), "output": null,
            } }],
        });
        left = left.saturating_sub(resource.to_string().len() + 1);
        resources.push(resource);
    }
    json!({
        "version": 4, "terraform_version": "1.11.4", "serial": serial, "lineage": "large", "outputs": {},
        "resources": resources, "check_results": null,
    })
    .to_string()
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_large_state_is_as_large_as_it_says() {
        let length = state(1).len();
        assert!((SIZE - 10_000..=SIZE + 10_000).contains(&length), "{length}");
    }
}
