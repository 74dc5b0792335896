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
    fn account(&self) -> Option<&'static str> {
        Some("postgres")
    }

    fn prepare(&self, home: &Home) -> Result<()> {
        let data = home.data();
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
        Ok(vec![Program { path: tools::postgres("postgres")?, args, folder: data }])
    }

    fn is_ready(&self, ports: &[u16]) -> bool {
        probe::postgres(ports[0], "app", "locks")
    }

    fn stop_signal(&self) -> Signal {
        Signal::Interrupt
    }

    fn url(&self, ports: &[u16], _tls: bool) -> String {
        format!("postgres://app:app@127.0.0.1:{}/locks", ports[0])
    }
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
