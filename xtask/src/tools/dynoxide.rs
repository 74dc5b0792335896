//! dynoxide, the DynamoDB engine for tests.
//!
//! A tool apart: in the workspace's lock file it would pin another SQLite. It compiles for some minutes, once; its
//! binary stays in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use super::{cache, call, lock, lock_file};
use crate::failure::{Context, Failure, Result};
use crate::{say, workspace};

const VERSION: &str = "3.2.0";
const FEATURES: &str = "native-sqlite,http-server,cli";
/// The program, the lock, and the beginning of the folder names of builds.
const NAME: &str = "dynoxide";

/// The engine; built if missing.
pub(crate) fn path() -> Result<PathBuf> {
    let cache = cache()?;
    let home = cache.join(format!("{NAME}-{VERSION}"));
    let path = home.join("bin").join(NAME);
    if path.is_file() {
        return Ok(path);
    }
    let _lock = lock(&cache, NAME)?;
    if path.is_file() {
        return Ok(path);
    }
    say::err(&format!("xtask: building {NAME} {VERSION} into {}: once, some minutes", home.display()));
    let aside = unfinished(&cache);
    let _ = fs::remove_dir_all(&aside);
    let built = build(&aside, &home);
    let _ = fs::remove_dir_all(&aside);
    built.map(|()| path)
}

fn unfinished(cache: &Path) -> PathBuf {
    cache.join(format!("unfinished-{NAME}"))
}

fn build(aside: &Path, home: &Path) -> Result<()> {
    let root = aside.join("root");
    call(
        workspace::cargo()
            .args(["install", "dynoxide-rs", "--version", VERSION, "--locked", "--no-default-features"])
            .args(["--features", FEATURES, "--root"])
            .arg(&root)
            .env("CARGO_TARGET_DIR", aside.join("target"))
            // Ours are for our own code.
            .env_remove("RUSTFLAGS"),
    )?;
    if !root.join("bin").join(NAME).is_file() {
        return Err(Failure::new(format!("the build brought no {NAME}")));
    }
    let _ = fs::remove_dir_all(home);
    fs::rename(&root, home).context(|| format!("cannot move {NAME} to {}", home.display()))
}

/// Removes what an interrupted build left, unless one is going on.
pub(crate) fn remove_unfinished_builds() {
    let Ok(cache) = cache() else { return };
    let aside = unfinished(&cache);
    if !aside.exists() {
        return;
    }
    if let Ok(lock) = lock_file(&cache, NAME)
        && lock.try_lock().is_ok()
    {
        let _ = fs::remove_dir_all(aside);
    }
}
