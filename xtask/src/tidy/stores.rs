//! A store keeps its word: it runs the one conformance suite, says its guarantees in a README, has the common
//! shape, and is registered as a feature of the library.

use super::Complaint;
use super::manifest::Member;
use super::tree::Tree;

const CORE: &str = "db-locks-core";
const SUITE: &str = "db-locks-conformance";
const LIBRARY: &str = "db-locks";
/// Every store has these modules, each a file or a folder.
const SHAPE: [(&str, &str); 5] = [
    ("config", "what it takes from the configuration"),
    ("repository", "the traits that it implements"),
    ("statements", "the statements, scripts or expressions that it sends"),
    ("codec", "rows and replies turned into our models"),
    ("error", "its driver's errors turned into ours"),
];

pub(super) fn check(tree: &Tree, members: &[Member]) -> Vec<Complaint> {
    let library = members.iter().find(|member| member.name == LIBRARY);
    members
        .iter()
        .filter(|member| is_store(member))
        .flat_map(|store| check_store(tree, store, library))
        .collect()
}

/// Whatever stands on the core in layer 1, except the suite itself.
fn is_store(member: &Member) -> bool {
    let layer_one = member.house.as_ref().is_some_and(|house| house.product == "locks" && house.layer == 1);
    layer_one && member.name != SUITE && member.dependencies.iter().any(|dependency| dependency.name == CORE)
}

fn check_store(tree: &Tree, store: &Member, library: Option<&Member>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    let mut complain = |file: String, text: String| complaints.push(Complaint::new(file, 0, text));
    let (folder, name) = (&store.folder, &store.name);

    let trials = format!("{folder}/tests/conformance.rs");
    if !tree.text(&trials).is_some_and(calls_suite) {
        complain(trials, format!("{name} does not run the conformance suite; call `{}` there", suite_path()));
    }
    if !has_trial_target(store) {
        let text = "the suite is not a test target; add [[test]] with `name = \"conformance\"` and `harness = false`";
        complain(store.file(), text.into());
    }
    let readme = format!("{folder}/README.md");
    if tree.text(&readme).is_none_or(|text| text.trim().is_empty()) {
        complain(readme, format!("{name} does not say its guarantees; write them here"));
    }
    for (module, purpose) in SHAPE {
        let place = format!("{folder}/src/{module}");
        if !tree.has(&format!("{place}.rs")) && !tree.has(&place) {
            complain(format!("{place}.rs"), format!("a store has a module `{module}`: {purpose}"));
        }
    }
    let registered = |library: &Member| {
        library.dependencies.iter().any(|dependency| dependency.name == *name && dependency.is_optional)
    };
    if let Some(library) = library.filter(|library| !registered(library)) {
        complain(
            library.file(),
            format!("{name} is not an optional dependency of {LIBRARY}; add it with a feature"),
        );
    }
    complaints
}

fn suite_path() -> String {
    format!("{}::", SUITE.replace('-', "_"))
}

/// Outside comments.
fn calls_suite(text: &str) -> bool {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).any(|line| line.contains(&suite_path()))
}

fn has_trial_target(store: &Member) -> bool {
    let targets = store.table.get("test").and_then(toml::Value::as_array);
    targets.into_iter().flatten().any(|target| {
        let name = target.get("name").and_then(toml::Value::as_str);
        let harness = target.get("harness").and_then(toml::Value::as_bool);
        name == Some("conformance") && harness == Some(false)
    })
}
