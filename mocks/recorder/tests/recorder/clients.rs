//! Real clients: what curl, git and Python's requests get from a service they get again when it is gone, byte for byte.
//!
//! Those that not every machine has are tried when asked for:
//! `cargo nextest run -p api-mock-recorder --run-ignored all clients`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use api_mock_recorder::{Mode, ProxyConfig, RecorderOptions};

use crate::origin::{Kind, Service};
use crate::support::{Recording, mode, trusting};

/// A program with nothing of this machine's settings, which does not reach beyond the proxy.
fn program(name: &str, home: &Path) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .current_dir(home);
    command
}

fn run(command: &mut Command) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| {
        panic!("{name} cannot be run ({error}): `cargo xtask test` installs it");
    });
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// What clients need to know.
#[derive(Clone)]
struct Way {
    proxy: String,
    authority: PathBuf,
    base: String,
    home: PathBuf,
}

/// Records a session with a service, plays it back when that is gone, and gives what the clients got.
async fn twice<T: Send + 'static>(kind: Kind, session: fn(Way) -> T) -> (T, T) {
    let (folder, service) = (tempfile::tempdir().unwrap(), Service::start_as(kind).await);
    let base = service.secure_url("");
    let mut got = Vec::new();
    let mut service = Some(service);
    for name in ["recorded", "played"] {
        let (config, options) = match &service {
            Some(service) => (ProxyConfig::default(), trusting(service)),
            None => (mode(Mode::Playback), RecorderOptions::default()),
        };
        let home = folder.path().join(name);
        std::fs::create_dir(&home).unwrap();
        let proxy = Recording::start(&folder.path().join("data"), config, options).await;
        let authority = home.join("ca.pem");
        std::fs::write(&authority, proxy.authority.certificate_pem()).unwrap();
        let way = Way { proxy: format!("http://{}", proxy.address), authority, base: base.clone(), home };
        got.push(tokio::task::spawn_blocking(move || session(way)).await.unwrap());
        proxy.names().await;
        proxy.end().await;
        drop(service.take());
    }
    let played = got.pop().unwrap();
    (got.pop().unwrap(), played)
}

fn curl(way: Way) -> Vec<Vec<u8>> {
    let binary = way.home.join("binary");
    let mut got = Vec::new();
    for (number, words) in [
        vec!["/v1/x?page=1"],
        vec!["--http1.1", "/v1/x?page=2"],
        vec!["--http2", "--compressed", "/big"],
        vec!["-I", "/v1/x"],
        vec!["-L", "-H", "Authorization: Bearer s3cret", "/cookie"],
        vec!["--json", r#"{"id": 1, "tags": ["a", ""]}"#, "/todos"],
        vec!["-d", "user=a&password=s3cret", "/todos"],
        vec!["-F", "file=@binary", "-F", "name=x", "/length"],
        vec!["--data-binary", "@binary", "/todos"],
        vec!["--data-binary", "@other", "/todos"],
        vec!["-T", "binary", "-H", "Expect: 100-continue", "/todos"],
        vec!["--http1.1", "-T", "other", "-H", "Transfer-Encoding: chunked", "/todos"],
        vec!["-r", "10-19", "/binary"],
        vec!["-X", "DELETE", "/gone"],
        vec!["/a%20b/%C3%A9:x/{{y}}?q=%7B%7B.x%7D%7D"],
    ]
    .into_iter()
    .enumerate()
    {
        if number == 0 {
            let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
            std::fs::write(&binary, &bytes).unwrap();
            std::fs::write(way.home.join("other"), &bytes[1..]).unwrap();
        }
        let (path, options) = words.split_last().unwrap();
        let mut command = program("curl", &way.home);
        command.args(["-sS", "--globoff", "--noproxy", "", "--max-time", "60", "-x", &way.proxy, "--cacert"]);
        let output = run(command.arg(&way.authority).args(options).arg(format!("{}{path}", way.base)));
        // Of the heads that -I prints, what is of this service differs.
        let is_head = options.contains(&"-I");
        got.push(if is_head { output.stdout[..10].to_vec() } else { output.stdout });
    }
    got
}

#[tokio::test(flavor = "multi_thread")]
async fn what_curl_got_it_gets_again() {
    let (recorded, played) = twice(Kind { tls: true, ..Kind::default() }, curl).await;
    for (number, (one, two)) in recorded.iter().zip(&played).enumerate() {
        assert!(one == two, "{number}: {} {}", String::from_utf8_lossy(one), String::from_utf8_lossy(two));
    }
    assert!(recorded[8].len() == 70_000 && recorded[9].len() == 69_999 && recorded[11].len() == 69_999);
}

const REQUESTS: &str = r#"
import hashlib, sys, requests
base, proxy, authority = sys.argv[1:]
session = requests.Session()
session.trust_env, session.proxies, session.verify = False, {"https": proxy}, authority
session.auth = ("me", "s3cret")
for method, path, more in [
    ("GET", "/v1/x", {"params": {"page": 1, "api_key": "s3cret"}}),
    ("GET", "/big", {}),
    ("POST", "/todos", {"json": {"id": 1, "b": None, "c": [1.5, "é"]}}),
    ("POST", "/todos", {"data": {"user": "a", "password": "s3cret"}}),
    ("POST", "/length", {"files": {"f": bytes(range(256))}}),
    ("PUT", "/todos", {"data": bytes(range(256))}),
    ("PUT", "/todos", {"data": iter([b"one", b"two"])}),
    ("PATCH", "/todos", {"json": []}),
    ("DELETE", "/gone", {}),
    ("HEAD", "/v1/x", {}),
    ("OPTIONS", "/v1/x", {}),
]:
    answer = session.request(method, base + path, timeout=60, **more)
    # Lengths of forms with files differ with their boundaries' names, which are not asked about.
    print(method, path, answer.status_code, answer.headers.get("content-type"), hashlib.sha256(answer.content).hexdigest())
"#;

fn requests(way: Way) -> String {
    let is_good = |python: &&str| {
        let tried = program(python, &way.home).args(["-c", "import requests"]).output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(is_good);
    let python = python.expect("there is no Python with requests: `cargo xtask test` installs it");
    let mut command = program(python, &way.home);
    let output = run(command.args(["-c", REQUESTS, &way.base, &way.proxy]).arg(&way.authority));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_requests_of_python_got_it_gets_again() {
    let (recorded, played) = twice(Kind { tls: true, ..Kind::default() }, requests).await;
    assert_eq!(recorded, played);
    assert_eq!(recorded.lines().count(), 11, "{recorded}");
    assert!(recorded.contains("POST /todos 201 application/json"), "{recorded}");
}

/// Git with commits that are the same in each run.
fn git(folder: &Path, words: &[&str]) -> String {
    let mut command = program("git", folder);
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "tester")
            .env(format!("GIT_{who}_EMAIL"), "tester@example.com");
        command.env(format!("GIT_{who}_DATE"), "2022-10-29T04:26:17Z");
    }
    let output = run(command.args(["-c", "pack.threads=1", "-c", "init.defaultBranch=main"]).args(words));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Bytes that no compression makes smaller.
fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A repository with two branches, the second one commit ahead.
fn repository(folder: &Path) {
    let work = folder.join("work");
    std::fs::create_dir_all(&work).unwrap();
    git(&work, &["init", "-q"]);
    for number in 0..5 {
        std::fs::write(work.join(format!("file{number}")), noise(30_000, number + 1)).unwrap();
        git(&work, &["add", "."]);
        git(&work, &["commit", "-q", "-m", &format!("commit {number}")]);
    }
    git(folder, &["clone", "-q", "--bare", "work", "one.git"]);
    git(&folder.join("one.git"), &["config", "http.receivepack", "true"]);
    std::fs::write(work.join("later"), noise(30_000, 99)).unwrap();
    git(&work, &["add", "."]);
    git(&work, &["commit", "-q", "-m", "later"]);
    git(&work, &["push", "-q", "../one.git", "HEAD:later"]);
}

/// Clones a branch, fetches another with so many commits of its own that git compresses the request, and pushes a large
/// one, which git sends in chunks.
fn git_session(way: Way) -> Vec<String> {
    let proxy = format!("http.proxy={}", way.proxy);
    let trusted = format!("http.sslCAInfo={}", way.authority.display());
    let (url, clone) = (format!("{}/git/one.git", way.base), way.home.join("clone"));
    let far = ["-c", &proxy, "-c", &trusted];
    git(
        &way.home,
        &[&far[..], &["clone", "-q", "--single-branch", "-b", "main", &url, "clone"][..]].concat(),
    );
    for number in 0..60 {
        git(&clone, &["commit", "-q", "--allow-empty", "-m", &format!("own {number}")]);
    }
    git(&clone, &[&far[..], &["fetch", "-q", "origin", "later:later"][..]].concat());
    std::fs::write(clone.join("large"), noise(2 << 20, 7)).unwrap();
    git(&clone, &["add", "."]);
    git(&clone, &["commit", "-q", "-m", "large"]);
    // Over HTTP/2 the curl 7.88 that Debian's git uses hangs now and then in such uploads, whatever the server.
    let far = [&far[..], &["-c", "http.version=HTTP/1.1"]].concat();
    git(&clone, &[&far[..], &["push", "-q", "origin", "HEAD:refs/heads/topic"][..]].concat());
    git(&clone, &["fsck", "--strict"]);
    vec![git(&clone, &["rev-parse", "HEAD", "later"]), git(&clone, &["ls-tree", "-r", "later"])]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_cloned_fetched_and_pushed_it_does_again() {
    let folder = tempfile::tempdir().unwrap();
    repository(folder.path());
    let kind = Kind { tls: true, repositories: Some(folder.path().to_owned()), ..Kind::default() };
    let (recorded, played) = twice(kind, git_session).await;
    assert_eq!(recorded, played);
    // The push was real.
    let head = recorded[0].lines().next().unwrap();
    assert_eq!(git(&folder.path().join("one.git"), &["rev-parse", "topic"]), head);
}

const SCRIPT: &str = r#"
const { createHash } = require("crypto");
(async () => {
    for (const [path, options] of [
        ["/v1/x?page=1", {}],
        ["/large", {}],
        ["/todos", { method: "POST", headers: { "content-type": "application/json" }, body: '{"id": 1}' }],
        ["/todos", { method: "PUT", body: new Uint8Array([0, 1, 255]) }],
        ["/todos", { method: "PUT", body: new Uint8Array([0, 1, 254]) }],
    ]) {
        const answer = await fetch(process.argv[1] + path, options);
        const bytes = Buffer.from(await answer.arrayBuffer());
        console.log(path, answer.status, bytes.length, createHash("sha256").update(bytes).digest("hex"));
    }
})();
"#;

fn node(way: Way) -> String {
    let mut command = program("node", &way.home);
    command
        .env("NODE_USE_ENV_PROXY", "1")
        .env("HTTPS_PROXY", &way.proxy)
        .env("NODE_EXTRA_CA_CERTS", &way.authority);
    String::from_utf8(run(command.args(["-e", SCRIPT, &way.base])).stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants Node 24 or later"]
async fn what_fetch_of_node_got_it_gets_again() {
    let (recorded, played) = twice(Kind { tls: true, ..Kind::default() }, node).await;
    assert_eq!(recorded, played);
    assert!(recorded.contains("/large 200 104857600 "), "{recorded}");
    let lines: std::collections::BTreeSet<&str> = recorded.lines().collect();
    assert_eq!(lines.len(), 5, "{recorded}");
}

fn chromium(way: Way) -> String {
    let store = way.home.join(".pki/nssdb");
    std::fs::create_dir_all(&store).unwrap();
    let store = format!("sql:{}", store.display());
    run(program("certutil", &way.home).args(["-d", &store, "-N", "--empty-password"]));
    let mut trust = program("certutil", &way.home);
    run(trust.args(["-d", &store, "-A", "-t", "C,,", "-n", "api-mock", "-i"]).arg(&way.authority));
    let mut command = program("chromium", &way.home);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ]);
    // Else it asks no proxy for this machine.
    command.args(["--proxy-bypass-list=<-loopback>", &format!("--proxy-server={}", way.proxy)]);
    command.arg(format!("--user-data-dir={}", way.home.join("profile").display()));
    String::from_utf8(run(command.arg(format!("{}/page", way.base))).stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants chromium and certutil"]
async fn what_chromium_showed_it_shows_again() {
    let (recorded, played) = twice(Kind { tls: true, ..Kind::default() }, chromium).await;
    assert_eq!(recorded, played);
    assert!(recorded.contains(r#"<p id="said">cash_balance 7 256</p>"#), "{recorded}");
}

fn apt(way: Way) -> Vec<u8> {
    let file = way.home.join("large");
    let mut command = program("/usr/lib/apt/apt-helper", &way.home);
    command.args(["-o", &format!("Acquire::https::Proxy={}", way.proxy), "-o"]);
    command.arg(format!("Acquire::https::CaInfo={}", way.authority.display()));
    command.args(["-o", "APT::Sandbox::User=", "download-file", &format!("{}/large", way.base)]);
    run(command.arg(&file));
    std::fs::read(file).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "wants apt"]
async fn what_apt_downloaded_it_downloads_again() {
    let (recorded, played) = twice(Kind { tls: true, ..Kind::default() }, apt).await;
    assert!(recorded.len() == 100 << 20 && recorded == played);
}
