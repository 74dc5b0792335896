//! Documents that specifications refer to, where they are fetched from the network for a client of the admin API.

use std::time::{Duration, Instant};

use api_mock_openapi::{LoadError, Loader};
use api_mock_recorder::{AddressGuard, Fetched, Fetcher, UpstreamOptions};
use tokio::runtime::Handle;

use crate::config::ServerConfig;

/// All documents of one import together.
const MOST_BYTES: usize = 64 << 20;
/// They must be there by then.
const PATIENCE: Duration = Duration::from_secs(60);

/// How documents are fetched.
#[derive(Clone, Debug)]
pub(crate) struct Documents {
    upstream: UpstreamOptions,
    guard: AddressGuard,
}

impl Documents {
    /// In the way, and from the places, that `/_proxy` has.
    pub(crate) fn of(config: &ServerConfig) -> Self {
        let recorder = config.recording.as_ref().map(|recording| &recording.recorder);
        Documents {
            upstream: recorder.map(|recorder| recorder.upstream.clone()).unwrap_or_default(),
            guard: recorder.map_or_else(AddressGuard::public_only, |recorder| recorder.guard.clone()),
        }
    }

    /// A loader for one import. Blocks, and waits for the network: not for a thread of the runtime.
    pub(crate) fn loader(&self) -> Result<WebDocuments, LoadError> {
        WebDocuments::new(&self.upstream, self.guard.clone(), Handle::current())
    }
}

/// Loads documents by their `http` and `https` addresses; paths are none.
#[derive(Debug)]
pub struct WebDocuments {
    fetcher: Fetcher,
    runtime: Handle,
    left: std::cell::Cell<usize>,
    begun: Instant,
}

impl WebDocuments {
    /// A loader for one import: of 64 MiB at most, within a minute. Blocks while it reads the certificates that the
    /// system trusts.
    ///
    /// # Errors
    /// A certificate of the options is no good.
    pub fn new(upstream: &UpstreamOptions, guard: AddressGuard, runtime: Handle) -> Result<Self, LoadError> {
        let fetcher = Fetcher::new(upstream, guard)?;
        Ok(WebDocuments { fetcher, runtime, left: MOST_BYTES.into(), begun: Instant::now() })
    }

    /// Fetches a document; also tells where it was in the end.
    ///
    /// # Errors
    /// It is not to be had, or too much was fetched already.
    pub fn fetch(&self, url: &str) -> Result<Fetched, LoadError> {
        let Some(patience) = PATIENCE.checked_sub(self.begun.elapsed()) else {
            return Err("the documents together took too long".into());
        };
        let fetched = self
            .runtime
            .block_on(async { tokio::time::timeout(patience, self.fetcher.get(url, self.left.get())).await });
        let fetched = fetched.map_err(|_| "the documents together took too long")??;
        self.left.set(self.left.get().saturating_sub(fetched.bytes.len()));
        Ok(fetched)
    }
}

impl Loader for WebDocuments {
    fn load(&self, location: &str) -> Result<Vec<u8>, LoadError> {
        let is_address = location.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("http"))
            && location.contains("://");
        if !is_address {
            return Err("only documents with an address can be read here".into());
        }
        Ok(self.fetch(location)?.bytes.to_vec())
    }
}
