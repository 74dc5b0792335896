//! Paths with variables, and the places of files on disk that belong to them.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// The longest path of a scenario, in bytes.
const PATH_BYTES: usize = 4_096;
/// The longest part of a place, in bytes; file systems take 255.
const COMPONENT_BYTES: usize = 240;
/// The longest folder of a place, in bytes; systems take 4,096 for all of a path.
const FOLDER_BYTES: usize = 1_200;

const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "OPTION", "CONNECT", "TRACE"];

/// The method in capitals, if it is one that scenarios can have. `OPTION`, which older files
/// have, is `OPTIONS`.
///
/// ```
/// assert_eq!(api_mock_scenario::method("get").as_deref(), Some("GET"));
/// assert_eq!(api_mock_scenario::method("../x"), None);
/// ```
#[must_use]
pub fn method(text: &str) -> Option<String> {
    let method = text.trim().to_ascii_uppercase();
    let known = METHODS.contains(&method.as_str());
    known.then(|| if method == "OPTION" { "OPTIONS".to_owned() } else { method })
}

/// The name, if it is one that scenarios and fixtures can have: 1 to 200 characters, no slashes,
/// no control characters, not only points.
#[must_use]
pub fn name(text: &str) -> Option<String> {
    let text = text.trim();
    let fits = !text.is_empty() && text.chars().count() <= 200;
    let good = |c: char| !c.is_control() && c != '/' && c != '\\';
    (fits && text.chars().all(good) && text.chars().any(|c| c != '.')).then(|| text.to_owned())
}

/// The path as it is stored and compared: one slash before each part, none at the end;
/// backslashes are slashes. `None` if it has a part `.` or `..`, control characters, or is too
/// long.
///
/// ```
/// use api_mock_scenario::normalized_path;
/// assert_eq!(normalized_path("v1//users/").as_deref(), Some("/v1/users"));
/// assert_eq!(normalized_path("").as_deref(), Some("/"));
/// assert_eq!(normalized_path("/a b /").as_deref(), Some("/a b%20"));
/// assert_eq!(normalized_path("/a/../../b"), None);
/// ```
#[must_use]
pub fn normalized(text: &str) -> Option<String> {
    let text = text.trim();
    let mut path = String::with_capacity(text.len() + 1);
    for part in text.split(['/', '\\']).filter(|part| !part.is_empty()) {
        let decoded = decode(part);
        if matches!(decoded.as_str(), "." | "..") || decoded.chars().any(|c| c.is_control() || c == '/') {
            return None;
        }
        path.push('/');
        path.push_str(part);
    }
    if path.is_empty() {
        path.push('/');
    }
    // Blanks that stood before a slash would be none at the end, when the path is read again.
    let blanks = path.split_off(path.trim_end().len());
    blanks.chars().for_each(|blank| push_encoded(&mut path, blank));
    (path.len() <= PATH_BYTES).then_some(path)
}

/// A part of a segment of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// Text that must be there, decoded.
    Literal(String),
    /// A variable: some characters, no slash.
    Variable(String),
    /// A variable that takes all the rest of the path: `{name*}` or `:name*`, where it is the whole
    /// last segment. Elsewhere the star means nothing.
    Rest(String),
}

/// A path taken apart: for each segment its parts. Variables are `:name`, at the begin of a
/// segment or after a sign, and `{name}`. In other text `%3A` stands for a colon, and so on.
///
/// ```
/// use api_mock_scenario::{Part, path_parts};
/// let parts = path_parts("/v1/:user/{file}.json");
/// assert_eq!(parts[0], [Part::Literal("v1".into())]);
/// assert_eq!(parts[1], [Part::Variable("user".into())]);
/// assert_eq!(parts[2], [Part::Variable("file".into()), Part::Literal(".json".into())]);
/// ```
#[must_use]
pub fn parts(path: &str) -> Vec<Vec<Part>> {
    let mut segments: Vec<Vec<Part>> =
        path.split('/').filter(|segment| !segment.is_empty()).map(segment_parts).collect();
    let last = segments.len().saturating_sub(1);
    for (place, segment) in segments.iter_mut().enumerate() {
        // Nothing can come after the rest, and it begins with a segment.
        if place < last || segment.len() > 1 {
            for part in segment {
                if let Part::Rest(name) = part {
                    *part = Part::Variable(std::mem::take(name));
                }
            }
        }
    }
    segments
}

fn segment_parts(segment: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = segment;
    while let Some(first) = rest.chars().next() {
        let after_word = text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        // Two variables side by side could share their characters in any way.
        let after_variable = text.is_empty() && !parts.is_empty();
        match variable(rest).filter(|_| first == '{' || !(after_word || after_variable)) {
            Some((part, length)) => {
                if !text.is_empty() {
                    parts.push(Part::Literal(decode(&std::mem::take(&mut text))));
                }
                parts.push(part);
                rest = rest.get(length..).unwrap_or_default();
            }
            None => {
                text.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    if !text.is_empty() {
        parts.push(Part::Literal(decode(&text)));
    }
    parts
}

/// The variable at the begin of a text, and its length in bytes.
fn variable(text: &str) -> Option<(Part, usize)> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let body = text.strip_prefix([':', '{'])?;
    let end = body.find(|c| !is_name(c)).unwrap_or(body.len());
    let (mut name, mut after) = body.split_at(end);
    if text.starts_with(':') && !after.is_empty() {
        // In `:from-:to` the hyphen parts the two.
        let trimmed = name.trim_end_matches('-');
        after = body.get(trimmed.len()..).unwrap_or_default();
        name = trimmed;
    }
    if name.is_empty() {
        return None;
    }
    let mut length = 1 + name.len();
    let takes_rest = after.starts_with('*');
    if takes_rest {
        length += 1;
        after = after.get(1..).unwrap_or_default();
    }
    if text.starts_with('{') {
        after.strip_prefix('}')?;
        length += 1;
    }
    let name = name.to_owned();
    Some((if takes_rest { Part::Rest(name) } else { Part::Variable(name) }, length))
}

/// The names of the variables of a path, in order.
#[must_use]
pub fn variables(path: &str) -> Vec<String> {
    let named = parts(path).into_iter().flatten().filter_map(|part| match part {
        Part::Variable(name) | Part::Rest(name) => Some(name),
        Part::Literal(_) => None,
    });
    named.collect()
}

/// A path that means exactly this text: what would be a variable is escaped.
///
/// ```
/// assert_eq!(api_mock_scenario::literal_path("/a/:b/{c}"), "/a/%3Ab/%7Bc%7D");
/// ```
#[must_use]
pub fn literal(path: &str) -> String {
    let mut escaped = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, ':' | '{' | '}' | '%' | '\\') || c.is_control() {
            push_encoded(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

fn push_encoded(text: &mut String, c: char) {
    for byte in c.encode_utf8(&mut [0; 4]).bytes() {
        let digit = |nibble: u8| char::from(b"0123456789ABCDEF"[usize::from(nibble & 15)]);
        text.extend(['%', digit(byte >> 4), digit(byte)]);
    }
}

/// Percent-decodes; what does not decode to UTF-8 stays as it is.
fn decode(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex.filter(|_| *byte == b'%') {
            Some(value) => {
                decoded.push(value);
                at += 3;
            }
            None => {
                decoded.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| text.to_owned())
}

/// A part of a place on disk: letters, digits, `_`, `-` and points as they are, all else
/// percent-encoded; a long one is cut and made unique again by a digest.
fn component(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        let plain = c.is_ascii_alphanumeric() || matches!(c, '_' | '-') || c == '.' && !encoded.is_empty();
        if plain { encoded.push(c) } else { push_encoded(&mut encoded, c) }
    }
    shortened(encoded, COMPONENT_BYTES)
}

fn shortened(text: String, bytes: usize) -> String {
    if text.len() <= bytes {
        return text;
    }
    let digest = hex(&Sha256::digest(text.as_bytes()));
    let head = text.get(..bytes.saturating_sub(34)).unwrap_or_default();
    format!("{head}~{}", digest.get(..32).unwrap_or_default())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The folder for a path, relative and with slashes: the path up to its first segment with a
/// variable. It can never lead out of the folder it is joined to.
///
/// ```
/// use api_mock_scenario::folder;
/// assert_eq!(folder("/v1/customers/:id/balance"), "v1/customers");
/// assert_eq!(folder("/"), "");
/// assert_eq!(folder("/a b/~c"), "a%20b/%7Ec");
/// ```
#[must_use]
pub fn folder(path: &str) -> String {
    let mut folder = String::new();
    let segments = parts(path);
    for segment in &segments {
        let [Part::Literal(text)] = segment.as_slice() else { break };
        if !folder.is_empty() {
            folder.push('/');
        }
        // `.` and `..` are no parts of a checked path; encoded, they are harmless in any other.
        folder.push_str(&component(text));
    }
    if folder.len() <= FOLDER_BYTES {
        return folder;
    }
    let digest = hex(&Sha256::digest(folder.as_bytes()));
    let cut = folder.get(..COMPONENT_BYTES).and_then(|head| head.rfind('/')).unwrap_or(0);
    format!("{}/~{}", folder.get(..cut).unwrap_or_default(), digest.get(..32).unwrap_or_default())
        .trim_start_matches('/')
        .to_owned()
}

/// The folder for a path and a method: that of the path, and in it one for the method.
///
/// ```
/// assert_eq!(api_mock_scenario::method_folder("/v1/users/{id}", "GET"), "v1/users/GET");
/// ```
#[must_use]
pub fn method_folder(path: &str, method: &str) -> String {
    let folder = folder(path);
    let method = component(method);
    if folder.is_empty() { method } else { format!("{folder}/{method}") }
}

/// Where a scenario lies, below the data folder.
///
/// ```
/// use std::path::Path;
/// let place = api_mock_scenario::scenario_file("/todos/:id", "GET", "todo-get");
/// assert_eq!(place, Path::new("todos/GET/todo-get.scr"));
/// ```
#[must_use]
pub fn scenario_file(path: &str, method: &str, name: &str) -> PathBuf {
    PathBuf::from(format!("{}/{}.scr", method_folder(path, method), component(name)))
}

/// Where a fixture lies, below the data folder.
#[must_use]
pub fn fixture_file(path: &str, method: &str, name: &str) -> PathBuf {
    PathBuf::from(format!("{}/{}.dat", method_folder(path, method), component(name)))
}

/// The name that [`fixture_file`] was given, from the name of the file.
#[must_use]
pub fn fixture_name(file_name: &str) -> Option<String> {
    file_name.strip_suffix(".dat").map(decode)
}

/// Where what is set for a group lies, below the data folder.
///
/// ```
/// let place = api_mock_scenario::group_file("Twilio API/v1");
/// assert_eq!(place.to_str(), Some("groups/Twilio%20API%2Fv1.json"));
/// assert_eq!(api_mock_scenario::group_of_file(&place).as_deref(), Some("Twilio API/v1"));
/// ```
#[must_use]
pub fn group_file(group: &str) -> PathBuf {
    PathBuf::from(format!("groups/{}.json", component(group)))
}

/// The group whose settings lie in a file, if that is what it holds.
#[must_use]
pub fn group_of_file(file: &Path) -> Option<String> {
    let is_here = file.parent() == Some(Path::new("groups"));
    let name = file.file_name()?.to_str()?;
    let stem = [".json", ".yaml", ".yml"].iter().find_map(|ending| name.strip_suffix(ending))?;
    (is_here && !stem.is_empty() && !stem.starts_with('.')).then(|| decode(stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defect_l01_no_path_method_or_name_leads_out_of_the_folder() {
        for bad in ["/../x", "/a/../../x", "a/./b", "/%2e%2e/x", "/a%2fb", "\\..\\x", "/a\0b", "/.%2E/"] {
            assert_eq!(normalized(bad), None, "{bad:?}");
        }
        for bad in ["../../../evil", "", "GET/..", "BREW"] {
            assert_eq!(method(bad), None, "{bad:?}");
        }
        for bad in ["..", ".", "a/b", "a\\b", "", "a\nb", "..."] {
            assert_eq!(name(bad), None, "{bad:?}");
        }
        // Even unchecked ones stay inside.
        for path in ["/../x", "/a/../..", "..", "/./."] {
            let file = scenario_file(path, "../..", "../../evil");
            let safe = |part: std::path::Component<'_>| matches!(part, std::path::Component::Normal(name) if !name.to_string_lossy().starts_with('.'));
            assert!(file.components().all(safe), "{}", file.display());
        }
    }

    #[test]
    fn defect_l14_unusual_paths_and_names_have_places() {
        for path in ["/a b", "/v1.2/x.y", "/~me/@you,(x)+=%", "/é/日本", "/a:b"] {
            assert_eq!(normalized(path).as_deref(), Some(path));
            assert!(folder(path).bytes().all(|byte| byte.is_ascii_graphic()), "{path}");
        }
        let long = format!("/{}/{}", "x".repeat(300), "y/".repeat(1500));
        let path = normalized(&long).unwrap();
        let file = scenario_file(&path, "GET", &"n".repeat(200));
        assert!(file.to_string_lossy().len() < 1_800);
        assert!(file.components().all(|part| part.as_os_str().len() <= 255));
        assert_ne!(folder(&path), folder(&format!("{path}z")));
        assert_ne!(component(&"é".repeat(150)), component(&"è".repeat(150)));
    }

    #[test]
    fn variables_of_both_styles_anywhere() {
        let show = |path: &str| -> Vec<String> {
            let show = |part: Part| match part {
                Part::Literal(text) => text,
                Part::Variable(name) => format!("<{name}>"),
                Part::Rest(name) => format!("<{name}*>"),
            };
            parts(path).into_iter().map(|segment| segment.into_iter().map(show).collect()).collect()
        };
        assert_eq!(show("/:a/{b}/c"), ["<a>", "<b>", "c"]);
        assert_eq!(show("/v{n}.json/:from-:to"), ["v<n>.json", "<from>-<to>"]);
        assert_eq!(show("/files/{path*}"), ["files", "<path*>"]);
        assert_eq!(show("/files/:path*"), ["files", "<path*>"]);
        assert_eq!(show("/{a*}/{b*}.x/{c*}"), ["<a>", "<b>.x", "<c*>"]);
        assert_eq!(show("/x:cancel/12:30/a%3Ab"), ["x:cancel", "12:30", "a:b"]);
        assert_eq!(show("/{}/:/{a/{ b }"), ["{}", ":", "{a", "{ b }"]);
        assert_eq!(show("/:job-id"), ["<job-id>"]);
        assert_eq!(show(&literal("/:a/{b}/100%/c\\d")), [":a", "{b}", "100%", "c\\d"]);
    }

    #[test]
    fn folders_end_before_the_first_variable() {
        for (path, wanted) in [
            ("/v1/customers/:customer/cash_balance", "v1/customers"),
            ("/v1/customers/:c/x", "v1/customers"),
            ("/:tenant/x", ""),
            ("/a/v{ver}/x", "a"),
            ("/x:cancel", "x%3Acancel"),
        ] {
            assert_eq!(folder(path), wanted, "{path}");
        }
        assert_eq!(method_folder("/", "GET"), "GET");
        assert_eq!(fixture_name("lines.txt.dat").as_deref(), Some("lines.txt"));
        assert_eq!(fixture_name("a%20b.dat").as_deref(), Some("a b"));
    }
}
