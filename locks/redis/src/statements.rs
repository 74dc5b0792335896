//! The scripts, put together from their parts, and the keys that they work on.
//!
//! The row of a mutex is a hash: `v` last version, `f` fence, `e` end of its lease in microseconds (absent when it was released),
//! `l` lease in milliseconds, `o` owner, `d` data, `x` delete at release, `q` somebody may be waiting. A row without `v` is
//! a tombstone. The row of a semaphore: `v` version, `m` size, `l` default lease, `n` named by version, `f`, `q`, and what
//! `scripts/semaphore.lua` says for each slot.

use std::sync::LazyLock;

use db_locks_core::LockId;
use db_locks_core::protocol::{CLIENT_TTL_MS, MAX_POSITION, MAX_WAITERS, TOMBSTONE_TTL_MS, WAITER_TTL_MS};

/// Before the id of a client: the channel that it listens to.
pub(crate) const BELL: &str = "db-locks:bell:";

/// The text of a file in `scripts/`.
macro_rules! lua {
    ($name:literal) => {
        include_str!(concat!("scripts/", $name, ".lua"))
    };
}

/// One script, and the name by which the server knows it.
#[derive(Debug)]
pub(crate) struct Statement {
    /// SHA-1 of the source, in hexadecimal.
    pub(crate) sha: String,
    /// The whole source.
    pub(crate) source: String,
}

/// One script for mutexes and one for semaphores.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) mutexes: Statement,
    pub(crate) semaphores: Statement,
}

impl Pair {
    /// The one for this lock.
    pub(crate) fn of(&self, lock: &LockId) -> &Statement {
        if lock.is_semaphore() { &self.semaphores } else { &self.mutexes }
    }

    /// Both, for many locks at once.
    fn many(&self) -> Self {
        let many = |one: &Statement| {
            // What is the same for all of them is made once.
            let own = one.source.strip_prefix(lua!("prelude"));
            let (common, own) = own.map_or(("", one.source.as_str()), |own| (lua!("prelude"), own));
            Statement::new(&[], &[common, lua!("many_before"), own, lua!("many_after")])
        };
        Self { mutexes: many(&self.mutexes), semaphores: many(&self.semaphores) }
    }
}

/// Every script.
#[derive(Debug)]
pub(crate) struct Statements {
    pub(crate) acquire: Pair,
    pub(crate) renew: Pair,
    pub(crate) release: Pair,
    /// The same for many locks at once.
    pub(crate) acquire_many: Pair,
    pub(crate) renew_many: Pair,
    pub(crate) release_many: Pair,
    pub(crate) abandon_mutex: Statement,
    pub(crate) create_mutex: Statement,
    pub(crate) get_mutex: Statement,
    pub(crate) delete_mutex: Statement,
    pub(crate) abandon_semaphore: Statement,
    pub(crate) create_semaphore: Statement,
    pub(crate) get_semaphore: Statement,
    pub(crate) get_slots: Statement,
    pub(crate) delete_semaphore: Statement,
    pub(crate) beat: Statement,
    pub(crate) keep_places: Statement,
    pub(crate) write_fenced: Statement,
}

/// The scripts, put together once.
pub(crate) fn statements() -> &'static Statements {
    static ALL: LazyLock<Statements> = LazyLock::new(Statements::new);
    &ALL
}

impl Statements {
    fn new() -> Self {
        let constants = constants();
        let join = |parts: &[&str]| Statement::new(&constants, parts);
        // What most calls need comes first; the functions of the queue are made only where they are reached.
        let mutex = |parts: &[&str]| join(&[&[lua!("prelude"), lua!("mutex")], parts].concat());
        let semaphore =
            |parts: &[&str]| join(&[&[lua!("prelude"), lua!("semaphore"), lua!("stubborn")], parts].concat());
        let (queue, bells) = (lua!("queue"), lua!("bells"));
        let acquire = Pair {
            mutexes: mutex(&[lua!("acquire_mutex"), queue, lua!("acquire_mutex_rest")]),
            semaphores: semaphore(&[lua!("acquire_semaphore"), queue, lua!("acquire_semaphore_rest")]),
        };
        let renew = Pair {
            mutexes: mutex(&[lua!("stubborn"), lua!("renew_mutex")]),
            semaphores: semaphore(&[lua!("renew_semaphore")]),
        };
        let release = Pair {
            mutexes: mutex(&[lua!("release_mutex"), queue, bells, lua!("release_mutex_rest")]),
            semaphores: semaphore(&[lua!("release_semaphore"), queue, bells, lua!("release_semaphore_rest")]),
        };
        Self {
            acquire_many: acquire.many(),
            renew_many: renew.many(),
            release_many: release.many(),
            acquire,
            renew,
            release,
            abandon_mutex: mutex(&[lua!("abandon_mutex"), queue, bells, lua!("abandon_mutex_rest")]),
            create_mutex: mutex(&[lua!("create_mutex")]),
            get_mutex: mutex(&[lua!("get_mutex")]),
            delete_mutex: mutex(&[lua!("delete_mutex")]),
            abandon_semaphore: semaphore(&[
                lua!("abandon_semaphore"),
                queue,
                bells,
                lua!("abandon_semaphore_rest"),
            ]),
            create_semaphore: semaphore(&[
                lua!("create_semaphore"),
                queue,
                bells,
                lua!("create_semaphore_rest"),
            ]),
            get_semaphore: semaphore(&[lua!("get_semaphore")]),
            get_slots: semaphore(&[lua!("get_slots")]),
            delete_semaphore: semaphore(&[lua!("delete_semaphore")]),
            beat: join(&[lua!("prelude"), lua!("beat")]),
            keep_places: join(&[lua!("prelude"), lua!("keep_places")]),
            write_fenced: join(&[lua!("write_fenced")]),
        }
    }
}

/// The protocol's numbers as the scripts know them.
fn constants() -> Vec<(&'static str, String)> {
    vec![
        ("WAITER_TTL_MS", WAITER_TTL_MS.to_string()),
        ("CLIENT_TTL_MS", CLIENT_TTL_MS.to_string()),
        ("TOMBSTONE_TTL_MS", TOMBSTONE_TTL_MS.to_string()),
        ("MAX_WAITERS", MAX_WAITERS.to_string()),
        ("MAX_POSITION", MAX_POSITION.to_string()),
        ("BELL", format!("'{BELL}'")),
    ]
}

impl Statement {
    /// Joins the parts and writes the constants in their places.
    fn new(constants: &[(&'static str, String)], parts: &[&str]) -> Self {
        let mut source = parts.concat();
        for (name, value) in constants {
            source = source.replace(name, value);
        }
        let sha = redis::Script::new(&source).get_hash().to_string();
        Self { sha, source }
    }
}

/// The keys of one lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    pub(crate) row: String,
    pub(crate) queue: String,
    pub(crate) waiters: String,
    pub(crate) slots: String,
}

impl Keys {
    /// A cluster takes what stands between the first `{` and the first `}` after it to choose the slot. The prefix holds
    /// neither, so this is the same text for all keys of a lock, even if the lock's own name holds braces.
    pub(crate) fn new(prefix: &str, id: &LockId) -> Self {
        let row = format!("{prefix}{{{}}}", id.encoded());
        Self {
            queue: format!("{row}:queue"),
            waiters: format!("{row}:waiters"),
            slots: format!("{row}:slots"),
            row,
        }
    }

    /// The row alone.
    pub(crate) fn row(&self) -> [&str; 1] {
        [&self.row]
    }

    /// What a script about a waiting list of a mutex gets.
    pub(crate) fn mutex(&self) -> [&str; 3] {
        [&self.row, &self.queue, &self.waiters]
    }

    /// The row and the slots of a semaphore.
    pub(crate) fn slots(&self) -> [&str; 2] {
        [&self.row, &self.slots]
    }

    /// All keys of a semaphore.
    pub(crate) fn semaphore(&self) -> [&str; 4] {
        [&self.row, &self.slots, &self.queue, &self.waiters]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of a key that chooses its slot, as the cluster specification says.
    fn hash_tag(key: &str) -> &str {
        let Some((_, rest)) = key.split_once('{') else { return key };
        match rest.split_once('}') {
            Some((tag, _)) if !tag.is_empty() => tag,
            _ => key,
        }
    }

    #[test]
    fn all_keys_of_a_lock_lie_in_one_slot() {
        for name in ["one", "{", "}", "{}", "a}b", "a{b", "}{", "{{}}", "a{}b", "x:queue"] {
            for id in [LockId::mutex(name, name).unwrap(), LockId::semaphore("t", name).unwrap()] {
                let keys = Keys::new("db-locks", &id);
                let tags: Vec<_> = keys.semaphore().iter().map(|key| hash_tag(key).to_string()).collect();
                assert!(tags.iter().all(|tag| *tag == tags[0] && !tag.is_empty()), "{keys:?}");
            }
        }
    }

    #[test]
    fn locks_do_not_share_keys() {
        let mut seen = std::collections::HashSet::new();
        for (tenant, key) in [("a", "b_c"), ("a_b", "c"), ("a", "b}:queue"), ("a", "b"), ("a}:m:b", "c")] {
            for id in [LockId::mutex(tenant, key).unwrap(), LockId::semaphore(tenant, key).unwrap()] {
                for key in Keys::new("db-locks", &id).semaphore() {
                    assert!(seen.insert(key.to_string()), "{key} is used twice");
                }
            }
        }
    }

    #[test]
    fn every_constant_is_filled_in() {
        let all = statements();
        let pairs = [&all.acquire, &all.release_many, &all.renew];
        let scripts = pairs.into_iter().flat_map(|pair| [&pair.mutexes, &pair.semaphores]);
        for statement in scripts.chain([&all.beat, &all.keep_places, &all.delete_mutex]) {
            for (name, _) in constants() {
                // In comments too: the value stands there then.
                assert!(!statement.source.contains(name), "{name} is left in a script");
            }
        }
    }
}
