//! Documents that are fetched from where somebody says they are.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, LOCATION, USER_AGENT};
use http::{HeaderValue, Request, Uri};
use http_body_util::{BodyExt, Limited};

use crate::body;
use crate::guard::AddressGuard;
use crate::upstream::{CallError, Upstream, UpstreamOptions};

/// Longer chains of redirects are not followed.
const MAX_REDIRECTS: usize = 5;
/// A document must be there by then, redirects included.
const TOTAL: Duration = Duration::from_secs(30);
const WANTED: &str = "application/yaml, application/json, text/yaml, */*;q=0.5";

/// Fetches documents with GET. Where it may go, redirects included, is for its guard to say.
pub struct Fetcher {
    upstream: Upstream,
}

/// A document.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// Where it was found in the end.
    pub url: String,
    /// What it holds.
    pub bytes: Bytes,
}

/// Why a document was not fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The address is none, or holds a password.
    #[error("an address begins with http:// or https://, and holds no password")]
    Address,
    /// The guard does not let it pass.
    #[error("{0}")]
    Forbidden(String),
    /// There is no answer.
    #[error("{0}")]
    Failed(String),
    /// The answer is another one.
    #[error("the answer is {0}")]
    Status(http::StatusCode),
    /// It leads from place to place, or from HTTPS to HTTP.
    #[error("it is redirected too often, to nowhere, or from https to http")]
    Redirect,
    /// It is larger than allowed, or breaks off.
    #[error("it has more than {0} bytes, or breaks off")]
    TooLarge(usize),
    /// It takes too long.
    #[error("it did not come within {} s", TOTAL.as_secs())]
    Timeout,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Blocks while it reads the certificates that the system trusts.
    ///
    /// # Errors
    /// A certificate of the options is no good.
    pub fn new(options: &UpstreamOptions, guard: AddressGuard) -> Result<Self, rustls::Error> {
        Ok(Fetcher { upstream: Upstream::new(options, Some(guard))? })
    }

    /// Fetches a document of at most so many bytes.
    ///
    /// # Errors
    /// It is not to be had.
    pub async fn get(&self, url: &str, max_bytes: usize) -> Result<Fetched, FetchError> {
        match tokio::time::timeout(TOTAL, self.follow(address(url)?, max_bytes)).await {
            Ok(fetched) => fetched,
            Err(_) => Err(FetchError::Timeout),
        }
    }

    async fn follow(&self, mut url: Uri, max_bytes: usize) -> Result<Fetched, FetchError> {
        for _ in 0..=MAX_REDIRECTS {
            let mut request =
                Request::get(url.clone()).body(body::whole(Bytes::new())).map_err(|_| FetchError::Address)?;
            let headers = request.headers_mut();
            headers.insert(ACCEPT, HeaderValue::from_static(WANTED));
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
            headers.insert(
                USER_AGENT,
                HeaderValue::from_static(concat!("api-mock-service/", env!("CARGO_PKG_VERSION"))),
            );
            let answer = self.upstream.call(request, false).await?;
            let status = answer.status();
            if status.is_redirection() {
                let next = answer.headers().get(LOCATION).and_then(|next| next.to_str().ok());
                url = next.and_then(|next| redirected(&url, next)).ok_or(FetchError::Redirect)?;
                continue;
            }
            if !status.is_success() {
                return Err(FetchError::Status(status));
            }
            let collected = Limited::new(answer.into_body(), max_bytes).collect().await;
            let bytes = collected.map_err(|_| FetchError::TooLarge(max_bytes))?.to_bytes();
            return Ok(Fetched { url: url.to_string(), bytes });
        }
        Err(FetchError::Redirect)
    }
}

impl From<CallError> for FetchError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Timeout => FetchError::Timeout,
            CallError::Forbidden(text) => FetchError::Forbidden(text),
            error @ (CallError::Failed(..) | CallError::Between) => FetchError::Failed(error.to_string()),
        }
    }
}

fn address(url: &str) -> Result<Uri, FetchError> {
    let url = url.trim().split('#').next().unwrap_or_default();
    let url: Uri = url.parse().map_err(|_| FetchError::Address)?;
    let is_web = matches!(url.scheme_str(), Some("http" | "https"));
    let is_good = is_web && url.authority().is_some_and(|host| !host.as_str().contains('@'));
    if is_good { Ok(url) } else { Err(FetchError::Address) }
}

/// Where a redirect leads.
fn redirected(from: &Uri, to: &str) -> Option<Uri> {
    let to = if to.starts_with("//") {
        address(&format!("{}:{to}", from.scheme_str()?)).ok()?
    } else if to.starts_with('/') {
        address(&format!("{}://{}{to}", from.scheme_str()?, from.authority()?)).ok()?
    } else if to.contains("://") {
        address(to).ok()?
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        address(&format!("{}://{}{folder}/{to}", from.scheme_str()?, from.authority()?)).ok()?
    };
    let is_worse = from.scheme_str() == Some("https") && to.scheme_str() == Some("http");
    (!is_worse).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_the_web_and_hold_no_password() {
        assert_eq!(address(" https://a.b/c#d ").unwrap(), "https://a.b/c");
        for bad in ["file:///etc/passwd", "ftp://a/b", "a.yaml", "http://u:p@a/b", ""] {
            assert!(matches!(address(bad), Err(FetchError::Address)), "{bad}");
        }
    }

    #[test]
    fn redirects_lead_on_and_never_to_less_security() {
        let from: Uri = "https://a.b/c/d?e".parse().unwrap();
        let to = |to: &str| redirected(&from, to).map(|to| to.to_string());
        assert_eq!(to("/x").as_deref(), Some("https://a.b/x"));
        assert_eq!(to("x").as_deref(), Some("https://a.b/c/x"));
        assert_eq!(to("//c.d/x").as_deref(), Some("https://c.d/x"));
        assert_eq!(to("https://c.d/").as_deref(), Some("https://c.d/"));
        assert_eq!((to("http://a.b/x"), to("file:///x")), (None, None));
    }
}
