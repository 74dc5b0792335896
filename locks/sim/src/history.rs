//! What happened, in order: what the store applied, and what the clients believed.

use std::fmt;
use std::sync::Arc;

use db_locks_core::LockId;

use crate::memory::{Op, Refusal, Reply, Told};

/// One thing that happened.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    /// On the simulation's clock, in milliseconds.
    pub(crate) at_ms: u64,
    pub(crate) client: u32,
    pub(crate) fact: Fact,
}

#[derive(Debug, Clone)]
pub(crate) enum Fact {
    /// The store applied a request at this time of its own clock.
    Applied {
        server_us: i64,
        op: Arc<Op>,
        reply: Reply,
    },
    /// From now on a client believes that it holds a lock.
    Trusts {
        hold: u64,
        lock: LockId,
        version: String,
        token: u64,
    },
    /// A hold goes on under another version.
    Renewed {
        hold: u64,
        version: String,
    },
    /// It believes so no more.
    Stops {
        hold: u64,
        why: &'static str,
    },
    /// A call ended without a lock.
    Ended {
        what: &'static str,
        answer: String,
    },
    /// What a caller was told.
    Told(Told),
    Paused {
        ms: u64,
    },
    Crashed,
    /// The server went away, or came back, or its clock was put forward.
    Server {
        what: &'static str,
        ms: u64,
    },
    /// All is quiet: what is asked from here on must be granted.
    Probing,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7} ms  client {:<3} ", self.at_ms, self.client)?;
        match &self.fact {
            Fact::Applied { server_us, op, reply } => {
                write!(f, "[{server_us}] {} -> {}", Asked(op), Answered(reply))
            }
            Fact::Trusts { hold, lock, version, token } => {
                write!(f, "hold {hold}: believes to hold {lock} as {version} with token {token}")
            }
            Fact::Renewed { hold, version } => write!(f, "hold {hold}: is now {version}"),
            Fact::Stops { hold, why } => write!(f, "hold {hold}: over ({why})"),
            Fact::Ended { what, answer } => write!(f, "{what}: {answer}"),
            Fact::Told(told) => write!(f, "is told {told:?}"),
            Fact::Paused { ms } => write!(f, "is paused for {ms} ms"),
            Fact::Crashed => f.write_str("crashes"),
            Fact::Server { what, ms } => write!(f, "the server {what} {ms} ms"),
            Fact::Probing => f.write_str("all is quiet; is everything free?"),
        }
    }
}

/// A request in a line.
struct Asked<'a>(&'a Op);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Op::Acquire(r) => write!(
                f,
                "acquire {} as {} for {} ms{}{}",
                r.lock,
                r.version,
                r.lease_ms,
                if r.wait { ", waiting" } else { "" },
                if r.fair { "" } else { ", unfair" }
            ),
            Op::Renew(requests) => {
                f.write_str("renew")?;
                requests.iter().try_for_each(|r| write!(f, " {} {} to {}", r.lock, r.version, r.new_version))
            }
            Op::Release(r) => {
                write!(f, "release {} as {}{}", r.lock, r.version, if r.delete { ", deleting" } else { "" })
            }
            Op::Takeover(r, dead) => {
                write!(
                    f,
                    "acquire {} as {} for {} ms, having watched {dead:?}",
                    r.lock, r.version, r.lease_ms
                )
            }
            Op::Abandon(lock, version) => write!(f, "abandon {lock} as {version}"),
            Op::Write { register, token, value } => {
                write!(f, "write {value:?} to {register} with token {token}")
            }
            Op::Together(ops) => {
                f.write_str("together")?;
                ops.iter().try_for_each(|op| write!(f, " [{}]", Asked(op)))
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// An answer in a line.
struct Answered<'a>(&'a Reply);

impl fmt::Display for Answered<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Reply::Granted(r) => {
                write!(f, "granted slot {} with token {} until {}", r.slot, r.fence, r.expires_at_us)
            }
            Reply::Busy(b) => write!(f, "busy, {} ahead, number {}", b.position, b.queue_number),
            Reply::Renewed(replies) => replies.iter().try_for_each(|reply| match reply {
                Ok(r) => write!(f, "until {} ", r.expires_at_us),
                Err(refusal) => write!(f, "{refusal:?} "),
            }),
            Reply::Together(replies) => replies.iter().try_for_each(|reply| match reply {
                Some(reply) => write!(f, "[{}] ", Answered(reply)),
                None => f.write_str("[alone] "),
            }),
            Reply::Refused(Refusal::NotFound) => f.write_str("not found"),
            other => write!(f, "{other:?}"),
        }
    }
}
