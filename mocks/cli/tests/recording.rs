//! Recording with the program itself, as the page on it says.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../server/tests/support/http.rs"]
mod http;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use http::{ask, get, upload};

/// A service that ends with the test.
struct Service {
    child: Child,
    address: SocketAddr,
    proxy: SocketAddr,
    /// Kept open, so that it can still write.
    _words: BufReader<ChildStderr>,
}

impl Service {
    fn start(folder: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_api-mock-service"))
            .args(["--httpPort", "0", "--proxyPort", "0"])
            .args(args)
            .current_dir(folder)
            .env_clear()
            .env("HOME", folder)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut words = BufReader::new(child.stderr.take().unwrap());
        let mut next = |begin: &str| -> SocketAddr {
            loop {
                let mut line = String::new();
                assert_ne!(words.read_line(&mut line).unwrap(), 0, "it ended");
                if let Some((_, rest)) = line.split_once(begin) {
                    break rest.split("://").last().unwrap().split(' ').next().unwrap().parse().unwrap();
                }
            }
        };
        let address = next("listens on ");
        let proxy = next("recording proxy on ");
        Service { child, address, proxy, _words: words }
    }

    /// Asks it to end and waits for that.
    fn end(mut self) -> Option<i32> {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const HELLO: &str =
    "method: GET\nname: hello\npath: /hello/:who\nresponse:\n    contents: 'hello {{.who}}'\n";

#[test]
fn what_one_service_answers_another_records_and_a_third_plays_back() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let origin = Service::start(one.path(), &[]);
    upload(origin.address, HELLO);
    let url = format!("http://{}/hello/you", origin.address);
    let recorder = Service::start(two.path(), &[]);
    assert_eq!(ask(recorder.proxy, "GET", &url, &[], b"").text(), "hello you");
    // What was recorded last is kept when it is asked to end.
    assert_eq!(recorder.end(), Some(0));
    drop(origin);
    let player = Service::start(two.path(), &["--record-mode", "playback"]);
    assert_eq!(ask(player.proxy, "GET", &url, &[], b"").text(), "hello you");
    assert_eq!(get(player.address, "/hello/you").text(), "hello you");
    assert_eq!(ask(player.proxy, "GET", &format!("{url}r"), &[], b"").status, 404);
}

/// Whatever was on its way to the disk when the process was killed: what is there is whole, and is played back.
#[test]
fn a_killed_recorder_leaves_no_half_files() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let origin = Service::start(one.path(), &[]);
    upload(origin.address, HELLO);
    let mut recorder = Service::start(two.path(), &[]);
    let (proxy, base) = (recorder.proxy, format!("http://{}/hello", origin.address));
    ask(proxy, "GET", &format!("{base}/first"), &[], b"");
    // Who asks for recordings gets them when they are written.
    assert_eq!(get(recorder.address, "/_scenarios").json().as_object().unwrap().len(), 1);
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let base = base.clone();
            std::thread::spawn(move || {
                for number in 0..60 {
                    let who = format!("{client}-{number}");
                    let answer = ask(proxy, "GET", &format!("{base}/{who}"), &[], b"");
                    assert_eq!(answer.text(), format!("hello {who}"));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().unwrap());
    recorder.child.kill().unwrap();
    recorder.child.wait().unwrap();
    drop(origin);
    let player = Service::start(two.path(), &["--record-mode", "playback"]);
    let checked = Command::new(env!("CARGO_BIN_EXE_api-mock-service"))
        .args(["validate", "default_mocks_data"])
        .current_dir(two.path())
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let listed = get(player.address, "/_scenarios").json();
    assert!(!listed.as_object().unwrap().is_empty());
    for scenario in listed.as_object().unwrap().values() {
        let path = scenario["path"].as_str().unwrap();
        let who = path.strip_prefix("/hello/").unwrap();
        assert_eq!(get(player.address, path).text(), format!("hello {who}"));
    }
}

#[test]
fn the_certificate_is_printed_and_its_key_is_for_its_owner_only() {
    let folder = tempfile::tempdir().unwrap();
    let print = || {
        let output = Command::new(env!("CARGO_BIN_EXE_api-mock-service"))
            .arg("ca")
            .current_dir(folder.path())
            .env_clear()
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = print();
    assert!(printed.starts_with("-----BEGIN CERTIFICATE-----") && !printed.contains("PRIVATE"), "{printed}");
    assert_eq!(print(), printed);
    let service = Service::start(folder.path(), &[]);
    assert_eq!(get(service.address, "/_ca").text(), printed);
    use std::os::unix::fs::PermissionsExt;
    let key = std::fs::metadata(folder.path().join("default_mocks_data/.ca/ca-key.pem")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

/// The program as a service with TLS, recorded over CONNECT by curl.
#[test]
fn curl_records_https_and_100_megabytes_and_gets_the_same_bytes_back() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(one.path().join("assets")).unwrap();
    let large: Vec<u8> = (0..100_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    std::fs::write(one.path().join("assets/large.bin"), &large).unwrap();
    let origin = Service::start(one.path(), &["--tls", "--assetDir", "assets"]);
    let roots = one.path().join("default_mocks_data/.tls/cert.pem");
    let roots = format!("upstream_roots={}", roots.display());
    let recorder = Service::start(two.path(), &["--set", &roots]);
    let authority = two.path().join("ca.pem");
    std::fs::write(&authority, &get(recorder.address, "/_ca").body).unwrap();
    // `/_assets/` is a path of this service; behind the proxy it is one of the origin's.
    let url = format!("https://localhost:{}/_assets/large.bin", origin.address.port());
    let fetch = |proxy: SocketAddr, name: &str| {
        let output = Command::new("curl")
            .args([
                "-sS",
                "--fail",
                "--noproxy",
                "",
                "--max-time",
                "120",
                "-x",
                &format!("http://{proxy}"),
                "--cacert",
            ])
            .arg(&authority)
            .args(["-o", name, &url])
            .current_dir(two.path())
            .output()
            .expect("there is no curl: `cargo xtask test` installs it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read(two.path().join(name)).unwrap()
    };
    assert!(fetch(recorder.proxy, "first") == large);
    assert_eq!(recorder.end(), Some(0));
    drop(origin);
    let player = Service::start(two.path(), &[]);
    assert!(fetch(player.proxy, "second") == large);
}
