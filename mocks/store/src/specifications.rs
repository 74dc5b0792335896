//! Specifications that scenarios were made of: kept beside them, so that requests can be checked later.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use api_mock_scenario::{folder, literal_path};
use bytes::Bytes;

use crate::disk::Disk;
use crate::error::StoreError;
use crate::store::Store;

/// Their folder. The store takes nothing in it for a scenario.
const FOLDER: &str = "oapi_specs";
/// More than these are not looked at.
const MAX_COUNT: usize = 10_000;

/// A specification that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeptSpecification {
    /// Where it is.
    pub file: PathBuf,
    /// Another one when it changed.
    pub version: u64,
}

/// Where they are: on disk, or here.
#[derive(Debug, Default)]
pub(crate) struct Specifications {
    memory: Mutex<BTreeMap<PathBuf, (u64, Bytes)>>,
}

fn file(name: &str) -> PathBuf {
    let name = if name.trim().is_empty() { "untitled" } else { name };
    // A name is one part of a path, whatever is in it.
    let part = name.replace('/', "\u{2215}");
    PathBuf::from(format!("{}.json", folder(&literal_path(&format!("/{FOLDER}/{part}")))))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Specifications {
    fn memory(&self) -> std::sync::MutexGuard<'_, BTreeMap<PathBuf, (u64, Bytes)>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, disk: Option<&Disk>, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let file = file(name);
        match disk {
            // What is there already is not written again.
            Some(disk) if disk.read(&file).is_ok_and(|known| known == bytes) => {}
            Some(disk) => {
                disk.write(&file, &bytes)?;
            }
            None => {
                self.memory().insert(file, (hash(&bytes), bytes));
            }
        }
        Ok(())
    }

    pub(crate) fn list(&self, disk: Option<&Disk>) -> Vec<KeptSpecification> {
        let Some(disk) = disk else {
            let memory = self.memory();
            let kept = memory.iter().map(|(file, (version, _))| (file.clone(), *version));
            return kept.map(|(file, version)| KeptSpecification { file, version }).collect();
        };
        let files = disk.files(Path::new(FOLDER)).into_iter();
        files
            .filter(|(file, _)| file.extension().is_some_and(|ending| ending == "json"))
            .take(MAX_COUNT)
            .map(|(file, stamp)| KeptSpecification { file, version: hash(&stamp) })
            .collect()
    }

    pub(crate) fn read(&self, disk: Option<&Disk>, kept: &KeptSpecification) -> Result<Bytes, StoreError> {
        match disk {
            Some(disk) => disk.read(&kept.file).map(Bytes::from),
            None => {
                let bytes = self.memory().get(&kept.file).map(|(_, bytes)| bytes.clone());
                bytes.ok_or_else(|| StoreError::NotFound("specification".to_owned()))
            }
        }
    }
}

impl Store {
    /// Keeps a specification under a name, instead of the one that had it. Waits for the disk.
    ///
    /// # Errors
    /// It cannot be stored.
    pub fn put_specification(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let (specifications, disk) = self.kept();
        specifications.put(disk, name, bytes)
    }

    /// The specifications that are kept, as they are now. Looks at the disk.
    #[must_use]
    pub fn specifications(&self) -> Vec<KeptSpecification> {
        let (specifications, disk) = self.kept();
        specifications.list(disk)
    }

    /// What one of them holds. Waits for the disk.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn specification(&self, kept: &KeptSpecification) -> Result<Bytes, StoreError> {
        let (specifications, disk) = self.kept();
        specifications.read(disk, kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_file_in_the_folder() {
        for name in ["Pets", "a b: {c}/..", "..", "", "ä", &"x".repeat(5000)] {
            let file = file(name);
            assert_eq!(file.parent(), Some(Path::new(FOLDER)), "{name}");
        }
        assert_eq!(file("Pets"), Path::new("oapi_specs/Pets.json"));
        assert_ne!(file("a:b"), file("a_b"));
    }
}
