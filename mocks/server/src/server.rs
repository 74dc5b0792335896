//! What users of the crate hold.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use api_mock_engine::Engine;

use crate::listen::{Ended, Listener};
use crate::metrics::Metrics;
use crate::rim::Rim;
use crate::{ServerConfig, StartError};

/// A server that has its port, and serves when told to.
pub struct Server {
    listener: Listener,
    address: SocketAddr,
    connections: usize,
    grace: Duration,
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
        let rim = Arc::new(Rim::new(&config, engine, Metrics::new()?));
        let listener = Listener::bind(&config, rim).await?;
        let address =
            listener.address().map_err(|source| StartError::Listen { address: config.address, source })?;
        let (connections, grace) = (config.limits.connections, config.timeouts.shutdown);
        Ok(Server { listener, address, connections, grace })
    }

    /// Where it listens; with the real port where 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` is done. Then it takes no more connections, lets what it has begun end within the
    /// shutdown time, and cuts off what has not.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Ended {
        self.listener.serve(self.connections, self.grace, shutdown).await
    }
}
