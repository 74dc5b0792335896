//! What `acquire` waits for, on one line of a terminal.

use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use db_locks::{WaitEvent, WaitObserver};

/// Often enough to read, seldom enough to cost nothing.
const EVERY: Duration = Duration::from_millis(200);

/// Shows it on stderr when that is a terminal; scripts get no such line.
pub(crate) fn on_a_terminal() -> Option<WaitObserver> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let shown: Mutex<Option<Instant>> = Mutex::new(None);
    Some(Arc::new(move |event: &WaitEvent| {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        if shown.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        *shown = Some(Instant::now());
        // A line that wraps could not be cleared again.
        let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
        // Some tell no size.
        let columns = if columns == 0 { 80 } else { columns.max(20) };
        let text: String = line(event).chars().take(usize::from(columns) - 1).collect();
        // Back to the start of the line, and clear it to the end.
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }))
}

/// Clears the line again.
pub(crate) fn clear() {
    if std::io::stderr().is_terminal() {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
}

fn line(event: &WaitEvent) -> String {
    let holder = event.busy.holder.as_deref().unwrap_or("somebody");
    let lease = match event.busy.retry_after_ms {
        Some(ms) if ms > 0 => format!(" (lease {:.0} s)", ms as f64 / 1_000.0),
        _ => String::new(),
    };
    let ahead = match event.busy.position {
        0 => "you are next".to_string(),
        n => format!("{n} waiting ahead of you"),
    };
    let left = event.limit.saturating_sub(event.waited).as_secs_f64();
    format!("waiting for {:?}, held by {holder}{lease}; {ahead}; giving up in {left:.0} s", event.lock.key())
}

#[cfg(test)]
mod tests {
    use db_locks::{Busy, LockId};

    use super::*;

    #[test]
    fn the_line_says_who_for_how_long_and_how_many() {
        let event = WaitEvent {
            lock: LockId::mutex("t", "one").unwrap(),
            busy: Busy {
                position: 2,
                retry_after_ms: Some(2_000),
                holder: Some("web-3:17".into()),
                ..Busy::default()
            },
            waited: Duration::from_secs(1),
            limit: Duration::from_secs(16),
        };
        assert_eq!(
            line(&event),
            "waiting for \"one\", held by web-3:17 (lease 2 s); 2 waiting ahead of you; giving up in 15 s"
        );
    }
}
