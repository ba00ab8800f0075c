//! Finding engines: the real one on this machine, and releases from a mirror that these tests are.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use runner::engine::{Engine, EngineConfig, EngineError, Engines, Origin, Tool};
use std::{
    collections::BTreeMap,
    ffi::OsString,
    fs::{self, Permissions},
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

#[path = "../src/engine/openpgp/forge.rs"]
mod forge;

use forge::Secret;

/// A directory with programs that say what they are told to.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(name)
    }

    /// A program that counts how often it is run.
    fn program(&self, name: &str, says: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, script(says, &self.path("runs"))).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn runs(&self) -> usize {
        fs::read_to_string(self.path("runs")).map_or(0, |text| text.lines().count())
    }

    fn config(&self) -> EngineConfig {
        EngineConfig { cache_dir: self.path("cache"), ..EngineConfig::default() }
    }

    /// `PATH` with these directories.
    fn search(&self, folders: &[&str]) -> Option<OsString> {
        Some(std::env::join_paths(folders.iter().map(|folder| self.path(folder))).unwrap())
    }

    /// What is in the cache, at any depth.
    fn cached(&self) -> Vec<String> {
        fn list(folder: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                found.push(entry.path().display().to_string());
                list(&entry.path(), found);
            }
        }
        let mut found = Vec::new();
        list(&self.path("cache"), &mut found);
        found
    }
}

fn script(says: &str, runs: &Path) -> String {
    format!("#!/bin/sh\necho run >> {}\necho '{says}'\n", runs.display())
}

/// A mirror on a free loopback port: files by path.
struct Mirror {
    url: String,
    files: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Mirror {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mirror = Self { url, files: Arc::default(), asked: Arc::default() };
        let (files, asked) = (mirror.files.clone(), mirror.asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    stream.read_exact(&mut byte).unwrap();
                    request.push(byte[0]);
                }
                let request = String::from_utf8(request).unwrap();
                let path = request.split(' ').nth(1).unwrap().to_owned();
                let (status, body) = match files.lock().unwrap().get(&path) {
                    Some(body) => ("200 OK", body.clone()),
                    None => ("404 Not Found", b"no such file".to_vec()),
                };
                asked.lock().unwrap().push(path);
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            }
        });
        mirror
    }

    fn put(&self, path: &str, body: impl Into<Vec<u8>>) {
        self.files.lock().unwrap().insert(path.to_owned(), body.into());
    }

    fn edit(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.files.lock().unwrap().get_mut(path).unwrap());
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// A release with an archive, its checksums, and their signature.
    fn release(&self, tool: &str, version: &str, archive: &[u8], secret: &Secret) {
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let name = format!("{tool}_{version}_linux_{arch}.zip");
        let sum: String = sha256(archive).iter().map(|byte| format!("{byte:02x}")).collect();
        let sums = format!("{}  {tool}_{version}_solaris_amd64.zip\n{sum}  {name}\n", "0".repeat(64));
        let suffix = if tool == "tofu" { "gpgsig" } else { "sig" };
        let base = format!("/{tool}/{version}/{tool}_{version}_SHA256SUMS");
        self.put(&format!("{base}.{suffix}"), secret.detached(2000, sums.as_bytes()));
        self.put(&base, sums);
        self.put(&format!("/{tool}/{version}/{name}"), archive);
    }

    /// The path of the archive of a release.
    fn archive(&self, version: &str) -> String {
        let files = self.files.lock().unwrap();
        files.keys().find(|path| path.contains(version) && path.ends_with(".zip")).unwrap().clone()
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().to_vec()
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A machine, a mirror with OpenTofu 1.8.0, 1.9.0 and a pre-release, and the configuration to use both.
fn with_mirror() -> (Machine, Mirror, EngineConfig, Secret) {
    let (machine, mirror, secret) = (Machine::new(), Mirror::new(), Secret::new(1000));
    let key = machine.path("mirror.asc");
    fs::write(&key, secret.certificate("mirror@example.com", 1000, &[(27, &[2])])).unwrap();
    for version in ["1.8.0", "1.9.0", "1.10.0-rc1"] {
        let program = script(&format!("OpenTofu v{version}"), &machine.path("runs"));
        mirror.release("tofu", version, &zip(&[("LICENSE", "MPL"), ("tofu", &program)]), &secret);
    }
    let index = r#"{"versions": [{"id": "1.10.0-rc1", "files": []}, {"id": "1.9.0"}, {"id": "1.8.0"}, {"id": "odd"}]}"#;
    mirror.put("/tofu/api.json", index);
    let config = EngineConfig {
        mirror: Some(mirror.url.clone()),
        mirror_keys: vec![key],
        download: true,
        ..machine.config()
    };
    (machine, mirror, config, secret)
}

fn described(engine: &Engine) -> (Tool, &str, Origin) {
    (engine.tool, &engine.version, engine.origin)
}

#[tokio::test]
async fn the_real_engine_on_path_is_found_and_asked_once() {
    let search_path = std::env::var_os("PATH");
    let engines = Engines::new(EngineConfig { search_path, ..Machine::new().config() });
    let engine = engines.resolve(Tool::Terraform, None).await.expect("this test needs terraform on PATH");
    assert_eq!((engine.tool, engine.origin), (Tool::Terraform, Origin::Path));
    assert!(engine.path.is_absolute() && engine.version.contains('.'), "{engine:?}");
    assert_eq!(engines.resolve(Tool::Terraform, Some(&engine.version)).await.unwrap(), engine);
    assert_eq!(engines.default_engine().await.unwrap(), engine);
}

#[tokio::test]
async fn a_program_is_asked_again_only_when_its_file_has_changed() {
    let machine = Machine::new();
    machine.program("bin/terraform", "Terraform v1.5.7");
    let engines = Engines::new(EngineConfig { search_path: machine.search(&["bin"]), ..machine.config() });
    for _ in 0..5 {
        assert_eq!(engines.resolve(Tool::Terraform, None).await.unwrap().version, "1.5.7");
    }
    assert_eq!(machine.runs(), 1);
    fs::remove_file(machine.path("bin/terraform")).unwrap();
    machine.program("bin/terraform", "Terraform v1.5.8");
    assert_eq!(engines.resolve(Tool::Terraform, None).await.unwrap().version, "1.5.8");
    assert_eq!(machine.runs(), 2);
}

#[tokio::test]
async fn the_first_place_that_has_a_fitting_version_wins() {
    let machine = Machine::new();
    let configured = machine.program("opt/engine", "Terraform v1.5.7");
    machine.program("a/terraform", "Terraform v1.6.6");
    machine.program("b/terraform", "Terraform v1.7.5");
    machine.program("b/tofu", "OpenTofu v1.8.0");
    machine.program("cache/terraform/1.8.1/terraform", "Terraform v1.8.1");
    machine.program("cache/terraform/1.8.10/terraform", "Terraform v1.8.10");
    let search_path = machine.search(&["missing", "a", "b"]);
    let engines =
        Engines::new(EngineConfig { configured: Some(configured), search_path, ..machine.config() });
    for (wanted, version, origin) in [
        (None, "1.5.7", Origin::Configured),
        (Some("latest"), "1.5.7", Origin::Configured),
        (Some("1.7.5"), "1.7.5", Origin::Path),
        (Some(">= 1.6"), "1.6.6", Origin::Path),
        (Some("~> 1.8.0"), "1.8.10", Origin::Cache),
        (Some("1.8.1"), "1.8.1", Origin::Cache),
    ] {
        let engine = engines.resolve(Tool::Terraform, wanted).await.unwrap();
        assert_eq!(described(&engine), (Tool::Terraform, version, origin), "{wanted:?}");
    }
    let tofu = engines.resolve(Tool::Tofu, None).await.unwrap();
    assert_eq!(described(&tofu), (Tool::Tofu, "1.8.0", Origin::Path));
    assert_eq!(engines.default_engine().await.unwrap().version, "1.5.7");
}

#[tokio::test]
async fn a_development_version_is_taken_as_it_is_or_else_as_the_release_it_leads_to() {
    let machine = Machine::new();
    machine.program("a/terraform", "Terraform v1.9.8");
    let engines = Engines::new(EngineConfig { search_path: machine.search(&["a", "b"]), ..machine.config() });
    let asked = Some("1.9.8-dev");
    assert_eq!(engines.resolve(Tool::Terraform, asked).await.unwrap().version, "1.9.8");
    engines.resolve(Tool::Terraform, Some("1.9.9-dev")).await.unwrap_err();
    engines.resolve(Tool::Terraform, Some("1.9.8-beta1")).await.unwrap_err();
    machine.program("b/terraform", "Terraform v1.9.8-dev");
    assert_eq!(engines.resolve(Tool::Terraform, asked).await.unwrap().version, "1.9.8-dev");
}

#[tokio::test]
async fn a_configured_directory_holds_versions_side_by_side_and_links_are_followed() {
    let machine = Machine::new();
    let program = machine.program("store/terraform-1.9.8", "Terraform v1.9.8");
    machine.program("engines/tofu", "OpenTofu v1.8.0");
    fs::create_dir_all(machine.path("engines/terraform/1.9.8")).unwrap();
    std::os::unix::fs::symlink(&program, machine.path("engines/terraform/1.9.8/terraform")).unwrap();
    let engines =
        Engines::new(EngineConfig { configured: Some(machine.path("engines")), ..machine.config() });
    let engine = engines.resolve(Tool::Terraform, Some("~> 1.9.0")).await.unwrap();
    assert_eq!(described(&engine), (Tool::Terraform, "1.9.8", Origin::Configured));
    assert_eq!(engine.path, program, "a run must be given the directory that the program is really in");
    assert_eq!(engines.resolve(Tool::Tofu, None).await.unwrap().version, "1.8.0");
}

#[tokio::test]
async fn a_configured_engine_that_does_not_work_is_an_error_and_not_skipped() {
    let machine = Machine::new();
    machine.program("bin/terraform", "Terraform v1.5.7");
    let other = machine.program("opt/other", "Terragrunt v0.50.0");
    for (configured, reason) in
        [(machine.path("missing"), "No such file"), (other, "neither Terraform nor OpenTofu")]
    {
        let search_path = machine.search(&["bin"]);
        let config = EngineConfig { configured: Some(configured.clone()), search_path, ..machine.config() };
        let engines = Engines::new(config);
        let error = engines.resolve(Tool::Terraform, None).await.unwrap_err();
        assert!(matches!(error, EngineError::Configured { .. }));
        let text = error.to_string();
        assert!(text.contains(reason) && text.contains(&configured.display().to_string()), "{text}");
        let findings = engines.explain().await;
        assert!(findings.iter().all(|finding| !finding.chosen), "{findings:?}");
    }
}

#[tokio::test]
async fn a_version_that_no_place_has_is_explained_place_by_place() {
    let machine = Machine::new();
    machine.program("bin/terraform", "Terraform v1.11.4");
    machine.program("broken/terraform", "Segmentation fault");
    let search_path = machine.search(&["bin", "broken"]);
    let engines = Engines::new(EngineConfig { search_path, download: true, ..machine.config() });
    let text = engines.resolve(Tool::Terraform, Some("~> 1.9.0")).await.unwrap_err().to_string();
    let root = machine.path("").display().to_string();
    let expected = "\
No engine was found for terraform ~> 1.9.0. Looked for it here:
  configured  not set
  PATH        ROOT/bin/terraform: terraform 1.11.4
  PATH        ROOT/broken/terraform: cannot be used: it is neither Terraform nor OpenTofu: `version` ended with \
exit status: 0 and said \"Segmentation fault\"
  cache       ROOT/cache: no terraform
  download    not tried: Terraform comes only from a mirror that is set for it, because from 1.6 on it is under the \
Business Source License
Set the workspace's Terraform version to one that was found, or have the server's operator provide this one: on the PATH of `ferroform serve`, or by its option --engine (`ferroform doctor` says more).";
    assert_eq!(text.replace(root.trim_end_matches('/'), "ROOT"), expected);
    let error = engines.resolve(Tool::Terraform, Some("newest")).await.unwrap_err();
    assert!(matches!(error, EngineError::Version(_)), "{error}");
    let off = Engines::new(machine.config());
    let text = off.resolve(Tool::Tofu, None).await.unwrap_err().to_string();
    assert!(text.contains("downloads are switched off"), "{text}");
}

#[tokio::test]
async fn doctor_is_told_what_each_place_has_and_which_is_taken() {
    let machine = Machine::new();
    machine.program("bin/terraform", "Terraform v1.11.4");
    machine.program("bin/tofu", "OpenTofu v1.9.0");
    let search_path = machine.search(&["bin"]);
    let engines = Engines::new(EngineConfig { search_path, download: true, ..machine.config() });
    let told: Vec<_> = engines.explain().await.into_iter().map(|f| (f.place, f.chosen, f.outcome)).collect();
    let told: Vec<_> =
        told.iter().map(|(place, chosen, outcome)| (*place, *chosen, outcome.as_str())).collect();
    assert_eq!(
        told[..5],
        [
            (Origin::Configured, false, "not set"),
            (Origin::Path, true, "terraform 1.11.4: what a new workspace gets"),
            (Origin::Path, false, "tofu 1.9.0: for workspaces that ask for it"),
            (Origin::Cache, false, "no engine"),
            (
                Origin::Downloaded,
                false,
                "tofu: asked when no other place has what a workspace wants; only signed releases are used"
            ),
        ]
    );
    assert!(told[5].2.contains("Business Source License"), "{told:?}");
    assert!(machine.cached().is_empty(), "nothing was downloaded");
}

#[tokio::test]
async fn a_signed_release_is_downloaded_once_and_then_found_in_the_cache() {
    let (machine, mirror, config, _) = with_mirror();
    let engines = Engines::new(config.clone());
    let engine = engines.default_engine().await.unwrap();
    assert_eq!(described(&engine), (Tool::Tofu, "1.9.0", Origin::Downloaded));
    assert_eq!(engine.path, machine.path("cache/tofu/1.9.0/tofu"));
    assert_eq!(fs::metadata(&engine.path).unwrap().permissions().mode() & 0o777, 0o755);
    let asked = mirror.asked();
    let again = engines.default_engine().await.unwrap();
    assert_eq!(described(&again), (Tool::Tofu, "1.9.0", Origin::Cache));
    let restarted = Engines::new(config).resolve(Tool::Tofu, Some("1.9.0")).await.unwrap();
    assert_eq!(restarted, again);
    assert_eq!(mirror.asked(), asked, "nothing was asked again");
    let leftovers: Vec<_> = machine.cached().into_iter().filter(|path| path.contains(".download")).collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}

#[tokio::test]
async fn constraints_choose_the_newest_release_that_fits() {
    let (_machine, _mirror, config, _) = with_mirror();
    let engines = Engines::new(config);
    for (wanted, version) in [("~> 1.8.0", "1.8.0"), ("1.10.0-rc1", "1.10.0-rc1"), ("< 1.10", "1.8.0")] {
        let engine = engines.resolve(Tool::Tofu, Some(wanted)).await.unwrap();
        assert_eq!(engine.version, version, "{wanted}");
    }
    let latest = engines.resolve(Tool::Tofu, None).await.unwrap();
    assert_eq!(latest.version, "1.8.0", "the cached pre-release is nobody else's latest");
    let text = engines.resolve(Tool::Tofu, Some("~> 2.0")).await.unwrap_err().to_string();
    assert!(text.contains("/tofu/api.json has no version that fits"), "{text}");
    let text = engines.resolve(Tool::Tofu, Some("1.7.7")).await.unwrap_err().to_string();
    assert!(text.contains("tofu_1.7.7_SHA256SUMS: the server answered 404"), "{text}");
}

#[tokio::test]
async fn many_who_want_the_same_release_download_it_once() {
    let (_machine, mirror, config, _) = with_mirror();
    let engines = Arc::new(Engines::new(config));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let engines = engines.clone();
        tasks.spawn(async move { engines.resolve(Tool::Tofu, Some("1.8.0")).await.unwrap().version });
    }
    assert_eq!(tasks.join_all().await, ["1.8.0"; 8]);
    assert_eq!(mirror.asked(), 3, "checksums, signature, archive");
}

/// What the mirror does wrong, and what the refusal says.
async fn refused(spoil: impl FnOnce(&Machine, &Mirror, &Secret), reason: &str) {
    let (machine, mirror, config, secret) = with_mirror();
    fs::create_dir_all(machine.path("cache/.download-killed/engine")).unwrap();
    spoil(&machine, &mirror, &secret);
    let engines = Engines::new(config);
    let text = engines.resolve(Tool::Tofu, Some("1.9.0")).await.unwrap_err().to_string();
    assert!(text.contains(reason), "{reason}: {text}");
    let left: Vec<_> =
        machine.cached().into_iter().filter(|path| !path.contains(".download-killed")).collect();
    assert!(left.is_empty(), "{reason}: {left:?}");
    assert!(engines.resolve(Tool::Tofu, Some("1.9.0")).await.is_err(), "{reason}: it is refused again");
}

#[tokio::test]
async fn an_altered_archive_is_refused() {
    let flip = |_: &Machine, mirror: &Mirror, _: &Secret| {
        mirror.edit(&mirror.archive("1.9.0"), |bytes| *bytes.last_mut().unwrap() ^= 1);
    };
    refused(flip, "is refused: its SHA-256 is").await;
    let cut = |_: &Machine, mirror: &Mirror, _: &Secret| {
        mirror.edit(&mirror.archive("1.9.0"), |bytes| bytes.truncate(9))
    };
    refused(cut, "is refused: its SHA-256 is").await;
}

#[tokio::test]
async fn altered_checksums_are_refused() {
    let other = |_: &Machine, mirror: &Mirror, _: &Secret| {
        mirror.edit("/tofu/1.9.0/tofu_1.9.0_SHA256SUMS", |bytes| bytes[0] = b'1');
    };
    refused(other, "it does not fit the signature").await;
}

#[tokio::test]
async fn checksums_without_a_signature_are_refused() {
    let signature = "/tofu/1.9.0/tofu_1.9.0_SHA256SUMS.gpgsig";
    refused(|_, mirror, _| mirror.put(signature, ""), "it is no detached OpenPGP signature").await;
    refused(|_, mirror, _| mirror.put(signature, "<html>"), "it is not in OpenPGP's format").await;
    refused(|_, mirror, _| drop(mirror.files.lock().unwrap().remove(signature)), "answered 404").await;
}

#[tokio::test]
async fn a_release_signed_by_another_key_is_refused() {
    let program = zip(&[("tofu", "#!/bin/sh\ntouch /tmp/never\n")]);
    refused(
        |_, mirror, _| mirror.release("tofu", "1.9.0", &program, &Secret::new(1000)),
        "which is not trusted",
    )
    .await;
}

#[tokio::test]
async fn another_release_under_the_name_of_the_one_asked_for_is_refused() {
    let swap = |_: &Machine, mirror: &Mirror, _: &Secret| {
        for suffix in ["", ".gpgsig"] {
            let old =
                mirror.files.lock().unwrap()[&format!("/tofu/1.8.0/tofu_1.8.0_SHA256SUMS{suffix}")].clone();
            mirror.put(&format!("/tofu/1.9.0/tofu_1.9.0_SHA256SUMS{suffix}"), old);
        }
    };
    refused(swap, "does not list it").await;
    let mislabelled = |machine: &Machine, mirror: &Mirror, secret: &Secret| {
        let program = script("OpenTofu v1.8.0", &machine.path("runs"));
        mirror.release("tofu", "1.9.0", &zip(&[("tofu", &program)]), secret);
    };
    refused(mislabelled, "is refused: it says it is tofu 1.8.0").await;
}

#[tokio::test]
async fn an_archive_that_does_not_hold_the_program_is_refused() {
    let empty = |_: &Machine, mirror: &Mirror, secret: &Secret| {
        mirror.release("tofu", "1.9.0", &zip(&[("../tofu", "x"), ("bin/tofu", "x")]), secret);
    };
    refused(empty, "it holds no tofu").await;
    refused(|_, mirror, secret| mirror.release("tofu", "1.9.0", b"no zip", secret), "is refused").await;
    let broken = |_: &Machine, mirror: &Mirror, secret: &Secret| {
        mirror.release("tofu", "1.9.0", &zip(&[("tofu", "no program at all")]), secret);
    };
    refused(broken, "is refused: it cannot be run").await;
}

#[tokio::test]
async fn terraform_is_downloaded_only_from_a_mirror_and_with_a_key_that_were_set_for_it() {
    let (machine, mirror, config, secret) = with_mirror();
    let program = script("Terraform v1.9.8", &machine.path("runs"));
    mirror.release("terraform", "1.9.8", &zip(&[("terraform", &program)]), &secret);
    mirror.put("/terraform/index.json", r#"{"name": "terraform", "versions": {"1.9.8": {"builds": []}}}"#);

    let unset = Engines::new(config.clone());
    let text = unset.resolve(Tool::Terraform, Some("1.9.8")).await.unwrap_err().to_string();
    assert!(text.contains("Business Source License"), "{text}");
    let terraform_mirror = Some(format!("{}/", mirror.url));
    let keyless = Engines::new(EngineConfig {
        terraform_mirror: terraform_mirror.clone(),
        mirror_keys: vec![],
        ..config.clone()
    });
    let text = keyless.resolve(Tool::Terraform, Some("1.9.8")).await.unwrap_err().to_string();
    assert!(text.contains("no key is configured"), "{text}");
    assert_eq!(mirror.asked(), 0);

    let engines = Engines::new(EngineConfig { terraform_mirror, ..config });
    let engine = engines.resolve(Tool::Terraform, Some("~> 1.9.0")).await.unwrap();
    assert_eq!(described(&engine), (Tool::Terraform, "1.9.8", Origin::Downloaded));
}

#[tokio::test]
async fn a_key_file_that_cannot_be_read_stops_downloads_and_is_named() {
    let (machine, mirror, config, _) = with_mirror();
    for content in [None, Some("no key")] {
        let path = machine.path("key.asc");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let engines = Engines::new(EngineConfig { mirror_keys: vec![path], ..config.clone() });
        let text = engines.resolve(Tool::Tofu, Some("1.9.0")).await.unwrap_err().to_string();
        assert!(text.contains("key.asc cannot be used"), "{text}");
    }
    assert_eq!(mirror.asked(), 0);
}
