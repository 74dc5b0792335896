//! Functions of time. The present is the state's, so a rendering can be repeated.

use api_mock_datagen::id;
use api_mock_template::time::{CivilTime, DATE_ONLY, RFC3339};
use api_mock_template::{Context, FuncError, Value};

use crate::coerce::text_at;
use crate::entry::Entry;
use crate::state::{State, state};

const DAY_SECONDS: i64 = 86_400;

pub(crate) const ENTRIES: &[Entry] = &[
    Entry {
        names: &["Date"],
        arguments: "",
        arity: (0, Some(0)),
        about: "today",
        example: "{{Date}}",
        gives: r"\d{4}-\d{2}-\d{2}",
        code: |context, _| Ok(state(context)?.now.format(DATE_ONLY).into()),
    },
    Entry {
        names: &["Time", "ISODatetime"],
        arguments: "",
        arity: (0, Some(0)),
        about: "now, as RFC 3339 has it",
        example: "{{Time}}",
        gives: r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})",
        code: |context, _| Ok(state(context)?.now.format(RFC3339).into()),
    },
    Entry {
        names: &["TimeFormat"],
        arguments: "layout",
        arity: (1, Some(1)),
        about: "now, as Go would write Mon Jan 2 15:04:05 MST 2006 in this layout",
        example: r#"{{TimeFormat "3:04PM"}}"#,
        gives: r"\d{1,2}:\d{2}[AP]M",
        code: |context, args| Ok(state(context)?.now.format(&text_at(args, 0)).into()),
    },
    Entry {
        names: &["RandUnixTimestamp"],
        arguments: "",
        arity: (0, Some(0)),
        about: "now, in seconds since 1970",
        example: "{{RandUnixTimestamp}}",
        gives: r"\d{10}",
        code: |context, _| Ok(state(context)?.now.unix_seconds().into()),
    },
    Entry {
        names: &["RandFutureDate"],
        arguments: "",
        arity: (0, Some(0)),
        about: "a date within a year from now",
        example: "{{RandFutureDate}}",
        gives: r"\d{4}-\d{2}-\d{2}",
        code: |context, _| Ok(date_in_days(state(context)?, 1).into()),
    },
    Entry {
        names: &["RandPastDate"],
        arguments: "",
        arity: (0, Some(0)),
        about: "a date within the last year",
        example: "{{RandPastDate}}",
        gives: r"\d{4}-\d{2}-\d{2}",
        code: |context, _| Ok(date_in_days(state(context)?, -1).into()),
    },
    Entry {
        names: &["ULID"],
        arguments: "",
        arity: (0, Some(0)),
        about: "a ULID of now",
        example: "{{ULID}}",
        gives: "[0-9A-HJKMNP-TV-Z]{26}",
        code: ulid,
    },
];

/// A date 1 to 365 days from now, before or after.
fn date_in_days(state: &mut State, direction: i64) -> String {
    let days = state.rng.between(1, 366) * direction;
    let seconds = state.now.unix_seconds().saturating_add(days * DAY_SECONDS);
    CivilTime::from_unix(seconds, 0, state.now.offset_seconds(), state.now.zone()).format(DATE_ONLY)
}

fn ulid(context: &mut Context<'_>, _args: &[Value]) -> Result<Value, FuncError> {
    let state = state(context)?;
    let milliseconds =
        state.now.unix_seconds().saturating_mul(1000) + i64::from(state.now.nanosecond() / 1_000_000);
    Ok(id::ulid(&mut state.rng, u64::try_from(milliseconds).unwrap_or(0)).into())
}
