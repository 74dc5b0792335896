//! Starting, telling, stopping and killing the processes of [`crate::roles`].

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::failure::{Failure, Outcome};
use crate::fixture::{Ask, Fixture};
use crate::roles::{self, VARIABLE};

/// The longest time for a process to start or to answer, on a machine busy with other trials.
const ANSWER: Duration = Duration::from_secs(40);

/// Starts this program again with a part to play. Killed when dropped.
pub(crate) fn start(part: &Value, wall_clock: Option<&str>) -> Outcome<Child> {
    let program = std::env::current_exe()?;
    let mut command = match wall_clock {
        None => Command::new(program),
        Some(offset) => {
            let mut command = Command::new("faketime");
            // Only the wall clock is wrong on such a machine.
            command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").env("DONT_FAKE_MONOTONIC", "1");
            command.args(["-f", offset]).arg(program);
            command
        }
    };
    command.env(VARIABLE, part.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().map_err(|error| match wall_clock {
        Some(_) => Failure::new(format!(
            "cannot start `faketime`: run `cargo xtask test`, which installs it ({error})"
        )),
        None => error.into(),
    })
}

/// Sends a signal to a process of ours, by number: the standard library can only kill.
pub(crate) async fn signal(child: &Child, name: &str) -> Outcome {
    let id = child.id().ok_or_else(|| Failure::new("the process has ended"))?;
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {id}")]).status().await?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("kill -{name} failed"))) }
}

/// A process that does what it is told.
pub(crate) struct Puppet {
    child: Child,
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Puppet {
    /// Starts a process that can ask for what `asked` asks for, under versions of its own.
    pub(crate) async fn start(f: &Fixture, asked: &Ask) -> Outcome<Self> {
        Self::start_at(f, asked, None).await
    }

    /// The same, with its wall clock off by `wall_clock` (`+1h`).
    pub(crate) async fn start_at(f: &Fixture, asked: &Ask, wall_clock: Option<&str>) -> Outcome<Self> {
        let mut child = start(&roles::part("puppet", f.backend.as_ref(), &f.config, asked), wall_clock)?;
        let piped = || Failure::new("a pipe is missing");
        let stdin = child.stdin.take().ok_or_else(piped)?;
        let answers = BufReader::new(child.stdout.take().ok_or_else(piped)?).lines();
        let mut puppet = Self { child, stdin, answers };
        let ready = puppet.answer().await?;
        if ready["answer"] == "ready" { Ok(puppet) } else { Err(Failure::new(format!("not ready: {ready}"))) }
    }

    /// Gives a command without waiting for its answer.
    pub(crate) async fn tell(&mut self, command: &str) -> Outcome {
        Ok(self.stdin.write_all(format!("{}\n", json!({"do": command})).as_bytes()).await?)
    }

    /// The next answer.
    pub(crate) async fn answer(&mut self) -> Outcome<Value> {
        let line = tokio::time::timeout(ANSWER, self.answers.next_line()).await??;
        let line = line.ok_or_else(|| Failure::new("the process has ended without an answer"))?;
        Ok(serde_json::from_str(&line)?)
    }

    /// Gives a command and returns what it is answered with.
    pub(crate) async fn ask(&mut self, command: &str) -> Outcome<Value> {
        self.tell(command).await?;
        self.answer().await
    }

    /// Gives a command whose answer must be of this kind.
    pub(crate) async fn expect(&mut self, command: &str, expected: &str) -> Outcome<Value> {
        let answer = self.ask(command).await?;
        if answer["answer"] == expected {
            return Ok(answer);
        }
        Err(Failure::new(format!("`{command}` was answered with {answer} instead of {expected}")))
    }

    /// Stops or continues it.
    pub(crate) async fn signal(&self, name: &str) -> Outcome {
        signal(&self.child, name).await
    }

    /// `kill -9`; returns when the process is gone.
    pub(crate) async fn kill(mut self) -> Outcome {
        Ok(self.child.kill().await?)
    }
}
