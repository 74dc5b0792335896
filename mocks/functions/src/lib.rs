#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod cache;
mod clock;
mod coerce;
mod control;
mod entry;
mod files;
mod fixture;
mod generators;
mod random;
mod state;
mod variables;
mod xml;

use api_mock_template::Functions;

pub use fixture::{Fixture, FixtureSource, NoFixtures};
pub use state::{FunctionLimits, State};

/// What a reader wants to know about a function.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The name, and other names for the same.
    pub names: Vec<String>,
    /// Its arguments; those in brackets may be left out.
    pub arguments: &'static str,
    /// What it gives.
    pub about: &'static str,
    /// A template that shows it.
    pub example: String,
    /// A regular expression that the whole output of the example matches.
    pub gives: &'static str,
}

const GROUPS: [&[entry::Entry]; 5] =
    [control::ENTRIES, random::ENTRIES, clock::ENTRIES, files::ENTRIES, variables::ENTRIES];

/// All functions for scenario templates. They want a [`State`] in the context.
///
/// ```
/// let functions = api_mock_functions::functions();
/// assert!(functions.get("RandCity").is_some() && functions.get("SeededCity").is_some());
/// ```
#[must_use]
pub fn functions() -> Functions {
    let mut functions = Functions::new();
    generators::GENERATORS.iter().for_each(|generator| generator.add_to(&mut functions));
    GROUPS.iter().copied().flatten().for_each(|entry| entry.add_to(&mut functions));
    functions
}

/// What all functions do, in the order in which a manual shows them.
///
/// ```
/// let iterate = api_mock_functions::descriptions().into_iter().find(|about| about.names == ["Iterate"]);
/// assert_eq!(iterate.map(|about| about.arguments), Some("n"));
/// ```
#[must_use]
pub fn descriptions() -> Vec<Description> {
    let entries = GROUPS.iter().copied().flatten().map(|entry| Description {
        names: entry.names.iter().map(|name| (*name).to_owned()).collect(),
        arguments: entry.arguments,
        about: entry.about,
        example: entry.example.to_owned(),
        gives: entry.gives,
    });
    let generators = generators::GENERATORS.iter().flat_map(|generator| {
        let describe = |name: fn(&str) -> String, arguments: &'static str, value: &str| {
            let names: Vec<String> = generator.names.iter().map(|base| name(base)).collect();
            let example = format!("{{{{{}{value}}}}}", names.first().map_or("", |name| name));
            Description { names, arguments, about: generator.about, example, gives: generator.gives }
        };
        [describe(entry::random_name, "", ""), describe(entry::seeded_name, "seed", " 0")]
    });
    entries.chain(generators).collect()
}
