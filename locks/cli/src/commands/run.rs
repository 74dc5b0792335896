//! `db-locks run`: holds a lock while a program runs.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use db_locks::{LockError, LockGuard, LockResult, Locks, Lost};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::app::App;
use crate::say::say;
use crate::{exec, exit, progress, signals};

/// Which lock to hold, and what to run under it.
///
/// The program finds the lock in its environment: DB_LOCKS_KEY, DB_LOCKS_VERSION, DB_LOCKS_FENCING_TOKEN (and
/// DB_LOCKS_SEMAPHORE_KEY). Signals are passed on to it. The lease is renewed while it runs; when the lease is
/// about to be lost the program gets SIGTERM, and SIGKILL before anybody else can have the lock.
#[derive(Debug, clap::Args)]
#[command(after_help = exit::RUN_HELP)]
pub(crate) struct Args {
    /// Key of the mutex or semaphore
    #[arg(short, long)]
    key: String,
    /// Hold one of this many locks of a semaphore
    #[arg(short, long, value_name = "N")]
    semaphore_max_size: Option<u32>,
    /// Lease in seconds, renewed while the program runs; so long others wait if this machine dies
    #[arg(short, long, default_value_t = 15, allow_negative_numbers = true)]
    lease: i64,
    /// Seconds to wait for the lock; 0 does not wait
    #[arg(short, long, value_name = "SECONDS", default_value_t = 60)]
    wait: u32,
    /// Exit code when others hold the lock all the time; 0 suits a cron job that somebody else is already doing
    #[arg(long, value_name = "CODE", default_value_t = exit::RUN_OFFSET + exit::NOT_GRANTED)]
    not_granted_code: u8,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// So long the release may take when the program has ended.
const LONGEST_RELEASE: Duration = Duration::from_secs(10);

impl Args {
    pub(crate) fn check(&self, check: &super::Check<'_>) -> LockResult<()> {
        check.lock(&self.key, self.semaphore_max_size.is_some())?;
        check.size(self.semaphore_max_size)?;
        check.lease(self.lease)
    }
}

pub(crate) async fn run(args: &Args, app: &App) -> LockResult<u8> {
    let locks = app.locks()?;
    let mut signals = signals::Forwarded::listen()?;
    let guard = tokio::select! {
        acquired = acquire(args, &locks) => acquired,
        signal = signals.next_ending() => {
            progress::clear();
            locks.settled().await;
            return Ok(signals::code(signal));
        }
    };
    progress::clear();
    let guard = match guard {
        Err(error @ LockError::NotGranted { .. }) => {
            locks.settled().await;
            say!("db-locks: {}", error.chain());
            return Ok(args.not_granted_code);
        }
        guard => guard?,
    };
    let result = run_under(args, &guard, &mut signals).await;
    release(guard).await;
    result
}

/// What is lost, or will be while the database does not answer, is not waited for.
async fn release(guard: LockGuard) {
    if guard.lost_now().is_some() {
        return;
    }
    let longest = guard.trusted_until().min(Instant::now() + LONGEST_RELEASE);
    let why = match tokio::time::timeout_at(longest, guard.release()).await {
        Ok(Ok(_)) => return,
        Ok(Err(error)) => error.chain(),
        Err(_) => "the database does not answer".to_string(),
    };
    say!("db-locks: the lock could not be released and will end with its lease: {why}");
}

async fn acquire(args: &Args, locks: &Locks) -> LockResult<LockGuard> {
    let acquire = match args.semaphore_max_size {
        Some(size) => locks.semaphore(&args.key, size),
        None => locks.mutex(&args.key),
    };
    let wait = Duration::from_secs(u64::from(args.wait));
    acquire.lease_millis(super::millis(args.lease)).wait(wait).acquire().await
}

/// Runs the program until it ends, or until the lock is lost.
async fn run_under(args: &Args, guard: &LockGuard, signals: &mut signals::Forwarded) -> LockResult<u8> {
    let mut program = Running::start(args, guard)?;
    let lease = Duration::from_millis(args.lease.unsigned_abs().saturating_mul(1_000));
    // A quarter of the lease is for the program to end by itself, but never more than ten seconds.
    let margin = (lease / 4).min(Duration::from_secs(10));
    loop {
        tokio::select! {
            ended = program.child.wait() => return Ok(signals::code_of_program(wait_failed(ended)?)),
            signal = signals.next() => {
                program.forward(signal);
                if signal == Signal::TSTP {
                    signals::stop();
                    // If the lease ended meanwhile, that is seen first, and the program wakes to its end.
                    if guard.lost_now().is_none() && Instant::now() + margin < guard.trusted_until() {
                        program.signal(Signal::CONT);
                    }
                }
            }
            () = guard.at_risk(margin) => return program.end(guard, margin).await,
        }
    }
}

fn wait_failed(ended: std::io::Result<ExitStatus>) -> LockResult<ExitStatus> {
    ended.map_err(|e| LockError::runtime_from("cannot wait for the program", e))
}

struct Running {
    child: Child,
    pid: Option<Pid>,
    /// Without a terminal the program has a process group of its own, so that its children end with it.
    own_group: bool,
}

impl Running {
    fn start(args: &Args, guard: &LockGuard) -> LockResult<Self> {
        let own_group = !std::io::stdin().is_terminal();
        let mut command = Command::from(exec::command(&args.program)?);
        command
            .env("DB_LOCKS_KEY", guard.key())
            .env("DB_LOCKS_VERSION", guard.version())
            .env("DB_LOCKS_FENCING_TOKEN", guard.fencing_token().to_string())
            .stdin(Stdio::inherit());
        if let Some(semaphore) = &guard.lock().semaphore_key {
            command.env("DB_LOCKS_SEMAPHORE_KEY", semaphore);
        }
        if own_group {
            command.process_group(0);
        }
        let child = command.spawn().map_err(|e| LockError::runtime_from("cannot start the program", e))?;
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        Ok(Self { child, pid, own_group })
    }

    /// Passes a signal on. On a terminal, Ctrl-C and Ctrl-\ have reached the program already.
    fn forward(&self, signal: Signal) {
        // What the program would do at that signal is its own; without a renewer it must not work on.
        let signal = if signal == Signal::TSTP { Signal::STOP } else { signal };
        if self.own_group || !(signal == Signal::INT || signal == Signal::QUIT) {
            self.signal(signal);
        }
    }

    fn signal(&self, signal: Signal) {
        let Some(pid) = self.pid else { return };
        // That the program has just ended by itself is no failure.
        let _ = match self.own_group {
            true => rustix::process::kill_process_group(pid, signal),
            false => rustix::process::kill_process(pid, signal),
        };
    }

    /// The lock is lost, or about to be: SIGTERM now, SIGKILL before the lease is over.
    async fn end(mut self, guard: &LockGuard, margin: Duration) -> LockResult<u8> {
        let why =
            guard.lost_now().map_or("the lease is about to end and cannot be renewed".to_string(), reason);
        say!("db-locks: ending the program: {why}");
        self.signal(Signal::TERM);
        // It may have been stopped.
        self.signal(Signal::CONT);
        // A stolen lock is lost already; its holder gets the same time as it would have had.
        let kill_at = match guard.lost_now() {
            Some(Lost::Stolen) => Instant::now() + margin.min(Duration::from_secs(2)),
            _ => guard.trusted_until(),
        };
        if tokio::time::timeout_at(kill_at, self.child.wait()).await.is_err() {
            self.signal(Signal::KILL);
            wait_failed(self.child.wait().await)?;
        }
        if self.own_group {
            // What the program left running in its group must not outlive the lease either.
            self.signal(Signal::KILL);
        }
        Ok(exit::RUN_OFFSET + exit::LEASE_LOST)
    }
}

fn reason(lost: Lost) -> String {
    lost.to_string()
}
