//! PostgreSQL: role and password `app`, database `locks`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Engine, Home, Program, probe};
use crate::failure::{Context, Result};
use crate::process::Signal;
use crate::tools;

/// An ordinary role, so that a missing right shows; it may make databases and roles of its own.
const SETUP: &str = "\
CREATE ROLE app LOGIN CREATEDB CREATEROLE PASSWORD 'app';
CREATE DATABASE locks OWNER app;
";
/// Shared memory in files of the data folder: nothing stays behind in /dev/shm after a kill.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
dynamic_shared_memory_type = mmap
max_connections = 600
shared_buffers = 64MB
timezone = 'UTC'
log_timezone = 'UTC'
";
const FAST: &str = "fsync = off\nsynchronous_commit = off\nfull_page_writes = off\n";

/// What a postmaster writes into its data folder and removes at its end.
pub(super) const TRACE: &str = "postmaster.pid";

pub(super) struct Postgres;

impl Engine for Postgres {
    /// The second one is the pooler's.
    fn port_count(&self) -> usize {
        2
    }

    fn account(&self) -> Option<&'static str> {
        Some("postgres")
    }

    fn prepare(&self, home: &Home) -> Result<()> {
        let data = home.data();
        if let Some(port) = home.replica_of {
            return copy(home, port);
        }
        let password = home.path("password");
        fs::write(&password, "superuser").context(|| format!("cannot write to {}", home.dir.display()))?;
        home.give(&password)?;
        let args = [
            "--username=postgres",
            "--auth=scram-sha-256",
            "--no-sync",
            "--no-instructions",
            "--encoding=UTF8",
            "--locale=C",
        ];
        let mut args: Vec<String> = args.map(String::from).to_vec();
        args.push(format!("--pwfile={}", password.display()));
        args.push(format!("--pgdata={}", data.display()));
        home.call(&tools::postgres("initdb")?, &args, Stdio::null())?;

        let path = data.join("postgresql.conf");
        let mut settings = String::from(SETTINGS);
        if !home.durable {
            settings.push_str(FAST);
        }
        if let Some(tls) = &home.tls {
            let (certificate, key) = (tls.certificate.display(), tls.key.display());
            settings
                .push_str(&format!("ssl = on\nssl_cert_file = '{certificate}'\nssl_key_file = '{key}'\n"));
        }
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(settings.as_bytes()))
            .context(|| format!("cannot write {}", path.display()))?;

        // Single-user mode: no port, no waiting. One statement a line.
        let script = home.path("setup.sql");
        fs::write(&script, SETUP).context(|| format!("cannot write {}", script.display()))?;
        let input = fs::File::open(&script).context(|| format!("cannot read {}", script.display()))?;
        let args = ["--single", "-D"].map(String::from).to_vec();
        let args = [&args[..], &[data.display().to_string(), "postgres".into()]].concat();
        home.call(&tools::postgres("postgres")?, &args, input.into())
    }

    fn forget_killed(&self, data: &Path) {
        forget_killed(data);
    }

    fn programs(&self, home: &Home, ports: &[u16]) -> Result<Vec<Program>> {
        let data: PathBuf = home.data();
        let args = vec!["-D".into(), data.display().to_string(), "-p".into(), ports[0].to_string()];
        let mut programs = vec![Program { path: tools::postgres("postgres")?, args, folder: data }];
        if home.pooler {
            programs.push(pooler(home, ports)?);
        }
        Ok(programs)
    }

    fn is_ready(&self, ports: &[u16]) -> bool {
        probe::postgres(ports[0], "app", "locks")
    }

    fn stop_signal(&self) -> Signal {
        Signal::Interrupt
    }

    fn url(&self, ports: &[u16], _tls: bool) -> String {
        url(ports[0])
    }
}

/// The database on this port, for the role `app`.
pub(crate) fn url(port: u16) -> String {
    format!("postgres://app:app@127.0.0.1:{port}/locks")
}

/// A pooler that lends each transaction any of few connections.
fn pooler(home: &Home, ports: &[u16]) -> Result<Program> {
    let folder = home.make_folder("pooler")?;
    let settings = folder.join("pgbouncer.ini");
    let text = format!(
        "[databases]\nlocks = host=127.0.0.1 port={} dbname=locks user=app password=app\n\
         [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n\
         pool_mode = transaction\ndefault_pool_size = 20\nmax_client_conn = 900\n",
        ports[0], ports[1]
    );
    fs::write(&settings, text).context(|| format!("cannot write {}", settings.display()))?;
    home.give(&settings)?;
    let args = vec![settings.display().to_string()];
    Ok(Program { path: tools::find("pgbouncer")?, args, folder })
}

/// The data of the server on that port, which this one then follows.
fn copy(home: &Home, port: u16) -> Result<()> {
    let server = format!("host=127.0.0.1 port={port} user=postgres password=superuser");
    let args = ["--checkpoint=fast", "--write-recovery-conf", "--wal-method=stream", "--no-sync", "--dbname"];
    let mut args: Vec<String> = args.map(String::from).to_vec();
    args.extend([server, format!("--pgdata={}", home.data().display())]);
    home.call(&tools::postgres("pg_basebackup")?, &args, Stdio::null())
}

/// A killed postmaster leaves a shared memory segment of 56 bytes, whose number is in line 7 of its trace, and the
/// trace itself, which forbids a new start for as long as nobody has taken note of the death (a zombie).
pub(super) fn forget_killed(data: &Path) {
    let trace = data.join(TRACE);
    let Ok(text) = fs::read_to_string(&trace) else { return };
    if let Some(id) = text.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
        // PostgreSQL may have removed it already.
        let _ = Command::new("ipcrm").args(["-m", id]).stderr(Stdio::null()).status();
    }
    let _ = fs::remove_file(trace);
}
