//! Exit codes: one for each outcome, the only place where errors become numbers.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::CommandFactory;
use db_locks::{ErrorKind, LockError};

use crate::args::{Cli, Command};
use crate::say::say;

/// It worked: granted, renewed, released, found.
pub(crate) const OK: u8 = 0;
/// A failure that has no code of its own.
pub(crate) const FAILED: u8 = 1;
/// Wrong arguments, or a value that is not allowed; no database was asked.
pub(crate) const USAGE: u8 = 2;
/// Others held the lock all the time.
pub(crate) const NOT_GRANTED: u8 = 3;
/// No such lock, or the version is not the current one.
pub(crate) const NOT_FOUND: u8 = 4;
/// The database cannot be reached or does not answer in time.
pub(crate) const UNREACHABLE: u8 = 5;
/// The lease was lost while a program ran under it.
pub(crate) const LEASE_LOST: u8 = 6;
/// The database refused the credentials, or they do not allow to write.
pub(crate) const ACCESS_DENIED: u8 = 7;
/// What was to be deleted or shrunk is held.
pub(crate) const IN_USE: u8 = 8;

/// The table of codes, for `--help` and the man page.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done: granted, renewed, released, found
  1  failed in a way that has no code of its own
  2  wrong arguments or values; the database was not asked
  3  not granted: others held the lock all the time
  4  not found, or the version is not (or no longer) the current one
  5  the database cannot be reached
  6  the lease was lost
  7  access denied: wrong credentials, or a read-only database
  8  in use: what was to be deleted or shrunk is held
  128+N  ended by signal N while waiting

Data goes to stdout, words go to stderr. Passwords in URLs are never shown.";

/// Added to the codes of `run`'s own failures, so that they are not taken for its program's.
pub(crate) const RUN_OFFSET: u8 = 100;

/// The table of codes of `run`.
pub(crate) const RUN_HELP: &str = "\
Exit codes: the program's own, 128+N when signal N ended it, 126 or 127 when it cannot be run or found; else
  103  not granted: others held the lock all the time (see --not-granted-code)
  105  the database cannot be reached
  106  the lease was lost, and the program was ended
  101, 102, 107  as 1, 2, 7 of the other commands";

/// What a command adds to the codes of its failures.
pub(crate) fn offset(command: &Command) -> u8 {
    if matches!(command, Command::Run(_)) { RUN_OFFSET } else { 0 }
}

/// The code for an error.
pub(crate) fn code(error: &LockError) -> u8 {
    match error.kind() {
        ErrorKind::NotGranted => NOT_GRANTED,
        ErrorKind::NotFound => NOT_FOUND,
        ErrorKind::Validation => USAGE,
        ErrorKind::AccessDenied => ACCESS_DENIED,
        ErrorKind::CurrentlyUnavailable => match std::error::Error::source(error) {
            Some(_) => UNREACHABLE,
            None => IN_USE,
        },
        // A file or a row that somebody has locked all the time: as good as no answer.
        ErrorKind::Database if error.retryable() => UNREACHABLE,
        ErrorKind::Database | ErrorKind::DuplicateKey | ErrorKind::Serialization | ErrorKind::Runtime => {
            FAILED
        }
    }
}

/// Says what went wrong, and gives its code.
pub(crate) fn of_error(error: &LockError, offset: u8) -> ExitCode {
    let hint = if std::io::stderr().is_terminal() { hint(error.kind()) } else { "" };
    say!("db-locks: {}{hint}", error.chain());
    ExitCode::from(offset + code(error))
}

fn hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => {
            "\n  (the version changes with each heartbeat; `get-mutex` shows the current state)"
        }
        ErrorKind::NotGranted => "\n  (`--wait SECONDS` waits longer; `get-mutex` shows who holds it)",
        _ => "",
    }
}

/// Help and version are no failure; everything else that the parser says is a wrong use.
pub(crate) fn of_usage(error: &clap::Error, mut args: impl Iterator<Item = OsString>) -> ExitCode {
    let failed = error.use_stderr();
    // Nothing is left to say if even the message cannot be written.
    let _ = error.print();
    // The parser has no command to show; it is the first word that is one.
    let commands = Cli::command();
    let command = args.find(|arg| arg.to_str().is_some_and(|arg| commands.find_subcommand(arg).is_some()));
    let offset = if command.is_some_and(|command| command == "run") { RUN_OFFSET } else { 0 };
    ExitCode::from(if failed { offset + USAGE } else { OK })
}
