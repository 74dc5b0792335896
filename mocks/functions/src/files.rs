//! Functions that read fixtures.

use std::sync::Arc;

use api_mock_datagen::Rng;
use api_mock_template::{Context, FuncError, Value};

use crate::coerce::{int_at, text_at};
use crate::control::json_text;
use crate::entry::Entry;
use crate::fixture::{Fixture, is_valid_name};
use crate::state::state;

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        names: &["RandFileLine"],
        arguments: "fixture",
        arity: (1, Some(1)),
        about: "a line of a fixture, trimmed",
        example: r#"{{RandFileLine "lines.txt"}}"#,
        gives: "one|two",
        code: |context, args| {
            let (name, fixture) = fixture(context, args)?;
            line(&name, &fixture, &mut state(context)?.rng)
        },
    },
    Entry {
        names: &["SeededFileLine"],
        arguments: "fixture seed",
        arity: (2, Some(2)),
        about: "the line of a fixture that belongs to a seed",
        example: r#"{{SeededFileLine "lines.txt" 0}}"#,
        gives: "one|two",
        code: |context, args| {
            let (name, fixture) = fixture(context, args)?;
            line(&name, &fixture, &mut Rng::for_purpose(int_at(args, 1), "FileLine"))
        },
    },
    Entry {
        names: &["FileProperty"],
        arguments: "fixture key",
        arity: (2, Some(2)),
        about: "the value of a key of a YAML or JSON fixture",
        example: r#"{{FileProperty "props.yaml" "token"}}"#,
        gives: "abc",
        code: |context, args| {
            let (name, fixture) = fixture(context, args)?;
            property(&name, &fixture, &text_at(args, 1))
        },
    },
    Entry {
        names: &["JSONFileProperty"],
        arguments: "fixture key",
        arity: (2, Some(2)),
        about: "the value of a key of a YAML or JSON fixture, as JSON",
        example: r#"{{JSONFileProperty "props.yaml" "tags"}}"#,
        gives: r#"\["a","b"\]"#,
        code: |context, args| {
            let (name, fixture) = fixture(context, args)?;
            let value = property(&name, &fixture, &text_at(args, 1))?;
            json_text(&value, state(context)?.limits.text_bytes).map(Value::from)
        },
    },
    Entry {
        names: &["YAMLFileProperty"],
        arguments: "fixture key",
        arity: (2, Some(2)),
        about: "the value of a key of a YAML or JSON fixture, as YAML",
        example: r#"{{YAMLFileProperty "props.yaml" "tags"}}"#,
        gives: "- a\n- b",
        code: |context, args| {
            let (name, fixture) = fixture(context, args)?;
            let value = property(&name, &fixture, &text_at(args, 1))?;
            let yaml = serde_saphyr::to_string(&serde_json::Value::from(&value));
            let yaml = yaml.map_err(|error| FuncError::with_source("cannot write YAML", error))?;
            Ok(yaml.trim_end().into())
        },
    },
];

/// The fixture that the first argument names.
fn fixture(context: &mut Context<'_>, args: &[Value]) -> Result<(String, Arc<Fixture>), FuncError> {
    let name = text_at(args, 0);
    if !is_valid_name(&name) {
        return Err(FuncError::new(format!("{name:?} is not the name of a fixture")));
    }
    match state(context)?.fixtures.fixture(&name) {
        Some(fixture) => Ok((name, fixture)),
        None => Err(FuncError::new(format!("there is no fixture {name}"))),
    }
}

fn line(name: &str, fixture: &Fixture, rng: &mut Rng) -> Result<Value, FuncError> {
    let line = rng.pick(fixture.lines());
    line.map(|line| Value::from(line.as_str()))
        .ok_or_else(|| FuncError::new(format!("fixture {name} is empty")))
}

fn property(name: &str, fixture: &Fixture, key: &str) -> Result<Value, FuncError> {
    let document = fixture.document().map_err(|error| FuncError::new(format!("fixture {name}: {error}")))?;
    let value = document.get(key).cloned();
    value.ok_or_else(|| FuncError::new(format!("fixture {name} has no key {key:?}")))
}
