//! The configuration file: `api-mock-service.yaml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{SETTINGS, SettingsError};

const NAME: &str = "api-mock-service.yaml";

/// Names that files for the reference service have and that mean nothing here yet: they are for recording and for
/// calls to others.
const OF_OTHERS: [&str; 8] = [
    "match_header_regex",
    "match_query_regex",
    "assert_headers_pattern",
    "assert_query_params_pattern",
    "user_agent",
    "proxy_url",
    "proxy_url_filter",
    "connection_timeout",
];

/// A configuration file, or an empty one.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    pub(crate) path: PathBuf,
    values: BTreeMap<String, String>,
}

impl ConfigFile {
    /// Reads the file that is named, else the first of the usual ones, else nothing. Blocks.
    pub(crate) fn find(named: Option<&Path>, home: Option<&Path>) -> Result<Self, SettingsError> {
        if let Some(path) = named {
            return ConfigFile::read(path);
        }
        let folders = [Some(Path::new(".")), Some(Path::new("./config")), home];
        let mut usual = folders.into_iter().flatten().map(|folder| folder.join(NAME));
        usual
            .find(|path| path.is_file())
            .map_or_else(|| Ok(ConfigFile::default()), |path| ConfigFile::read(&path))
    }

    fn read(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| SettingsError::Read { path: path.to_owned(), source })?;
        ConfigFile::parse(path, &text)
    }

    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self, SettingsError> {
        let wrong = |message: String| SettingsError::File { path: path.to_owned(), message };
        let parsed: Option<BTreeMap<String, serde_json::Value>> = match text.trim() {
            "" => None,
            text => serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?,
        };
        let mut values = BTreeMap::new();
        for (name, value) in parsed.unwrap_or_default() {
            let text = match value {
                serde_json::Value::Null => continue,
                serde_json::Value::String(text) => text,
                serde_json::Value::Array(parts) => parts
                    .iter()
                    .map(|part| part.as_str().map_or_else(|| part.to_string(), str::to_owned))
                    .collect::<Vec<_>>()
                    .join(","),
                serde_json::Value::Object(_) if is_known(&name) => {
                    return Err(wrong(format!("{name} must be a single value")));
                }
                other => other.to_string(),
            };
            values.insert(name, text);
        }
        Ok(ConfigFile { path: path.to_owned(), values })
    }

    /// A value by the name of its setting, however it is spelt in the file.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let setting = SETTINGS.iter().find(|setting| setting.name == name)?;
        let (_, value) = self.values.iter().find(|(said, _)| setting.is_called(said))?;
        Some(value)
    }

    /// Names that nothing knows.
    pub(crate) fn unknown(&self) -> Vec<String> {
        let names = self.values.keys().filter(|name| !is_known(name) && !OF_OTHERS.contains(&name.as_str()));
        names.cloned().collect()
    }
}

fn is_known(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.is_called(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_must_be_there_and_the_usual_ones_need_not() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("no.yaml");
        assert!(matches!(ConfigFile::find(Some(&missing), None), Err(SettingsError::Read { .. })));
        std::fs::write(folder.path().join(NAME), "httpPort: 7\n").unwrap();
        let found = ConfigFile::find(None, Some(folder.path())).unwrap();
        assert_eq!(found.value("http_port"), Some("7"));
    }

    #[test]
    fn what_is_no_map_is_an_error_with_the_file() {
        let error = ConfigFile::parse(Path::new("f.yaml"), "- a\n").unwrap_err();
        assert!(error.to_string().starts_with("f.yaml: "), "{error}");
        assert!(ConfigFile::parse(Path::new("f.yaml"), "http_port: {a: 1}").is_err());
    }
}
