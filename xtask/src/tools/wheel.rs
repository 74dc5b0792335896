//! Cargo's prebuilt sub-commands, which PyPI carries as wheels: seconds instead of minutes of compiling.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{apt, cache, call, find, lock};
use crate::failure::{Context, Failure, Result};
use crate::{run, say, workspace};

/// Whether Python's pip is here.
fn can_install() -> bool {
    let status = Command::new("python3")
        .args(["-m", "pip", "--version"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// The tool from the PATH, from the cache, or installed there: as a wheel, else compiled.
pub(super) fn tool(name: &str, version: &str) -> Result<PathBuf> {
    if let Ok(path) = find(name) {
        return Ok(path);
    }
    let cache = cache()?;
    let home = cache.join(format!("{name}-{version}"));
    let path = home.join("bin").join(name);
    if path.is_file() {
        return Ok(path);
    }
    let _lock = lock(&cache, name)?;
    if path.is_file() {
        return Ok(path);
    }
    say::err(&format!("xtask: installing {name} {version} into {}", home.display()));
    if !can_install() && apt::works() {
        apt::install(&["python3-pip"])?;
    }
    // Made aside and renamed, so that an interrupted install leaves no half tool.
    let aside = cache.join(format!("unfinished-{name}"));
    let _ = fs::remove_dir_all(&aside);
    if !can_install() || from_wheel(name, version, &aside).is_err() {
        say::err(&format!("xtask: no wheel of {name} could be had; compiling it takes some minutes"));
        call(workspace::cargo().args(["install", "--locked", name, "--root"]).arg(&aside))?;
    }
    if !aside.join("bin").join(name).is_file() {
        return Err(Failure::new(format!("installing {name} brought no program")));
    }
    let _ = fs::remove_dir_all(&home);
    fs::rename(&aside, &home).context(|| format!("cannot move {name} to {}", home.display()))?;
    Ok(path)
}

fn from_wheel(name: &str, version: &str, into: &Path) -> Result<()> {
    // With --target pip leaves the system's and the user's Python packages alone.
    call(
        run::mark(&mut Command::new("python3"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
            .args(["--only-binary", ":all:", "--target"])
            .arg(into)
            .env("PIP_ROOT_USER_ACTION", "ignore")
            .arg(format!("astral-dev-toolchain-{name}=={version}")),
    )
}
