//! Servers as processes, which say their address in a line and end with their parent.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_mock_engine::{Engine, EngineOptions};
use api_mock_openapi::{ImportOptions, NoDocuments};
use api_mock_server::{Server, ServerConfig, import_specification};
use api_mock_store::StoreOptions;

use crate::Failure;

/// A server that runs until this is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From the start of the process until it said its address.
    pub(crate) start: Duration,
}

impl Running {
    pub(crate) fn bare() -> Result<Self, Failure> {
        Running::start(Command::new(std::env::current_exe()?).arg("bare"))
    }

    pub(crate) fn serving(data_dir: &Path) -> Result<Self, Failure> {
        Running::start(Command::new(std::env::current_exe()?).arg("serve").arg(data_dir))
    }

    fn start(command: &mut Command) -> Result<Self, Failure> {
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("no pipe")?;
        BufReader::new(out).read_line(&mut line)?;
        let start = begun.elapsed();
        let address = line.trim().parse().map_err(|_| format!("the server said {line:?}"))?;
        Ok(Running { child, address, start })
    }

    /// Memory that it holds, in kilobytes (Linux).
    pub(crate) fn memory_kb(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches("kB").trim().parse().ok()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn engine(data_dir: &Path, specification: Option<&Path>) -> Result<Arc<Engine>, Failure> {
    let (engine, _) = Engine::open(StoreOptions::in_folder(data_dir), EngineOptions::default())?;
    if let Some(path) = specification {
        let options = ImportOptions::default();
        import_specification(engine.store(), &std::fs::read(path)?, &options, &NoDocuments, false)?;
    }
    Ok(Arc::new(engine))
}

/// With `validate`, requests are checked against the specification, as others do that serve one.
pub(crate) async fn serve(engine: Arc<Engine>, port: u16, validate: bool) -> Result<(), Failure> {
    let address = ([127, 0, 0, 1], port).into();
    let config = ServerConfig { address, validate_requests: validate, ..ServerConfig::default() };
    let server = Server::bind(config, engine).await?;
    println!("{}", server.address());
    server.serve(std::future::pending()).await;
    Ok(())
}
