//! From a tree to a scenario: every spelling of every generation of the format.

use base64::Engine as _;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use bytes::Bytes;

use crate::directive::{Neutral, directives};
use crate::error::{Problem, ScenarioError};
use crate::model::{Contents, Extra, RequestRules, ResponsePlan, Scenario, Status, Wait};
use crate::node::{Kind, Node, Reader, line_of};
use crate::pairs::{HeaderLists, Pairs};
use crate::path;

/// Padding or not, both are read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How the text of a scenario is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// YAML, which may hold template directives anywhere.
    #[default]
    Yaml,
    /// JSON.
    Json,
}

impl Format {
    /// The format of a body sent with a content type: `application/yaml`, `text/x-yaml;
    /// charset=utf-8`, `application/json`, `application/vnd.x+json` … Where the type says
    /// neither, as that which curl sends by itself, the text decides.
    ///
    /// ```
    /// use api_mock_scenario::Format;
    /// assert_eq!(Format::of("application/x-yaml; charset=utf-8", "{}"), Format::Yaml);
    /// assert_eq!(Format::of("application/json", "{}"), Format::Json);
    /// assert_eq!(Format::of("application/x-www-form-urlencoded", "method: GET"), Format::Yaml);
    /// ```
    #[must_use]
    pub fn of(content_type: &str, text: &str) -> Format {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind.ends_with("yaml") || kind.ends_with("yml") {
            return Format::Yaml;
        }
        if kind.ends_with("json")
            || text.trim_start().starts_with('{') && !text.trim_start().starts_with("{{")
        {
            return Format::Json;
        }
        Format::Yaml
    }
}

impl Scenario {
    /// Reads a scenario. Directives may stand anywhere but in method, name and path.
    ///
    /// # Errors
    /// Where and why the text is not a scenario.
    pub fn parse(text: &str, format: Format) -> Result<Scenario, ScenarioError> {
        match format {
            Format::Json => {
                let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
                    ScenarioError::syntax(Some(error.line()), format!("not JSON: {error}"))
                })?;
                Fields { source: "", lenient: true }.scenario(&Node::from_json(value))
            }
            Format::Yaml => parse_yaml(text.strip_prefix('\u{feff}').unwrap_or(text)),
        }
    }
}

impl Scenario {
    /// Reads YAML that was rendered: braces in it are text.
    ///
    /// # Errors
    /// Where and why the text is not a scenario.
    pub fn parse_rendered(text: &str) -> Result<Scenario, ScenarioError> {
        let neutral = Neutral::without_directives(text);
        let root = Reader { source: text, neutral: &neutral, lenient: false }.read(text)?;
        Fields { source: text, lenient: false }.scenario(&root)
    }
}

/// The tree of a whole text with directives; `None` if it can only be read once it is rendered.
pub(crate) fn tree(source: &str, neutral: &Neutral) -> Option<Node> {
    Reader { source, neutral, lenient: true }.read(&neutral.text).ok()
}

fn parse_yaml(source: &str) -> Result<Scenario, ScenarioError> {
    let neutral = Neutral::new(source);
    let lenient = !(neutral.tokens.is_empty() && neutral.blanked.is_empty());
    let reader = Reader { source, neutral: &neutral, lenient };
    let fields = Fields { source, lenient };
    let whole = reader.read(&neutral.text);
    match whole {
        Ok(node) => fields.scenario(&node),
        // Branches of the template can make the response unreadable until it is rendered.
        Err(error) if lenient => match reader.read(&without_response(&neutral.text)) {
            Ok(node) => fields.scenario(&node),
            Err(_) => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// The text with the lines of the response blanked.
fn without_response(text: &str) -> String {
    let mut inside = false;
    let mut kept = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let starts_key =
            line.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && line.contains(':');
        if starts_key {
            inside = line.split(':').next().is_some_and(|key| key.trim() == "response");
        }
        if inside {
            kept.extend(line.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }));
        } else {
            kept.push_str(line);
        }
    }
    kept
}

/// Reads fields of nodes, with their names for errors.
pub(crate) struct Fields<'t> {
    pub(crate) source: &'t str,
    pub(crate) lenient: bool,
}

impl Fields<'_> {
    fn line(&self, node: &Node) -> Option<usize> {
        node.at.as_ref().map(|at| line_of(self.source, at.start))
    }

    pub(crate) fn expected(
        &self,
        node: &Node,
        field: &str,
        expected: &'static str,
        found: &str,
    ) -> ScenarioError {
        let found = if found.is_empty() { node.type_name().to_owned() } else { format!("{found:?}") };
        ScenarioError::unexpected(self.line(node), field, expected, found)
    }

    pub(crate) fn scenario(&self, root: &Node) -> Result<Scenario, ScenarioError> {
        if !matches!(root.kind, Kind::Map(_)) {
            return Err(self.expected(root, "", "a map with the keys method, name, path and response", ""));
        }
        let absent = Node { at: None, kind: Kind::Null };
        let request = root.get("request").unwrap_or(&absent);
        let response = root.get("response").unwrap_or(&absent);
        for (field, node) in [("request", request), ("response", response)] {
            if !matches!(node.kind, Kind::Map(_) | Kind::Null) {
                return Err(self.expected(node, field, "a map", ""));
            }
        }
        let order = self.text(root, "", &["order"])?;
        Ok(Scenario {
            method: self.method(root)?,
            name: self.name(root)?,
            path: self.path(root)?,
            description: self.text(root, "", &["description"])?,
            group: self.text(root, "", &["group"])?,
            predicate: self.text(root, "", &["predicate"])?,
            order: order.parse().unwrap_or_default(),
            tags: self.texts(root, "", &["tags"])?,
            request: self.request(request)?,
            response: self.response(response)?,
            wait_before_reply: self.wait(root)?,
            faults: self.faults(root)?,
            extra: extra(
                root,
                &[
                    "base_url",
                    "next_request",
                    "variables_file",
                    "authentication",
                    "state_machine",
                    "start_time",
                    "end_time",
                ],
            ),
        })
    }

    pub(crate) fn request(&self, node: &Node) -> Result<RequestRules, ScenarioError> {
        let at = "request";
        let mut examples = self.text(node, at, &["example_contents"])?;
        if examples.is_empty() {
            examples = self.text(node, at, &["contents"])?;
        }
        Ok(RequestRules {
            match_query_params: self.pairs(
                node,
                at,
                &["match_query_params", "assert_query_params_pattern"],
            )?,
            match_headers: self.pairs(node, at, &["match_headers", "assert_headers_pattern"])?,
            match_content_type: self.text(node, at, &["match_content_type"])?,
            match_contents: self.text(node, at, &["match_contents", "assert_contents_pattern"])?,
            example_path_params: self.pairs(node, at, &["example_path_params", "path_params"])?,
            example_query_params: self.pairs(node, at, &["example_query_params", "query_params"])?,
            example_headers: self.pairs(node, at, &["example_headers", "headers"])?,
            example_contents: examples,
            assertions: self.texts(node, at, &["assertions"])?,
            extra: extra(
                node,
                &["post_params", "assert_post_params_pattern", "variables", "description", "http_version"],
            ),
        })
    }

    fn response(&self, node: &Node) -> Result<ResponsePlan, ScenarioError> {
        let at = "response";
        Ok(ResponsePlan {
            headers: self.headers(node)?,
            content_type: self.text(node, at, &["content_type"])?,
            contents: self.contents(node)?,
            contents_file: self.text(node, at, &["contents_file"])?,
            status_code: self.status(node)?,
            match_headers: self.pairs(node, at, &["match_headers", "assert_headers_pattern"])?,
            match_contents: self.text(node, at, &["match_contents", "assert_contents_pattern"])?,
            assertions: self.texts(node, at, &["assertions"])?,
            pipe_properties: self.texts(node, at, &["pipe_properties", "add_shared_variables"])?,
            extra: extra(node, &["delete_shared_variables", "description", "http_version"]),
        })
    }

    /// The first of the spellings that has a value; else the first that is there at all.
    fn find<'n>(&self, node: &'n Node, names: &[&'static str]) -> Option<(&'static str, &'n Node)> {
        let found = || names.iter().filter_map(|name| node.get(name).map(|node| (*name, node)));
        let empty = |node: &Node| match &node.kind {
            Kind::Null => true,
            Kind::Scalar(scalar) => scalar.text.is_empty(),
            Kind::List(items) => items.is_empty(),
            Kind::Map(entries) => entries.is_empty(),
        };
        found().find(|(_, node)| !empty(node)).or_else(|| found().next())
    }

    /// A text; a list or map is read as the JSON that it would be.
    fn text(&self, node: &Node, _at: &str, names: &[&'static str]) -> Result<String, ScenarioError> {
        Ok(match self.find(node, names) {
            None => String::new(),
            Some((_, node)) => match &node.kind {
                Kind::Null => String::new(),
                Kind::Scalar(scalar) => scalar.text.clone(),
                Kind::List(_) | Kind::Map(_) => node.to_json().to_string(),
            },
        })
    }

    fn texts(&self, node: &Node, at: &str, names: &[&'static str]) -> Result<Vec<String>, ScenarioError> {
        let Some((name, node)) = self.find(node, names) else { return Ok(Vec::new()) };
        match &node.kind {
            Kind::Null => Ok(Vec::new()),
            Kind::Scalar(scalar) if scalar.text.is_empty() => Ok(Vec::new()),
            Kind::Scalar(scalar) => Ok(vec![scalar.text.clone()]),
            Kind::List(items) => {
                items.iter().map(|item| self.scalar(item, &join(at, name), "a list of texts")).collect()
            }
            Kind::Map(_) => Err(self.expected(node, &join(at, name), "a list of texts", "")),
        }
    }

    pub(crate) fn scalar(
        &self,
        node: &Node,
        field: &str,
        expected: &'static str,
    ) -> Result<String, ScenarioError> {
        match &node.kind {
            Kind::Null => Ok(String::new()),
            Kind::Scalar(scalar) => Ok(scalar.text.clone()),
            _ => Err(self.expected(node, field, expected, "")),
        }
    }

    pub(crate) fn pairs(
        &self,
        node: &Node,
        at: &str,
        names: &[&'static str],
    ) -> Result<Pairs, ScenarioError> {
        let Some((name, node)) = self.find(node, names) else { return Ok(Pairs::default()) };
        let expected = "a map of texts";
        match &node.kind {
            Kind::Null => Ok(Pairs::default()),
            Kind::Scalar(scalar) if scalar.text.is_empty() => Ok(Pairs::default()),
            Kind::Map(entries) => entries
                .iter()
                .map(|(key, value)| {
                    let field = format!("{}.{key}", join(at, name));
                    // A list of one, as headers of answers are written.
                    let value = match &value.kind {
                        Kind::List(items) => items.first().unwrap_or(value),
                        _ => value,
                    };
                    Ok((key.clone(), self.scalar(value, &field, expected)?))
                })
                .collect(),
            _ => Err(self.expected(node, &join(at, name), expected, "")),
        }
    }

    fn headers(&self, node: &Node) -> Result<HeaderLists, ScenarioError> {
        let mut headers = HeaderLists::default();
        let Some(node) = node.get("headers") else { return Ok(headers) };
        let expected = "a map from names to lists of texts";
        let entries = match &node.kind {
            Kind::Null => return Ok(headers),
            Kind::Map(entries) => entries,
            _ => return Err(self.expected(node, "response.headers", expected, "")),
        };
        for (name, value) in entries {
            let field = format!("response.headers.{name}");
            match &value.kind {
                Kind::List(items) if items.is_empty() => headers.push_empty(name.clone()),
                Kind::List(items) => {
                    for item in items {
                        headers.add(name.clone(), self.scalar(item, &field, "a list of texts")?);
                    }
                }
                _ => headers.add(name.clone(), self.scalar(value, &field, "a list of texts")?),
            }
        }
        Ok(headers)
    }

    fn contents(&self, node: &Node) -> Result<Contents, ScenarioError> {
        let Some(node) = node.get("contents") else { return Ok(Contents::default()) };
        let base64 = match &node.kind {
            Kind::Null => return Ok(Contents::default()),
            Kind::Scalar(scalar) if scalar.binary => Some(scalar.text.as_str()),
            Kind::Scalar(scalar) => return Ok(Contents::Template(scalar.text.clone())),
            // How bytes are written in JSON.
            Kind::Map(entries) => match entries.as_slice() {
                [(name, Node { kind: Kind::Scalar(scalar), .. })] if name == "base64" => {
                    Some(scalar.text.as_str())
                }
                _ => None,
            },
            Kind::List(_) => None,
        };
        let Some(base64) = base64 else {
            return Ok(Contents::Template(node.to_json().to_string()));
        };
        let compact: String = base64.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        match BASE64.decode(compact) {
            Ok(bytes) => Ok(Contents::Literal(Bytes::from(bytes))),
            Err(_) => Err(self.expected(node, "response.contents", "base64", "")),
        }
    }

    fn status(&self, node: &Node) -> Result<Status, ScenarioError> {
        let (field, expected) = ("response.status_code", "a status from 200 to 599");
        let Some(node) = node.get("status_code") else { return Ok(Status::default()) };
        let text = self.scalar(node, field, expected)?;
        // Braces that nothing closes are no directive.
        if self.lenient && !directives(&text).is_empty() {
            return Ok(Status::Template(text));
        }
        Status::read(&text).map(Status::Fixed).ok_or_else(|| self.expected(node, field, expected, &text))
    }

    fn wait(&self, root: &Node) -> Result<Wait, ScenarioError> {
        let (field, expected) = ("wait_before_reply", "a duration such as 300ms, 1.5s or 1m30s");
        let Some(node) = root.get(field) else { return Ok(Wait::default()) };
        let text = self.scalar(node, field, expected)?;
        if self.lenient && !directives(&text).is_empty() {
            return Ok(Wait::Template(text));
        }
        Wait::read(&text).map(Wait::Fixed).ok_or_else(|| self.expected(node, field, expected, &text))
    }

    fn required(
        &self,
        root: &Node,
        field: &'static str,
        expected: &'static str,
    ) -> Result<String, ScenarioError> {
        let node = root.get(field).filter(|node| !matches!(node.kind, Kind::Null));
        let Some(node) = node else {
            return Err(ScenarioError::new(None, field, Problem::Missing { expected }));
        };
        let text = self.scalar(node, field, expected)?;
        if self.lenient && !directives(&text).is_empty() {
            return Err(self.expected(node, field, "a text without directives", &text));
        }
        Ok(text)
    }

    fn method(&self, root: &Node) -> Result<String, ScenarioError> {
        let expected = "one of GET, POST, PUT, DELETE, PATCH, HEAD, OPTIONS, CONNECT and TRACE";
        let text = self.required(root, "method", expected)?;
        path::method(&text)
            .ok_or_else(|| self.expected(root.get("method").unwrap_or(root), "method", expected, &text))
    }

    fn name(&self, root: &Node) -> Result<String, ScenarioError> {
        let expected = "a name of 1 to 200 characters without slashes";
        let text = self.required(root, "name", expected)?;
        path::name(&text)
            .ok_or_else(|| self.expected(root.get("name").unwrap_or(root), "name", expected, &text))
    }

    fn path(&self, root: &Node) -> Result<String, ScenarioError> {
        let expected = "a path such as /v1/users/:id, without . or .. as a part";
        let text = self.required(root, "path", expected)?;
        path::normalized(&text)
            .ok_or_else(|| self.expected(root.get("path").unwrap_or(root), "path", expected, &text))
    }
}

pub(crate) fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn extra(node: &Node, names: &[&str]) -> Extra {
    let known = names.iter().filter_map(|name| Some((*name, node.get(name)?)));
    known
        .filter(|(_, node)| !matches!(node.kind, Kind::Null))
        .map(|(name, node)| (name.to_owned(), node.to_json()))
        .collect()
}
