//! Exit codes: one for each outcome, the only place where errors become numbers.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

/// It worked; a server ended because it was asked to.
pub(crate) const OK: u8 = 0;
/// A failure that has no code of its own.
pub(crate) const FAILED: u8 = 1;
/// Wrong arguments, environment or configuration file; nothing was started.
pub(crate) const USAGE: u8 = 2;
/// A scenario is wrong.
pub(crate) const BAD_SCENARIO: u8 = 3;
/// No scenario answers that request.
pub(crate) const NO_MATCH: u8 = 4;
/// The server cannot listen: the port is taken, or the certificate is no good.
pub(crate) const CANNOT_LISTEN: u8 = 5;
/// Requests were cut off, because they took longer than the shutdown may.
pub(crate) const CUT_OFF: u8 = 6;
/// A specification cannot be imported, or, where that was asked for, not whole.
pub(crate) const BAD_SPECIFICATION: u8 = 7;
/// A service did not answer as the scenarios promise.
pub(crate) const BROKEN_PROMISE: u8 = 8;

/// The table of codes, for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0  done; the server ended because it was asked to (Ctrl-C, SIGTERM)
  1  failed in a way that has no code of its own
  2  wrong arguments, environment variables or configuration file
  3  a scenario is wrong (validate, render)
  4  the scenario does not answer that request (render)
  5  the server cannot listen: port taken, or certificate no good
  6  the shutdown cut requests off that took too long
  7  the specification cannot be imported (import-openapi)
  8  a service did not answer as the scenarios promise (chaos)
  130, 143  ended by a second Ctrl-C or SIGTERM

Data goes to stdout, words go to stderr.";

/// Why a command failed, and the code for it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    text: String,
}

impl Failure {
    pub(crate) fn new(code: u8, text: impl Into<String>) -> Self {
        Failure { code, text: text.into() }
    }

    /// With the causes of an error.
    pub(crate) fn of(code: u8, error: &(dyn Error + 'static)) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let next = error.to_string();
            // Some errors say their cause already.
            if !text.ends_with(&next) {
                text = format!("{text}: {next}");
            }
            cause = error.source();
        }
        Failure { code, text }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::of(FAILED, &error)
    }
}

/// Help and version are no failure; everything else that the parser says is a wrong use.
pub(crate) fn of_usage(error: &clap::Error) -> ExitCode {
    let failed = error.use_stderr();
    // Nothing is left to say if even the message cannot be written.
    let _ = error.print();
    ExitCode::from(if failed { USAGE } else { OK })
}
