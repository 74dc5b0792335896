//! A service behind this one: requests are passed on to it, as a reverse proxy does.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};

use crate::body::Body;
use crate::recorder::{CallProblem, Recorder, Source};

/// A body without a byte for this long is ended.
const IDLE: Duration = Duration::from_secs(300);

impl Recorder {
    /// Passes a request on to the service at `base`, below its path. What comes back is passed on as it comes; nothing
    /// is recorded. The service may be anywhere: who starts the server chooses it.
    ///
    /// # Errors
    /// The service does not answer.
    pub async fn pass_on(
        &self,
        base: &Uri,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<Response<Body>, CallProblem> {
        let request = Request::builder().method(method).uri(joined(base, target)).body(());
        let request =
            request.map_err(|_| CallProblem::new(StatusCode::BAD_REQUEST, "the path cannot be passed on"))?;
        let (mut head, ()) = request.into_parts();
        head.headers = headers;
        Ok(self.forward(&self.upstream, head, Source::Whole(body), false, IDLE).await?)
    }
}

/// The address of a request at a service.
fn joined(base: &Uri, target: &str) -> String {
    let target = if target.starts_with('/') { target } else { "/" };
    let scheme = base.scheme_str().unwrap_or("http");
    let authority = base.authority().map_or("", |authority| authority.as_str());
    format!("{scheme}://{authority}{}{target}", base.path().trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_go_below_the_path_of_the_service() {
        let at = |base: &str, target: &str| joined(&base.parse().unwrap(), target);
        assert_eq!(at("http://a:1", "/x?y=1"), "http://a:1/x?y=1");
        assert_eq!(at("https://a/v1/", "/"), "https://a/v1/");
        assert_eq!(at("http://a", "*"), "http://a/");
    }
}
