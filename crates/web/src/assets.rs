//! Style sheet, icon and scripts: compiled in, compressed once, named by their content, kept by browsers for ever.

use crate::{answer::Answer, visit::Visit};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http_api::{Error, Result};
use ring::digest;
use std::{io::Write, sync::LazyLock};

struct Asset {
    name: String,
    kind: &'static str,
    plain: &'static [u8],
    packed: Bytes,
}

/// What a page asks for, in this order.
static SCRIPTS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    const KIND: &str = "text/javascript; charset=utf-8";
    [
        Asset::new("htmx", "js", KIND, include_bytes!("../assets/htmx-2.0.11.min.js")),
        Asset::new("htmx-sse", "js", KIND, include_bytes!("../assets/htmx-sse-2.2.4.min.js")),
        Asset::new("ferroform", "js", KIND, include_bytes!("../assets/ferroform.js")),
    ]
});
static STYLE: LazyLock<Asset> = LazyLock::new(|| {
    Asset::new("style", "css", "text/css; charset=utf-8", include_bytes!("../assets/style.css"))
});
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_bytes!("../assets/icon.svg")));

impl Asset {
    fn new(stem: &str, extension: &str, kind: &'static str, plain: &'static [u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, plain);
        let hash: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            name: format!("{stem}-{hash}.{extension}"),
            kind,
            plain,
            packed: packed(plain, Compression::best()).into(),
        }
    }

    fn path(&self) -> String {
        format!("/_assets/{}", self.name)
    }
}

/// Compressed by gzip.
pub(crate) fn packed(plain: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), level);
    encoder.write_all(plain).and_then(|()| encoder.finish()).expect("memory takes all that is written")
}

/// Where the style sheet is.
pub(crate) fn style() -> String {
    STYLE.path()
}

/// Where the icon is.
pub(crate) fn icon() -> String {
    ICON.path()
}

/// Where the scripts are, in the order in which they begin.
pub(crate) fn scripts() -> impl Iterator<Item = String> {
    SCRIPTS.iter().map(Asset::path)
}

pub(crate) async fn show(visit: Visit) -> Result<Answer> {
    let name = visit.path("name");
    let mut all = SCRIPTS.iter().chain([&*STYLE, &*ICON]);
    let asset = all.find(|asset| asset.name == name).ok_or(Error::NotFound)?;
    Ok(Answer::forever(asset.kind, asset.plain, asset.packed.clone()))
}
