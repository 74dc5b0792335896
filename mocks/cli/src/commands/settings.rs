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
        let value = setting.shown(value);
        let value = if value.is_empty() { "\"\"" } else { value };
        let expected = if setting.kind == Kind::Text { "" } else { setting.kind.expected() };
        let comma = if expected.is_empty() { "" } else { "; " };
        // Writing to a string does not fail.
        let _ = writeln!(text, "# {}{comma}{expected}", setting.about);
        let _ = writeln!(text, "# environment: {}; now from: {origin}", setting.variable());
        let _ = writeln!(text, "{}: {value}\n", setting.name);
    }
    print(text.trim_end().as_bytes())?;
    print(b"\n")?;
    Ok(exit::OK)
}
