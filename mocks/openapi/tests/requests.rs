//! Requests are checked against the specification, whatever the style of their parameters.
#![allow(clippy::unwrap_used, clippy::panic, reason = "how a test fails")]

mod common;

use api_mock_openapi::{Api, Refused, RequestParts};

fn api(name: &str) -> Api {
    common::imported(&common::own(name)).api
}

fn get(api: &Api, path: &str, query: &str, headers: &[(&str, &str)]) -> Vec<String> {
    let request = RequestParts { method: "GET", path, query, headers, body: b"" };
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
fn what_belongs_to_no_operation_is_told() {
    let api = api("swagger2.yaml");
    assert_eq!(api.find("GET", "/nowhere").unwrap_err(), Refused::UnknownPath);
    let allowed = vec!["GET".to_owned(), "PUT".to_owned()];
    assert_eq!(api.find("DELETE", "/orders/1").unwrap_err(), Refused::UnknownMethod { allowed });
    assert_eq!(api.find("GET", "/api/v1/orders/1").unwrap().id.as_deref(), Some("getOrder"));
}
