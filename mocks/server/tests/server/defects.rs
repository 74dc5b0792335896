//! Defects of the reference service that are the server's business; none of them is here.

use serde_json::json;

use crate::support::http::{Connection, ask, get, upload};
use crate::support::{BALANCE, TestServer, simple};

fn files_below(folder: &std::path::Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                found.push(entry.path().to_string_lossy().into_owned());
            }
        }
    }
    found
}

#[test]
fn defect_l01_no_upload_writes_outside_the_data_folder() {
    let outer = tempfile::tempdir().unwrap();
    let data = outer.path().join("a/b/data");
    let server = TestServer::in_folder(&data, |_, _| {});
    for target in [
        "/_fixtures/GET/n1/../../../x",
        "/_fixtures/GET/n1/%2e%2e/%2e%2e/x",
        "/_fixtures/GET/n1/..%2f..%2fx",
        "/_fixtures/GET/..%2f..%2fn1/x",
        "/_fixtures/..%2fGET/n1/x",
        "/_fixtures/GET/n1/a%5c..%5cx",
        "/_fixtures/GET/n1/%00x",
        "/_fixtures/GET/n%00/x",
        "/_fixtures/EVIL/nn/x",
    ] {
        let answer = ask(server.address, "POST", target, &[], b"x");
        assert!((400..500).contains(&answer.status), "{target}: {}", answer.status);
        for method in ["GET", "DELETE"] {
            assert!((400..500).contains(&ask(server.address, method, target, &[], b"").status), "{target}");
        }
    }
    for (method, name, path) in [
        ("GET", "evil", "/../../../../evilpath"),
        ("../../../../evilm", "evil", "/x"),
        ("EVIL", "evil", "/x"),
        ("GET", "../../evil", "/x"),
        ("GET", "evil", "/a/../../x"),
        ("GET", "evil", "/a/\\..\\..\\x"),
    ] {
        let text =
            json!({"method": method, "name": name, "path": path, "response": {"contents": "x"}}).to_string();
        let answer = ask(
            server.address,
            "POST",
            "/_scenarios",
            &[("Content-Type", "application/json")],
            text.as_bytes(),
        );
        if answer.status == 200 {
            // A name may be mended instead of refused; then it must not lead out.
            assert!(!answer.json()["name"].as_str().unwrap().contains('/'));
        } else {
            assert_eq!(answer.status, 400, "{method} {name} {path}: {}", answer.text());
        }
    }
    let inside = data.to_string_lossy().into_owned();
    let outside: Vec<_> =
        files_below(outer.path()).into_iter().filter(|file| !file.starts_with(&inside)).collect();
    assert_eq!(outside, Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn defect_l01_symbolic_links_do_not_lead_out_of_the_data_folder() {
    let outer = tempfile::tempdir().unwrap();
    let secret = outer.path().join("secret");
    std::fs::create_dir_all(secret.join("GET")).unwrap();
    std::fs::write(secret.join("GET/key.dat"), "secret").unwrap();
    let data = outer.path().join("data");
    std::fs::create_dir_all(&data).unwrap();
    std::os::unix::fs::symlink(&secret, data.join("link")).unwrap();
    let server = TestServer::in_folder(&data, |_, _| {});
    let answer = get(server.address, "/_fixtures/GET/key/link");
    assert!((400..500).contains(&answer.status) && !answer.text().contains("secret"), "{}", answer.text());
    let answer = ask(server.address, "POST", "/_fixtures/GET/new/link", &[], b"x");
    assert!((400..500).contains(&answer.status), "{}", answer.status);
    assert!(!secret.join("GET/new.dat").exists());
}

#[test]
fn defect_l03_loopback_by_default_and_no_page_drives_the_admin_api() {
    assert!(api_mock_server::ServerConfig::default().address.ip().is_loopback());
    let server = TestServer::start();
    let text = simple("GET", "evil", "/evil", "x");
    let answer =
        ask(server.address, "POST", "/_scenarios", &[("Origin", "https://evil.example")], text.as_bytes());
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, None));
    assert_eq!(get(server.address, "/evil").status, 404);
}

#[test]
fn defect_l04_a_size_from_the_client_does_not_exhaust_memory() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "many", "/many", "{{range Iterate .pageSize}}x{{end}}"));
    let answer = get(server.address, "/many?pageSize=2000000000");
    assert!(answer.status == 500 || answer.body.len() < 1 << 20, "{} {}", answer.status, answer.body.len());
    assert_eq!(get(server.address, "/many?pageSize=3").text(), "xxx");
}

#[test]
fn defect_l05_no_message_holds_a_secret() {
    let server = TestServer::start();
    upload(server.address, BALANCE);
    upload(server.address, &simple("GET", "broken", "/broken", "{{index .missing 3 4}}"));
    let headers = [
        ("Authorization", "Bearer s3cret-one"),
        ("Cookie", "session=s3cret-two"),
        ("X-Api-Key", "s3cret-three"),
    ];
    for target in ["/v1/customers/1/cash_balance", "/nothing", "/broken"] {
        let answer = ask(server.address, "GET", target, &headers, b"");
        assert!(answer.status >= 400 && !answer.text().contains("s3cret"), "{}", answer.text());
    }
}

#[test]
fn defect_l07_json_xml_and_html_are_not_escaped() {
    let server = TestServer::start();
    let contents =
        "<?xml version=\"1.0\"?><!-- c --><a href=\"{{.u}}\">\"{{.q}}\" + &</a><script>{{.q}}</script>";
    let text = format!(
        "method: GET\nname: xml\npath: /xml\nresponse:\n    content_type: application/xml\n    contents: |-\n        {contents}\n"
    );
    upload(server.address, &text);
    let answer = get(server.address, "/xml?u=http%3A%2F%2Fa%2F%3Fb%26c&q=%22it%27s%22%3C%2B%3E");
    assert_eq!(
        answer.text(),
        "<?xml version=\"1.0\"?><!-- c --><a href=\"http://a/?b&c\">\"\"it's\"<+>\" + &</a><script>\"it's\"<+></script>"
    );
}

#[test]
fn defect_l08_scenarios_rotate_also_for_fast_clients() {
    let server = TestServer::start();
    for name in ["ra", "rb", "rc"] {
        upload(server.address, &simple("GET", name, "/r", name));
    }
    let mut connection = Connection::open(server.address);
    let said: Vec<String> = (0..9).map(|_| connection.ask("GET", "/r", &[], b"").text().to_owned()).collect();
    assert_eq!(said, ["ra", "rb", "rc", "ra", "rb", "rc", "ra", "rb", "rc"]);
}

#[test]
fn defect_l09_a_deleted_scenario_is_gone() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "one", "/one", "1"));
    assert_eq!(get(server.address, "/one").status, 200);
    let deleted = ask(server.address, "DELETE", "/_scenarios/GET/one/one", &[], b"");
    assert_eq!((deleted.status, deleted.text()), (200, ""));
    assert_eq!(get(server.address, "/one").status, 404);
    assert_eq!(get(server.address, "/_scenarios").json(), json!({}));
    assert_eq!(ask(server.address, "DELETE", "/_scenarios/GET/one/one", &[], b"").status, 404);
}

#[test]
fn defect_l10_the_answer_to_a_yaml_upload_is_not_empty() {
    let server = TestServer::start();
    assert_eq!(upload(server.address, &simple("GET", "one", "/one", "1")).json()["name"], "one");
}

#[test]
fn defect_l11_one_bad_file_does_not_stop_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let get_folder = folder.path().join("one/GET");
    std::fs::create_dir_all(&get_folder).unwrap();
    std::fs::write(get_folder.join("one.scr"), simple("GET", "one", "/one", "1")).unwrap();
    std::fs::write(get_folder.join("bad.scr"), "method: GET\nname: [\n").unwrap();
    let server = TestServer::in_folder(folder.path(), |_, _| {});
    assert_eq!(get(server.address, "/one").text(), "1");
    assert_eq!(get(server.address, "/_scenarios").json().as_object().unwrap().len(), 1);
}

#[test]
fn defect_l17_any_yaml_like_content_type_is_taken() {
    let server = TestServer::start();
    let types = [
        "application/yaml",
        "application/yaml; charset=utf-8",
        "text/yaml",
        "application/x-yaml",
        "text/x-yaml",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/vnd.api+yaml",
    ];
    for (number, content_type) in types.into_iter().enumerate() {
        let text = simple("GET", &format!("t{number}"), &format!("/t/{number}"), "ok");
        let answer =
            ask(server.address, "POST", "/_scenarios", &[("Content-Type", content_type)], text.as_bytes());
        assert_eq!(answer.status, 200, "{content_type}: {}", answer.text());
        assert_eq!(get(server.address, &format!("/t/{number}")).text(), "ok");
    }
    let text = simple("GET", "none", "/none", "ok");
    assert_eq!(ask(server.address, "POST", "/_scenarios", &[], text.as_bytes()).status, 200);
}

#[test]
fn defect_l18_paths_are_exact_and_names_do_not_collide() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "same", "/v1/a", "a"));
    upload(server.address, &simple("GET", "same", "/v1/b", "b"));
    upload(server.address, &simple("GET", "dot", "/d/a.b", "dot"));
    upload(server.address, &simple("GET", "pq", "/p/q", "pq"));
    upload(server.address, &simple("GET", "tenant", "/:tenant/x", "{{.tenant}}"));
    assert_eq!((get(server.address, "/v1/a").text(), get(server.address, "/v1/b").text()), ("a", "b"));
    assert_eq!(get(server.address, "/d/aXb").status, 404);
    assert_eq!(get(server.address, "/p/x/p/q").status, 404);
    assert_eq!(get(server.address, "/acme/x").text(), "acme");
}

#[test]
fn defect_l20_options_is_mockable() {
    let server = TestServer::start();
    let text = "method: OPTIONS\nname: pre\npath: /cors\nresponse:\n    headers:\n        Access-Control-Allow-Origin: ['https://a.example']\n    status_code: 200\n    contents: own\n";
    upload(server.address, text);
    let asked = [("Origin", "https://a.example"), ("Access-Control-Request-Method", "PUT")];
    let answer = ask(server.address, "OPTIONS", "/cors", &asked, b"");
    assert_eq!((answer.status, answer.text()), (200, "own"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://a.example"));
}

#[test]
fn defect_l21_no_empty_content_type_is_sent() {
    let server = TestServer::start();
    upload(
        server.address,
        "method: GET\nname: none\npath: /none\nresponse:\n    content_type: ''\n    contents: x\n",
    );
    assert_ne!(get(server.address, "/none").header("content-type"), Some(""));
}

#[test]
fn defect_l22_recorded_framing_is_not_replayed() {
    let server = TestServer::start();
    let text = "method: GET\nname: framed\npath: /framed\nresponse:\n    headers:\n        Content-Length: ['9999']\n        \
        Transfer-Encoding: [chunked]\n        Connection: [close]\n        Keep-Alive: ['timeout=5']\n        X-Own: [kept]\n    contents: hello\n";
    upload(server.address, text);
    let mut connection = Connection::open(server.address);
    for _ in 0..2 {
        let answer = connection.ask("GET", "/framed", &[], b"");
        assert_eq!((answer.text(), answer.header("content-length")), ("hello", Some("5")));
        assert_eq!(answer.header("x-own"), Some("kept"));
        for own in ["transfer-encoding", "connection", "keep-alive"] {
            assert_eq!(answer.header(own), None, "{own}");
        }
    }
}

#[test]
fn defect_l23_seed_zero_is_a_seed() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "seeded", "/seeded", "{{SeededName 0}} {{SeededUdid 0}}"));
    let first = get(server.address, "/seeded").text().to_owned();
    assert_eq!(get(server.address, "/seeded").text(), first);
}

#[test]
fn what_is_not_there_is_404_and_names_no_path_of_this_machine() {
    let server = TestServer::start();
    upload(server.address, BALANCE);
    let answer = get(server.address, "/v1/customers");
    assert_eq!(answer.status, 404);
    assert!(!answer.text().contains(server.folder().to_str().unwrap()), "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[test]
fn a_template_that_fails_is_500_and_says_where() {
    let server = TestServer::start();
    upload(server.address, &simple("GET", "broken", "/broken", "{{Nth 1 0}}"));
    let answer = get(server.address, "/broken");
    assert_eq!(answer.status, 500);
    assert!(
        answer.text().contains("broken") && !answer.text().contains(server.folder().to_str().unwrap()),
        "{}",
        answer.text()
    );
}
