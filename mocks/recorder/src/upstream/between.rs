//! A proxy between this one and the services.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;

/// A proxy behind which services are: `http://HOST:PORT`, `http://USER:PASSWORD@HOST:PORT`.
///
/// ```
/// use api_mock_recorder::UpstreamProxy;
/// let proxy: UpstreamProxy = "http://me:p%40ss@proxy.example:3128".parse()?;
/// assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
/// assert!(!format!("{proxy:?}").contains("p@ss"));
/// # Ok::<(), api_mock_recorder::BadProxy>(())
/// ```
#[derive(Clone)]
pub struct UpstreamProxy {
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
}

/// No address of a proxy. It does not say which, as that may hold a password.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "an address of a proxy looks like http://proxy.example:3128 or http://user:password@proxy.example:3128"
)]
pub struct BadProxy;

impl UpstreamProxy {
    /// Its host.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it wants to see in `Proxy-Authorization`.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl fmt::Debug for UpstreamProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UpstreamProxy({}:{})", self.host, self.port)
    }
}

impl FromStr for UpstreamProxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        let url: Uri = text.parse().map_err(|_| BadProxy)?;
        let authority = url.authority().filter(|_| url.scheme_str() == Some("http")).ok_or(BadProxy)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let port = authority.port().map_or(Ok(80), |port| port.as_str().parse()).map_err(|_| BadProxy)?;
        let account = authority.as_str().rsplit_once('@').map(|(account, _)| basic(account)).transpose()?;
        Ok(UpstreamProxy { host, port, authorization: account })
    }
}

fn basic(account: &str) -> Result<HeaderValue, BadProxy> {
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    let plain = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let pair = [plain(user), b":".to_vec(), plain(password)].concat();
    let mut value: HeaderValue =
        format!("Basic {}", BASE64_STANDARD.encode(pair)).parse().map_err(|_| BadProxy)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_proxies() {
        let proxy: UpstreamProxy = "http://Aladdin:open%20sesame@[::1]:3128".parse().unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("::1", 3128));
        assert_eq!(proxy.authorization().unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(
            format!("{proxy:?} {:?}", proxy.authorization()),
            "UpstreamProxy(::1:3128) Some(Sensitive)"
        );
        let proxy: UpstreamProxy = "http://proxy.test".parse().unwrap();
        assert_eq!((proxy.port(), proxy.authorization()), (80, None));
        for bad in ["", "proxy:3128", "https://proxy.test", "http://", "socks5://x:1"] {
            assert!(bad.parse::<UpstreamProxy>().is_err(), "{bad}");
        }
    }
}
