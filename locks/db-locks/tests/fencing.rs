//! A stopped holder's late write is refused, with two real processes on every database.
//! A database that is not compiled in is listed as ignored.
#![allow(missing_docs)]

#[path = "../examples/paused_holder.rs"]
mod paused_holder;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

/// Name, whether it is compiled in, and where the tests find it.
const STORES: [(&str, bool, &str); 5] = [
    ("sqlite", cfg!(feature = "sqlite"), ""),
    ("postgres", cfg!(feature = "postgres"), "DB_LOCKS_TEST_POSTGRES_URL"),
    ("mysql", cfg!(feature = "mysql"), "DB_LOCKS_TEST_MYSQL_URL"),
    ("redis", cfg!(feature = "redis"), "DB_LOCKS_TEST_REDIS_URL"),
    ("dynamodb", cfg!(feature = "dynamodb"), "DB_LOCKS_TEST_DYNAMODB_URL"),
];

fn late_write_is_refused(store: &str, variable: &str) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let url = match store {
        "sqlite" => format!("sqlite:{}", folder.path().join("locks.sqlite").display()),
        _ => std::env::var(variable).map_err(|_| format!("{variable} is not set: run `cargo xtask test`"))?,
    };
    let url = if store == "dynamodb" { format!("dynamodb+{url}") } else { url };
    let tenant = format!("fencing-{store}-{}", std::process::id());
    let runtime = tokio::runtime::Runtime::new()?;
    let story = runtime.block_on(paused_holder::play(&url, &tenant))?;
    let refused = format!("stale {}", story.second_token);
    if story.first_token == 0 || story.second_token <= story.first_token {
        return Err(format!("tokens do not grow: {story:?}").into());
    }
    if story.first_holder_heard != refused || story.value != "by the second" {
        return Err(format!("the late write was not refused: {story:?}").into());
    }
    Ok(())
}

fn main() -> ExitCode {
    let Ok(runtime) = tokio::runtime::Runtime::new() else { return ExitCode::FAILURE };
    if let Some(played) = runtime.block_on(paused_holder::play_holder()) {
        if let Err(error) = &played {
            eprintln!("{}", error.chain());
        }
        return ExitCode::from(u8::from(played.is_err()));
    }
    let trials = STORES.iter().map(|(store, compiled_in, variable)| {
        Trial::test(format!("{store}::a_stopped_holders_late_write_is_refused"), || {
            late_write_is_refused(store, variable)
        })
        .with_kind(if *compiled_in { "" } else { "not compiled in" })
        .with_ignored_flag(!compiled_in)
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
