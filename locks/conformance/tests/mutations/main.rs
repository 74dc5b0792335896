//! The check of the check, on the real thing: the statements, scripts and expressions that the stores send are changed, one
//! place at a time, and a trial of the suite must notice. `docs/locks/mutations.md` lists them.
//!
//! Nothing in the stores knows of this, but for SQLite, which runs inside this process: PostgreSQL's functions and MySQL's
//! procedures are made anew from the changed file in a schema or database of their own; Redis' scripts and DynamoDB's expressions are
//! changed on their way to the server. Tests are named `STORE::WHAT::TRIAL`; `STORE::nothing::TRIAL` goes the same way with
//! nothing changed, to show that it is the change that is noticed.

mod list;
mod place;
mod proxy;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};
use list::{Mutation, NOTHING, STORES, StoreName, all};
use place::Place;

fn outcome(mutation: &Mutation) -> Result<Result<(), String>, Failed> {
    let place = Place::prepare(mutation)?;
    place.still_works()?;
    let outcome = db_locks_conformance::run_one(Arc::clone(&place.backend), mutation.trial)?;
    place.was_changed(mutation)?;
    Ok(outcome)
}

fn must_fail(mutation: &Mutation) -> Result<(), Failed> {
    match outcome(mutation)? {
        Err(noticed) => {
            println!("{noticed}");
            Ok(())
        }
        Ok(()) => Err(format!("{} passes with {}", mutation.trial, mutation.name).into()),
    }
}

fn must_pass(mutation: &Mutation) -> Result<(), Failed> {
    outcome(mutation)?.map_err(|failure| format!("fails with nothing changed: {failure}").into())
}

/// The page lists every mutation with its trial.
fn documented() -> Result<(), Failed> {
    let page = include_str!("../../../../docs/locks/mutations.md");
    let line = |m: &Mutation| format!("| {} | `{}` |", m.name.replace('_', " "), m.trial);
    let missing: Vec<String> = all().iter().map(line).filter(|line| !page.contains(line)).collect();
    if missing.is_empty() { Ok(()) } else { Err(format!("not in the page:\n{}", missing.join("\n")).into()) }
}

fn main() -> ExitCode {
    let mut tests = vec![Trial::test("every_mutation_is_documented", documented)];
    for mutation in all() {
        let name = format!("{}::{}::{}", mutation.store.name(), mutation.name, mutation.trial);
        tests.push(Trial::test(name, move || must_fail(&mutation)));
    }
    for store in STORES {
        let trials: BTreeSet<_> = all().into_iter().filter(|m| m.store == store).map(|m| m.trial).collect();
        for trial in trials {
            let control = Mutation { store, name: NOTHING, trial, edits: &[] };
            let name = format!("{}::{NOTHING}::{trial}", store.name());
            tests.push(Trial::test(name, move || must_pass(&control)));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), tests).exit_code()
}

impl StoreName {
    fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
            Self::Mysql => "mysql",
            Self::Redis => "redis",
            Self::DynamoDb => "dynamodb",
        }
    }
}
