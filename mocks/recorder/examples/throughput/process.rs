//! Servers as processes, which end with this program.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// A server that runs until this is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// This program with these words; it says its address.
    pub(crate) fn own(words: &[&str]) -> Result<Running, Failure> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(words).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no pipe")?).read_line(&mut line)?;
        let address = line.trim().parse().map_err(|_| format!("{words:?} said {line:?}"))?;
        Ok(Running { child, address })
    }

    /// mitmproxy without a screen, recording into a file; its certificate is `mitmproxy-ca-cert.pem` in the folder.
    pub(crate) fn mitmdump(program: &str, folder: &Path, root: &Path) -> Result<Running, Failure> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let child = Command::new(program)
            .args(["-q", "--listen-host", "127.0.0.1", "-p", &address.port().to_string()])
            .arg("-w")
            .arg(folder.join("flows"))
            .args(["--set", &format!("confdir={}", folder.display())])
            .args(["--set", &format!("ssl_verify_upstream_trusted_ca={}", root.display())])
            .spawn()?;
        let running = Running { child, address };
        let end = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(address).is_err() {
            if Instant::now() > end {
                return Err(format!("{program} does not listen").into());
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(running)
    }

    /// What its threads have worked so far, in seconds (Linux).
    pub(crate) fn worked(&self) -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        Some(ticks / 100.0)
    }
}
