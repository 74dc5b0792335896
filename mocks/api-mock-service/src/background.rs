//! The thread on which a server lives: it serves whatever the test's own threads do, and ends with the server.

use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use api_mock_server::Server;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::builder::MockServerBuilder;
use crate::error::StartError;
use crate::server::MockServer;

/// How long a drop waits for the thread. It takes longer only if a function that answers does not return.
const END: Duration = Duration::from_secs(5);
/// How long the thread waits for what it started itself, such as the reading of a file.
const REST: Duration = Duration::from_secs(1);

/// Ends the thread when it is dropped.
#[derive(Debug)]
pub(crate) struct Background {
    stop: Option<oneshot::Sender<()>>,
    /// Only to be shared: nobody else asks.
    ended: Mutex<mpsc::Receiver<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Background {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Nothing is ever sent: the other side goes.
        let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
        let ended = ended.recv_timeout(END) == Err(mpsc::RecvTimeoutError::Disconnected);
        if let (Some(thread), true) = (self.thread.take(), ended) {
            let _ = thread.join();
        }
    }
}

/// Starts the thread, which tells of the server as soon as there is one, or why there is none.
pub(crate) fn start(
    builder: MockServerBuilder,
    tell: impl FnOnce(Result<MockServer, StartError>) + Send + 'static,
) -> Result<(), StartError> {
    let (own, thread) = mpsc::channel();
    let body = move || run(builder, tell, &thread);
    let started = std::thread::Builder::new().name("mock-server".to_owned()).spawn(body);
    // The thread waits for its own handle, so that the server can wait for the thread.
    let _ = own.send(started.map_err(StartError::Thread)?);
    Ok(())
}

fn run(
    builder: MockServerBuilder,
    tell: impl FnOnce(Result<MockServer, StartError>),
    own: &mpsc::Receiver<JoinHandle<()>>,
) {
    let (here, ended) = mpsc::channel::<()>();
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return tell(Err(StartError::Thread(error))),
    };
    runtime.block_on(async {
        let (mounted, config) = match builder.prepare() {
            Ok(prepared) => prepared,
            Err(error) => return tell(Err(error)),
        };
        let identity = config.identity.clone();
        let server = match Server::bind(config, mounted.engine.clone().into()).await {
            Ok(server) => server,
            Err(error) => return tell(Err(error.into())),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let background = Background { stop: Some(stop), ended: Mutex::new(ended), thread: own.recv().ok() };
        let certificate = identity.map(|identity| identity.certificate_pem().to_owned());
        tell(Ok(MockServer::new(server.address(), certificate, mounted, background)));
        server
            .serve(async {
                let _ = stopped.await;
            })
            .await;
    });
    runtime.shutdown_timeout(REST);
    drop(here);
}
