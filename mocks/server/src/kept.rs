//! A specification as it is kept: its text, the documents that it refers to, and how it was imported.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use api_mock_openapi::{Api, ImportOptions, LoadError, Loader, parse};
use serde::{Deserialize, Serialize};

/// A specification and all that is needed to read it again.
#[derive(Debug, Default, Deserialize, Serialize)]
pub(crate) struct Kept {
    /// The groups of its scenarios.
    pub(crate) groups: Vec<String>,
    location: String,
    remote_references: bool,
    /// Whether its scenarios are below the path of its server; unknown of what older versions kept.
    #[serde(default)]
    base_path: Option<bool>,
    text: String,
    /// The documents that it refers to, by their locations.
    documents: BTreeMap<String, String>,
}

impl Kept {
    pub(crate) fn new(
        bytes: &[u8],
        options: &ImportOptions,
        groups: BTreeSet<&str>,
        seen: Seen<'_>,
    ) -> Option<Self> {
        let groups = groups.into_iter().map(str::to_owned).collect();
        Some(Kept {
            groups,
            location: options.location.clone(),
            remote_references: options.remote_references,
            base_path: Some(options.base_path),
            text: std::str::from_utf8(bytes).ok()?.to_owned(),
            documents: seen.documents.into_inner(),
        })
    }

    pub(crate) fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads one again; a file that is a specification itself will do, too.
    pub(crate) fn read(bytes: &[u8]) -> Result<Kept, String> {
        if let Ok(kept) = serde_json::from_slice(bytes) {
            return Ok(kept);
        }
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| "it is not UTF-8".to_owned())?;
        Ok(Kept { text, ..Kept::default() })
    }

    /// What it says.
    pub(crate) fn parse(&self) -> Result<Api, String> {
        let mut options = ImportOptions::default();
        options.location.clone_from(&self.location);
        options.remote_references = self.remote_references;
        let load = |location: &str| -> Result<Vec<u8>, LoadError> {
            let document = self.documents.get(location);
            document.map(|text| text.as_bytes().to_vec()).ok_or_else(|| "it was not there".into())
        };
        let (api, _) = parse(self.text.as_bytes(), &options, &load).map_err(|error| error.to_string())?;
        // Requests are checked where there are scenarios for them.
        Ok(match self.base_path {
            Some(is_below) => api.only_at_base_path(is_below),
            None => api,
        })
    }
}

/// A loader that remembers what it loaded.
pub(crate) struct Seen<'l> {
    loader: &'l dyn Loader,
    documents: RefCell<BTreeMap<String, String>>,
}

impl<'l> Seen<'l> {
    pub(crate) fn new(loader: &'l dyn Loader) -> Self {
        Seen { loader, documents: RefCell::default() }
    }
}

impl Loader for Seen<'_> {
    fn load(&self, location: &str) -> Result<Vec<u8>, LoadError> {
        let bytes = self.loader.load(location)?;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            self.documents.borrow_mut().insert(location.to_owned(), text.to_owned());
        }
        Ok(bytes)
    }
}
