//! `include=`: related resources in the same document, level by level, one query per type: no N+1 by construction.
//!
//! A slice registers for its JSON:API type how resources are read by id ([`Loaders::add`]). An included resource that
//! the caller may not see is left out. `-` and `_` are equal in the names (clients use both).

use crate::{Cx, Error, Resource, Result};
use futures_util::future::BoxFuture;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

type Loader = Arc<dyn Fn(Cx, Vec<String>) -> BoxFuture<'static, Result<Vec<Resource>>> + Send + Sync>;

/// How an included resource of each JSON:API type is read.
#[derive(Clone, Default)]
pub struct Loaders(HashMap<&'static str, Loader>);

impl Loaders {
    /// Registers the reader of one type: given ids, in any order, the resources among them that the caller may see.
    pub fn add<F, Fut>(&mut self, kind: &'static str, loader: F)
    where
        F: Fn(Cx, Vec<String>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<Resource>>> + Send + 'static,
    {
        self.0.insert(kind, Arc::new(move |cx, ids| Box::pin(loader(cx, ids))));
    }
}

/// The paths asked for, checked against those that the operation offers.
///
/// # Errors
/// 400 `Invalid include parameter` for any other; the SDK and the CLI match that text.
pub fn parse(text: Option<&str>, offered: &[&str]) -> Result<Vec<Vec<String>>> {
    let mut paths = Vec::new();
    for path in text.unwrap_or_default().split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let path = path.replace('-', "_");
        if !offered.contains(&path.as_str()) {
            return Err(Error::bad_request(
                "Invalid include parameter",
                format!("{path} cannot be included here; these can: {}", offered.join(", ")),
            ));
        }
        paths.push(path.split('.').map(|name| name.replace('_', "-")).collect());
    }
    Ok(paths)
}

/// Reads what the paths name, starting from the primary resources. Primary resources are never repeated: the SDK
/// resolves references recursively and without a guard against cycles.
pub async fn resolve(cx: &Cx, primary: &[Resource], paths: &[Vec<String>]) -> Result<Vec<Resource>> {
    let mut seen: HashSet<(&'static str, String)> = primary.iter().map(|r| (r.kind, r.id.clone())).collect();
    let mut included: Vec<Resource> = Vec::new();
    for path in paths {
        let mut level: Vec<Resource> = primary.to_vec();
        for name in path {
            let mut wanted: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
            for resource in &level {
                for (kind, id) in resource.related(name) {
                    let ids = wanted.entry(kind).or_default();
                    if !ids.iter().any(|known| known == id) {
                        ids.push(id.to_owned());
                    }
                }
            }
            level.clear();
            for (kind, ids) in wanted {
                let Some(loader) = cx.app.loaders.0.get(kind).cloned() else { continue };
                level.extend(loader(cx.fork(), ids).await?);
            }
            for resource in &level {
                if seen.insert((resource.kind, resource.id.clone())) {
                    included.push(resource.clone());
                }
            }
        }
    }
    Ok(included)
}
