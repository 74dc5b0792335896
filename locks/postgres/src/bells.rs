//! Wake-ups: one connection that listens on this client's channel, and a bell for each waiter.
//!
//! A bell only means "ask now". One that is lost (a dropped connection, a pooler in between) costs time and nothing else,
//! because waiters also ask by themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::protocol::WAITER_TTL_MS;
use futures_util::future::poll_fn;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::Settings;

/// The most waiters that are rung; one more must ask by itself.
const MAX_BELLS: usize = 65_536;
/// The pause before connecting again, at first and at last.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// How often the silent connection is asked whether it lives.
const HEALTH_PERIOD: Duration = Duration::from_secs(10);

/// The bells of the waiters of one client, by ticket.
#[derive(Debug, Default)]
struct Bells {
    by_ticket: Mutex<HashMap<String, Bell>>,
}

#[derive(Debug)]
struct Bell {
    notify: Arc<Notify>,
    hung: Instant,
}

impl Bells {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Bell>> {
        self.by_ticket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hang(&self, ticket: &str) {
        let mut bells = self.lock();
        let now = Instant::now();
        if let Some(bell) = bells.get_mut(ticket) {
            bell.hung = now;
            return;
        }
        if bells.len() >= MAX_BELLS {
            // Of waiters that went away without a word.
            let forgotten = Duration::from_millis(WAITER_TTL_MS.unsigned_abs());
            bells.retain(|_, bell| now.duration_since(bell.hung) < forgotten);
        }
        if bells.len() < MAX_BELLS {
            bells.insert(ticket.to_string(), Bell { notify: Arc::default(), hung: now });
        }
    }

    fn ring(&self, ticket: &str) {
        if let Some(bell) = self.lock().get(ticket) {
            bell.notify.notify_one();
        }
    }

    fn ring_all(&self) {
        self.lock().values().for_each(|bell| bell.notify.notify_one());
    }
}

/// The doorbell of one repository. Its connection is opened when somebody waits for the first time, and closed with it.
pub(crate) struct Doorbell {
    bells: Arc<Bells>,
    settings: Settings,
    tls: MakeRustlsConnect,
    channel: String,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl std::fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Doorbell").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl Doorbell {
    /// A doorbell for the client of this name, which is also the channel's.
    pub(crate) fn new(settings: Settings, tls: MakeRustlsConnect, channel: String) -> Self {
        Self { bells: Arc::default(), settings, tls, channel, task: Mutex::default() }
    }

    /// Expects rings for this ticket. To be called before the database is told of it.
    pub(crate) fn hang(&self, ticket: &str) {
        self.bells.hang(ticket);
    }

    /// No more rings for this ticket.
    pub(crate) fn take_down(&self, ticket: &str) {
        self.bells.lock().remove(ticket);
    }

    /// Listens from now on, if nobody does yet.
    pub(crate) fn listen(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_none_or(JoinHandle::is_finished) {
            let (settings, tls) = (self.settings.clone(), self.tls.clone());
            let (bells, channel) = (self.bells.clone(), self.channel.clone());
            *task = Some(tokio::spawn(async move { listen(&settings, &tls, &channel, &bells).await }));
        }
    }

    /// Returns when this ticket is rung; never for one that is not expected.
    pub(crate) async fn rung(&self, ticket: &str) {
        let bell = self.bells.lock().get(ticket).map(|bell| bell.notify.clone());
        match bell {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        let task = self.task.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = task.take() {
            task.abort();
        }
    }
}

/// Keeps one listening connection until it is aborted.
async fn listen(settings: &Settings, tls: &MakeRustlsConnect, channel: &str, bells: &Bells) {
    let mut pause = RECONNECT.0;
    loop {
        match timeout(settings.connect_timeout, settings.driver.connect(tls.clone())).await {
            Ok(Ok((client, connection))) => {
                pause = RECONNECT.0;
                let ended = tokio::select! {
                    ended = pass_on(connection, bells) => ended,
                    ended = attend(&client, settings.request_timeout, channel, bells) => ended,
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "the connection that listens for wake-ups was lost");
                }
            }
            Ok(Err(error)) => tracing::debug!(%error, "cannot listen for wake-ups"),
            Err(_) => tracing::debug!("cannot listen for wake-ups: no connection in time"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(RECONNECT.1);
    }
}

/// Passes notifications on to the bells, until the connection ends.
async fn pass_on<T>(mut connection: Connection<Socket, T>, bells: &Bells) -> Result<(), Error>
where
    Connection<Socket, T>: Send,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message? {
            bells.ring(notification.payload());
        }
    }
    Ok(())
}

/// Subscribes, and looks from time to time whether the silent connection lives.
async fn attend(client: &Client, limit: Duration, channel: &str, bells: &Bells) -> Result<(), Error> {
    // The channel is `dbl_` and hexadecimal digits.
    if let Ok(subscribed) = timeout(limit, client.batch_execute(&format!("LISTEN {channel}"))).await {
        subscribed?;
        // What was rung before this was not heard.
        bells.ring_all();
        loop {
            sleep(HEALTH_PERIOD).await;
            let Ok(alive) = timeout(limit, client.batch_execute("")).await else { break };
            alive?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ring_before_the_wait_is_not_lost_and_strangers_hear_nothing() {
        let bells = Bells::default();
        bells.hang("a");
        bells.ring("a");
        bells.ring("unknown");
        let bell = bells.lock().get("a").map(|bell| bell.notify.clone()).unwrap();
        timeout(Duration::from_secs(1), bell.notified()).await.unwrap();
        assert!(timeout(Duration::from_millis(20), bell.notified()).await.is_err());
    }

    #[test]
    fn bells_are_bounded() {
        let bells = Bells::default();
        for ticket in 0..MAX_BELLS + 10 {
            bells.hang(&ticket.to_string());
        }
        assert_eq!(bells.lock().len(), MAX_BELLS);
    }
}
