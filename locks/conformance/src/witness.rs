//! An independent witness of who held what and when: a file to which every holder appends, and the rules that it must fit.
//!
//! A holder's interval begins when it *knows* of its grant and ends just before it *sends* its release, or when its lease
//! ends counted from when it sent its request. Both are inside the time for which the database granted the lock, so if two
//! of these intervals overlap, two did hold.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use db_locks_core::MutexLock;

use crate::failure::{Failure, Outcome, check};
use crate::fixture::token;

/// Where holders report; may be shared by many processes.
pub(crate) struct Witness {
    file: File,
    path: PathBuf,
}

/// Wall clock in microseconds: the one clock that all processes of a machine can compare.
pub(crate) fn wall_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}

impl Witness {
    /// Appends to `path`.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self { file, path: path.to_path_buf() })
    }

    /// One line in one write: lines of several processes never mix.
    fn say(&self, line: String) -> Outcome {
        Ok((&self.file).write_all(line.as_bytes())?)
    }

    /// The holder has just learnt of its grant.
    pub(crate) fn granted(&self, lock: &MutexLock) -> Outcome {
        let now = wall_us();
        let left = lock.remaining.ends_at().saturating_duration_since(Instant::now());
        self.say(format!("granted {} {now} {}\n", token(lock)?, now + left.as_micros() as u64))?;
        // Whoever was kept from writing until its lease was over wrote out of order, and has not held when it wrote.
        if lock.remaining.is_over() { self.say(format!("late {}\n", token(lock)?)) } else { Ok(()) }
    }

    /// The holder has just learnt that its lease was renewed.
    pub(crate) fn renewed(&self, lock: &MutexLock) -> Outcome {
        // In this order: whoever is stopped between the two claims less than he has, not more.
        let now = wall_us();
        let left = lock.remaining.ends_at().saturating_duration_since(Instant::now());
        self.say(format!("renewed {} {}\n", token(lock)?, now + left.as_micros() as u64))
    }

    /// The holder is about to send its release.
    pub(crate) fn releasing(&self, lock: &MutexLock) -> Outcome {
        self.say(format!("releasing {} {}\n", token(lock)?, wall_us()))
    }

    /// The database has confirmed the release.
    pub(crate) fn released(&self, lock: &MutexLock) -> Outcome {
        self.say(format!("released {}\n", token(lock)?))
    }

    /// What has been written so far.
    pub(crate) fn report(&self) -> Outcome<Report> {
        Report::read(&std::fs::read_to_string(&self.path)?)
    }
}

/// One grant.
#[derive(Debug, Default, Clone)]
struct Grant {
    began_us: u64,
    ended_us: u64,
    releasing: bool,
    released: bool,
    late: bool,
}

/// All that was witnessed.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// By fencing token.
    grants: BTreeMap<u64, Grant>,
    /// Tokens in the order in which they were written.
    order: Vec<u64>,
}

impl Report {
    fn read(text: &str) -> Outcome<Self> {
        let mut report = Self::default();
        // A last line without an end is being written just now.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
            let token = number(1).ok_or_else(|| Failure::new(format!("unreadable: {line}")))?;
            if words[0] == "granted" {
                check!(!report.grants.contains_key(&token), "token {token} was granted twice");
                report.order.push(token);
            }
            let grant = report.grants.entry(token).or_default();
            match (words[0], number(2), number(3)) {
                ("granted", Some(began), Some(ends)) => (grant.began_us, grant.ended_us) = (began, ends),
                ("renewed", Some(ends), _) => grant.ended_us = grant.ended_us.max(ends),
                ("releasing", Some(at), _) => {
                    grant.ended_us = grant.ended_us.min(at);
                    grant.releasing = true;
                }
                ("released", ..) => grant.released = true,
                ("late", ..) => grant.late = true,
                _ => return Err(Failure::new(format!("unreadable: {line}"))),
            }
        }
        Ok(report)
    }

    /// How many grants there were.
    pub(crate) fn count(&self) -> usize {
        self.order.len()
    }

    /// How many releases were sent, and how many of them were confirmed.
    pub(crate) fn releases(&self) -> (usize, usize) {
        let sent = self.grants.values().filter(|grant| grant.releasing).count();
        (sent, self.grants.values().filter(|grant| grant.released).count())
    }

    /// I1: never more than `size` at once. I2: tokens in the order of the grants (told apart only where one holds at a time).
    pub(crate) fn check(&self, size: usize) -> Outcome {
        let mut ends: Vec<(u64, u64)> = Vec::new();
        let mut by_time: Vec<_> =
            self.grants.iter().filter(|(_, grant)| grant.began_us < grant.ended_us).collect();
        by_time.sort_by_key(|(_, grant)| grant.began_us);
        for (token, grant) in by_time {
            ends.retain(|(end, _)| *end > grant.began_us);
            ends.push((grant.ended_us, *token));
            check!(ends.len() <= size, "{} held at once, of {size} (end, token): {ends:?}", ends.len());
        }
        if size == 1 {
            let on_time = self.order.iter().filter(|token| !self.grants[token].late);
            let falls = on_time.clone().zip(on_time.skip(1)).find(|(first, second)| first >= second);
            check!(falls.is_none(), "tokens do not grow: {falls:?}");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(text: &str, size: usize) -> Result<(), String> {
        Report::read(text).and_then(|report| report.check(size)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn two_holders_at_once_are_seen() {
        let apart = "granted 1 10 100\nreleasing 1 20\nreleased 1\ngranted 2 20 120\n";
        assert_eq!(verdict(apart, 1), Ok(()));
        let together = "granted 1 10 100\ngranted 2 50 150\nreleasing 1 60\n";
        assert!(verdict(together, 1).unwrap_err().contains("2 held at once"));
        assert_eq!(verdict(together, 2), Ok(()));
        assert!(verdict("granted 1 10 100\ngranted 2 99 150\n", 1).is_err());
        assert!(verdict("granted 1 10 100\nrenewed 1 180\ngranted 2 110 150\n", 1).is_err());
        assert!(verdict("granted 1 10 100\ngranted 2 100 150\n", 1).is_ok());
    }

    #[test]
    fn tokens_that_fall_or_repeat_are_seen() {
        assert!(verdict("granted 2 10 20\ngranted 1 30 40\n", 1).unwrap_err().contains("do not grow"));
        assert!(verdict("granted 2 10 20\ngranted 2 30 40\n", 1).unwrap_err().contains("twice"));
        assert_eq!(verdict("granted 2 30 40\ngranted 1 50 40\nlate 1\n", 1), Ok(()));
        assert_eq!(verdict("granted 1 10 20\ngranted 2 3", 1), Ok(()));
    }
}
