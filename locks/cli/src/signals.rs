//! Signals that reach this program, and what they become as exit codes.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use db_locks::{LockError, LockResult};
use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind};
use tokio::sync::mpsc;

/// The signals that a shell or an operator sends, in the order of [`Forwarded`]'s fields.
const FORWARDED: [(Signal, i32); 7] = [
    (Signal::INT, 2),
    (Signal::TERM, 15),
    (Signal::HUP, 1),
    (Signal::QUIT, 3),
    (Signal::USR1, 10),
    (Signal::USR2, 12),
    (Signal::TSTP, 20),
];

/// Listens for the signals that are passed on to a program.
pub(crate) struct Forwarded {
    received: mpsc::Receiver<Signal>,
    tasks: tokio::task::JoinSet<()>,
}

impl Forwarded {
    pub(crate) fn listen() -> LockResult<Self> {
        let (sender, received) = mpsc::channel(16);
        let mut tasks = tokio::task::JoinSet::new();
        for (signal, number) in FORWARDED {
            let mut listener = unix::signal(SignalKind::from_raw(number))
                .map_err(|e| LockError::runtime_from("cannot listen for signals", e))?;
            let sender = sender.clone();
            tasks.spawn(async move {
                while listener.recv().await.is_some() && sender.send(signal).await.is_ok() {}
            });
        }
        Ok(Self { received, tasks })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        match self.received.recv().await {
            Some(signal) => signal,
            None => {
                self.tasks.abort_all();
                std::future::pending().await
            }
        }
    }

    /// The next signal that asks a waiting program to end.
    pub(crate) async fn next_ending(&mut self) -> Signal {
        loop {
            match self.next().await {
                Signal::USR1 | Signal::USR2 => {}
                Signal::TSTP => stop(),
                signal => return signal,
            }
        }
    }
}

/// Stops this program, as SIGTSTP would if nobody listened; returns when it goes on.
pub(crate) fn stop() {
    // One may always signal oneself.
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
}

/// 128 and the signal's number, as shells have it.
pub(crate) fn code(signal: Signal) -> u8 {
    128u8.saturating_add(u8::try_from(signal.as_raw()).unwrap_or(0))
}

/// The program's own code, or 128 and the number of the signal that ended it.
pub(crate) fn code_of_program(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(crate::exit::FAILED)
}
