//! Debian packages, without starting the services that come with them.

use std::process::{Command, Stdio};

use super::{call, find, user_id};
use crate::failure::{Failure, Result};
use crate::say;

/// Debian asks /usr/sbin/policy-rc.d before it starts a freshly installed service; 101 says no. Ours is there only
/// while we install, and never in the place of another. A killed install leaves one with our mark; the next
/// install removes it.
const SCRIPT: &str = r#"
set -eu
policy=/usr/sbin/policy-rc.d
mark='# made by cargo xtask test while it installs packages; safe to remove'
ours() { [ -e "$policy" ] && grep -qF "$mark" "$policy"; }
trap 'if ours; then rm -f "$policy"; fi' EXIT
trap 'exit 1' INT TERM HUP
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" > "$policy"
    chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -qq -o DPkg::Lock::Timeout=300 update
apt-get -qq -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
"#;

/// Whether we may install packages without asking anybody.
pub(super) fn works() -> bool {
    find("apt-get").is_ok() && (user_id() == 0 || can_sudo())
}

fn can_sudo() -> bool {
    let status = Command::new("sudo")
        .args(["-n", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// Installs packages; without the right to do so, says what to type.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let names = packages.join(" ");
    if !works() {
        return Err(Failure::new(format!(
            "these Debian packages are missing, and here is no right to install them; please type:\n\
             \x20   sudo apt-get install --no-install-recommends {names}\n\
             or give the address of a server of your own in DB_LOCKS_TEST_*_URL (see CONTRIBUTING.md)"
        )));
    }
    say::err(&format!("xtask: installing Debian packages: {names}"));
    let mut command = match user_id() {
        0 => Command::new("/bin/sh"),
        _ => {
            let mut sudo = Command::new("sudo");
            sudo.args(["-n", "/bin/sh"]);
            sudo
        }
    };
    // Not marked as a part of the run: an install that is ended half-way is worse than one that goes on.
    call(command.args(["-c", SCRIPT, "xtask"]).args(packages))
}
