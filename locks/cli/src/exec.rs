//! How `run` starts its program so that it does not outlive us: a lock whose renewer was killed ends with its lease,
//! and the program must not work on without it.
//!
//! The program is started through this binary itself, which asks the kernel to kill it when its parent dies, and then
//! becomes the program: a wish that survives `exec`, and needs no code between `fork` and `exec`.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::say::say;
use db_locks::{LockError, LockResult};
use rustix::process::{Pid, Signal};

/// The first argument that tells this binary to become a program.
const MARK: &str = "__exec";

/// The command that becomes `program`.
pub(crate) fn command(program: &[OsString]) -> LockResult<Command> {
    let me = std::env::current_exe()
        .map_err(|e| LockError::runtime_from("cannot find this program's own file", e))?;
    let mut command = Command::new(me);
    command.arg(MARK).arg(std::process::id().to_string()).args(program);
    Ok(command)
}

/// Becomes the program, if that is what this process was started for; returns only when it is not, or when it fails.
pub(crate) fn become_program(mut args: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if args.nth(1)? != MARK {
        return None;
    }
    let parent = args.next()?.to_str()?.parse().ok().and_then(Pid::from_raw);
    let program = args.next()?;
    if rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_err() {
        say!("db-locks: cannot bind the program's life to this one's; it will run all the same");
    }
    // The parent may have died before the kernel was asked.
    if rustix::process::getppid() != parent {
        return Some(ExitCode::from(128 + 9));
    }
    let error = Command::new(&program).args(args).exec();
    say!("db-locks: cannot run {}: {error}", program.to_string_lossy());
    Some(ExitCode::from(if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }))
}
