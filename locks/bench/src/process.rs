//! Players: processes that do what they are told on their standard input, one JSON object a line, and answer each with one line.
//!
//! Ours ([`crate::player`]) and those of the peers (`peers/` beside this crate) speak the same few words, so one piece of code
//! measures them all:
//!
//! | asked | answered |
//! |---|---|
//! | (started) | `{"ready": true}` |
//! | `{"do": "pairs", "ms": 3000}` | `{"pairs": 7123, "ns": 3000012345}` |
//! | `{"do": "acquire"}` | `{"granted": ns}` |
//! | `{"do": "release"}` | `{"called": ns, "returned": ns}` |
//! | `{"do": "contend", "start": ns, "ms": 5000, "hold_ms": 1}` | `{"grants": [[called, granted, …], …]}` |
//! | anything that failed | `{"error": "…"}` |
//!
//! Instants are nanoseconds of `CLOCK_MONOTONIC`, which all processes of a machine share.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::Outcome;

/// How long a start or an answer may take.
const PATIENCE: Duration = Duration::from_secs(180);

pub(crate) struct Player {
    child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Player {
    /// Starts a program that plays; it is killed when this is dropped.
    pub(crate) async fn start(mut command: Command) -> Outcome<Self> {
        let mut player = Self::spawn(&mut command)?;
        player.answer().await?;
        Ok(player)
    }

    /// Starts many at once.
    pub(crate) async fn start_many(commands: Vec<Command>) -> Outcome<Vec<Self>> {
        let mut players = Vec::new();
        for mut command in commands {
            players.push(Self::spawn(&mut command)?);
        }
        for player in &mut players {
            player.answer().await?;
        }
        Ok(players)
    }

    fn spawn(command: &mut Command) -> Outcome<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {:?}: {error}", command.as_std().get_program()))?;
        let stdin = child.stdin.take().ok_or("a pipe is missing")?;
        let answers = BufReader::new(child.stdout.take().ok_or("a pipe is missing")?).lines();
        Ok(Self { child, stdin, answers })
    }

    pub(crate) fn id(&self) -> Outcome<u32> {
        self.child.id().ok_or_else(|| "the process has ended".into())
    }

    /// Gives a command without waiting for its answer.
    pub(crate) async fn tell(&mut self, command: &Value) -> Outcome {
        Ok(self.stdin.write_all(format!("{command}\n").as_bytes()).await?)
    }

    /// The next answer; an error if it says so.
    pub(crate) async fn answer(&mut self) -> Outcome<Value> {
        let line = tokio::time::timeout(PATIENCE, self.answers.next_line())
            .await
            .map_err(|_| "no answer in time")??;
        let line = line.ok_or("the process has ended without an answer")?;
        let answer: Value =
            serde_json::from_str(&line).map_err(|error| format!("no answer but {line:?}: {error}"))?;
        match answer["error"].as_str() {
            Some(error) => Err(error.to_string().into()),
            None => Ok(answer),
        }
    }

    pub(crate) async fn ask(&mut self, command: Value) -> Outcome<Value> {
        self.tell(&command).await?;
        self.answer().await
    }

    /// Says the one word `verb`, and returns what is answered.
    pub(crate) async fn do_it(&mut self, verb: &str) -> Outcome<Value> {
        self.ask(json!({"do": verb})).await
    }
}

/// A number of an answer.
pub(crate) fn number(answer: &Value, name: &str) -> Outcome<i64> {
    answer[name].as_i64().ok_or_else(|| format!("no {name} in {answer}").into())
}
