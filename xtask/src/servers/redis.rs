//! Redis or Valkey: no password for the default user, and a user `app` with password `app`.

use super::{Engine, Home, Program, probe};
use crate::failure::Result;
use crate::tools;

pub(super) struct Redis;

impl Engine for Redis {
    /// The second one is for TLS; the first stays plain, and tells when the server is ready.
    fn port_count(&self) -> usize {
        2
    }

    fn programs(&self, home: &Home, ports: &[u16]) -> Result<Vec<Program>> {
        let mut args = common(home, ports[0]);
        args.extend(["--user", "app", "on", ">app", "~*", "&*", "+@all"].map(String::from));
        if let Some(tls) = &home.tls {
            for (name, value) in [
                ("--tls-port", ports[1].to_string()),
                ("--tls-cert-file", tls.certificate.display().to_string()),
                ("--tls-key-file", tls.key.display().to_string()),
                ("--tls-ca-cert-file", tls.authority.display().to_string()),
                ("--tls-auth-clients", "no".into()),
            ] {
                args.extend([name.to_owned(), value]);
            }
        }
        Ok(vec![Program { path: tools::redis()?, args, folder: home.data() }])
    }

    fn is_ready(&self, ports: &[u16]) -> bool {
        probe::redis(ports[0], &["PING"]).as_deref() == Some("PONG")
    }

    fn url(&self, ports: &[u16], tls: bool) -> String {
        match tls {
            true => format!("rediss://127.0.0.1:{}/0", ports[1]),
            false => format!("redis://127.0.0.1:{}/0", ports[0]),
        }
    }
}

/// What a lone server and a cluster node share. The working folder holds the data.
pub(super) fn common(home: &Home, port: u16) -> Vec<String> {
    let durable: &[&str] = match home.durable {
        true => &["--appendonly", "yes", "--appendfsync", "always"],
        false => &["--appendonly", "no"],
    };
    let mut args: Vec<String> = ["--bind", "127.0.0.1", "--save", "", "--port"].map(String::from).to_vec();
    args.push(port.to_string());
    args.extend(durable.iter().map(|arg| String::from(*arg)));
    args
}
