//! What is written.

use api_mock_engine::{Engine, EngineOptions, Request};
use api_mock_recorder::{BodyMatch, Exchange, FileOptions, Names, Redaction, recording};
use api_mock_scenario::{Format, Scenario};
use api_mock_store::StoreOptions;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

pub fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    pairs.collect()
}

pub fn exchange(method: Method, url: &str, body: impl Into<Bytes>) -> Exchange {
    Exchange { method, url: url.parse().unwrap(), answer_body: body.into(), ..Exchange::default() }
}

pub fn scenario(exchange: &Exchange) -> Scenario {
    recording(exchange, &FileOptions::default()).unwrap().scenario
}

/// Writes it, reads it, asks for it.
pub fn played_back(exchange: &Exchange) -> api_mock_engine::Answer {
    played(exchange, &FileOptions::default()).unwrap_or_else(|why| panic!("{}: {why}", exchange.url))
}

pub fn played(exchange: &Exchange, options: &FileOptions) -> Result<api_mock_engine::Answer, String> {
    let made = recording(exchange, options).map_err(|why| why.to_string())?;
    let folder = tempfile::tempdir().unwrap();
    let (engine, _) = Engine::open(StoreOptions::in_folder(folder.path()), EngineOptions::default()).unwrap();
    let Scenario { method, path, .. } = &made.scenario;
    if let Some((name, bytes)) = made.fixture {
        engine.store().put_fixture(method, &name, path, bytes).unwrap();
    }
    engine.store().put_scenario(&made.scenario).unwrap();
    drop(engine);
    // From the disk, as after a restart.
    let (engine, problems) =
        Engine::open(StoreOptions::in_folder(folder.path()), EngineOptions::default()).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let target = exchange.url.path_and_query().unwrap().as_str();
    let body = exchange.body.clone().unwrap_or_default();
    let request = Request::new(exchange.method.clone(), target, exchange.headers.clone(), body);
    engine.answer(&request).map_err(|refusal| refusal.to_json().to_string())
}

#[test]
fn a_recording_has_the_fields_that_people_know() {
    let mut made = exchange(
        Method::POST,
        "https://jsonplaceholder.test/todos",
        "{\n  \"userId\": 10,\n  \"id\": 201,\n  \"title\": \"illo\",\n  \"completed\": true\n}",
    );
    made.headers = headers(&[
        ("accept", "*/*"),
        ("authorization", "Bearer sk_test_xxx"),
        ("content-type", "application/json"),
        ("content-length", "3"),
        ("host", "jsonplaceholder.test"),
        ("user-agent", "curl/7.65.2"),
        ("x-mock-url", "https://jsonplaceholder.test/todos"),
    ]);
    made.body = Some(r#"{"userId": 10, "id": 1, "title": "illo", "completed": true}"#.into());
    made.status = StatusCode::CREATED;
    made.answer_headers = headers(&[
        ("content-type", "application/json"),
        ("content-length", "90"),
        ("transfer-encoding", "chunked"),
        ("connection", "keep-alive"),
        ("date", "Sat, 29 Oct 2022 04:26:17 GMT"),
        ("set-cookie", "sid=1; Path=/"),
    ]);
    let text = scenario(&made).to_yaml();
    let name = Scenario::parse(&text, Format::Yaml).unwrap().name;
    let shape = r#"{"completed":"(__boolean__(false|true))","id":"(__number__[+-]?[0-9]{1,10})","title":"(__string__\\w+)","userId":"(__number__[+-]?[0-9]{1,10})"}"#;
    let wanted = format!(
        r#"method: POST
name: {name}
path: /todos
description: 'recorded for https://jsonplaceholder.test/todos'
group: todos
predicate: ''
request:
    match_query_params:
        "*": __absent__
    match_headers:
        Content-Type: application/json
    match_contents: '{shape}'
    example_path_params: {{}}
    example_query_params: {{}}
    example_headers:
        Accept: '*/*'
        Authorization: 'Bearer [redacted]'
        Content-Type: application/json
        User-Agent: curl/7.65.2
    example_contents: '{{"userId": 10, "id": 1, "title": "illo", "completed": true}}'
response:
    headers:
        Content-Type:
            - application/json
        Set-Cookie:
            - 'sid=[redacted]; Path=/'
    contents: |-
        {{
          "userId": 10,
          "id": 201,
          "title": "illo",
          "completed": true
        }}
    contents_file: ''
    status_code: 201
    match_headers: {{}}
    match_contents: '{shape}'
    assertions: []
wait_before_reply: 0s
"#
    );
    assert_eq!(text, wanted);
    assert!(name.starts_with("recorded-todos-") && name.len() == "recorded-todos-".len() + 64, "{name}");
}

#[test]
fn defect_l24_the_same_exchange_gives_the_same_file() {
    let mut one = exchange(Method::GET, "http://a.test/x?b=2&a=1", "x");
    one.headers = headers(&[("accept", "a"), ("user-agent", "b")]);
    let mut two = one.clone();
    two.headers = headers(&[("user-agent", "b"), ("accept", "a")]);
    assert_eq!(scenario(&one).to_yaml(), scenario(&two).to_yaml());
    // Answers that differ in what is no text are others.
    two.status = StatusCode::NOT_FOUND;
    assert_ne!(scenario(&one).name, scenario(&two).name);
}

#[test]
fn defect_l14_any_path_is_recorded_and_played_back() {
    let long = format!("http://a.test/{}", "long/".repeat(800));
    for url in [
        "http://a.test",
        "http://a.test/",
        "http://a.test/a%20b/%20c%20",
        "http://a.test/a/%20/",
        "http://a.test/~me/@you,(x)+=%25!$&'*;",
        "http://a.test/v1.2/x.y/a.b.c",
        "http://a.test/x:cancel/:id/%7Bname%7D",
        "http://a.test/%E6%97%A5%E6%9C%AC/%C3%A9",
        "http://a.test/a%2Fb",
        "http://a.test/a//b/",
        "http://a.test/%7B%7B.x%7D%7D?q=%7B%7B.y%7D%7D&a+b=c+d&empty=&flag",
        "http://a.test/{{y}}/x",
        "http://a.test/_scenarios/x",
        "http://a.test/.hidden/..x",
        &long,
    ] {
        let answer = played_back(&exchange(Method::GET, url, "it"));
        assert_eq!(answer.body, "it", "{url}");
    }
}

#[test]
fn defect_l06_braces_in_what_was_recorded_stay_braces() {
    let body = "{{.x}} {{`{{`}} }} {{/* c */}} {{range}} {\"a\": \"{{RandName}}\"}\n{{";
    // Also those of the address.
    let mut made = exchange(Method::POST, "http://a.test/{{RandName}}/{{y}}?{{z}}={{w}}", body);
    made.answer_headers = headers(&[("x-braces", "{{.x}}"), ("content-type", "text/plain")]);
    made.headers = headers(&[("x-sent", "{{RandName}}"), ("content-type", "application/json")]);
    made.body = Some(r#"{"{{k}}": "{{.v}}"}"#.into());
    let answer = played_back(&made);
    assert_eq!(answer.body, body);
    let braces = answer.headers.iter().find(|(name, _)| name == "x-braces").unwrap();
    assert_eq!(braces.1, "{{.x}}");
}

#[test]
fn bodies_are_played_back_byte_for_byte() {
    let all: Vec<u8> = (0..=255).collect();
    let big_text = "line\n".repeat(100_000);
    let big_binary = all.repeat(4_000);
    for body in [
        &b""[..],
        b" ",
        b"\n",
        b"\n\nx\n\n",
        b"a\r\nb\r\n",
        b"\ttab\n  indented\n",
        b"\xef\xbb\xbfbom",
        b"1234567890123456789",
        b"{\"n\":1234567890123456789.10,\"z\":1,\"a\":\"\\u003c\"}",
        b"'quoted' \"double\" # no comment",
        b"--- \n...\n%x: y",
        "日本語 é\u{2028}\u{85}".as_bytes(),
        b"trailing  \n   \n x",
        b"\x01\x02",
        &all,
        big_text.as_bytes(),
        &big_binary,
    ] {
        let answer = played_back(&exchange(Method::GET, "http://a.test/bytes", body.to_vec()));
        assert!(answer.body == body, "{:?}", String::from_utf8_lossy(&body[..body.len().min(60)]));
    }
}

#[test]
fn large_bodies_are_fixtures() {
    let made = exchange(Method::GET, "http://a.test/big/file", "x".repeat(300 << 10));
    let recording = recording(&made, &FileOptions::default()).unwrap();
    let (name, bytes) = recording.fixture.unwrap();
    assert_eq!((recording.scenario.response.contents_file, bytes.len()), (name, 300 << 10));
    assert!(recording.scenario.response.contents.is_empty());
}

#[test]
fn defect_l16_what_was_sent_fits_the_recording_of_it() {
    for body in [
        r#"{"a": "", "b": "*/*", "c": [1, "", "x", null, 1.5, {"d": "("}], "e": {"f.g": "\n"}, "h[0]": 1, "$": "x"}"#,
        r#"[{"a": "__string__"}, 7, "x"]"#,
        "[]",
        r#"{"big": 123456789012345678901234567890, "small": -1e-7}"#,
        "{broken",
        "plain [text] (with) {{braces}} __number__ $",
        "a=1&password=secret&b=*",
    ] {
        for kind in ["application/json", "text/plain", "application/x-www-form-urlencoded", "a/b+c"] {
            let mut made = exchange(Method::POST, "http://a.test/x", "ok");
            made.headers = headers(&[("content-type", kind), ("x-amz-target", "Db_2012.(List)__x")]);
            made.body = Some(body.to_owned().into());
            assert_eq!(played_back(&made).body, "ok", "{kind}: {body}");
            let exact = FileOptions { match_body: BodyMatch::Exact, ..FileOptions::default() };
            assert!(played(&made, &exact).is_ok(), "exactly {kind}: {body}");
        }
    }
}

#[test]
fn bodies_that_are_no_short_text_are_told_apart_by_their_digest() {
    let binary: Vec<u8> = (0..=255).collect();
    let long = "line\n".repeat(4_000).into_bytes();
    let json = format!("[{}]", vec!["\"x\""; 4_000].join(",")).into_bytes();
    let exact = FileOptions { match_body: BodyMatch::Exact, ..FileOptions::default() };
    for (kind, body, options) in [
        ("application/octet-stream", &binary, &FileOptions::default()),
        ("text/plain", &long, &FileOptions::default()),
        ("application/json", &json, &exact),
    ] {
        let mut made = exchange(Method::POST, "http://a.test/x", "ok");
        made.headers = headers(&[("content-type", kind)]);
        made.body = Some(body.clone().into());
        let scenario = recording(&made, options).unwrap().scenario;
        assert!(scenario.request.match_contents.starts_with("__sha256__"), "{kind}: {}", scenario.to_yaml());
        assert_eq!(played(&made, options).unwrap().body, "ok");
        let mut other = made.clone();
        other.body = Some([&body[..body.len() - 1], b"!"].concat().into());
        assert_ne!(recording(&other, options).unwrap().scenario.name, scenario.name, "{kind}");
        let (engine, _) = Engine::open(StoreOptions::in_memory(), EngineOptions::default()).unwrap();
        engine.store().put_scenario(&scenario).unwrap();
        let request = Request::new(Method::POST, "/x", other.headers, other.body.unwrap());
        assert!(engine.answer(&request).is_err(), "{kind}");
    }
    // Where a secret is in it, a digest would tell it to those who guess.
    let mut made = exchange(Method::POST, "http://a.test/x", "ok");
    let form = format!("password=s3cret&long={}", "x".repeat(9_000));
    made.headers = headers(&[("content-type", "application/x-www-form-urlencoded")]);
    made.body = Some(form.into());
    assert!(!scenario(&made).request.match_contents.contains("__sha256__"));
}

/// A form of parts, with a boundary that is not that of the next.
fn form(boundary: &str, parts: &[(&str, &[u8])]) -> Exchange {
    let mut body = Vec::new();
    for (head, bytes) in parts {
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; name={head}\r\n\r\n");
        body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
    }
    body.extend(format!("--{boundary}--\r\n").as_bytes());
    let mut made = exchange(Method::POST, "http://a.test/upload", "ok");
    let content_type = HeaderValue::from_str(&format!("multipart/form-data; boundary={boundary}")).unwrap();
    made.headers.insert("content-type", content_type);
    made.body = Some(body.into());
    made
}

#[test]
fn forms_with_files_are_told_apart_by_their_parts_and_not_by_their_boundary() {
    let file = (0..=255).collect::<Vec<u8>>();
    let parts: [(&str, &[u8]); 4] = [
        ("\"title\"", b"a {{title}} (1)"),
        ("\"empty\"", b""),
        ("\"meta\"\r\nContent-Type: application/json", br#"{"id": 7, "password": "s3cret"}"#),
        ("\"file\"; filename=\"a.bin\"\r\nContent-Type: image/png", &file),
    ];
    let (one, two) = (form("----one", &parts), form("----two", &parts));
    let recorded = scenario(&one);
    assert_eq!(recorded.to_yaml(), scenario(&two).to_yaml(), "recording it again gives the same file");
    let (engine, _) = Engine::open(StoreOptions::in_memory(), EngineOptions::default()).unwrap();
    engine.store().put_scenario(&recorded).unwrap();
    let answers = |made: Exchange| {
        let request = Request::new(Method::POST, "/upload", made.headers, made.body.unwrap_or_default());
        engine.answer(&request).is_ok()
    };
    assert!(answers(one) && answers(two));
    for (number, other) in [
        ("\"title\"", &b"a {{title}} (2)"[..]),
        ("\"empty\"", b"x"),
        ("\"meta\"\r\nContent-Type: application/json", br#"{"id": "seven"}"#),
        ("\"file\"; filename=\"a.bin\"\r\nContent-Type: image/png", &file[1..]),
    ]
    .into_iter()
    .enumerate()
    {
        let mut changed = parts;
        changed[number] = other;
        assert!(!answers(form("x", &changed)), "{number}");
    }
    assert!(!answers(form("x", &parts[..3])) && !answers(exchange(Method::POST, "http://a.test/upload", "")));
}

#[test]
fn defect_l05_secrets_of_forms_with_files_are_not_in_the_file() {
    let parts: [(&str, &[u8]); 3] =
        [("\"password\"", b"s3cret"), ("\"meta\"", br#"{"api_key": "s3cret"}"#), ("\"kept\"", b"plain")];
    let mut made = form("b", &parts);
    let text = scenario(&made).to_yaml();
    assert!(!text.contains("s3cret") && text.contains("plain") && text.contains("[redacted]"), "{text}");
    assert_eq!(played_back(&made).body, "ok");
    // One that breaks off cannot be looked into.
    made.body = Some(made.body.unwrap().slice(..90));
    assert!(!scenario(&made).to_yaml().contains("s3cret"));
    assert_eq!(played_back(&made).body, "ok");
}

#[test]
fn what_is_matched_can_be_chosen() {
    let options = FileOptions {
        match_query: "^page$".parse::<Names>().unwrap(),
        match_headers: "tenant".parse::<Names>().unwrap(),
        ..FileOptions::default()
    };
    let mut made = exchange(Method::GET, "http://a.test/x?page=1&page=2&cursor=9", "");
    made.headers = headers(&[("x-tenant", "a"), ("x-amz-target", "b")]);
    let scenario = recording(&made, &options).unwrap().scenario;
    assert_eq!(scenario.request.match_query_params.iter().collect::<Vec<_>>(), [("page", "^1$")]);
    assert_eq!(scenario.request.match_headers.iter().collect::<Vec<_>>(), [("X-Tenant", "^a$")]);
}

/// Pages of a list are not mistaken for each other, whichever was recorded.
#[test]
fn a_recording_answers_its_own_query_and_no_other() {
    let queries = ["", "?page=2", "?page=2&size=5", "?flag", "?other", "?api_key=one"];
    let (engine, _) = Engine::open(StoreOptions::in_memory(), EngineOptions::default()).unwrap();
    for query in queries {
        let made = exchange(Method::GET, &format!("http://a.test/items{query}"), query);
        engine.store().put_scenario(&scenario(&made)).unwrap();
    }
    let answer = |query: &str| {
        let target = format!("/items{query}");
        engine.answer(&Request::new(Method::GET, &target, HeaderMap::new(), Bytes::new()))
    };
    for query in queries.iter().chain(&queries) {
        assert_eq!(answer(query).unwrap().body, *query);
    }
    // Secrets are not compared.
    assert_eq!(answer("?api_key=two").unwrap().body, "?api_key=one");
    assert!(answer("?page=3").is_err() && answer("?page=2&size=5&more=1").is_err());
}

#[test]
fn headers_that_are_no_text_are_not_compared() {
    let mut made = exchange(Method::GET, "http://a.test/x", "ok");
    made.headers.insert("x-amz-target", HeaderValue::from_bytes(b"D\xeb").unwrap());
    assert_eq!(played_back(&made).body, "ok");
    assert!(scenario(&made).request.match_headers.is_empty());
}

#[test]
fn what_cannot_be_recorded_says_why() {
    let refused = |method: &str, url: &str| {
        let made = exchange(method.parse().unwrap(), url, "");
        recording(&made, &FileOptions::default()).err().map(|why| why.to_string())
    };
    assert_eq!(refused("PROPFIND", "http://a.test/").as_deref(), Some("scenarios cannot have this method"));
    for path in ["/a/../b", "/%2e%2e/x", "/a%00b", "/a%0Ab"] {
        let why = refused("GET", &format!("http://a.test{path}"));
        assert_eq!(why.as_deref(), Some("scenarios cannot have this path"), "{path}");
    }
}

/// Chance that is the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }

    fn text(&mut self) -> String {
        const PARTS: [&str; 40] = [
            "",
            "a",
            "Word",
            "7",
            "2022",
            "-",
            "--",
            ".",
            "..",
            "@",
            "%",
            "(",
            ")",
            "#",
            "$",
            "*",
            "+",
            "?",
            "[",
            "]",
            "{",
            "}",
            "{{",
            "}}",
            "|",
            "^",
            "\\",
            "/",
            " ",
            "\n",
            "\t",
            "\"",
            "'",
            "é",
            "日",
            "__number__",
            "__string__",
            "\u{0}",
            "\u{2028}",
            "&~",
        ];
        (0..self.below(6)).map(|_| PARTS[self.below(PARTS.len())]).collect()
    }

    fn value(&mut self, depth: usize) -> serde_json::Value {
        use serde_json::{Value, json};
        match self.below(if depth > 3 { 7 } else { 9 }) {
            0 => Value::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.0 as i64),
            3 => json!(self.0 as f64 / 1e9),
            4..7 => json!(self.text()),
            7 => Value::Array((0..self.below(4)).map(|_| self.value(depth + 1)).collect()),
            _ => Value::Object((0..self.below(5)).map(|_| (self.text(), self.value(depth + 1))).collect()),
        }
    }
}

#[test]
fn any_exchange_is_played_back_to_itself() {
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for round in 0..400 {
        let (engine, _) = Engine::open(StoreOptions::in_memory(), EngineOptions::default()).unwrap();
        let mut made = exchange(Method::POST, "http://a.test/x", chance.value(0).to_string());
        let encode = |text: &str| text.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let (name, value) = (encode(&chance.text()), encode(&chance.text()));
        made.url = format!("http://a.test/x?{name}={value}&n={round}").parse().unwrap();
        made.headers = headers(&[("content-type", "application/json")]);
        let json = if chance.below(2) == 0 { chance.value(0).to_string() } else { chance.text() };
        made.body = Some(json.into());
        for match_body in [BodyMatch::Shape, BodyMatch::Exact] {
            let options = FileOptions { match_body, redaction: Redaction::none(), ..FileOptions::default() };
            let scenario = recording(&made, &options).unwrap().scenario;
            engine
                .store()
                .put_scenario(&scenario)
                .unwrap_or_else(|why| panic!("{why}\n{}", scenario.to_yaml()));
            let target = made.url.path_and_query().unwrap().as_str();
            let request =
                Request::new(Method::POST, target, made.headers.clone(), made.body.clone().unwrap());
            let answer = engine.answer(&request);
            let answer =
                answer.unwrap_or_else(|why| panic!("{}\n{made:?}\n{}", why.to_json(), scenario.to_yaml()));
            assert!(answer.body == made.answer_body, "{made:?}\n{}", scenario.to_yaml());
        }
    }
}
