//! From a specification to scenarios.

mod bodies;
mod drawn;
mod example;
mod names;
mod rules;
mod scenarios;
mod update;

use api_mock_scenario::{Key, Scenario, while_made};

use crate::document::{DocumentError, parse_document};
use crate::documents::Documents;
use crate::loader::Loader;
use crate::problem::{Problem, Problems};
use crate::schema::{Direction, SchemaId};
use crate::spec::{self, Api};

pub(crate) use example::{Examples, SharedPlanner, planners};
pub use update::{Comparison, Fate, Kept, Made, Stored, Update, compare, mark, unmarked, update};

/// Specifications of more bytes than this are refused unless told otherwise.
const MAX_BYTES: usize = 64 << 20;

/// How to import.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ImportOptions {
    /// Where the specification comes from, for references in it that are relative: its file name,
    /// or its address. Empty if unknown.
    pub location: String,
    /// Whether references to `http` and `https` addresses of other hosts than the specification's are followed.
    pub remote_references: bool,
    /// The group of the scenarios, instead of the specification's title.
    pub group: Option<String>,
    /// Whether examples and defaults of single values are taken as they are, instead of generating
    /// other values.
    pub value_examples: bool,
    /// Whether a whole body is taken from the examples of its media type if it has some.
    pub body_examples: bool,
    /// Whether paths begin with the path of the specification's first server.
    pub base_path: bool,
    /// The predicate of scenarios that answer with a status of 300 or more. Empty for none.
    pub error_predicate: String,
    /// Whether what the security schemes ask for is demanded of requests.
    pub demand_security: bool,
    /// The largest specification, in bytes.
    pub max_bytes: usize,
}

impl Default for ImportOptions {
    /// No network, values of single examples, every second answer an error, no credentials wanted.
    fn default() -> Self {
        ImportOptions {
            location: String::new(),
            remote_references: false,
            group: None,
            value_examples: true,
            body_examples: false,
            base_path: false,
            error_predicate: "{{NthRequest 2}}".to_owned(),
            demand_security: false,
            max_bytes: MAX_BYTES,
        }
    }
}

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The bytes are neither JSON nor YAML.
    #[error("the specification cannot be read: {0}")]
    Document(#[from] DocumentError),
    /// It is a document, but of another kind.
    #[error("this is no specification: it has neither `openapi: 3.…` nor `swagger: \"2.0\"`")]
    NotASpecification,
    /// It is larger than allowed.
    #[error("the specification has {bytes} bytes; {allowed} are allowed")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many it may have.
        allowed: usize,
    },
}

/// What an import made: scenarios, or what [`import_each`] was told to make of them.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Import<S = Imported> {
    /// The specification itself, with which requests and answers are checked.
    pub api: Api,
    /// The group of the scenarios; none if the specification has no title and no group was told.
    pub group: Option<String>,
    /// In the order of the specification.
    pub scenarios: Vec<S>,
    /// What was left out or changed, and where.
    pub problems: Vec<Problem>,
}

/// A scenario, and what it was made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Imported {
    /// The scenario.
    pub scenario: Scenario,
    /// Which of [`Api::operations`] it answers.
    pub operation: usize,
    /// Which of the operation's responses it is.
    pub response: usize,
    /// The schema of its body, if that is JSON.
    pub schema: Option<SchemaId>,
    /// The schema of the body that it wants, if that is JSON.
    pub request_schema: Option<SchemaId>,
}

impl Imported {
    /// What tells it from all others; the same each time the specification is imported.
    #[must_use]
    pub fn key(&self) -> Key {
        self.scenario.key()
    }

    /// The text of its file, with a first line by which [`update`] knows it again.
    #[must_use]
    pub fn text(&self) -> String {
        mark(&self.scenario.to_yaml())
    }
}

/// Reads a specification without making scenarios: for checking requests and answers.
///
/// # Errors
/// It cannot be read at all. What is wrong in its parts is in the list of problems.
pub fn parse(
    bytes: &[u8],
    options: &ImportOptions,
    loader: &dyn Loader,
) -> Result<(Api, Vec<Problem>), ImportError> {
    let problems = Problems::default();
    let api = read(bytes, options, loader, &problems)?;
    Ok((api, problems.into_list()))
}

fn read(
    bytes: &[u8],
    options: &ImportOptions,
    loader: &dyn Loader,
    problems: &Problems,
) -> Result<Api, ImportError> {
    if bytes.len() > options.max_bytes {
        return Err(ImportError::TooLarge { bytes: bytes.len(), allowed: options.max_bytes });
    }
    let root = parse_document(bytes)?;
    let version = spec::version(&root).ok_or(ImportError::NotASpecification)?;
    let documents = Documents::load(root, &options.location, loader, options.remote_references);
    Ok(spec::read(&documents, problems, version))
}

/// Makes scenarios from a specification. The same specification gives the same scenarios.
///
/// ```
/// use api_mock_openapi::{ImportOptions, NoDocuments, import};
///
/// let spec = br"
/// openapi: 3.0.1
/// info: {title: Devices, version: '1'}
/// paths:
///   /devices/{id}:
///     get:
///       operationId: getDevice
///       parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
///       responses:
///         200:
///           content:
///             application/json:
///               schema: {type: object, properties: {serial: {type: string, pattern: '^AC[0-9a-f]{32}$'}}}
/// ";
/// let import = import(spec, &ImportOptions::default(), &NoDocuments)?;
/// let scenario = &import.scenarios[0].scenario;
/// assert_eq!((scenario.method.as_str(), scenario.path.as_str()), ("GET", "/devices/{id}"));
/// assert_eq!(
///     scenario.response.contents.as_text(),
///     Some("{\n  \"serial\": \"{{RandRegex `^AC[0-9a-f]{32}$`}}\"\n}")
/// );
/// assert!(import.problems.is_empty());
/// # Ok::<(), api_mock_openapi::ImportError>(())
/// ```
///
/// # Errors
/// The specification cannot be read at all. What is wrong in its parts is left out and told in
/// [`Import::problems`].
pub fn import(bytes: &[u8], options: &ImportOptions, loader: &dyn Loader) -> Result<Import, ImportError> {
    let problems = Problems::default();
    let api = read(bytes, options, loader, &problems)?;
    let mut made = Vec::new();
    scenarios::scenarios(&api, options, &problems, &mut |scenario| made.push(scenario));
    Ok(Import::new(api, options, made, problems))
}

/// So many scenarios are worth a thread.
const FOR_A_THREAD: usize = 32;

/// As [`import`], but does something with each scenario, on other threads while this one makes more of them.
///
/// ```
/// use api_mock_openapi::{ImportOptions, NoDocuments, import_each};
///
/// let spec = b"openapi: 3.0.0\ninfo: {title: T, version: '1'}\npaths: {/a: {get: {responses: {200: {description: ok}}}}}\n";
/// let files = import_each(spec, &ImportOptions::default(), &NoDocuments, |made| made.text())?.scenarios;
/// assert!(files[0].contains("path: /a\n"));
/// # Ok::<(), api_mock_openapi::ImportError>(())
/// ```
///
/// # Errors
/// As [`import`].
pub fn import_each<S: Send>(
    bytes: &[u8],
    options: &ImportOptions,
    loader: &dyn Loader,
    each: impl Fn(Imported) -> S + Sync,
) -> Result<Import<S>, ImportError> {
    let problems = Problems::default();
    let api = read(bytes, options, loader, &problems)?;
    let make = |push: &mut dyn FnMut(Imported)| scenarios::scenarios(&api, options, &problems, push);
    let made = while_made(FOR_A_THREAD, make, each);
    Ok(Import::new(api, options, made, problems))
}

impl<S> Import<S> {
    fn new(api: Api, options: &ImportOptions, scenarios: Vec<S>, problems: Problems) -> Self {
        let group = names::named_group(&api, options);
        Import { api, group, scenarios, problems: problems.into_list() }
    }
}

impl Api {
    /// A template that prints a different valid JSON value each time, with the functions of
    /// scenario templates.
    ///
    /// # Errors
    /// Why there is no such value.
    pub fn template(&self, schema: SchemaId, direction: Direction) -> Result<String, String> {
        let mut planner = crate::plan::Planner::new(&self.schemas, direction, false);
        let plan = planner.body(schema).map_err(|error| error.why().to_owned())?;
        Ok(crate::plan::json_template(&plan))
    }

    /// A valid value of a schema; another one for another seed.
    ///
    /// # Errors
    /// Why there is none.
    pub fn example(
        &self,
        schema: SchemaId,
        direction: Direction,
        seed: u64,
    ) -> Result<serde_json::Value, String> {
        let mut planner = crate::plan::Planner::new(&self.schemas, direction, seed == 0);
        let plan = planner.body(schema).map_err(|error| error.why().to_owned())?;
        Ok(crate::plan::Sampler::new(seed).value(&plan))
    }
}
