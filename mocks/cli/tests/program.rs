//! The program itself: real processes, real sockets.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../../server/tests/support/http.rs"]
mod http;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use http::{ask, get, upload};

const HELLO: &str = "method: GET\nname: hello\npath: /hello/:who\nresponse:\n    content_type: application/json\n    contents: '{\"hello\": \"{{.who}}\"}'\n";

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_api-mock-service"));
    command.current_dir(folder).env_clear().env("HOME", folder).env("PROXY_PORT", "0");
    command
}

fn run(folder: &Path, args: &[&str]) -> Output {
    program(folder).args(args).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A service that ends with the test.
struct Service {
    child: Child,
    words: BufReader<ChildStderr>,
    address: SocketAddr,
    said: String,
}

impl Service {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut words = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        let address = loop {
            let begin = said.len();
            assert_ne!(words.read_line(&mut said).unwrap(), 0, "it ended: {said}");
            let line = &said[begin..];
            if let Some((_, rest)) = line.split_once("listens on ") {
                let (_, address) = rest.split_once("://").unwrap();
                break address.split(' ').next().unwrap().parse().unwrap();
            }
        };
        words.read_line(&mut said).unwrap();
        Service { child, words, address, said }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// What it says next.
    fn next_line(&mut self) -> String {
        let mut line = String::new();
        self.words.read_line(&mut line).unwrap();
        line
    }

    /// Its exit code.
    fn ended(&mut self) -> Option<i32> {
        let mut line = String::new();
        while self.words.read_line(&mut line).unwrap() > 0 {}
        self.child.wait().unwrap().code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_serves_keeps_what_was_uploaded_and_ends_with_0_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::start(program(folder.path()).args(["--httpPort", "0"]));
    assert!(service.address.ip().is_loopback());
    assert!(service.said.contains("with 0 scenarios of default_mocks_data"), "{}", service.said);
    assert!(service.said.contains("recording proxy on http://127.0.0.1:"), "{}", service.said);
    assert_eq!(upload(service.address, HELLO).status, 200);
    assert_eq!(get(service.address, "/hello/world").text(), r#"{"hello": "world"}"#);
    service.signal(rustix::process::Signal::TERM);
    assert_eq!(service.ended(), Some(0));
    assert!(folder.path().join("default_mocks_data/hello/GET/hello.scr").is_file());
    let mut service = Service::start(program(folder.path()).args(["--http-port=0"]));
    assert!(service.said.contains("with 1 scenarios"), "{}", service.said);
    assert_eq!(get(service.address, "/hello/again").text(), r#"{"hello": "again"}"#);
    service.signal(rustix::process::Signal::INT);
    assert_eq!(service.ended(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut service =
        Service::start(program(folder.path()).args(["--httpPort", "0", "--set", "shutdown_timeout=1h"]));
    upload(service.address, HELLO);
    let mut busy = http::Connection::open(service.address);
    busy.send("GET", "/hello/x", &[("X-Mock-Wait-Before-Reply", "2m")], b"");
    let begun = std::time::Instant::now();
    while get(service.address, "/_scenarios").json()["/_scenarios/GET/hello/hello/:who"]["RequestCount"] != 1
    {
        assert!(begun.elapsed().as_secs() < 30);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    service.signal(rustix::process::Signal::TERM);
    let mut line = String::new();
    service.words.read_line(&mut line).unwrap();
    assert!(line.contains("ending"), "{line}");
    service.signal(rustix::process::Signal::TERM);
    assert_eq!(service.ended(), Some(143));
}

#[test]
fn settings_come_from_flag_environment_file_and_default_in_that_order() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api-mock-service.yaml"), "http_port: 0\ndata_dir: of-file\nseed: 5\n")
        .unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/api-mock-service.yaml"), "data_dir: of-config\n").unwrap();
    let service = Service::start(&mut program(folder.path()));
    assert!(service.said.contains("of of-file"), "{}", service.said);
    let service = Service::start(program(folder.path()).env("DATA_DIR", "of-env"));
    assert!(service.said.contains("of of-env"), "{}", service.said);
    let service =
        Service::start(program(folder.path()).env("DATA_DIR", "of-env").args(["--dataDir", "of-flag"]));
    assert!(service.said.contains("of of-flag"), "{}", service.said);
    drop(service);
    let listed = run(folder.path(), &["settings", "--config", "config/api-mock-service.yaml"]);
    assert!(out(&listed).contains("data_dir: of-config"), "{}", out(&listed));
    std::fs::remove_file(folder.path().join("api-mock-service.yaml")).unwrap();
    assert!(out(&run(folder.path(), &["settings"])).contains("data_dir: of-config"));
}

#[test]
fn what_settings_prints_is_a_configuration_file() {
    let folder = tempfile::tempdir().unwrap();
    let listed = run(folder.path(), &["settings", "--seed", "3"]);
    std::fs::write(folder.path().join("own.yaml"), out(&listed)).unwrap();
    let again = run(folder.path(), &["settings", "--config", "own.yaml"]);
    assert_eq!((again.status.code(), err(&again).as_str()), (Some(0), ""));
    assert!(out(&again).contains("seed: 3"));
    let secret = run(folder.path(), &["settings", "--admin-token", "s3cret"]);
    assert!(!out(&secret).contains("s3cret") && out(&secret).contains("\n# admin_token: \"(hidden)\"\n"));
    let odd = run(folder.path(), &["settings", "--dataDir", "a: #b"]);
    std::fs::write(folder.path().join("odd.yaml"), out(&odd)).unwrap();
    let again = run(folder.path(), &["settings", "--config", "odd.yaml"]);
    assert!(out(&again).contains("\ndata_dir: \"a: #b\"\n"), "{}", out(&again));
}

#[test]
fn a_wrong_start_is_told_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (args, code, words) in [
        (vec!["--httpPort", "9", "--proxyPort", "9"], 2, "they must differ"),
        (vec!["--httpPort", "many"], 2, "command line: http_port must be a port"),
        (vec!["--config", "no.yaml"], 2, "no.yaml"),
        (vec!["--nonsense"], 2, "--nonsense"),
        (vec!["--tls-cert", "c.pem"], 2, "belong together"),
        (vec!["--admin-token-file", "no.txt"], 2, "no.txt"),
        (vec!["--httpPort", &port], 5, "cannot listen on 127.0.0.1"),
        (vec!["--httpPort", "0", "--tls-cert", "c.pem", "--tls-key", "k.pem"], 5, "c.pem"),
    ] {
        let output = run(folder.path(), &args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", err(&output));
        assert!(err(&output).contains(words), "{args:?}: {}", err(&output));
        assert_eq!(out(&output), "", "{args:?}");
    }
}

#[test]
fn a_token_from_a_file_or_the_environment_guards_the_admin_api() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "s3cret\n").unwrap();
    let guards = |service: &Service| {
        let right = [("Authorization", "Bearer s3cret")];
        assert_eq!(get(service.address, "/_scenarios").status, 401);
        assert_eq!(ask(service.address, "GET", "/_scenarios", &right, b"").status, 200);
        assert!(!service.said.contains("s3cret"));
    };
    guards(&Service::start(program(folder.path()).args(["--httpPort", "0", "--admin-token-file", "token"])));
    guards(&Service::start(program(folder.path()).args(["--httpPort", "0"]).env("ADMIN_TOKEN", "s3cret")));
}

#[test]
fn with_tls_it_makes_a_certificate_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start(program(folder.path()).args(["--httpPort", "0", "--tls"]));
    assert!(service.said.contains("https://127.0.0.1:"), "{}", service.said);
    drop(service);
    let path = folder.path().join("default_mocks_data/.tls/cert.pem");
    let first = std::fs::read_to_string(&path).unwrap();
    drop(Service::start(program(folder.path()).args(["--httpPort", "0", "--tls"])));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), first);
}

#[test]
fn help_shows_the_commands_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    for flag in ["-h", "--help", "help"] {
        let help = run(folder.path(), &[flag]);
        assert_eq!(help.status.code(), Some(0));
        for words in [
            "Starts mock service",
            "api-mock-service [flags]",
            "api-mock-service [command]",
            "Available Commands:",
            "completion",
            "version",
            "Flags:",
            "--assetDir",
            "--config",
            "--dataDir",
            "--httpPort",
            "--proxyPort",
            "Exit codes:",
        ] {
            assert!(out(&help).contains(words), "{flag}: {words} is not in {}", out(&help));
        }
    }
}

#[test]
fn version_is_json_or_yaml() {
    let folder = tempfile::tempdir().unwrap();
    let json: serde_json::Value = serde_json::from_str(&out(&run(folder.path(), &["version"]))).unwrap();
    let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["version", "commit", "date", "started"]);
    assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    let yaml = out(&run(folder.path(), &["version", "-s"]));
    assert!(yaml.starts_with(&format!("version: {}\n", env!("CARGO_PKG_VERSION"))), "{yaml}");
}

#[test]
fn completion_scripts_are_made_for_each_shell() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(folder.path(), &["completion", shell]);
        assert_eq!(script.status.code(), Some(0));
        assert!(out(&script).contains("api-mock-service"), "{shell}");
    }
    assert_eq!(run(folder.path(), &["completion", "cmd"]).status.code(), Some(2));
}

#[test]
fn validate_names_file_line_and_field_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("dir/sub");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("good.yaml"), HELLO).unwrap();
    std::fs::write(dir.join("props.yaml"), "amount: 1\n").unwrap();
    std::fs::write(dir.join("lines.txt"), "{{\n").unwrap();
    let good = run(folder.path(), &["validate", "dir"]);
    assert_eq!((good.status.code(), out(&good).as_str()), (Some(0), ""), "{}", err(&good));
    std::fs::write(dir.join("bad.scr"), HELLO.replace("content_type: application/json", "status_code: many"))
        .unwrap();
    std::fs::write(dir.join("open.yaml"), HELLO.replace("{{.who}}", "{{if .who}}")).unwrap();
    let bad = run(folder.path(), &["validate", "dir"]);
    assert_eq!(bad.status.code(), Some(3));
    let said = out(&bad);
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 2, "{said}");
    assert!(lines[0].starts_with("dir/sub/bad.scr:5: response.status_code: "), "{said}");
    assert!(lines[1].starts_with("dir/sub/open.yaml:"), "{said}");
    assert!(err(&bad).contains("1 scenarios are good, 2 are not"), "{}", err(&bad));
    assert_eq!(run(folder.path(), &["validate", "nowhere"]).status.code(), Some(2));
    assert_eq!(run(folder.path(), &["validate"]).status.code(), Some(2));
}

#[test]
fn render_shows_what_a_scenario_answers() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.yaml"), HELLO).unwrap();
    let shown = run(folder.path(), &["render", "hello.yaml", "--path", "/hello/J%C3%BCrgen"]);
    assert_eq!(shown.status.code(), Some(0), "{}", err(&shown));
    assert!(out(&shown).starts_with("HTTP/1.1 200 OK\n"), "{}", out(&shown));
    assert!(out(&shown).contains("\ncontent-type: application/json\n"), "{}", out(&shown));
    assert!(out(&shown).ends_with("\n\n{\"hello\": \"Jürgen\"}\n"), "{}", out(&shown));
    // Without a path, the names of the variables stand for them.
    assert!(out(&run(folder.path(), &["render", "hello.yaml", "--only-body"])).contains("who"));
    let other = run(folder.path(), &["render", "hello.yaml", "--path", "/other"]);
    assert_eq!((other.status.code(), out(&other).as_str()), (Some(4), ""));
    assert!(err(&other).contains("no scenario matches GET /other"), "{}", err(&other));
}

#[test]
fn render_is_the_same_with_the_same_seed_and_finds_fixtures_beside_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = "method: POST\nname: seeded\npath: /seeded\nrequest:\n    match_query_params:\n        q: '[a-z]+'\n    match_headers:\n        \
        X-Key: k\nresponse:\n    contents: '{{Udid}} {{RandFileLine \"lines.txt\"}} {{.q}} {{NthRequest 2}}'\n";
    std::fs::write(folder.path().join("s.yaml"), text).unwrap();
    std::fs::write(folder.path().join("lines.txt"), "one line\n").unwrap();
    let args = [
        "render",
        "s.yaml",
        "--query",
        "q=abc",
        "-H",
        "X-Key: k",
        "--seed",
        "7",
        "--only-body",
        "--times",
        "2",
        "--data",
        "{}",
    ];
    let first = out(&run(folder.path(), &args));
    assert_eq!(first, out(&run(folder.path(), &args)));
    let lines: Vec<_> = first.lines().collect();
    assert!(lines[0].ends_with(" one line abc false") && lines[1].ends_with(" one line abc true"), "{first}");
    assert_ne!(lines[0][..36], lines[1][..36]);
    let unseeded = ["render", "s.yaml", "--query", "q=abc", "-H", "X-Key: k", "--only-body"];
    assert_ne!(out(&run(folder.path(), &unseeded)), out(&run(folder.path(), &unseeded)));
}

#[test]
fn files_changed_by_hand_are_played_back_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut service = Service::start(program(folder.path()).args(["--httpPort", "0"]));
    let address = service.address;
    upload(address, HELLO);
    let file = folder.path().join("default_mocks_data/hello/GET/hello.scr");
    let wait_for = |wanted: &str| {
        let begun = std::time::Instant::now();
        while get(address, "/hello/x").text() != wanted {
            assert!(begun.elapsed().as_secs() < 30, "{wanted} has not come");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    std::fs::write(&file, HELLO.replace("hello\": ", "changed\": ")).unwrap();
    wait_for(r#"{"changed": "x"}"#);
    // What is no good is told of, and changes nothing.
    std::fs::write(&file, "method: [").unwrap();
    let told = service.next_line();
    assert!(told.starts_with("api-mock-service: skipped hello/GET/hello.scr:"), "{told}");
    assert_eq!(get(address, "/hello/x").text(), r#"{"changed": "x"}"#);
    std::fs::write(&file, HELLO).unwrap();
    wait_for(r#"{"hello": "x"}"#);
}

const SPECIFICATION: &str = "openapi: 3.0.0
info: {title: Pets, version: '1'}
paths:
  /pets/{id}:
    get:
      operationId: getPet
      parameters: [{name: id, in: path, required: true, schema: {type: integer}}]
      responses: {200: {description: ok, content: {application/json: {schema: {$ref: 'models/pet.yaml'}}}}}
";

#[test]
fn specifications_are_imported_with_the_documents_beside_them() {
    let folder = tempfile::tempdir().unwrap();
    let api = folder.path().join("api");
    std::fs::create_dir_all(api.join("models")).unwrap();
    std::fs::write(api.join("pets.yaml"), SPECIFICATION).unwrap();
    let pet = "type: object\nrequired: [name]\nproperties: {name: {type: string, enum: [Rex]}}\n";
    std::fs::write(api.join("models/pet.yaml"), pet).unwrap();
    let dry = run(folder.path(), &["import-openapi", "api/pets.yaml", "--dry-run"]);
    assert_eq!(dry.status.code(), Some(0), "{}", err(&dry));
    assert!(out(&dry).starts_with("added /_scenarios/GET/getPet-"), "{}", out(&dry));
    for (wanted, args) in [
        ("1 scenarios added", ["import-openapi", "api/pets.yaml"]),
        ("0 scenarios added, 0 changed, 1 as they were", ["import-openapi", "--file=api/pets.yaml"]),
    ] {
        let done = run(folder.path(), &args);
        assert_eq!(done.status.code(), Some(0), "{}", err(&done));
        assert!(err(&done).contains(wanted), "{}", err(&done));
    }
    let service = Service::start(program(folder.path()).args(["--httpPort", "0"]));
    assert_eq!(get(service.address, "/pets/7").json()["name"], "Rex");
}

#[test]
fn defect_l03_references_do_not_lead_out_of_the_folder_of_the_specification() {
    let folder = tempfile::tempdir().unwrap();
    let api = folder.path().join("api");
    std::fs::create_dir_all(&api).unwrap();
    let secret = "type: string\nconst: hunter2\n";
    std::fs::write(folder.path().join("secret.yaml"), secret).unwrap();
    std::os::unix::fs::symlink("../secret.yaml", api.join("link.yaml")).unwrap();
    for reference in ["../secret.yaml", "link.yaml", "file:///etc/hostname", "http://127.0.0.1:9/x.yaml"] {
        let text = SPECIFICATION.replace("models/pet.yaml", reference);
        std::fs::write(api.join("pets.yaml"), text).unwrap();
        let done = run(folder.path(), &["import-openapi", "api/pets.yaml", "--json", "--dry-run"]);
        assert_eq!(done.status.code(), Some(0), "{}", err(&done));
        let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
        assert!(!out(&done).contains("hunter2"), "{reference}");
        assert!(!report["problems"].as_array().unwrap().is_empty(), "{reference}");
        let strict = run(folder.path(), &["import-openapi", "api/pets.yaml", "--strict", "--dry-run"]);
        assert_eq!(strict.status.code(), Some(7), "{reference}");
    }
}

#[test]
fn references_reach_what_they_are_allowed_to_reach() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("api")).unwrap();
    std::fs::write(folder.path().join("pet.yaml"), "{type: object, properties: {name: {const: Rex}}}")
        .unwrap();
    let spec = SPECIFICATION.replace("models/pet.yaml", "../pet.yaml");
    std::fs::write(folder.path().join("api/pets.yaml"), spec).unwrap();
    let strict = |args: &[&str]| {
        run(folder.path(), &[&["import-openapi", "api/pets.yaml", "--strict", "--dry-run"], args].concat())
    };
    assert_eq!(strict(&[]).status.code(), Some(7));
    let rooted = strict(&["--ref-root", "."]);
    assert_eq!(rooted.status.code(), Some(0), "{}", err(&rooted));
    std::fs::create_dir_all(folder.path().join("other")).unwrap();
    assert_eq!(strict(&["--ref-root", "other"]).status.code(), Some(2));
}

#[test]
fn specifications_are_fetched_by_their_address() {
    let folder = tempfile::tempdir().unwrap();
    let origin_folder = tempfile::tempdir().unwrap();
    let origin = Service::start(program(origin_folder.path()).args(["--httpPort", "0"]));
    for (path, text) in [
        ("/v1/pets.yaml", SPECIFICATION),
        ("/v1/models/pet.yaml", "{type: object, properties: {name: {const: Rex}}}"),
    ] {
        let name = path.replace(['/', '.'], "-");
        let scenario =
            serde_json::json!({"method": "GET", "name": name, "path": path, "response": {"contents": text}});
        let json = [("Content-Type", "application/json")];
        let done = ask(origin.address, "POST", "/_scenarios", &json, scenario.to_string().as_bytes());
        assert_eq!(done.status, 200, "{}", done.text());
    }
    // Whoever types an address may ask its host, also this machine.
    let url = format!("http://{}/v1/pets.yaml", origin.address);
    let done = run(folder.path(), &["import-openapi", &url, "--strict"]);
    assert_eq!(done.status.code(), Some(0), "{}{}", out(&done), err(&done));
    let service = Service::start(program(folder.path()).args(["--httpPort", "0", "--validate-requests"]));
    assert_eq!(get(service.address, "/pets/7").json()["name"], "Rex");
    let refused = get(service.address, "/pets/seven");
    assert_eq!(refused.status, 400);
    assert_eq!(refused.json()["violations"][0]["in"], "path");
    // Other hosts only where that is said, and not private ones.
    let other = format!("http://localhost:{}/v1/models/pet.yaml", origin.address.port());
    std::fs::write(folder.path().join("far.yaml"), SPECIFICATION.replace("models/pet.yaml", &other)).unwrap();
    for (wanted, args) in
        [("not followed unless", vec![]), ("not public and not allowed", vec!["--remote-refs"])]
    {
        let done = run(folder.path(), &[&["import-openapi", "far.yaml", "--dry-run"], &args[..]].concat());
        assert!(out(&done).contains(wanted), "{}", out(&done));
    }
    let allowed = program(folder.path())
        .env("PROXY_ALLOW", "localhost")
        .args(["import-openapi", "far.yaml", "--dry-run", "--strict", "--remote-refs"])
        .output()
        .unwrap();
    assert_eq!(allowed.status.code(), Some(0), "{}", out(&allowed));
}

#[test]
fn requests_are_checked_if_flag_variable_or_file_say_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pets.yaml"), SPECIFICATION.replace("models/pet.yaml", "#/x")).unwrap();
    assert_eq!(run(folder.path(), &["import-openapi", "pets.yaml"]).status.code(), Some(0));
    let status = |command: &mut Command| {
        let service = Service::start(command.args(["--httpPort", "0"]));
        get(service.address, "/pets/seven").status
    };
    assert_eq!(status(&mut program(folder.path())), 200);
    assert_eq!(status(program(folder.path()).arg("--validate-requests")), 400);
    assert_eq!(status(program(folder.path()).env("VALIDATE_REQUESTS", "true")), 400);
    std::fs::write(folder.path().join("api-mock-service.yaml"), "validate_requests: true\n").unwrap();
    assert_eq!(status(&mut program(folder.path())), 400);
}

#[test]
fn what_is_no_specification_has_an_exit_code_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.yaml"), "hello: world\n").unwrap();
    assert_eq!(run(folder.path(), &["import-openapi", "x.yaml"]).status.code(), Some(7));
    assert_eq!(run(folder.path(), &["import-openapi", "none.yaml"]).status.code(), Some(2));
    assert_eq!(run(folder.path(), &["import-openapi", "http://127.0.0.1:1/a.yaml"]).status.code(), Some(2));
    assert_eq!(run(folder.path(), &["import-openapi", "http://u:hunter2@x/a.yaml"]).status.code(), Some(2));
    assert_eq!(run(folder.path(), &["import-openapi"]).status.code(), Some(2));
}

/// The `Dockerfile` cannot be tried without an engine; what it sets can.
#[test]
fn the_service_starts_with_the_environment_of_the_image() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Dockerfile");
    let text = std::fs::read_to_string(file).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("ENV ")).unwrap();
    let mut set: std::collections::BTreeMap<&str, &str> =
        line.split(' ').map(|pair| pair.split_once('=').unwrap()).collect();
    assert_eq!((set["HTTP_HOST"], set["DATA_DIR"]), ("0.0.0.0", "/data"));
    assert!(text.contains("\nUSER 65532:65532\n") && text.contains("\nVOLUME [\"/data\"]\n"), "{text}");
    let folder = tempfile::tempdir().unwrap();
    let known = out(&run(folder.path(), &["settings"]));
    for name in set.keys() {
        assert!(known.contains(&format!("environment: {name};")), "{name}: {known}");
    }
    // Ports that nobody else has, and not all addresses of this machine.
    set.extend([("HTTP_PORT", "0"), ("PROXY_PORT", "0"), ("HTTP_HOST", "127.0.0.1")]);
    set.extend([("DATA_DIR", "mocks"), ("ASSET_DIR", "assets")]);
    let service = Service::start(program(folder.path()).envs(set));
    assert!(service.said.contains("scenarios of mocks"), "{}", service.said);
    assert_eq!(upload(service.address, HELLO).status, 200);
    std::fs::write(folder.path().join("assets/a.txt"), "an asset").unwrap();
    assert_eq!(get(service.address, "/_assets/a.txt").text(), "an asset");
}

#[test]
fn what_templates_may_spend_are_settings() {
    let folder = tempfile::tempdir().unwrap();
    let nested = "{{define `t`}}{{template `u`}}{{end}}{{define `u`}}x{{end}}{{template `t`}}";
    for (variable, value, template, said) in [
        ("MAX_LIST_ITEMS", "5", "{{Iterate 6}}", "6 rounds are more than the limit of 5"),
        ("MAX_TEXT_BYTES", "10", "{{RandString 11}}", "11 characters are more than the limit of 10"),
        ("MAX_PATTERN_BYTES", "10", "{{RandRegex `^a{11}$`}}", "longer than 10 bytes"),
        ("MAX_TEMPLATE_STEPS", "20", "{{range Iterate 50}}{{end}}", "too many steps"),
        ("MAX_TEMPLATE_DEPTH", "1", nested, "too deeply"),
        ("MAX_ANSWER_BYTES", "10", "{{printf `%90d` 1}}", "too much output"),
        ("MAX_PATTERN_REPEATS", "0", "<{{RandRegex `^a*b*c*$`}}>", "<>"),
        ("MAX_WAIT", "50ms", "{{.x}}", "# after 50ms"),
    ] {
        let text = format!(
            "method: GET\nname: l\npath: /l\nresponse:\n    contents: |\n        {template}\nwait_before_reply: 1h\n"
        );
        std::fs::write(folder.path().join("l.yaml"), text).unwrap();
        let with_limit = program(folder.path())
            .env(variable, value)
            .args(["render", "l.yaml", "--seed", "1"])
            .output()
            .unwrap();
        let all = out(&with_limit) + &err(&with_limit);
        assert!(all.contains(said), "{variable}: {all}");
        let without = run(folder.path(), &["render", "l.yaml", "--seed", "1"]);
        assert!(without.status.success() && !out(&without).contains(said), "{variable}: {}", err(&without));
    }
}

#[test]
fn what_clients_may_send_are_settings() {
    let folder = tempfile::tempdir().unwrap();
    let limits = ["max_body_bytes=100", "max_upload_bytes=500", "max_header_bytes=9000", "max_headers=10"];
    let limits = limits.into_iter().flat_map(|limit| ["--set", limit]);
    let service = Service::start(program(folder.path()).args(["--httpPort", "0"]).args(limits));
    upload(service.address, HELLO);
    let sent = |method, target, headers: &[(&str, &str)], bytes| {
        ask(service.address, method, target, headers, &vec![b'x'; bytes]).status
    };
    assert_eq!((sent("GET", "/hello/x", &[], 100), sent("GET", "/hello/x", &[], 101)), (200, 413));
    let fixture = "/_fixtures/GET/f.txt/hello";
    assert_eq!((sent("POST", fixture, &[], 500), sent("POST", fixture, &[], 501)), (200, 413));
    let long = "x".repeat(20_000);
    assert_eq!(sent("GET", "/hello/x", &[("X-Long", &long[..6000])], 0), 200);
    assert_eq!(sent("GET", "/hello/x", &[("X-Long", &long)], 0), 431);
    assert_eq!(
        (sent("GET", "/hello/x", &[("X", "1"); 5], 0), sent("GET", "/hello/x", &[("X", "1"); 10], 0)),
        (200, 431)
    );
}

/// Root may write everywhere, so as root this shows nothing.
#[test]
fn a_folder_that_may_only_be_read_is_played_back() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("mocks");
    std::fs::create_dir(&data).unwrap();
    std::fs::write(data.join("hello.scr"), HELLO).unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(data.join("probe"), "").is_ok() {
        eprintln!("skipped: this user may write everywhere");
        return;
    }
    let args = ["--httpPort", "0", "--dataDir", "mocks", "--record-mode", "playback", "--set", "ca_dir=ca"];
    let service = Service::start(program(folder.path()).args(args));
    assert_eq!(get(service.address, "/hello/world").text(), r#"{"hello": "world"}"#);
    let answer = upload(service.address, &HELLO.replace("/hello/", "/other/"));
    assert_eq!(
        (answer.status, answer.text()),
        (409, r#"{"message":"the data folder of the service may only be read"}"#)
    );
}
