//! `server.json`: what runs in a folder.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Context, Result};
use crate::process::Process;

pub(super) const FILE: &str = "server.json";

/// A started server.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(super) kind: String,
    pub(crate) url: String,
    pub(super) tls: bool,
    pub(super) durable: bool,
    pub(super) ca: Option<PathBuf>,
    pub(crate) ports: Vec<u16>,
    pub(super) processes: Vec<Process>,
}

/// What `server start` prints.
#[derive(Serialize)]
struct Line<'a> {
    url: &'a str,
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<&'a Path>,
    ports: &'a [u16],
    pids: Vec<u32>,
}

impl State {
    /// None when no server was ever started there.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).context(|| format!("cannot read {}", path.display())),
        };
        serde_json::from_str(&text).map(Some).context(|| format!("{} is damaged", path.display()))
    }

    /// Written aside and renamed, so that a reader sees all or nothing.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let path = dir.join(FILE);
        let aside = dir.join("server.json.new");
        let text = serde_json::to_string(self).context(|| "cannot write the state".into())?;
        fs::write(&aside, text)
            .and_then(|()| fs::rename(&aside, &path))
            .context(|| format!("cannot write {}", path.display()))
    }

    /// Whether all its processes live.
    pub(crate) fn is_alive(&self) -> bool {
        !self.processes.is_empty() && self.processes.iter().all(Process::is_alive)
    }

    /// One line of JSON for the caller of `server start`.
    pub(crate) fn line(&self) -> String {
        let pids: Vec<u32> = self.processes.iter().map(|process| process.pid).collect();
        let pid = pids.first().copied().unwrap_or(0);
        let line = Line { url: &self.url, pid, ca: self.ca.as_deref(), ports: &self.ports, pids };
        serde_json::to_string(&line).unwrap_or_default()
    }
}
