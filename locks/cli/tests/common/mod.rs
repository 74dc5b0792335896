//! Runs the real binary against real databases.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::panic, missing_docs)]

use std::ffi::OsStr;
use std::process::{Command, Output};

use serde_json::Value;

/// One database as the command line reaches it.
pub struct Place {
    pub provider: &'static str,
    env: Vec<(&'static str, String)>,
    folder: tempfile::TempDir,
    pub tenant: String,
}

fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run `cargo xtask test`"))
}

impl Place {
    pub fn new(name: &str) -> Self {
        let (provider, env) = match name {
            "sqlite" => ("rdb", vec![]),
            "postgres" => ("rdb", vec![("DATABASE_URL", server("DB_LOCKS_TEST_POSTGRES_URL"))]),
            "mysql" => ("rdb", vec![("DATABASE_URL", server("DB_LOCKS_TEST_MYSQL_URL"))]),
            "redis" => ("redis", vec![("REDIS_URL", server("DB_LOCKS_TEST_REDIS_URL"))]),
            "dynamodb" => (
                "ddb",
                vec![
                    ("AWS_ENDPOINT_URL_DYNAMODB", server("DB_LOCKS_TEST_DYNAMODB_URL")),
                    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".into()),
                    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into()),
                    ("AWS_DEFAULT_REGION", "us-west-2".into()),
                ],
            ),
            other => panic!("{other}"),
        };
        let folder = tempfile::tempdir().unwrap();
        let tenant = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        Self { provider, env, folder, tenant }
    }

    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The binary in an empty folder, with nothing of the caller's environment that names a database.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_db-locks"));
        command.current_dir(self.folder.path());
        for name in ["DATABASE_URL", "REDIS_URL", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "RUST_LOG"]
        {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `db-locks -t TENANT [switches…] PROVIDER command…`, split at spaces.
    pub fn run(&self, line: &str) -> Output {
        let (switches, command) = line.split_once("| ").unwrap_or(("", line));
        let mut all = vec!["-t", &self.tenant];
        all.extend(switches.split_whitespace());
        all.push(self.provider);
        all.extend(command.split_whitespace());
        self.command().args(all).output().unwrap()
    }

    /// Runs with JSON output and expects it to work.
    pub fn json(&self, line: &str) -> Value {
        let (switches, command) = line.split_once("| ").unwrap_or(("", line));
        let output = self.run(&format!("--json-output true {switches} | {command}"));
        assert!(output.status.success(), "{line}: {}", words(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{line}: {e}: {}", words(&output)))
    }

    /// Runs and expects this exit code; returns what was said.
    pub fn fails(&self, code: i32, line: &str) -> String {
        let output = self.run(line);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", words(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Whether nothing was made in the folder.
    pub fn has_no_database(&self) -> bool {
        std::fs::read_dir(self.folder.path()).unwrap().next().is_none()
    }

    pub fn run_args(&self, args: &[&OsStr]) -> Output {
        self.command().arg("-t").arg(&self.tenant).arg(self.provider).args(args).output().unwrap()
    }
}

pub fn words(output: &Output) -> String {
    format!(
        "{:?} {} {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

pub fn text<'a>(json: &'a Value, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_else(|| panic!("{key} is missing in {json}"))
}
