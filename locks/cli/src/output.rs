//! Results on stdout: JSON as the seeds show it, or lines that people read.

use db_locks::{LockError, LockResult, MutexLock, Semaphore};
use serde_json::Value;

/// Prints a lock.
pub(crate) fn lock(json: bool, lock: &MutexLock) -> LockResult<()> {
    if json { print_json(lock) } else { print_text(&lock_text(lock)) }
}

/// Prints the locks of a semaphore.
pub(crate) fn locks(json: bool, locks: &[MutexLock]) -> LockResult<()> {
    if json {
        return print_json(&locks);
    }
    let lines: Vec<String> =
        locks.iter().map(|lock| format!("{}  {}", lock.mutex_key, state(lock))).collect();
    print_text(&lines.join("\n"))
}

/// Prints a semaphore.
pub(crate) fn semaphore(json: bool, semaphore: &Semaphore) -> LockResult<()> {
    if json {
        return print_json(semaphore);
    }
    let busy = semaphore.busy_count.unwrap_or(0);
    print_text(&format!(
        "{}  {busy} of {} held\nversion  {}\nlease    {} ms",
        semaphore.semaphore_key, semaphore.max_size, semaphore.version, semaphore.lease_duration_ms
    ))
}

/// Prints the result of an operation that has no data of its own: `{"released": true}`, or `released`.
pub(crate) fn done(json: bool, name: &str, value: impl Into<Value>, words: &str) -> LockResult<()> {
    if json { print_json(&serde_json::json!({ name: value.into() })) } else { print_text(words) }
}

fn lock_text(lock: &MutexLock) -> String {
    let mut lines =
        vec![format!("{}  {}", lock.mutex_key, state(lock)), format!("version  {}", lock.version)];
    if let Some(token) = lock.fencing_token {
        lines.push(format!("fencing  {token}"));
    }
    if let Some(semaphore) = &lock.semaphore_key {
        lines.push(format!("of       {semaphore}"));
    }
    lines.push(format!("lease    {} ms", lock.lease_duration_ms));
    if let Some(data) = &lock.data {
        lines.push(format!("data     {data}"));
    }
    lines.join("\n")
}

fn state(lock: &MutexLock) -> String {
    if !lock.locked {
        return "free".to_string();
    }
    let until = lock.expires_at.map(|ends| format!(" until {ends}")).unwrap_or_default();
    let owner = lock.owner.as_deref().map(|owner| format!(" by {owner}")).unwrap_or_default();
    format!("held{until}{owner}")
}

fn print_json(value: &impl serde::Serialize) -> LockResult<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| LockError::serialization("cannot write the result as JSON", e))?;
    print_text(&text)
}

/// `println!` panics when stdout is closed, as `… | head` does; that is no failure of ours.
pub(crate) fn print_text(text: &str) -> LockResult<()> {
    use std::io::Write;
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(LockError::runtime_from("cannot write to stdout", error))
        }
        _ => Ok(()),
    }
}
