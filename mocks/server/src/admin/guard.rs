//! Who may use the admin API.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, AUTHORIZATION, HOST, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::config::AdminToken;
use crate::problem::Problem;
use crate::reply::{self, Reply, text_of};

/// Refuses requests without the token, and those that web pages of others send.
pub(crate) fn admit(
    head: &Parts,
    is_open: bool,
    token: Option<&AdminToken>,
    origins: &[HeaderValue],
) -> Result<(), Problem> {
    if is_open {
        return Ok(());
    }
    if let Some(origin) = head.headers.get(ORIGIN)
        && !origins.contains(origin)
        && !is_our_own_page(origin, head)
    {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "web pages of this origin may not use the admin API",
        ));
    }
    match token {
        Some(token) if !said(&head.headers).is_some_and(|said| token.is(said)) => {
            Err(Problem::unauthorized())
        }
        _ => Ok(()),
    }
}

/// What follows `Bearer `.
fn said(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, said) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(said.trim_ascii())
}

/// Whether a browser is at a page that we served, under an address that no name server can point at us.
fn is_our_own_page(origin: &HeaderValue, head: &Parts) -> bool {
    let Some(origin) = origin.to_str().ok().and_then(|origin| origin.split_once("://")) else { return false };
    let host =
        text_of(&head.headers, HOST.as_str()).or_else(|| head.uri.authority().map(|host| host.as_str()));
    host == Some(origin.1) && is_local_name(origin.1)
}

fn is_local_name(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name == "localhost" || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

/// Answers OPTIONS on a path of the admin API.
pub(crate) fn preflight(head: &Parts, allow: HeaderValue, origins: &[HeaderValue]) -> Reply {
    let mut reply = reply::done();
    *reply.status_mut() = StatusCode::NO_CONTENT;
    let allowed = head.headers.get(ORIGIN).is_some_and(|origin| origins.contains(origin));
    if allowed && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
        let headers = reply.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allow.clone());
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("Authorization, Content-Type, Accept"),
        );
    }
    reply.headers_mut().insert(ALLOW, allow);
    allow_origin(head, origins, &mut reply);
    reply
}

/// Lets the pages of an allowed origin read the answer.
pub(crate) fn allow_origin(head: &Parts, origins: &[HeaderValue], reply: &mut Reply) {
    if origins.is_empty() {
        return;
    }
    reply.headers_mut().append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = head.headers.get(ORIGIN).filter(|origin| origins.contains(origin)) {
        reply.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Parts {
        let mut request = http::Request::builder().uri("/_scenarios").method("POST");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn status(headers: &[(&str, &str)], token: Option<&str>) -> Option<StatusCode> {
        let token = token.map(|token| AdminToken::from(token.to_owned()));
        let origins = [HeaderValue::from_static("https://good.example")];
        admit(&head(headers), false, token.as_ref(), &origins)
            .err()
            .map(|problem| Reply::from(problem).status())
    }

    #[test]
    fn only_the_token_opens() {
        assert_eq!(status(&[], None), None);
        assert_eq!(status(&[], Some("abc")), Some(StatusCode::UNAUTHORIZED));
        for wrong in ["Bearer abd", "Bearer ab", "Bearer abcd", "Basic abc", "abc", "Bearer ", "Bearer"] {
            assert_eq!(
                status(&[("authorization", wrong)], Some("abc")),
                Some(StatusCode::UNAUTHORIZED),
                "{wrong}"
            );
        }
        for right in ["Bearer abc", "bearer abc", "Bearer  abc "] {
            assert_eq!(status(&[("authorization", right)], Some("abc")), None, "{right}");
        }
    }

    #[test]
    fn defect_l03_web_pages_of_others_cannot_drive_the_admin_api() {
        let host = ("host", "localhost:8080");
        for bad in ["https://evil.example", "http://localhost:3000", "null"] {
            assert_eq!(status(&[host, ("origin", bad)], None), Some(StatusCode::FORBIDDEN), "{bad}");
        }
        // A name of the attacker's that points here.
        let rebound = [("host", "evil.example"), ("origin", "http://evil.example")];
        assert_eq!(status(&rebound, None), Some(StatusCode::FORBIDDEN));
        for good in ["http://localhost:8080", "https://good.example"] {
            assert_eq!(status(&[host, ("origin", good)], None), None, "{good}");
        }
        let address = [("host", "[::1]:8080"), ("origin", "http://[::1]:8080")];
        assert_eq!(status(&address, None), None);
    }
}
