//! What users of the crate hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_mock_engine::Engine;
use api_mock_recorder::Proxy;
use tokio_util::sync::CancellationToken;

use crate::forward::{Upstream, is_at};
use crate::listen::{Ended, Listener};
use crate::metrics::Metrics;
use crate::recording::{self, Recording};
use crate::rim::Rim;
use crate::validation::Validation;
use crate::{ServerConfig, StartError};

/// A server that has its port, and serves when told to.
pub struct Server {
    listener: Listener,
    address: SocketAddr,
    connections: usize,
    grace: Duration,
    proxy: Option<Proxy>,
    rim: Arc<Rim>,
}

impl Server {
    /// Takes the port. From then on clients can connect; they are answered from [`Server::serve`] on.
    ///
    /// # Errors
    /// The port is taken, the certificate is no good, the token is empty, or the asset folder cannot be made.
    pub async fn bind(config: ServerConfig, engine: Arc<Engine>) -> Result<Self, StartError> {
        if config.admin_token.as_ref().is_some_and(crate::AdminToken::is_empty) {
            return Err(StartError::EmptyToken);
        }
        if let Some(path) = config.asset_dir.clone() {
            let made = tokio::task::spawn_blocking(move || (std::fs::create_dir_all(&path), path)).await;
            match made {
                Ok((Err(source), path)) => return Err(StartError::Assets { path, source }),
                Ok((Ok(()), _)) | Err(_) => {}
            }
        }
        let recording = match &config.recording {
            Some(config) => Some(Recording::open(config, Arc::clone(&engine)).await?),
            None => None,
        };
        let upstream = match &config.upstream {
            Some(base) => Some(Upstream::open(base, recording.as_ref(), &engine).await?),
            None => None,
        };
        let validation = Validation::wanted(&config, &engine).await;
        let rim = Arc::new(Rim::new(&config, engine, Metrics::new()?, recording, upstream, validation));
        let listener = Listener::bind(&config, Arc::clone(&rim)).await?;
        let proxy = match config.recording.and_then(|recording| recording.proxy) {
            Some(proxy) => recording::bind_proxy(proxy, &rim).await?,
            None => None,
        };
        let address =
            listener.address().map_err(|source| StartError::Listen { address: config.address, source })?;
        if let Some(base) = config.upstream.as_ref().filter(|base| is_at(base, address)) {
            return Err(StartError::Upstream(format!("{base} is this service itself")));
        }
        let (connections, grace) = (config.limits.connections, config.timeouts.shutdown);
        Ok(Server { listener, address, connections, grace, proxy, rim })
    }

    /// Where it listens; with the real port where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the proxy listens, if there is one.
    #[must_use]
    pub fn proxy_address(&self) -> Option<SocketAddr> {
        self.proxy.as_ref().map(Proxy::address)
    }

    /// Serves until `shutdown` is done. Then it takes no more connections, lets what it has begun end within the
    /// shutdown time, and cuts off what has not.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Ended {
        let stop = CancellationToken::new();
        let proxied = async {
            match self.proxy {
                Some(proxy) => proxy.serve(stop.cancelled()).await,
                None => 0,
            }
        };
        let following = async {
            if let Some(validation) = &self.rim.validation {
                Arc::clone(validation).follow(stop.clone()).await;
            }
        };
        let stopping = async {
            shutdown.await;
            stop.cancel();
        };
        let served = self.listener.serve(self.connections, self.grace, stop.cancelled());
        let (ended, cut, (), ()) = tokio::join!(served, proxied, following, stopping);
        if let Some(recording) = &self.rim.recording {
            recording.recorder.flush(self.grace).await;
        }
        match ended {
            Ended::Clean if cut == 0 => Ended::Clean,
            Ended::Clean => Ended::Cut { connections: cut },
            Ended::Cut { connections } => Ended::Cut { connections: connections + cut },
        }
    }
}
