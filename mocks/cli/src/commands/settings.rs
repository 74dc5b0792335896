//! `api-mock-service settings`

use std::fmt::Write;

use super::{Outcome, print, settings};
use crate::args::SettingsArgs;
use crate::exit;
use crate::settings::{Kind, SETTINGS};

pub(crate) fn run(args: &SettingsArgs) -> Outcome {
    let settings = settings(&args.flags)?;
    let mut text = String::new();
    for setting in SETTINGS {
        let (value, origin) = settings.with_origin(setting.name);
        // What is hidden must not come back as a value when this is used as a file.
        let hidden = if setting.is_hidden(value) { "# " } else { "" };
        let value = as_yaml(setting.shown(value));
        let expected = if setting.kind == Kind::Text { "" } else { setting.kind.expected() };
        let comma = if expected.is_empty() { "" } else { "; " };
        // Writing to a string does not fail.
        let _ = writeln!(text, "# {}{comma}{expected}", setting.about);
        let _ = writeln!(text, "# environment: {}; now from: {origin}", setting.variable());
        let _ = writeln!(text, "{hidden}{}: {value}\n", setting.name);
    }
    print(text.trim_end().as_bytes())?;
    print(b"\n")?;
    Ok(exit::OK)
}

/// In quotes, unless it is plain.
fn as_yaml(value: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/');
    match value {
        "" => "\"\"".to_owned(),
        value if value.bytes().all(is_plain) => value.to_owned(),
        // A string of JSON is one of YAML.
        value => serde_json::Value::from(value).to_string(),
    }
}
