//! One bell for each waiting ticket of this process, rung when the server says that it may be its turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use db_locks_core::protocol::WAITER_TTL_MS;
use redis::{FromRedisValue, PushInfo, PushKind};
use tokio::sync::Notify;

/// The most bells. Tickets beyond them are not rung: their callers ask again by themselves.
const MAX_BELLS: usize = 65_536;

/// The bells of one client.
#[derive(Debug, Default)]
pub(crate) struct Bells {
    hung: Mutex<HashMap<String, Bell>>,
}

#[derive(Debug)]
struct Bell {
    notify: Arc<Notify>,
    /// When this ticket last asked for the lock: one that is silent for long was forgotten.
    asked: Instant,
}

impl Bells {
    /// Before a ticket is sent that may have to wait, so that no call is missed.
    pub(crate) fn hang(&self, ticket: &str) {
        let mut hung = self.lock();
        if let Some(bell) = hung.get_mut(ticket) {
            bell.asked = Instant::now();
            return;
        }
        if hung.len() >= MAX_BELLS {
            let forgotten = Duration::from_millis(WAITER_TTL_MS.unsigned_abs());
            hung.retain(|_, bell| bell.asked.elapsed() < forgotten);
        }
        if hung.len() < MAX_BELLS {
            hung.insert(ticket.to_string(), Bell { notify: Arc::default(), asked: Instant::now() });
        }
    }

    /// The ticket waits no longer.
    pub(crate) fn take_down(&self, ticket: &str) {
        self.lock().remove(ticket);
    }

    /// Returns when the bell of this ticket rings, or has rung since it last did. Never, if there is none.
    pub(crate) async fn rung(&self, ticket: &str) {
        let bell = self.lock().get(ticket).map(|bell| Arc::clone(&bell.notify));
        match bell {
            Some(bell) => bell.notified().await,
            None => std::future::pending().await,
        }
    }

    /// What the server sends without being asked.
    pub(crate) fn hear(&self, push: PushInfo) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => {
                // Channel and ticket.
                if let Some(Ok(ticket)) = push.data.into_iter().nth(1).map(String::from_redis_value) {
                    self.ring(&ticket);
                }
            }
            // While the connection was away, messages were lost; and a lost connection is made anew by who asks next.
            PushKind::Subscribe | PushKind::Disconnection => self.ring_all(),
            _ => {}
        }
    }

    fn ring(&self, ticket: &str) {
        if let Some(bell) = self.lock().get(ticket) {
            bell.notify.notify_one();
        }
    }

    fn ring_all(&self) {
        for bell in self.lock().values() {
            bell.notify.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Bell>> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use redis::Value;

    use super::*;

    fn message(ticket: &str) -> PushInfo {
        let data = vec![Value::BulkString(b"channel".to_vec()), Value::BulkString(ticket.into())];
        PushInfo { kind: PushKind::Message, data }
    }

    async fn rings(bells: &Bells, ticket: &str) -> bool {
        tokio::time::timeout(Duration::from_millis(20), bells.rung(ticket)).await.is_ok()
    }

    #[tokio::test]
    async fn a_call_between_two_looks_is_not_missed() {
        let bells = Bells::default();
        bells.hang("a");
        bells.hang("b");
        bells.hear(message("a"));
        bells.hear(message("unknown"));
        assert!(rings(&bells, "a").await);
        assert!(!rings(&bells, "a").await);
        assert!(!rings(&bells, "b").await);

        bells.hear(PushInfo { kind: PushKind::Disconnection, data: Vec::new() });
        assert!(rings(&bells, "a").await && rings(&bells, "b").await);
        bells.take_down("b");
        bells.hear(message("b"));
        assert!(!rings(&bells, "b").await);
    }

    #[test]
    fn bells_are_bounded() {
        let bells = Bells::default();
        for number in 0..MAX_BELLS + 10 {
            bells.hang(&number.to_string());
        }
        assert_eq!(bells.lock().len(), MAX_BELLS);
    }
}
