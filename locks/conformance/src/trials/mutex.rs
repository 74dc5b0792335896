//! Mutexes: grants, versions, leases, data, deletion.

use crate::failure::{Outcome, check, check_eq};
use crate::fixture::{Fixture, ask};
use crate::harness::suite;

suite![acquire_creates];

async fn acquire_creates(f: Fixture) -> Outcome {
    let asked = ask(&f.mutex("one")?);
    let lock = asked.granted(&f.store).await?;
    check_eq!(lock.version, asked.0.version);
    check!(lock.locked);
    Ok(())
}
