//! A DynamoDB engine that runs here: dynoxide, in memory or, when durable, in a file.

use super::{Engine, Home, Program, probe};
use crate::failure::Result;
use crate::tools;

pub(super) struct Dynamodb;

impl Engine for Dynamodb {
    fn has_tls(&self) -> bool {
        false
    }

    fn programs(&self, home: &Home, ports: &[u16]) -> Result<Vec<Program>> {
        let mut args: Vec<String> = vec!["--host".into(), "127.0.0.1".into()];
        args.extend(["--port".into(), ports[0].to_string()]);
        if home.durable {
            args.extend(["--db-path".into(), home.data().join("dynamodb.sqlite").display().to_string()]);
        }
        Ok(vec![Program { path: tools::dynoxide()?, args, folder: home.data() }])
    }

    fn is_ready(&self, ports: &[u16]) -> bool {
        probe::http(ports[0])
    }

    fn url(&self, ports: &[u16], _tls: bool) -> String {
        format!("http://127.0.0.1:{}", ports[0])
    }
}
