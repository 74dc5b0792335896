//! A certificate authority and a server certificate for 127.0.0.1 and localhost, made by openssl for one folder.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Home;
use crate::failure::{Context, Failure, Result};
use crate::tools;

const DAYS: &str = "30";
const CONFIG: &str = "\
[req]
distinguished_name = name
x509_extensions = authority
prompt = no
[name]
CN = db-locks test authority
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
";

/// PEM files.
pub(super) struct Files {
    pub(super) authority: PathBuf,
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

/// Makes the files, or finds those of an earlier start.
pub(super) fn files(home: &Home) -> Result<Files> {
    let dir = home.path("tls");
    let files = Files {
        authority: dir.join("ca.pem"),
        certificate: dir.join("server.pem"),
        key: dir.join("server.key"),
    };
    if files.certificate.exists() {
        return Ok(files);
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&dir)
        .context(|| format!("cannot make the folder {}", dir.display()))?;
    fs::write(dir.join("openssl.cnf"), CONFIG).context(|| format!("cannot write to {}", dir.display()))?;
    for step in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config openssl.cnf \
         -keyout ca.key -out ca.pem -days DAYS",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config openssl.cnf -subj /CN=localhost \
         -keyout server.key -out server.csr",
        // Last, because server.pem tells that all is there.
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile openssl.cnf \
         -extensions server -out server.pem -days DAYS",
    ] {
        openssl(&dir, &step.replace("DAYS", DAYS))?;
    }
    for (path, mode) in [(&files.authority, 0o644), (&files.certificate, 0o644), (&files.key, 0o600)] {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .context(|| format!("cannot set the permissions of {}", path.display()))?;
        home.give(path)?;
    }
    Ok(files)
}

fn openssl(dir: &Path, step: &str) -> Result<()> {
    let output = Command::new(tools::find("openssl")?)
        .args(step.split_whitespace())
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .context(|| "cannot run openssl".into())?;
    match output.status.success() {
        true => Ok(()),
        false => Err(Failure::new(format!("openssl: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}
