//! Files that templates take lines and properties from.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use api_mock_template::{FuncError, Value};

/// Where a rendering's fixtures come from. Reading files is the business of the implementor, who
/// should keep what was read: templates ask in loops.
pub trait FixtureSource: fmt::Debug + Send + Sync {
    /// The fixture of that name; `None` if there is none. The name is checked already: letters,
    /// digits, `_`, `-`, and single points between them.
    fn fixture(&self, name: &str) -> Option<Arc<Fixture>>;
}

/// No fixtures at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFixtures;

impl FixtureSource for NoFixtures {
    fn fixture(&self, _name: &str) -> Option<Arc<Fixture>> {
        None
    }
}

/// Fixtures held in memory.
impl FixtureSource for HashMap<String, Arc<Fixture>> {
    fn fixture(&self, name: &str) -> Option<Arc<Fixture>> {
        self.get(name).cloned()
    }
}

/// The text of a fixture; taken apart once, when it is first asked for.
///
/// ```
/// use api_mock_functions::Fixture;
/// let fixture = Fixture::new("token: abc\namount: 12\n".into());
/// assert_eq!(fixture.lines(), ["token: abc", "amount: 12"]);
/// assert_eq!(fixture.document()?.get("amount").and_then(|amount| amount.as_i64()), Some(12));
/// # Ok::<(), api_mock_template::FuncError>(())
/// ```
#[derive(Debug)]
pub struct Fixture {
    text: String,
    lines: OnceLock<Vec<String>>,
    document: OnceLock<Result<Value, String>>,
}

impl Fixture {
    /// A fixture of this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Fixture { text, lines: OnceLock::new(), document: OnceLock::new() }
    }

    /// Its lines, trimmed, without the empty ones.
    pub fn lines(&self) -> &[String] {
        self.lines.get_or_init(|| {
            let trimmed = self.text.lines().map(str::trim).filter(|line| !line.is_empty());
            trimmed.map(str::to_owned).collect()
        })
    }

    /// What it says as YAML or JSON.
    ///
    /// # Errors
    /// It is neither.
    pub fn document(&self) -> Result<&Value, FuncError> {
        let parsed = self.document.get_or_init(|| {
            let json: serde_json::Value =
                serde_saphyr::from_str(&self.text).map_err(|error| error.to_string())?;
            Ok(Value::from(json))
        });
        parsed.as_ref().map_err(|error| FuncError::new(format!("not YAML: {error}")))
    }
}

/// Whether a name may be that of a fixture: it cannot lead out of a folder.
pub(crate) fn is_valid_name(name: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    name.len() >= 2 && name.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_lead_out_of_a_folder() {
        for good in ["lines.txt", "a-b_c.d.e", "ab"] {
            assert!(is_valid_name(good), "{good}");
        }
        for bad in ["", "a", ".", "..", "../x", "a/b", "a..b", ".a", "a.", "a\\b", "a b", "a\0b", "é.txt"] {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_text_that_is_no_yaml_is_an_error_each_time() {
        let fixture = Fixture::new("{a: [".to_owned());
        assert!(fixture.document().is_err() && fixture.document().is_err());
    }
}
