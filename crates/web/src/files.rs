//! Forms with files: a configuration that comes from the browser.
//!
//! The fields of such a form come before its files, so that its token is looked at before a byte of a file is read. Files go
//! to a temporary folder as they arrive, never into memory; [`Files::save`] says how much may come, and where a folder's
//! file belongs.

use axum::body::Body;
use http_api::{Error, Result};
use multer::{Field, Multipart};
use std::path::{Component, Path, PathBuf};
use tokio::io::AsyncWriteExt;

/// The rest of a form, whose fields were read.
pub(crate) struct Files {
    parts: Multipart<'static>,
    /// The first file, which ended the fields.
    first: Option<Field<'static>>,
}

/// How much may come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Most {
    /// Bytes of all files.
    pub(crate) bytes: u64,
    /// Number of files.
    pub(crate) files: u64,
}

/// What came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

fn broken(error: &multer::Error) -> Error {
    Error::bad_request("bad request", format!("The form did not arrive whole ({error}). Send it again."))
}

impl Files {
    /// Reads the fields of a form, up to its first file.
    ///
    /// # Errors
    /// When it is no such form, and when the fields have more bytes than `most`.
    pub(crate) async fn begin(
        body: Body,
        boundary: String,
        most: usize,
    ) -> Result<(Vec<(String, String)>, Self)> {
        let mut parts = Multipart::new(body.into_data_stream(), boundary);
        let (mut fields, mut left) = (Vec::new(), most);
        let first = loop {
            let Some(mut part) = parts.next_field().await.map_err(|e| broken(&e))? else { break None };
            if part.file_name().is_some() {
                break Some(part);
            }
            let (name, mut value) = (part.name().unwrap_or_default().to_owned(), Vec::new());
            while let Some(bytes) = part.chunk().await.map_err(|e| broken(&e))? {
                left = left.checked_sub(bytes.len()).ok_or_else(|| {
                    Error::TooLarge(format!("The fields of a form may have at most {most} bytes."))
                })?;
                value.extend_from_slice(&bytes);
            }
            fields.push((name, String::from_utf8_lossy(&value).into_owned()));
        };
        Ok((fields, Self { parts, first }))
    }

    /// Saves the files of the field `wanted` below a folder, each at the path that its name says and `place` finds a place
    /// for, and passes over all others.
    ///
    /// # Errors
    /// When more comes than may, and when a file has no place.
    pub(crate) async fn save(
        mut self,
        wanted: &str,
        folder: &Path,
        most: Most,
        place: impl Fn(&str) -> Result<PathBuf>,
    ) -> Result<Saved> {
        let mut saved = Saved::default();
        let mut next = self.first.take();
        loop {
            let part = match next.take() {
                Some(part) => Some(part),
                None => self.parts.next_field().await.map_err(|e| broken(&e))?,
            };
            let Some(part) = part else { return Ok(saved) };
            // Where nothing was chosen, browsers send a file without a name.
            let name = part.file_name().unwrap_or_default().to_owned();
            if part.name() != Some(wanted) || name.is_empty() {
                continue;
            }
            saved.files += 1;
            if saved.files > most.files {
                let text = format!("This is more than {} files. Choose a smaller folder.", most.files);
                return Err(Error::TooLarge(text));
            }
            write(part, &folder.join(place(&name)?), &mut saved.bytes, most.bytes).await?;
        }
    }
}

async fn write(mut part: Field<'static>, to: &Path, bytes: &mut u64, most: u64) -> Result<()> {
    let shown = part.file_name().unwrap_or_default().to_owned();
    let failed = |error: std::io::Error| {
        Error::Unprocessable(format!("{shown:?} cannot be kept on the server while it is packed: {error}"))
    };
    if let Some(parent) = to.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(failed)?;
    }
    let file = tokio::fs::OpenOptions::new().write(true).create_new(true).open(to).await.map_err(failed)?;
    let mut file = tokio::io::BufWriter::new(file);
    while let Some(chunk) = part.chunk().await.map_err(|e| broken(&e))? {
        *bytes += chunk.len() as u64;
        if *bytes > most {
            return Err(Error::TooLarge(format!(
                "This is more than {}. Choose less, or leave out what a run does not need by a .terraformignore file.",
                size(most)
            )));
        }
        file.write_all(&chunk).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

/// Where a file of a chosen folder belongs: its path as the browser says it, less the name of the folder itself.
///
/// # Errors
/// When the path would lead out of the folder.
pub(crate) fn below_folder(name: &str) -> Result<PathBuf> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let mut parts = path.components();
    parts.next();
    let below = parts.as_path();
    if !plain || name.contains('\0') || below.as_os_str().is_empty() {
        return Err(Error::Unprocessable(format!("{name:?} is not the path of a file in a folder")));
    }
    Ok(below.to_owned())
}

/// The bytes of a file, as a body.
pub(crate) async fn body_of(path: &Path) -> Result<Body> {
    let file = tokio::fs::File::open(path).await.map_err(Error::internal)?;
    Ok(Body::from_stream(tokio_util::io::ReaderStream::with_capacity(file, 64 << 10)))
}

/// A number of bytes in words.
pub(crate) fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let of = |unit: u64| bytes as f64 / unit as f64;
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", of(1 << 10)),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", of(1 << 20)),
        _ => format!("{:.1} GiB", of(1 << 30)),
    }
    .replace(".0 ", " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_folder_stays_in_it() {
        let at = |name: &str| below_folder(name).ok().map(|path| path.display().to_string());
        assert_eq!(at("infra/main.tf").as_deref(), Some("main.tf"));
        assert_eq!(at("infra/modules/app/main.tf").as_deref(), Some("modules/app/main.tf"));
        for name in ["main.tf", "infra/../../x", "/etc/passwd", "../x", "infra/..", "", "infra/a\0b"] {
            assert_eq!(at(name), None, "{name}");
        }
    }

    #[test]
    fn a_size_has_at_most_one_decimal() {
        assert_eq!(size(12), "12 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(100 << 20), "100 MiB");
    }
}
