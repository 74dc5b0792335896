//! What `acquire` waits for, on one line of a terminal.

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use db_locks::{WaitEvent, WaitObserver};

/// Shows it on stderr when that is a terminal; scripts get no such line.
pub(crate) fn on_a_terminal() -> Option<WaitObserver> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    Some(Arc::new(|event: &WaitEvent| {
        // Back to the start of the line, and clear it to the end.
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "\r\x1b[K{}", line(event));
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
    let ends = match event.busy.retry_after_ms {
        Some(ms) if ms > 0 => format!(" for another {:.1} s unless renewed", ms as f64 / 1_000.0),
        _ => String::new(),
    };
    let ahead = match event.busy.position {
        0 => "you are next".to_string(),
        1 => "1 waiting ahead of you".to_string(),
        n => format!("{n} waiting ahead of you"),
    };
    let left = event.limit.saturating_sub(event.waited).as_secs_f64();
    format!("waiting for {}: held by {holder}{ends}; {ahead}; giving up in {left:.0} s", event.lock)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use db_locks::{Busy, LockId};

    use super::*;

    #[test]
    fn the_line_says_who_for_how_long_and_how_many() {
        let event = WaitEvent {
            lock: LockId::mutex("t", "one").unwrap(),
            busy: Busy {
                position: 2,
                retry_after_ms: Some(1_500),
                holder: Some("web-3:17".into()),
                ..Busy::default()
            },
            waited: Duration::from_secs(1),
            limit: Duration::from_secs(16),
        };
        assert_eq!(
            line(&event),
            "waiting for mutex \"one\" of tenant \"t\": held by web-3:17 for another 1.5 s unless renewed; \
             2 waiting ahead of you; giving up in 15 s"
        );
    }
}
