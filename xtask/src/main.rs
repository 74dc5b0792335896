//! The workspace's own chores, run as `cargo xtask COMMAND`.
//!
//! Only std and small parsing crates: this program must build in seconds on a fresh machine, before
//! anything else has been built or installed.
#![forbid(unsafe_code)]

mod failure;
mod process;
mod run;
mod say;
mod servers;
mod testing;
mod tidy;
mod tools;
mod workspace;

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use failure::{Failure, Result};
use servers::{Kind, Spec};

const USAGE: &str = "\
cargo xtask COMMAND

  test [nextest arguments]     install what is missing, start private servers, run all tests, stop them;
                               with -p CRATE or a filter only these tests
  servers up [KIND...]         start private servers for working by hand, print their addresses, stay until Ctrl-C
  server start KIND --dir DIR [--tls] [--durable] [--replica-of DIR]
                               start one private server that stays; same DIR again: same data, same port;
                               postgres: as a streaming replica of the server in the other DIR
  server kill --dir DIR        kill -9 all of it
  server stop --dir DIR        stop it cleanly
  tidy                         check layers, sizes and docs
  tool NAME                    print the path of cargo-nextest, cargo-deny or dynoxide; install it if missing

KIND: postgres, mysql, redis, redis-cluster, dynamodb
Server data lives in a temporary folder; nothing of yours is touched. See CONTRIBUTING.md.";

fn main() -> ExitCode {
    let args: Vec<String> = match env::args_os().skip(1).map(|arg| arg.into_string()).collect() {
        Ok(args) => args,
        Err(arg) => {
            say::err(&format!("xtask: an argument is not UTF-8: {}", arg.to_string_lossy()));
            return ExitCode::from(2);
        }
    };
    match command(&args) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            say::err(&format!("xtask: {failure}"));
            ExitCode::from(failure.code())
        }
    }
}

/// Runs one command; the number is the exit code.
fn command(args: &[String]) -> Result<u8> {
    let (name, rest) = args.split_first().map_or(("help", &[][..]), |(name, rest)| (name.as_str(), rest));
    match name {
        "test" => testing::command(rest),
        "servers" => servers_up(rest),
        "server" => server(rest),
        "tidy" => tidy::command(rest),
        "tool" => tool(rest),
        "watchdog" => run::watchdog(rest),
        "help" | "-h" | "--help" => {
            say::out(USAGE);
            Ok(0)
        }
        other => Err(usage(&format!("there is no command {other}"))),
    }
}

fn usage(what: &str) -> Failure {
    Failure::usage(format!("{what}; try `cargo xtask help`"))
}

fn servers_up(args: &[String]) -> Result<u8> {
    let Some(("up", names)) = args.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
        return Err(usage("say `servers up`"));
    };
    let kinds = match names {
        [] => Kind::ALL.to_vec(),
        names => names.iter().map(|name| Kind::parse(name)).collect::<Result<_>>()?,
    };
    testing::servers_up(&kinds)
}

fn server(args: &[String]) -> Result<u8> {
    let mut kind = None;
    let (mut dir, mut replica_of) = (None, None);
    let (mut tls, mut durable) = (false, false);
    let Some((action, rest)) = args.split_first() else {
        return Err(usage("say `server start`, `kill` or `stop`"));
    };
    let mut rest = rest.iter();
    while let Some(arg) = rest.next() {
        match arg.as_str() {
            "--dir" => dir = rest.next().map(PathBuf::from),
            "--replica-of" => replica_of = rest.next().map(PathBuf::from),
            "--tls" => tls = true,
            "--durable" => durable = true,
            name if kind.is_none() && action == "start" => kind = Some(Kind::parse(name)?),
            other => return Err(usage(&format!("`server {action}` does not know {other}"))),
        }
    }
    let dir = dir.ok_or_else(|| usage("--dir DIR is missing"))?;
    match action.as_str() {
        "start" => {
            let kind = kind.ok_or_else(|| usage("the kind of server is missing"))?;
            let state = servers::start(&Spec { kind, dir, tls, durable, replica_of, pooler: false })?;
            say::out(&state.line());
        }
        "kill" => servers::kill(&dir)?,
        "stop" => servers::stop(&dir)?,
        other => return Err(usage(&format!("`server` does not know {other}"))),
    }
    Ok(0)
}

fn tool(args: &[String]) -> Result<u8> {
    let path = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cargo-nextest"] => tools::nextest()?,
        ["cargo-deny"] => tools::deny()?,
        ["dynoxide"] => tools::dynoxide()?,
        _ => return Err(usage("`tool` knows cargo-nextest, cargo-deny and dynoxide")),
    };
    say::out(&path.display().to_string());
    Ok(0)
}
