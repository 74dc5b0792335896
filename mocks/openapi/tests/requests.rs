//! Requests are checked against the specification, whatever the style of their parameters.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

mod common;

use api_mock_openapi::{Api, Refused, RequestParts, ResponseParts};

fn api(name: &str) -> Api {
    common::imported(&common::own(name)).api
}

fn get(api: &Api, path: &str, query: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let mut headers = headers.to_vec();
    headers.extend([("Authorization", "Bearer abc"), ("X-Api-Key", "abc")]);
    let request = RequestParts { method: "GET", path, query, headers: &headers, body: b"" };
    api.check_request(&request).unwrap().iter().map(ToString::to_string).collect()
}

fn send(api: &Api, method: &str, path: &str, media: &str, body: &str) -> Vec<String> {
    let request =
        RequestParts { method, path, query: "", headers: &[("content-type", media)], body: body.as_bytes() };
    api.check_request(&request).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn parameters_of_all_styles_are_read() {
    let api = api("parameters.yaml");
    let none: [&str; 0] = [];
    for path in ["/simple/1,2/x=1,y=2", "/label/.1,2/.x=1.y=2", "/matrix/;ids=1;ids=2/;point=x,1,y,2"] {
        assert_eq!(get(&api, path, "", &[]), none, "{path}");
        // With the path of the server before it, too.
        assert_eq!(get(&api, &format!("/v2{path}"), "", &[]), none, "{path}");
    }
    assert_eq!(
        get(&api, "/simple/1,b/x=1", "", &[]),
        ["path parameter \"ids\" at /1: is string, not integer", "path parameter \"point\": lacks \"y\"",]
    );
    let good = [
        "many=1&many=2",
        "many=1&many=2&csv=a,b,c",
        "many=1&many=2&piped=1|2&spaced=1%202",
        "many=1&many=2&deep[x]=1&deep%5By%5D=2",
        "many=1&many=2&left=1&right=2",
        "many=1&many=2&json=%7B%22x%22%3A1%2C%22y%22%3A2%7D",
        "many=1&many=2&flag=true&text=null&either=5",
        "many=1&many=2&either=all&unknown=x",
        "many[]=1&many[]=2",
    ];
    good.iter().for_each(|query| assert_eq!(get(&api, "/query", query, &[]), none, "{query}"));
    let bad = [
        ("", "query parameter \"many\": is missing"),
        ("many=1", "query parameter \"many\": has 1 items, 2 at least are wanted"),
        ("many=1&many=101", "query parameter \"many\" at /1: is greater than 100"),
        ("many=1&many=2&csv=a,b,c,d", "query parameter \"csv\": has 4 items, 3 at most are allowed"),
        ("many=1&many=2&piped=1|b", "query parameter \"piped\" at /1: is string, not integer"),
        ("many=1&many=2&deep[x]=1&deep[y]=2&deep[z]=3", "query parameter \"deep\": must not have \"z\""),
        ("many=1&many=2&right=2", "query parameter \"spread\": lacks \"left\""),
        ("many=1&many=2&flag=yes", "query parameter \"flag\": is string, not boolean"),
        ("many=1&many=2&either=none", "query parameter \"either\": is none of \"all\""),
    ];
    bad.iter().for_each(|(query, wanted)| assert_eq!(get(&api, "/query", query, &[]), [*wanted], "{query}"));
    assert!(get(&api, "/query", "many=1&many=2&json=%7B", &[])[0].contains("is not JSON"));
}

#[test]
fn headers_and_cookies_are_read() {
    let api = api("parameters.yaml");
    let cookie = ("Cookie", "a=b; session=0123abcd");
    assert!(get(&api, "/header", "", &[("X-Count", "5"), ("X-List", "1,2"), cookie]).is_empty());
    assert_eq!(
        get(&api, "/header", "", &[("X-Count", "five"), ("Cookie", "session=x")]),
        ["header \"x-count\": is string, not integer", "cookie \"session\": does not match ^[0-9a-f]{8}$",]
    );
    assert_eq!(get(&api, "/header", "", &[cookie]), ["header \"x-count\": is missing"]);
}

#[test]
fn bodies_are_read_by_their_media_type() {
    let api = api("swagger2.yaml");
    assert!(send(&api, "PUT", "/orders/7", "application/json; charset=utf-8", r#"{"total": 5}"#).is_empty());
    assert_eq!(
        send(&api, "PUT", "/orders/0", "application/json", r#"{"total": -1}"#),
        ["path parameter \"id\": is less than 1", "body at /total: is less than 0",]
    );
    assert_eq!(send(&api, "PUT", "/orders/1", "application/json", ""), ["body: is missing"]);
    assert!(send(&api, "PUT", "/orders/1", "application/json", "{")[0].starts_with("body: is not JSON"));
    assert_eq!(
        send(&api, "PUT", "/orders/1", "text/plain", "x"),
        ["body: is text/plain, not application/json"]
    );
    let form = "application/x-www-form-urlencoded";
    assert!(send(&api, "POST", "/login", form, "user=a+b&age=5&tags=x&tags=y").is_empty());
    assert_eq!(
        send(&api, "POST", "/login", form, "user=&age=x"),
        ["body at /user: has 0 characters, 1 at least are wanted", "body at /age: is string, not integer",]
    );
}

#[test]
fn forms_with_files_are_read() {
    let api = api("swagger2.yaml");
    let media = "multipart/form-data; boundary=b";
    let part =
        |head: &str, body: &str| format!("--b\r\nContent-Disposition: form-data; {head}\r\n\r\n{body}\r\n");
    let file = part("name=\"file\"; filename=\"a.bin\"", "\u{1}\u{2}");
    let good = format!("{file}{}--b--\r\n", part("name=note", "hello"));
    assert_eq!(send(&api, "POST", "/upload", media, &good), [""; 0]);
    let bad = format!("{}--b--\r\n", part("name=note", "hello"));
    assert_eq!(send(&api, "POST", "/upload", media, &bad), ["body: lacks \"file\""]);
    assert_eq!(send(&api, "POST", "/upload", media, "x"), ["body: does not hold its boundary"]);
}

#[test]
fn xml_is_read_as_its_schema_says() {
    let spec = br#"{"openapi": "3.0.0", "info": {"title": "T", "version": "1"}, "paths": {"/a": {"post": {
        "requestBody": {"content": {"application/xml": {"schema": {"type": "object", "required": ["id", "tags"], "properties": {
            "id": {"type": "integer", "xml": {"attribute": true}},
            "tags": {"type": "array", "minItems": 1, "maxItems": 2, "xml": {"wrapped": true}, "items": {"type": "string", "maxLength": 3, "xml": {"name": "tag"}}},
            "sizes": {"type": "array", "items": {"type": "number"}, "xml": {"name": "size"}},
            "owner": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "is": {"type": "boolean"}}}},
            "additionalProperties": false}}}},
        "responses": {"200": {"description": "ok"}}}}}}"#;
    let api = common::imported(spec).api;
    let check = |body: &str| send(&api, "POST", "/a", "application/xml", body);
    let none: [&str; 0] = [];
    assert_eq!(
        check(
            "<?xml version=\"1.0\"?><x:a id='5' xmlns:x='u'><tags><tag>a&amp;b</tag></tags><size>1</size><size>2.5</size><owner><name/><is>true</is></owner></x:a>"
        ),
        none
    );
    assert_eq!(
        check("<a id='x'><tags><tag>long</tag></tags><size>y</size><owner><is>1</is></owner><more/></a>"),
        [
            "body at /id: is string, not integer",
            "body at /tags/0: has 4 characters, 3 at most are allowed",
            "body at /sizes/0: is string, not number",
            "body at /owner: lacks \"name\"",
            "body at /owner/is: is string, not boolean",
            "body: must not have \"more\"",
        ]
    );
    assert_eq!(check("<a id='1'/>"), ["body: lacks \"tags\""]);
    assert!(check("<a>")[0].contains("is not XML"));
}

#[test]
fn violations_say_to_programs_where_and_what_was_expected() {
    let api = api("swagger2.yaml");
    let headers = [("content-type", "application/json")];
    let request = RequestParts {
        method: "PUT",
        path: "/orders/0",
        query: "",
        headers: &headers,
        body: br#"{"total": "hunter2", "note": 5}"#,
    };
    let found = api.check_request(&request).unwrap();
    let told: Vec<String> = found.iter().map(|one| one.to_json().to_string()).collect();
    assert_eq!(
        told,
        [
            r#"{"in":"path","name":"id","pointer":"","keyword":"minimum","expected":1,"message":"is less than 1"}"#,
            r#"{"in":"body","name":"","pointer":"/total","keyword":"type","expected":"number","message":"is string, not number"}"#,
            r#"{"in":"body","name":"","pointer":"/note","keyword":"type","expected":"string","message":"is integer, not string"}"#,
        ]
    );
    assert!(found.iter().all(|one| one.status() == 400));
    let other = RequestParts { headers: &[("content-type", "text/plain")], ..request };
    let found = api.check_request(&other).unwrap();
    assert_eq!((found[1].status(), found[1].keyword), (415, "content-type"));
}

#[test]
fn defect_l05_credentials_have_to_be_there_and_are_never_told() {
    let api = api("swagger2.yaml");
    let get = |headers: &[(&str, &str)]| {
        let request =
            RequestParts { method: "GET", path: "/orders/7", query: "fields=id", headers, body: b"" };
        api.check_request(&request).unwrap()
    };
    for headers in [("x-api-key", "hunter2"), ("authorization", "bearer hunter2")] {
        assert_eq!(get(&[headers]), []);
    }
    for headers in [
        ("x-other", "1"),
        ("authorization", "Basic hunter2"),
        ("authorization", "Bearer "),
        ("x-api-key", ""),
    ] {
        let found = get(&[headers]);
        assert_eq!(
            found[0].to_string(),
            "security \"key\": wants the header \"x-api-key\", or the header \"Authorization: Bearer \u{2026}\""
        );
        assert_eq!((found.len(), found[0].status()), (1, 401));
        assert!(!found[0].to_json().to_string().contains("hunter2"));
    }
}

#[test]
fn answers_are_checked() {
    let api = api("swagger2.yaml");
    let operation = api.find("GET", "/orders/1").unwrap();
    let check = |status: u16, headers: &[(&str, &str)], body: &str| -> Vec<String> {
        let answer = ResponseParts { status, headers, body: body.as_bytes() };
        api.check_response(operation, &answer).iter().map(ToString::to_string).collect()
    };
    let json = ("Content-Type", "application/json");
    assert!(check(200, &[json, ("X-Rate-Limit", "5")], r#"{"id": 1, "total": 2}"#).is_empty());
    assert_eq!(
        check(200, &[json, ("X-Rate-Limit", "50")], r#"{"id": 1}"#),
        ["header \"x-rate-limit\": is greater than 9", "body: lacks \"total\""]
    );
    assert_eq!(check(500, &[json], "{}"), ["status: is 500, not 200 or 404"]);
    assert_eq!(
        check(404, &[("Content-Type", "text/html")], "x"),
        ["body: is text/html, not application/json"]
    );
}

#[test]
fn what_belongs_to_no_operation_is_told() {
    let api = api("swagger2.yaml");
    assert_eq!(api.find("GET", "/nowhere").unwrap_err(), Refused::UnknownPath);
    let allowed = vec!["GET".to_owned(), "PUT".to_owned()];
    assert_eq!(api.find("DELETE", "/orders/1").unwrap_err(), Refused::UnknownMethod { allowed });
    assert_eq!(api.find("GET", "/api/v1/orders/1").unwrap().id.as_deref(), Some("getOrder"));
}

const NEAR: &str = r"openapi: 3.0.0
info: {title: Near, version: '1'}
paths:
  /workers/statistics: {get: {responses: {200: {description: ok}}}}
  /workers/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: integer, format: int64}}]
    get: {responses: {200: {description: ok}}}
    post:
      requestBody:
        content:
          application/x-www-form-urlencoded:
            schema: {type: object, required: [name], properties: {name: {type: string}}}
      responses: {200: {description: ok}}
";

#[test]
fn methods_are_those_of_the_nearest_path() {
    let api = common::imported(NEAR.as_bytes()).api;
    let request = |method, path| RequestParts { method, path, query: "", headers: &[], body: b"" };
    let get = || vec!["GET".to_owned()];
    assert_eq!(
        api.check_request(&request("DELETE", "/workers/statistics")),
        Err(Refused::UnknownMethod { allowed: get() })
    );
    // It is no number, so nobody means the other path.
    assert_eq!(
        api.check_request(&request("POST", "/workers/statistics")),
        Err(Refused::NearerPath { allowed: get() })
    );
    assert_eq!(api.check_request(&request("POST", "/workers/7")), Ok(Vec::new()));
}

#[test]
fn numbers_have_64_bits_where_that_is_said_and_empty_forms_have_no_members() {
    let api = common::imported(NEAR.as_bytes()).api;
    for (id, wanted) in [
        ("9223372036854775807", 0),
        ("9223372036854775808", 1),
        ("-9223372036854775808", 0),
        ("123456789012345678901234567890", 1),
    ] {
        assert_eq!(get(&api, &format!("/workers/{id}"), "", &[]).len(), wanted, "{id}");
    }
    let form = "application/x-www-form-urlencoded";
    assert_eq!(send(&api, "POST", "/workers/7", form, ""), ["body: lacks \"name\""]);
    assert!(send(&api, "POST", "/workers/7", form, "name=").is_empty());
}
