//! Scenarios, fixtures and specifications from files.

use std::path::{Path, PathBuf};

use api_mock_openapi::{ImportOptions, LoadError};
use api_mock_scenario::Format;
use api_mock_server::import_specification;
use api_mock_store::{Store, StoreOptions};

use crate::error::{MountError, StartError};

fn cannot_read(path: &Path) -> impl Fn(std::io::Error) -> StartError {
    let path = path.to_owned();
    move |source| StartError::Read { path: path.clone(), source }
}

/// One scenario, and as fixtures the files beside it that it speaks of.
pub(crate) fn scenario(store: &Store, file: &Path) -> Result<(), StartError> {
    let text = std::fs::read_to_string(file).map_err(cannot_read(file))?;
    let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let format = if is_json { Format::Json } else { Format::Yaml };
    let name = file.display().to_string();
    let stored = store.put_text(&text, format).map_err(|source| MountError { name, source })?;
    let scenario = &stored.scenario;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    for entry in folder.read_dir().map_err(cannot_read(folder))?.flatten() {
        let beside = entry.path();
        let Some(name) = beside.file_name().and_then(|name| name.to_str()) else { continue };
        let name = name.strip_suffix(".dat").unwrap_or(name);
        if beside != file && text.contains(name) && beside.is_file() {
            fixture(store, &scenario.method, &scenario.path, name, &beside)?;
        }
    }
    Ok(())
}

/// A file as a fixture.
pub(crate) fn fixture(
    store: &Store,
    method: &str,
    path: &str,
    name: &str,
    file: &Path,
) -> Result<(), StartError> {
    let bytes = std::fs::read(file).map_err(cannot_read(file))?;
    store
        .put_fixture(method, name, path, bytes.into())
        .map_err(|source| StartError::Fixture { name: name.to_owned(), source })
}

/// All scenarios and fixtures of a data folder, which stays as it is.
pub(crate) fn folder(store: &Store, folder: &Path) -> Result<(), StartError> {
    if !folder.is_dir() {
        return Err(cannot_read(folder)(std::io::ErrorKind::NotADirectory.into()));
    }
    let mut options = StoreOptions::in_folder(folder);
    options.watch_every = None;
    let (from, problems) = Store::open(options)?;
    if !problems.is_empty() {
        let problems = problems.iter().map(ToString::to_string).collect();
        return Err(StartError::Folder { folder: folder.to_owned(), problems });
    }
    let snapshot = from.snapshot();
    for (key, stored) in snapshot.scenarios() {
        let wrong = |source| MountError { name: key.name.clone(), source };
        store.put_text(&stored.text, Format::Yaml).map_err(wrong)?;
    }
    for (place, fixtures) in snapshot.fixtures() {
        let (path, method) = place.rsplit_once('/').unwrap_or(("", place));
        for (name, fixture) in fixtures.iter() {
            let wrong = |source| StartError::Fixture { name: name.clone(), source };
            store.put_fixture(method, name, &format!("/{path}"), fixture.bytes().clone()).map_err(wrong)?;
        }
    }
    Ok(())
}

/// Scenarios of an OpenAPI or Swagger document; what it refers to lies beside it or below.
pub(crate) fn specification(store: &Store, file: &Path) -> Result<(), StartError> {
    let bytes = std::fs::read(file).map_err(cannot_read(file))?;
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().map_err(cannot_read(folder))?;
    let mut options = ImportOptions::default();
    options.location = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let load = |location: &str| beside(&folder, location);
    import_specification(store, &bytes, &options, &load, false)
        .map_err(|source| StartError::Specification { path: PathBuf::from(file), source })?;
    Ok(())
}

/// A document in a folder or below; links do not lead out of it.
fn beside(folder: &Path, location: &str) -> Result<Vec<u8>, LoadError> {
    let file = folder.join(location).canonicalize()?;
    if !file.starts_with(folder) {
        return Err("it is not in the folder of the specification".into());
    }
    Ok(std::fs::read(file)?)
}
