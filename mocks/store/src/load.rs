//! From files to scenarios and fixtures.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use api_mock_scenario::{Format, GroupConfig, Scenario, fixture_name, group_of_file, method};
use bytes::Bytes;

use crate::disk::{Disk, Stamp};
use crate::error::StoreError;
use crate::options::StoreOptions;
use crate::snapshot::{Stored, StoredFixture};

/// What a file is, by its name and folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Scenario(Format),
    /// YAML that is a scenario only if it looks like one.
    Perhaps,
    /// A fixture: its folder with slashes, and its name.
    Fixture {
        folder: String,
        name: String,
    },
    /// What is set for the group of this name.
    Group(String),
    Other,
}

/// Folders of newer versions that hold other things, unless a method's folder is inside.
const FOREIGN: [&str; 5] = ["history", "shared_vars", "groups", "oapi_specs", "assets"];

pub(crate) fn kind(relative: &Path) -> FileKind {
    let parent = relative.parent().unwrap_or(Path::new(""));
    let in_method = parent.file_name().and_then(OsStr::to_str).is_some_and(|name| {
        // Exactly as such folders are named.
        method(name).is_some_and(|method| method == name)
    });
    let file_name = relative.file_name().and_then(OsStr::to_str).unwrap_or_default();
    if let Some(group) = group_of_file(relative) {
        return FileKind::Group(group);
    }
    match relative.extension().and_then(OsStr::to_str).unwrap_or_default() {
        "scr" => FileKind::Scenario(Format::Yaml),
        "yaml" | "yml" if in_method => FileKind::Scenario(Format::Yaml),
        "json" if in_method => FileKind::Scenario(Format::Json),
        "yaml" | "yml" => {
            let first =
                relative.components().next().map(|part| part.as_os_str().to_string_lossy().into_owned());
            let foreign = first.is_some_and(|first| FOREIGN.contains(&first.as_str()));
            if foreign { FileKind::Other } else { FileKind::Perhaps }
        }
        "dat" => match fixture_name(file_name) {
            Some(name) => FileKind::Fixture { folder: with_slashes(parent), name },
            None => FileKind::Other,
        },
        _ => FileKind::Other,
    }
}

/// Whether a store would read a file as a scenario, by its place in the data folder and its text.
#[must_use]
pub fn is_scenario(relative: &Path, text: &str) -> bool {
    let is_hidden = |part: Component<'_>| part.as_os_str().to_string_lossy().starts_with('.');
    match kind(relative) {
        _ if relative.components().any(is_hidden) => false,
        FileKind::Scenario(_) => true,
        FileKind::Perhaps => looks_like_scenario(text),
        _ => false,
    }
}

pub(crate) fn with_slashes(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}

/// What a file holds.
pub(crate) enum FileContents {
    Scenario(Arc<Stored>),
    Fixture {
        folder: String,
        name: String,
        fixture: Arc<StoredFixture>,
    },
    Group {
        name: String,
        config: Arc<GroupConfig>,
    },
    /// It does not look like a scenario, and does not have to.
    Nothing,
}

/// Reads files, many of them by several threads. Errors are texts for people.
pub(crate) fn read_files(
    disk: &Disk,
    files: &[(PathBuf, Stamp)],
    options: &StoreOptions,
) -> Vec<Result<FileContents, String>> {
    let read = |(file, stamp): &(PathBuf, Stamp)| {
        read_file(disk, file, stamp, options).map_err(|error| match error {
            StoreError::Scenario(_) | StoreError::Conflict(_) => error.to_string(),
            error => format!("{}: {error}", with_slashes(file)),
        })
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    if files.len() < 32 || threads < 2 {
        return files.iter().map(read).collect();
    }
    std::thread::scope(|scope| {
        let part = files.len().div_ceil(threads);
        let running: Vec<_> = files
            .chunks(part)
            .map(|part| (part, scope.spawn(move || part.iter().map(read).collect::<Vec<_>>())))
            .collect();
        let results = running.into_iter().flat_map(|(part, thread)| {
            // A thread that panicked has said why.
            thread.join().unwrap_or_else(|_| {
                part.iter().map(|(file, _)| Err(with_slashes(file) + ": cannot be read")).collect()
            })
        });
        results.collect()
    })
}

fn read_file(
    disk: &Disk,
    file: &Path,
    stamp: &Stamp,
    options: &StoreOptions,
) -> Result<FileContents, StoreError> {
    let kind = kind(file);
    check_size(&kind, stamp.size(), options)?;
    let bytes = disk.read(file)?;
    if let FileKind::Fixture { folder, name } = kind {
        let fixture = Arc::new(StoredFixture::new(Bytes::from(bytes)));
        return Ok(FileContents::Fixture { folder, name, fixture });
    }
    let name = with_slashes(file);
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(StoreError::Conflict(format!("{name}: expected text, found bytes that are not UTF-8")));
    };
    if kind == FileKind::Perhaps && !looks_like_scenario(&text) {
        return Ok(FileContents::Nothing);
    }
    if let FileKind::Group(group) = kind {
        let config = GroupConfig::parse(&text).map_err(|error| Box::new(error.in_file(name)))?;
        return Ok(FileContents::Group { name: group, config: Arc::new(config) });
    }
    let format = if let FileKind::Scenario(format) = kind { format } else { Format::Yaml };
    let scenario = Scenario::parse(&text, format).map_err(|error| Box::new(error.in_file(name)))?;
    let text: Arc<str> = match format {
        Format::Yaml => text.into(),
        Format::Json => scenario.to_yaml().into(),
    };
    options.check(&scenario, &text)?;
    Ok(FileContents::Scenario(Arc::new(Stored { scenario, text, file: file.to_path_buf(), by_hand: true })))
}

fn looks_like_scenario(text: &str) -> bool {
    ["method:", "path:", "response:"].iter().all(|key| text.lines().any(|line| line.starts_with(key)))
}

/// Refuses what is over the limit before it is read.
pub(crate) fn check_size(kind: &FileKind, size: u64, options: &StoreOptions) -> Result<(), StoreError> {
    let (what, limit) = match kind {
        FileKind::Fixture { .. } => ("a fixture", options.max_fixture_bytes),
        _ => ("a scenario", options.max_scenario_bytes),
    };
    if size > limit { Err(StoreError::TooLarge { what, size, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_are() {
        let scenario = |path: &str| kind(Path::new(path)) == FileKind::Scenario(Format::Yaml);
        assert!(scenario("a/GET/x.scr") && scenario("x.scr") && scenario("groups/GET/y.yaml"));
        assert_eq!(kind(Path::new("GET/x.json")), FileKind::Scenario(Format::Json));
        assert_eq!(kind(Path::new("hand.yaml")), FileKind::Perhaps);
        assert_eq!(kind(Path::new("groups/Twilio%20API.json")), FileKind::Group("Twilio API".to_owned()));
        assert_eq!(kind(Path::new("history/one.yaml")), FileKind::Other);
        assert_eq!(kind(Path::new("oapi_specs/one.json")), FileKind::Other);
        let fixture = FileKind::Fixture { folder: "v1/GET".to_owned(), name: "lines.txt".to_owned() };
        assert_eq!(kind(Path::new("v1/GET/lines.txt.dat")), fixture);
    }
}
