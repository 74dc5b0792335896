//! Running scripts, for one call and for many.

use std::sync::atomic::Ordering;

use db_locks_core::combine::Reply;
use db_locks_core::{LockError, LockId, LockResult};
use redis::{Cmd, Value};

use crate::calls::Call;
use crate::connection::{Ear, Link};
use crate::error::{failed, is_no_script};
use crate::statements::{Keys, Statement, statements};

/// The server and this client's names there.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) link: Link,
    pub(crate) ear: Ear,
    pub(crate) prefix: String,
    /// This client's name in waiting lists: while the server can call it, and while it must poll.
    pub(crate) ids: (String, String),
}

impl Wire {
    /// Runs a script, which the server knows by its hash; after a restart it must be told the source again.
    pub(crate) async fn run(
        &self,
        doing: &str,
        statement: &Statement,
        keys: &[&str],
        args: &[&str],
    ) -> LockResult<Value> {
        self.evaluate(doing, statement, keys, args, true).await
    }

    async fn evaluate(
        &self,
        doing: &str,
        statement: &Statement,
        keys: &[&str],
        args: &[&str],
        awake: bool,
    ) -> LockResult<Value> {
        let mut outcome = self.link.send(&script("EVALSHA", &statement.sha, keys, args), awake).await;
        if outcome.as_ref().is_err_and(is_no_script) {
            outcome = self.link.send(&script("EVAL", &statement.source, keys, args), awake).await;
        }
        outcome.map_err(|error| failed(doing, error))
    }

    /// Runs one script for many calls, which all have as many keys and arguments. What failed for one of them is to be
    /// made again by itself, to hear why.
    pub(crate) async fn run_many(
        &self,
        doing: &str,
        statement: &Statement,
        calls: &[&Call],
    ) -> LockResult<Vec<Reply<Value>>> {
        let Some(first) = calls.first() else { return Ok(Vec::new()) };
        let sizes = [first.keys.len().to_string(), first.args.len().to_string()];
        let keys: Vec<&str> = calls.iter().flat_map(|call| &call.keys).map(String::as_str).collect();
        let mut args: Vec<&str> = sizes.iter().map(String::as_str).collect();
        args.extend(calls.iter().flat_map(|call| &call.args).map(String::as_str));
        // Not awake: its callers have something to do meanwhile, and so has the server.
        let Value::Array(replies) = self.evaluate(doing, statement, &keys, &args, false).await? else {
            return Err(LockError::runtime(format!(
                "cannot {doing}: Redis answered with something else than a list"
            )));
        };
        // A text in the place of a reply is the message of an error.
        let told = |reply| match reply {
            Value::BulkString(_) | Value::SimpleString(_) | Value::Nil => Reply::Alone,
            reply => Reply::Answer(reply),
        };
        Ok(replies.into_iter().map(told).collect())
    }

    /// Ends an acquisition.
    pub(crate) async fn abandon(&self, lock: &LockId, version: &str) -> LockResult<()> {
        self.ear.bells.take_down(version);
        let (keys, args) = (self.keys(lock), [version]);
        let done = match lock.is_semaphore() {
            true => self.run("abandon", &statements().abandon_semaphore, &keys.semaphore(), &args).await,
            false => self.run("abandon", &statements().abandon_mutex, &keys.mutex(), &args).await,
        };
        done.map(drop)
    }

    pub(crate) fn keys(&self, id: &LockId) -> Keys {
        Keys::new(&self.prefix, id)
    }

    /// This client's name as a waiter.
    pub(crate) fn client(&self) -> &str {
        if self.ear.listening.load(Ordering::Relaxed) { &self.ids.0 } else { &self.ids.1 }
    }
}

fn script(command: &str, body: &str, keys: &[&str], args: &[&str]) -> Cmd {
    let size = body.len() + keys.iter().chain(args).map(|text| text.len() + 8).sum::<usize>() + 32;
    let mut cmd = Cmd::with_capacity(3 + keys.len() + args.len(), size);
    cmd.arg(command).arg(body).arg(keys.len()).arg(keys).arg(args);
    cmd
}
