#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod directive;
mod error;
mod fault;
mod group;
mod json;
mod layout;
mod model;
mod name;
mod node;
mod pairs;
mod path;
mod read;
mod threads;
mod write;

pub use directive::{constant, directives, literal, nesting};
pub use error::{Problem, ScenarioError};
pub use fault::{ConnectionFault, Delay, FaultRequest, FaultRule, FaultStage, FaultTiming};
pub use group::{ALL as ALL_GROUPS, GroupConfig};
pub use layout::{Layout, TextPlace, TextStyle};
pub use model::{
    ABSENT, Contents, Extra, Key, OTHER_PARAMETERS, RequestRules, ResponsePlan, Scenario, Status, Wait,
};
pub use name::{digest, generated_name, group_of, recorded_name};
pub use pairs::{HeaderLists, Pairs};
pub use path::{
    Part, fixture_file, fixture_name, folder, group_file, group_of_file, literal as literal_path, method,
    method_folder, name as valid_name, normalized as normalized_path, parts as path_parts, scenario_file,
    variables as path_variables,
};
pub use read::Format;
pub use threads::{computing_threads, in_parts, while_made};
