//! Static files.

use std::fs::File;
use std::path::{Component, Path, PathBuf};

use http::HeaderValue;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};

use crate::problem::Problem;
use crate::reply::{Reply, ReplyBody};
use crate::rim::Rim;

/// Sends a file of the asset folder.
pub(super) async fn get(rim: &Rim, path: String) -> Result<Reply, Problem> {
    let Some(folder) = rim.asset_dir.clone() else { return Err(none()) };
    let wanted = path.trim_start_matches('/').to_owned();
    let content_type = content_type(&wanted);
    let (file, length) = super::blocking(move || open(&folder, &wanted).ok_or_else(none)).await?;
    let mut reply = Reply::new(ReplyBody::file(file, length));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    reply.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(reply)
}

fn none() -> Problem {
    Problem::not_found("there is no such asset")
}

/// Opens a file whose real place, after all symbolic links, is in the folder.
fn open(folder: &Path, wanted: &str) -> Option<(File, u64)> {
    let relative = PathBuf::from(wanted);
    let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
    if wanted.is_empty() || !plain || wanted.contains('\\') {
        return None;
    }
    let folder = folder.canonicalize().ok()?;
    let place = folder.join(relative).canonicalize().ok()?;
    if !place.starts_with(&folder) {
        return None;
    }
    let metadata = place.metadata().ok().filter(std::fs::Metadata::is_file)?;
    Some((File::open(place).ok()?, metadata.len()))
}

/// By the ending of the name; unknown ones are bytes.
fn content_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    match ending.to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "yaml" | "yml" => "application/yaml",
        "xml" => "application/xml",
        "txt" | "md" | "csv" | "log" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "pdf" => "application/pdf",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_outside_are_not_opened_whatever_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let assets = folder.path().join("assets");
        std::fs::create_dir_all(assets.join("sub")).unwrap();
        std::fs::write(folder.path().join("secret"), "s").unwrap();
        std::fs::write(assets.join("sub/a.txt"), "hello").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink("../secret", assets.join("link")).unwrap();
        assert_eq!(open(&assets, "sub/a.txt").unwrap().1, 5);
        let absolute = folder.path().join("secret");
        for bad in [
            "../secret",
            "sub/../../secret",
            "link",
            "",
            "sub",
            ".",
            absolute.to_str().unwrap(),
            "sub\\a.txt",
        ] {
            assert!(open(&assets, bad).is_none(), "{bad}");
        }
    }
}
