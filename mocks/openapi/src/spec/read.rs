//! What all versions have in common: the paths and their operations.

use std::collections::HashSet;

use serde_json::Value;

use super::spot::Spot;
use super::{Api, Location, Operation, Parameter, Style, Version, security, v2, v3};
use crate::documents::Documents;
use crate::problem::Problems;
use crate::request::{Base, Router};
use crate::schema::{Compiler, Schema, SchemaId, Types};

const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];
/// What else a path says.
const NO_METHODS: [&str; 5] = ["summary", "description", "servers", "parameters", "$ref"];

pub(super) struct Reader<'d> {
    pub(super) documents: &'d Documents,
    pub(super) problems: &'d Problems,
    pub(super) compiler: Compiler<'d>,
    pub(super) version: Version,
    /// What is sent and answered if an operation does not say it (Swagger 2.0).
    pub(super) consumes: Vec<String>,
    pub(super) produces: Vec<String>,
}

impl<'d> Reader<'d> {
    pub(super) fn problem(&self, spot: &Spot<'d>, what: impl Into<String>) {
        self.problems.add_at(spot.at.clone(), what);
    }

    /// The number of the schema that stands here.
    pub(super) fn schema(&mut self, spot: &Spot<'d>) -> SchemaId {
        let node = spot.node;
        spot.place(|place| self.compiler.schema(node, place))
    }

    pub(super) fn string_schema(&mut self) -> SchemaId {
        self.compiler.add(Schema { types: Types::STRING, ..Schema::any() })
    }
}

/// The language that a document says it is written in.
pub(crate) fn version(root: &Value) -> Option<Version> {
    let text = |key: &str| match root.get(key)? {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    if let Some(version) = text("openapi") {
        return match version.as_str() {
            version if version == "3" || version.starts_with("3.0") => Some(Version::V3_0),
            version if version.starts_with("3.") => Some(Version::V3_1),
            _ => None,
        };
    }
    text("swagger").filter(|version| version == "2" || version.starts_with("2.")).map(|_| Version::V2)
}

/// Reads the specification that is the first of the documents.
pub(crate) fn read(documents: &Documents, problems: &Problems, version: Version) -> Api {
    let root = Spot { node: documents.root(), at: "#".to_owned() };
    let mut reader = Reader {
        documents,
        problems,
        compiler: Compiler::new(documents, problems, version),
        version,
        consumes: Vec::new(),
        produces: Vec::new(),
    };
    if version == Version::V2 {
        reader.consumes = v2::media_types(&reader, &root, "consumes").unwrap_or_default();
        reader.produces = v2::media_types(&reader, &root, "produces").unwrap_or_default();
    }
    let info = root.get("info");
    let about = |key: &str| info.as_ref().and_then(|info| info.text(key)).unwrap_or_default();
    let (title, own_version) = (about("title"), about("version"));
    let security = security::schemes(&mut reader, &root);
    let everywhere = security::requirements(&root).unwrap_or_default();
    let mut operations = Vec::new();
    match root.get("paths") {
        Some(paths) if paths.node.value.is_object() => {
            for (path, item) in paths.members() {
                path_item(&mut reader, path, item, &everywhere, &mut operations);
            }
        }
        Some(paths) => reader.problem(&paths, "not an object; there are no operations"),
        // From 3.1 on a specification may have nothing but components or webhooks.
        None if version >= Version::V3_1 => {}
        None => reader.problem(&root, "there are no paths"),
    }
    let base_path = base_path(&root, version);
    let language = version;
    Api {
        title,
        version: own_version,
        language,
        base_path,
        router: Router::new(&operations),
        base: Base::default(),
        operations,
        schemas: reader.compiler.finish(),
        security,
    }
}

/// The path that all paths begin with, from the first server.
fn base_path(root: &Spot<'_>, version: Version) -> String {
    if version == Version::V2 {
        return clean_base(&root.text_or_empty("basePath"));
    }
    let server = root.get("servers").and_then(|servers| servers.items().next());
    let Some(server) = server else { return String::new() };
    let mut url = server.text_or_empty("url");
    if let Some(variables) = server.get("variables") {
        for (name, variable) in variables.members() {
            url = url.replace(&format!("{{{name}}}"), &variable.text_or_empty("default"));
        }
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default(),
        None => &url,
    };
    clean_base(path)
}

fn clean_base(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
    if path.is_empty() || path == "." { String::new() } else { format!("/{path}") }
}

fn path_item<'d>(
    reader: &mut Reader<'d>,
    path: &str,
    item: Spot<'d>,
    everywhere: &[Vec<super::Requirement>],
    operations: &mut Vec<Operation>,
) {
    let Some(item) = item.resolved(reader) else { return };
    let path = if path.starts_with('/') {
        path.to_owned()
    } else {
        reader.problem(&item, "a path begins with `/`; one is put before it");
        format!("/{path}")
    };
    let shared = parameters(reader, &item);
    for (method, spot) in item.members() {
        if NO_METHODS.contains(&method) {
            continue;
        }
        if !METHODS.contains(&method) {
            reader.problem(&spot, format!("left out: it is none of {}", METHODS.join(", ")));
            continue;
        }
        if !spot.node.value.is_object() {
            reader.problem(&spot, "left out: not an object");
            continue;
        }
        let mut operation = Operation {
            id: spot.text("operationId").filter(|id| !id.trim().is_empty()),
            method: method.to_ascii_uppercase(),
            path: path.clone(),
            description: spot.text("description").or_else(|| spot.text("summary")).unwrap_or_default(),
            tags: spot.texts("tags").unwrap_or_default(),
            parameters: Vec::new(),
            body: None,
            responses: Vec::new(),
            security: security::requirements(&spot).unwrap_or_else(|| everywhere.to_vec()),
            at: spot.at.clone(),
        };
        let own = parameters(reader, &spot);
        if reader.version == Version::V2 {
            v2::fill(reader, &spot, &shared, &own, &mut operation);
        } else {
            v3::fill(reader, &spot, &shared, &own, &mut operation);
        }
        finish(reader, &spot, &mut operation);
        operations.push(operation);
    }
}

/// Where the parameters of a path or an operation stand.
fn parameters<'d>(reader: &Reader<'d>, spot: &Spot<'d>) -> Vec<Spot<'d>> {
    let Some(list) = spot.get("parameters") else { return Vec::new() };
    if !list.node.value.is_array() && !list.node.value.is_null() {
        reader.problem(&list, "left out: not a list");
    }
    list.items().collect()
}

/// Puts right what specifications often leave out.
fn finish<'d>(reader: &mut Reader<'d>, spot: &Spot<'d>, operation: &mut Operation) {
    // An operation's own parameter stands for the one of its path.
    let mut seen = HashSet::new();
    let mut kept: Vec<Parameter> = Vec::new();
    for parameter in std::mem::take(&mut operation.parameters).into_iter().rev() {
        if seen.insert((parameter.location, parameter.name.clone())) {
            kept.push(parameter);
        }
    }
    kept.reverse();
    operation.path = with_braces(&operation.path, &kept);
    let path = operation.path.clone();
    let variables = variables(&path);
    kept.retain(|parameter| {
        let known =
            parameter.location != Location::Path || variables.iter().any(|name| *name == parameter.name);
        if !known {
            let what = format!("the parameter {:?} is left out: it is not in the path", parameter.name);
            reader.problem(spot, what);
        }
        known
    });
    for name in variables {
        if !kept.iter().any(|known| known.location == Location::Path && known.name == name) {
            reader
                .problem(spot, format!("nothing is said about {name:?} of the path; it is taken for a text"));
            kept.push(Parameter {
                name: name.to_owned(),
                location: Location::Path,
                required: true,
                schema: reader.string_schema(),
                style: Style::Simple,
                explode: false,
                media: None,
                examples: Vec::new(),
            });
        }
    }
    operation.parameters = kept;
}

/// The path with `{name}` for `:name`, as some write it, where there is such a parameter.
fn with_braces(path: &str, parameters: &[Parameter]) -> String {
    let segment = |segment: &str| match segment.strip_prefix(':') {
        Some(name) if parameters.iter().any(|one| one.location == Location::Path && one.name == name) => {
            format!("{{{name}}}")
        }
        _ => segment.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// The names in braces.
pub(crate) fn variables(path: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = path;
    while let Some((_, after)) = rest.split_once('{') {
        let Some((name, more)) = after.split_once('}') else { break };
        names.push(name);
        rest = more;
    }
    names
}
