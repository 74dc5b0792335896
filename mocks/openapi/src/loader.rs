//! Other documents that a specification refers to, and which of them may be read.

use std::error::Error;

/// Why a document could not be read.
pub type LoadError = Box<dyn Error + Send + Sync>;

/// Reads the documents that a specification refers to. This crate does no IO itself.
///
/// A location is either a path relative to the specification's folder, with `/` between its parts
/// and no `.` or `..` in it, or an `http` or `https` address: of the host that the specification itself came from, or,
/// if [`crate::ImportOptions::remote_references`] allows that, of any. Whoever implements this bounds size and time, does not follow
/// symbolic links out of the folder, and chooses which hosts may be asked.
pub trait Loader {
    /// The bytes of a document.
    ///
    /// # Errors
    /// There is none, or it may not be read.
    fn load(&self, location: &str) -> Result<Vec<u8>, LoadError>;
}

impl<F: Fn(&str) -> Result<Vec<u8>, LoadError>> Loader for F {
    fn load(&self, location: &str) -> Result<Vec<u8>, LoadError> {
        self(location)
    }
}

/// A loader for specifications that come alone: every other document is refused.
///
/// ```
/// use api_mock_openapi::{Loader, NoDocuments};
/// assert!(NoDocuments.load("other.yaml").is_err());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct NoDocuments;

impl Loader for NoDocuments {
    fn load(&self, _: &str) -> Result<Vec<u8>, LoadError> {
        Err("no other documents came with the specification".into())
    }
}

/// Why a reference to another document is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("it leads out of the folder of the specification")]
    Outside,
    #[error("addresses on the network are not followed unless that is allowed")]
    Remote,
    #[error("documents are not read by {0}:")]
    Scheme(String),
}

/// The location that `reference` names, written in the document at `base`.
///
/// Paths stay inside the folder of the specification, and on the host of one that came from an address. Other hosts are
/// asked only if `remote`.
pub(crate) fn locate(base: &str, reference: &str, remote: bool) -> Result<String, Refusal> {
    if let Some(host) = authority(reference) {
        let path = clean(&reference[host.len()..]).ok_or(Refusal::Outside)?;
        // What came from an address may speak of what lies beside it, also by its whole address.
        let is_beside = authority(base).is_some_and(|own| own.eq_ignore_ascii_case(host));
        return if remote || is_beside { Ok(format!("{host}/{path}")) } else { Err(Refusal::Remote) };
    }
    if let Some((scheme, _)) = reference.split_once(':')
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && !scheme.is_empty()
    {
        return Err(Refusal::Scheme(scheme.to_owned()));
    }
    match authority(base) {
        Some(host) => {
            let path = clean(&joined(&base[host.len()..], reference)).ok_or(Refusal::Outside)?;
            Ok(format!("{host}/{path}"))
        }
        None if reference.starts_with(['/', '\\']) || reference.contains(['\\', '\0']) => {
            Err(Refusal::Outside)
        }
        None => clean(&joined(base, reference)).ok_or(Refusal::Outside),
    }
}

/// `https://host:port` of an address.
fn authority(address: &str) -> Option<&str> {
    let scheme = ["http://", "https://"]
        .into_iter()
        .find(|scheme| address.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)))?;
    let rest = address.get(scheme.len()..)?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    (end > 0).then(|| &address[..scheme.len() + end])
}

fn joined(base: &str, reference: &str) -> String {
    if reference.starts_with('/') {
        return reference.to_owned();
    }
    let folder = base.rfind('/').map_or("", |end| &base[..=end]);
    format!("{folder}{reference}")
}

/// A path without `.`, `..` and empty parts; `None` if it leads out of its root.
fn clean(path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_folder() {
        let file = |base, reference| locate(base, reference, false);
        assert_eq!(file("", "a.yaml").unwrap(), "a.yaml");
        assert_eq!(file("openapi.yaml", "./models/pet.yaml").unwrap(), "models/pet.yaml");
        assert_eq!(file("models/pet.yaml", "../common.yaml").unwrap(), "common.yaml");
        for outside in ["../a.yaml", "a/../../b", "/etc/passwd", "..\\a", "\\\\host\\share"] {
            assert_eq!(file("openapi.yaml", outside), Err(Refusal::Outside), "{outside}");
        }
        assert_eq!(file("", "file:///etc/passwd"), Err(Refusal::Scheme("file".to_owned())));
    }

    #[test]
    fn addresses_are_followed_only_when_allowed() {
        assert_eq!(locate("", "https://x.org/a.yaml", false), Err(Refusal::Remote));
        assert_eq!(locate("https://x.org/a/b.yaml", "https://y.org/c", false), Err(Refusal::Remote));
        assert_eq!(locate("https://x.org/a/b.yaml", "https://x.org.evil/c", false), Err(Refusal::Remote));
        assert_eq!(locate("https://x.org/a/b.yaml", "http://x.org/c", false), Err(Refusal::Remote));
        // What lies beside the specification is not elsewhere.
        assert_eq!(locate("https://x.org/a/b.yaml", "c.yaml", false).unwrap(), "https://x.org/a/c.yaml");
        assert_eq!(locate("https://x.org/a/b.yaml", "https://x.org/c", false).unwrap(), "https://x.org/c");
        assert!(matches!(locate("https://x.org/b", "file:///etc/passwd", true), Err(Refusal::Scheme(_))));
        assert_eq!(locate("", "https://x.org/a.yaml", true).unwrap(), "https://x.org/a.yaml");
        assert_eq!(locate("https://x.org/a/b.yaml", "../c.yaml", true).unwrap(), "https://x.org/c.yaml");
        assert_eq!(locate("https://x.org/a/b.yaml", "/c.yaml", true).unwrap(), "https://x.org/c.yaml");
        assert_eq!(locate("https://x.org/b.yaml", "../../c", true), Err(Refusal::Outside));
        assert_eq!(locate("https://x.org", "c", true).unwrap(), "https://x.org/c");
    }
}
