//! A private database server, started through `xtask`, that a trial may kill.

use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::failure::{Failure, Outcome};

/// A server with its data in a temporary folder; stopped and removed when dropped.
pub(crate) struct PrivateServer {
    kind: &'static str,
    folder: TempDir,
    pub(crate) url: String,
}

impl PrivateServer {
    /// Starts a server that keeps what it has confirmed, even when it is killed.
    pub(crate) async fn start(kind: &'static str) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("db-locks-server-").tempdir()?;
        let url = start(kind, folder.path()).await?;
        Ok(Self { kind, folder, url })
    }

    /// `kill -9` of all its processes.
    pub(crate) async fn kill(&self) -> Outcome {
        xtask(self.folder.path(), &["server", "kill"]).await.map(drop)
    }

    /// Starts it again with the same data, on the same port.
    pub(crate) async fn restart(&self) -> Outcome {
        let url = start(self.kind, self.folder.path()).await?;
        if url == self.url { Ok(()) } else { Err(Failure::new("the restarted server has another address")) }
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // Its data goes away, so there is no reason to be gentle. A trial has ended: nothing is left to be blocked.
        if let Ok(mut command) = command(self.folder.path(), &["server", "kill"]) {
            let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

async fn start(kind: &str, folder: &Path) -> Outcome<String> {
    let line = xtask(folder, &["server", "start", kind, "--durable"]).await?;
    let state: serde_json::Value = serde_json::from_str(line.trim())?;
    let url = state["url"].as_str().ok_or_else(|| Failure::new(format!("xtask names no url: {line}")))?;
    Ok(url.to_string())
}

fn command(folder: &Path, arguments: &[&str]) -> Outcome<Command> {
    let program = std::env::var_os("DB_LOCKS_XTASK").ok_or_else(|| {
        Failure::new("DB_LOCKS_XTASK is not set, so no server can be started: run `cargo xtask test`")
    })?;
    let mut command = Command::new(program);
    command.args(arguments).arg("--dir").arg(folder).stdin(Stdio::null());
    Ok(command)
}

async fn xtask(folder: &Path, arguments: &[&str]) -> Outcome<String> {
    let output =
        tokio::process::Command::from(command(folder, arguments)?).kill_on_drop(true).output().await?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("`xtask {}` failed: {}", arguments.join(" "), words.trim())))
}
