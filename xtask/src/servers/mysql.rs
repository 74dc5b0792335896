//! MariaDB: user and password `app`, database `locks`.

use std::fs;
use std::process::Stdio;

use super::{Engine, Home, Program, probe};
use crate::failure::{Context, Result};
use crate::tools;

/// Run at each start; one statement a line.
const SETUP: &str = "\
CREATE DATABASE IF NOT EXISTS locks;
CREATE USER IF NOT EXISTS 'app'@'%' IDENTIFIED BY 'app';
GRANT ALL ON *.* TO 'app'@'%' WITH GRANT OPTION;
";

/// A server clears its folder for temporary tables when it starts: in a shared one it deletes those of its neighbours,
/// which then abort.
fn temporary_tables(home: &Home) -> Result<String> {
    Ok(format!("--tmpdir={}", home.make_folder("tmp")?.display()))
}

pub(super) struct Mysql;

impl Engine for Mysql {
    fn account(&self) -> Option<&'static str> {
        Some("mysql")
    }

    fn prepare(&self, home: &Home) -> Result<()> {
        let script = home.path("setup.sql");
        fs::write(&script, SETUP).context(|| format!("cannot write {}", script.display()))?;
        let args = [
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            "--innodb-log-file-size=8M",
            "--innodb-buffer-pool-size=32M",
        ];
        let mut args: Vec<String> = args.map(String::from).to_vec();
        args.push(format!("--datadir={}", home.data().display()));
        args.push(temporary_tables(home)?);
        let installer = tools::find("mariadb-install-db")?;
        // Its bootstrap was seen to fail once on a machine under heavy load; what it left cannot be gone on with.
        if home.call(&installer, &args, Stdio::null()).is_ok() {
            return Ok(());
        }
        let data = home.data();
        if data.exists() {
            let clear = |e: std::io::Result<()>| e.context(|| format!("cannot clear {}", data.display()));
            clear(fs::remove_dir_all(&data))?;
        }
        home.call(&installer, &args, Stdio::null())
    }

    fn programs(&self, home: &Home, ports: &[u16]) -> Result<Vec<Program>> {
        let data = home.data();
        // The socket's path is relative to the data folder: a long one does not fit into a socket address.
        let args = [
            "--no-defaults",
            "--bind-address=127.0.0.1",
            "--socket=server.sock",
            "--pid-file=server.pid",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--max-connections=600",
            "--innodb-log-file-size=8M",
            "--innodb-buffer-pool-size=64M",
        ];
        let mut args: Vec<String> = args.map(String::from).to_vec();
        args.push(format!("--datadir={}", data.display()));
        args.push(temporary_tables(home)?);
        args.push(format!("--port={}", ports[0]));
        args.push(format!("--init-file={}", home.path("setup.sql").display()));
        match home.durable {
            true => args.push("--innodb-flush-log-at-trx-commit=1".into()),
            false => {
                args.push("--innodb-flush-log-at-trx-commit=2".into());
                args.push("--innodb-flush-method=nosync".into());
            }
        }
        if let Some(tls) = &home.tls {
            args.push(format!("--ssl-ca={}", tls.authority.display()));
            args.push(format!("--ssl-cert={}", tls.certificate.display()));
            args.push(format!("--ssl-key={}", tls.key.display()));
        }
        Ok(vec![Program { path: tools::find("mariadbd")?, args, folder: data }])
    }

    fn is_ready(&self, ports: &[u16]) -> bool {
        probe::mysql(ports[0])
    }

    fn url(&self, ports: &[u16], _tls: bool) -> String {
        format!("mysql://app:app@127.0.0.1:{}/locks", ports[0])
    }
}
