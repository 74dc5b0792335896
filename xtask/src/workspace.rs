//! Where the workspace and its build products are, and how cargo is called from inside `cargo run`.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Result};
use crate::run;

/// The folder of the workspace's Cargo.toml: the nearest one above the current folder.
pub(crate) fn root() -> Result<PathBuf> {
    let here = env::current_dir().context(|| "cannot tell the current folder".into())?;
    here.ancestors()
        .find(|dir| dir.join("xtask/Cargo.toml").is_file())
        .map(Path::to_path_buf)
        .ok_or_else(|| Failure::new(format!("{} is not inside the workspace", here.display())))
}

/// cargo's target folder.
pub(crate) fn target(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir))
}

/// `program`, as part of the current run, without what `cargo run` put into the environment: some build scripts watch these
/// variables and would compile again each time.
pub(crate) fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let of_cargo_run = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_", "CARGO_PRIMARY_"];
        if of_cargo_run.iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    run::mark(&mut command);
    command
}

/// A call of cargo.
pub(crate) fn cargo() -> Command {
    clean(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
