//! Versions of Terraform and OpenTofu: which there are, which may be chosen, and where one of an organization's own comes
//! from.
//!
//! An *official* version is a release of the tool's makers: it is taken from where the operator lets engines come from. Any
//! other is downloaded from its URL, and refused if its SHA-256 is not the one that is noted here. A version that is not
//! enabled can neither be chosen nor run; a deprecated one says so in each run's log. Versions that are not listed are left
//! to the operator's places. Only site admins see these operations. Source: the Admin Terraform Versions API.

use crate::conditions::Conditions;
use accounts::admin_organizations::only_site_admins;
use axum::http::Method;
use db::{Arg, FromRow, Tx, args};
use http_api::{App, Cx, Data, Error, Patch, Reply, Resource, Result, Routes};
use kernel::{Paged, Timestamp, ids::ToolVersionId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::HashMap;

/// The operations on versions of both tools.
pub fn routes() -> Routes {
    let (all, one) = ("/admin/terraform-versions", "/admin/terraform-versions/{id}");
    let terraform = Routes::new()
        .op(Method::GET, all, "workspaces.terraform-versions.list", |cx| list(cx, TERRAFORM))
        .op(Method::POST, all, "workspaces.terraform-versions.create", |cx| create(cx, TERRAFORM))
        .op(Method::GET, one, "workspaces.terraform-versions.read", |cx| read(cx, TERRAFORM))
        .op(Method::PATCH, one, "workspaces.terraform-versions.update", |cx| update(cx, TERRAFORM))
        .op(Method::DELETE, one, "workspaces.terraform-versions.delete", |cx| delete(cx, TERRAFORM));
    let (all, one) = ("/admin/opentofu-versions", "/admin/opentofu-versions/{id}");
    let tofu = Routes::new()
        .op(Method::GET, all, "workspaces.opentofu-versions.list", |cx| list(cx, TOFU))
        .op(Method::POST, all, "workspaces.opentofu-versions.create", |cx| create(cx, TOFU))
        .op(Method::GET, one, "workspaces.opentofu-versions.read", |cx| read(cx, TOFU))
        .op(Method::PATCH, one, "workspaces.opentofu-versions.update", |cx| update(cx, TOFU))
        .op(Method::DELETE, one, "workspaces.opentofu-versions.delete", |cx| delete(cx, TOFU));
    terraform.and(tofu)
}

const TERRAFORM: &str = "terraform";
const TOFU: &str = "tofu";

/// One archive of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Arch {
    /// A zip file that holds the program.
    pub url: String,
    /// The SHA-256 of that file, in lower-case hex; empty where the release's own signed list says it.
    pub sha: String,
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub arch: String,
}

impl Arch {
    fn is(&self, os: &str, arch: &str) -> bool {
        self.os == os && self.arch == arch
    }
}

/// A version as stored.
#[derive(Clone, Debug, FromRow)]
struct Row {
    id: ToolVersionId,
    tool: String,
    version: String,
    official: bool,
    deprecated: bool,
    deprecated_reason: Option<String>,
    beta: bool,
    enabled: bool,
    archs: String,
    created_at: Timestamp,
}

const SELECT: &str = "SELECT v.id, v.tool, v.version, v.official, v.deprecated, v.deprecated_reason, v.beta, v.enabled, v.archs,
  v.created_at FROM tool_versions v";

impl Row {
    fn archs(&self) -> Result<Vec<Arch>> {
        let stored: Vec<Arch> = serde_json::from_str(&self.archs).map_err(Error::internal)?;
        if stored.is_empty() && self.official {
            return Ok(["amd64", "arm64"].map(|arch| release(&self.tool, &self.version, arch)).into());
        }
        Ok(stored)
    }
}

/// Where the tool's makers publish a release. Its checksum is in their signed list.
fn release(tool: &str, version: &str, arch: &str) -> Arch {
    let base = match tool {
        TERRAFORM => format!("https://releases.hashicorp.com/terraform/{version}"),
        _ => format!("https://github.com/opentofu/opentofu/releases/download/v{version}"),
    };
    Arch {
        url: format!("{base}/{tool}_{version}_linux_{arch}.zip"),
        sha: String::new(),
        os: "linux".to_owned(),
        arch: arch.to_owned(),
    }
}

/// What a request may set.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Attributes {
    version: Option<String>,
    url: Option<String>,
    sha: Option<String>,
    official: Option<bool>,
    deprecated: Option<bool>,
    deprecated_reason: Patch<String>,
    beta: Option<bool>,
    enabled: Option<bool>,
    archs: Option<Vec<Arch>>,
}

impl Attributes {
    /// Carries the request over to a version. `url` and `sha` stand for the one archive of linux on amd64.
    fn apply(self, row: &mut Row) -> Result<()> {
        if let Some(version) = self.version {
            if semver::Version::parse(&version).is_err() {
                let text = "Version must be a whole version such as 1.9.8 or 1.10.0-beta1";
                return Err(Error::invalid("version", text));
            }
            row.version = version;
        }
        row.official = self.official.unwrap_or(row.official);
        row.beta = self.beta.unwrap_or(row.beta);
        row.enabled = self.enabled.unwrap_or(row.enabled);
        row.deprecated = self.deprecated.unwrap_or(row.deprecated);
        self.deprecated_reason.apply(&mut row.deprecated_reason);
        if !row.deprecated {
            row.deprecated_reason = None;
        }
        let mut archs: Vec<Arch> = serde_json::from_str(&row.archs).map_err(Error::internal)?;
        match (self.archs.filter(|given| !given.is_empty()), self.url, self.sha) {
            (Some(given), ..) => archs = given,
            (None, None, None) => {}
            (None, url, sha) => {
                let known = archs.into_iter().find(|arch| arch.is("linux", "amd64")).unwrap_or_default();
                let (url, sha) = (url.unwrap_or(known.url), sha.unwrap_or(known.sha));
                archs = vec![Arch { url, sha, os: "linux".to_owned(), arch: "amd64".to_owned() }];
            }
        }
        archs.iter_mut().try_for_each(check)?;
        if archs.is_empty() && !row.official {
            let text = "A version needs a url and a sha, or archs with them, unless it is official";
            return Err(Error::invalid("archs", text));
        }
        row.archs = serde_json::to_string(&archs).map_err(Error::internal)?;
        Ok(())
    }
}

fn check(arch: &mut Arch) -> Result<()> {
    if !arch.url.starts_with("https://") && !arch.url.starts_with("http://") {
        return Err(Error::invalid("url", "URL must begin with https:// or http://"));
    }
    arch.sha = arch.sha.to_ascii_lowercase();
    if arch.sha.len() != 64 || !arch.sha.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err(Error::invalid("sha", "Sha must be the SHA-256 of the archive: 64 hexadecimal digits"));
    }
    if arch.os.is_empty() || arch.arch.is_empty() {
        return Err(Error::invalid("archs", "Archs need an os and an arch each, such as linux and amd64"));
    }
    Ok(())
}

async fn list(cx: Cx, tool: &'static str) -> Result<Reply> {
    only_site_admins(&cx)?;
    let page = cx.page();
    let mut conditions = Conditions::of("v.tool", tool);
    if let Some(version) = cx.query("filter[version]").filter(|text| !text.is_empty()) {
        let mark = conditions.mark(version);
        conditions.require(format!("v.version = {mark}"));
    }
    if let Some(part) = cx.query("search[version]").filter(|text| !text.is_empty()) {
        conditions.contains("v.version", part);
    }
    // All of them, because no column has the order of versions; there are some dozens.
    let sql = format!("{SELECT} WHERE {}", conditions.text());
    let mut rows: Vec<Row> = cx.app.db.all(db::AssertSqlSafe(sql), conditions.values()).await?;
    rows.sort_by_cached_key(|row| std::cmp::Reverse(semver::Version::parse(&row.version).ok()));
    let total = i64::try_from(rows.len()).ok();
    let start = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let shown: Vec<Row> = rows.into_iter().skip(start).take(page.size as usize).collect();
    let items = documents(&cx.app, tool, &shown).await?;
    cx.page_of(Paged { items, page, total }, &[]).await
}

/// The version of the path, locked until the transaction ends.
async fn held(cx: &Cx, tx: &mut Tx, tool: &str) -> Result<Row> {
    tx.exec("UPDATE tool_versions SET enabled = enabled WHERE id = $1", args![cx.path("id")]).await?;
    let sql = format!("{SELECT} WHERE v.id = $1 AND v.tool = $2");
    tx.one(db::AssertSqlSafe(sql), args![cx.path("id"), tool]).await?.ok_or(Error::NotFound)
}

async fn read(cx: Cx, tool: &'static str) -> Result<Reply> {
    only_site_admins(&cx)?;
    let sql = format!("{SELECT} WHERE v.id = $1 AND v.tool = $2");
    let row: Row =
        cx.app.db.one(db::AssertSqlSafe(sql), args![cx.path("id"), tool]).await?.ok_or(Error::NotFound)?;
    answer(&cx, tool, row).await
}

async fn answer(cx: &Cx, tool: &str, row: Row) -> Result<Reply> {
    let document = documents(&cx.app, tool, &[row]).await?.pop();
    cx.one(document.ok_or(Error::NotFound)?, &[]).await
}

async fn create(mut cx: Cx, tool: &'static str) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    if data.attributes.version.is_none() {
        return Err(Error::invalid("version", "Version can't be blank"));
    }
    let mut row = Row {
        id: ToolVersionId::new(&cx.app.env),
        tool: tool.to_owned(),
        version: String::new(),
        official: false,
        deprecated: false,
        deprecated_reason: None,
        beta: false,
        enabled: true,
        archs: "[]".to_owned(),
        created_at: cx.app.now(),
    };
    data.attributes.apply(&mut row)?;
    let mut tx = cx.app.db.begin().await?;
    refuse_taken(&mut tx, &row).await?;
    insert(&mut tx, &row).await?;
    tx.commit().await?;
    let document = documents(&cx.app, tool, &[row]).await?.pop().ok_or(Error::NotFound)?;
    Ok(Reply::created(document))
}

async fn insert(tx: &mut Tx, row: &Row) -> Result<()> {
    tx.exec(
        "INSERT INTO tool_versions (id, tool, version, official, deprecated, deprecated_reason, beta, enabled, archs,
           created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
        args![
            &row.id,
            &row.tool,
            &row.version,
            row.official,
            row.deprecated,
            row.deprecated_reason.clone(),
            row.beta,
            row.enabled,
            &row.archs,
            row.created_at
        ],
    )
    .await
    .map(drop)
}

async fn refuse_taken(tx: &mut Tx, row: &Row) -> Result<()> {
    let taken: Option<(String,)> = tx
        .one(
            "SELECT id FROM tool_versions WHERE tool = $1 AND version = $2 AND id <> $3",
            args![&row.tool, &row.version, &row.id],
        )
        .await?;
    if taken.is_some() { Err(Error::invalid("version", "Version has already been taken")) } else { Ok(()) }
}

async fn update(mut cx: Cx, tool: &'static str) -> Result<Reply> {
    only_site_admins(&cx)?;
    let data: Data<Attributes> = cx.data().await?;
    let mut tx = cx.app.db.begin().await?;
    let mut row = held(&cx, &mut tx, tool).await?;
    let before = row.version.clone();
    data.attributes.apply(&mut row)?;
    if row.version != before {
        refuse_used(&mut tx, tool, &before, "be called otherwise").await?;
        refuse_taken(&mut tx, &row).await?;
    }
    tx.exec(
        "UPDATE tool_versions SET version = $2, official = $3, deprecated = $4, deprecated_reason = $5, beta = $6,
           enabled = $7, archs = $8 WHERE id = $1",
        args![
            &row.id,
            &row.version,
            row.official,
            row.deprecated,
            row.deprecated_reason.clone(),
            row.beta,
            row.enabled,
            &row.archs
        ],
    )
    .await?;
    tx.commit().await?;
    answer(&cx, tool, row).await
}

async fn delete(cx: Cx, tool: &'static str) -> Result<Reply> {
    only_site_admins(&cx)?;
    let mut tx = cx.app.db.begin().await?;
    let row = held(&cx, &mut tx, tool).await?;
    if row.official {
        return Err(Error::Unprocessable(format!(
            "{tool} {} is official and cannot be deleted; set enabled to false, so that nobody chooses it",
            row.version
        )));
    }
    refuse_used(&mut tx, tool, &row.version, "be deleted").await?;
    tx.exec("DELETE FROM tool_versions WHERE id = $1", args![&row.id]).await?;
    tx.commit().await?;
    Ok(Reply::no_content())
}

async fn refuse_used(tx: &mut Tx, tool: &str, version: &str, what: &str) -> Result<()> {
    let used: Option<(i64,)> = tx
        .one(
            "SELECT COUNT(*) FROM workspaces WHERE engine = $1 AND terraform_version = $2",
            args![tool, version],
        )
        .await?;
    match used {
        Some((count,)) if count > 0 => Err(Error::Unprocessable(format!(
            "{tool} {version} cannot {what}: {count} workspaces use it; give them another version first"
        ))),
        _ => Ok(()),
    }
}

/// Versions with how many workspaces use each, by one statement for all.
async fn documents(app: &App, tool: &str, rows: &[Row]) -> Result<Vec<Resource>> {
    let mut values = args![tool];
    values.extend(rows.iter().map(|row| Arg::from(&row.version)));
    let marks: Vec<String> = (2..2 + rows.len()).map(|n| format!("${n}")).collect();
    let usage: HashMap<String, i64> = if rows.is_empty() {
        HashMap::new()
    } else {
        let sql = format!(
            "SELECT terraform_version, COUNT(*) FROM workspaces WHERE engine = $1 AND terraform_version IN ({})
             GROUP BY terraform_version",
            marks.join(", ")
        );
        app.db.all::<(String, i64)>(db::AssertSqlSafe(sql), values).await?.into_iter().collect()
    };
    let kind = if tool == TERRAFORM { "terraform-versions" } else { "opentofu-versions" };
    rows.iter()
        .map(|row| {
            let archs = row.archs()?;
            let usual = archs.iter().find(|arch| arch.is("linux", "amd64")).cloned().unwrap_or_default();
            let attributes = json!({
                "version": row.version, "url": usual.url, "sha": usual.sha, "official": row.official,
                "deprecated": row.deprecated, "deprecated-reason": row.deprecated_reason, "beta": row.beta,
                "enabled": row.enabled, "usage": usage.get(&row.version).copied().unwrap_or(0),
                "created-at": row.created_at.iso8601(), "archs": archs,
            });
            Ok(Resource::new(kind, row.id.as_str(), &attributes)
                .link("self", format!("/api/v2/admin/{kind}/{}", row.id)))
        })
        .collect()
}

/// Lists versions of a tool that are installed, unless they are listed already: at boot.
pub async fn note_installed(app: &App, tool: &str, versions: &[String]) -> Result<()> {
    let known: Vec<(String,)> =
        app.db.all("SELECT version FROM tool_versions WHERE tool = $1", args![tool]).await?;
    let new: Vec<&String> =
        versions.iter().filter(|version| !known.iter().any(|(known,)| known == *version)).collect();
    if new.is_empty() {
        return Ok(());
    }
    let mut tx = app.db.begin().await?;
    for version in new {
        let plain = !version.contains(['-', '+']);
        let row = Row {
            id: ToolVersionId::new(&app.env),
            tool: tool.to_owned(),
            version: version.clone(),
            official: plain,
            deprecated: false,
            deprecated_reason: None,
            beta: !plain,
            enabled: true,
            archs: "[]".to_owned(),
            created_at: app.now(),
        };
        insert(&mut tx, &row).await?;
    }
    tx.commit().await
}

/// Refuses a version that site admins do not let anybody choose.
///
/// # Errors
/// 422 for the attribute `terraform-version`.
pub(crate) async fn refuse_disabled(tx: &mut Tx, tool: &str, version: &str) -> Result<()> {
    let found: Option<(bool,)> = tx
        .one("SELECT enabled FROM tool_versions WHERE tool = $1 AND version = $2", args![tool, version])
        .await?;
    match found {
        Some((false,)) => Err(Error::invalid("terraform-version", not_enabled(tool, version))),
        _ => Ok(()),
    }
}

/// Why a version that is not enabled can neither be chosen nor run.
fn not_enabled(tool: &str, version: &str) -> String {
    format!("{tool} {version} is not enabled on this server; choose another version, or ask a site admin")
}

/// What a runner must know of the versions of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Versions that must not run, each with a sentence that says why.
    pub refused: Vec<(String, String)>,
    /// Versions that are deprecated, each with what to tell people.
    pub deprecated: Vec<(String, String)>,
    /// Versions of the installation's own, with their archives.
    pub own: Vec<(String, Vec<Arch>)>,
}

/// The rules for the versions of a tool; nothing where all is as usual.
pub async fn rules(app: &App, tool: &str) -> Result<Rules> {
    let sql = format!(
        "{SELECT} WHERE v.tool = $1 AND (v.enabled = FALSE OR v.deprecated = TRUE OR v.archs <> '[]')"
    );
    let rows: Vec<Row> = app.db.all(db::AssertSqlSafe(sql), args![tool]).await?;
    let mut rules = Rules::default();
    for row in rows {
        let own = serde_json::from_str::<Vec<Arch>>(&row.archs).map_err(Error::internal)?;
        if !row.enabled {
            rules.refused.push((row.version.clone(), not_enabled(tool, &row.version)));
        }
        if row.deprecated {
            let reason = row.deprecated_reason.map(|reason| format!(": {reason}")).unwrap_or_default();
            let text = format!("{tool} {} is deprecated on this server{reason}", row.version);
            rules.deprecated.push((row.version.clone(), text));
        }
        if !own.is_empty() {
            rules.own.push((row.version, own));
        }
    }
    Ok(rules)
}
