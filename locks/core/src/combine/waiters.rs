//! Who stands in a queue goes by itself: a batch grants nothing that is waited for, not even to the one whose turn it is.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::LockResult;
use crate::protocol::{AcquireRequest, Acquired};

/// More than wait in one process; beyond, they are forgotten, which costs each one round trip more.
const MOST: usize = 20_000;

/// The acquisitions of one process that were refused and wait.
#[derive(Debug, Default)]
pub struct Waiters(Mutex<HashSet<String>>);

impl Waiters {
    fn versions(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this acquisition was refused before and waits.
    pub fn knows(&self, request: &AcquireRequest) -> bool {
        request.wait && self.versions().contains(&request.version)
    }

    /// Takes in the answer to an acquire.
    pub fn answered(&self, request: &AcquireRequest, answer: &LockResult<Acquired>) {
        match answer {
            Ok(Acquired::Busy(_)) if request.wait => {
                let mut versions = self.versions();
                if versions.len() >= MOST {
                    versions.clear();
                }
                versions.insert(request.version.clone());
            }
            Ok(Acquired::Granted(_)) if request.wait => self.gone(&request.version),
            _ => {}
        }
    }

    /// This acquisition has ended.
    pub fn gone(&self, version: &str) {
        self.versions().remove(version);
    }
}
