//! Fail-over to a streaming standby, with real processes: what is lost, and what a synchronous standby keeps.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use db_locks_core::{Acquired, ErrorKind, LockRepository, LocksConfig, MutexRepository};
use db_locks_postgres::PostgresRepository;
use support::{ask, granted, mutex, plain_client, release, renewal};

/// A server of this test's own that keeps what it confirms; dropping it kills it.
struct Server {
    folder: tempfile::TempDir,
    port: u64,
}

impl Server {
    fn start(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let output = xtask(folder.path(), &[&["server", "start", "postgres", "--durable"], more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        Self { port: line["ports"][0].as_u64().unwrap(), folder }
    }

    fn replica(&self) -> Self {
        Self::start(&["--replica-of", self.folder.path().to_str().unwrap()])
    }

    async fn connect(&self) -> Arc<PostgresRepository> {
        let mut config = LocksConfig::new("tenant");
        config.database_url = Some(format!("postgres://app:app@127.0.0.1:{}/locks", self.port));
        config.request_timeout_ms = Some(3_000);
        PostgresRepository::connect(&config).await.unwrap()
    }

    /// As superuser, outside of transactions.
    async fn say(&self, statements: &[&str]) {
        let url = format!("postgres://postgres:superuser@127.0.0.1:{}/locks", self.port);
        let client = plain_client(&url).await;
        for statement in statements {
            client.batch_execute(statement).await.unwrap();
        }
    }

    /// Waits until this is true.
    async fn until(&self, condition: &str) {
        let url = format!("postgres://postgres:superuser@127.0.0.1:{}/locks", self.port);
        let client = plain_client(&url).await;
        while !client.query_one(&format!("SELECT {condition}"), &[]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// From now on this standby gets nothing more.
    async fn cut_off(&self) {
        self.say(&["ALTER SYSTEM SET primary_conninfo = ''", "SELECT pg_reload_conf()"]).await;
        self.until("NOT EXISTS (SELECT 1 FROM pg_stat_wal_receiver WHERE status = 'streaming')").await;
    }

    async fn promote(&self) {
        self.say(&["SELECT pg_promote()"]).await;
        self.until("NOT pg_is_in_recovery()").await;
    }

    fn kill(&self) {
        assert!(xtask(self.folder.path(), &["server", "kill"]).status.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        xtask(self.folder.path(), &["server", "kill"]);
    }
}

fn xtask(folder: &Path, args: &[&str]) -> Output {
    let program =
        std::env::var_os("DB_LOCKS_XTASK").expect("DB_LOCKS_XTASK is not set: run `cargo xtask test`");
    Command::new(program).args(args).arg("--dir").arg(folder).stdin(Stdio::null()).output().unwrap()
}

/// A primary with the tables, and a standby that has all that it has.
async fn pair() -> (Server, Server, Arc<PostgresRepository>) {
    let primary = Server::start(&[]);
    let store = primary.connect().await;
    let replica = primary.replica();
    primary.until("EXISTS (SELECT 1 FROM pg_stat_replication WHERE state = 'streaming')").await;
    (primary, replica, store)
}

/// An asynchronous standby may lack the newest grants: then somebody else gets the lock. What keeps the late holder out is its token.
#[tokio::test]
async fn a_grant_that_an_asynchronous_standby_has_not_got_is_lost_and_its_token_is_smaller() {
    let (primary, replica, one) = pair().await;
    replica.cut_off().await;
    let held = granted(&one, &ask(&mutex("one"))).await;
    primary.kill();
    replica.promote().await;
    let other = replica.connect().await;
    let second = granted(&other, &ask(&mutex("one"))).await;
    assert!(!held.expired(), "the first one still believes in its lease");
    assert!(second.fencing_token > held.fencing_token);
}

/// A synchronous standby has all that was confirmed; without it nothing is confirmed.
#[tokio::test]
async fn a_synchronous_standby_has_all_that_was_confirmed() {
    let (primary, replica, one) = pair().await;
    primary.say(&["ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()"]).await;
    primary.until("EXISTS (SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync')").await;
    let held = granted(&one, &ask(&mutex("one"))).await;
    let freed = granted(&one, &ask(&mutex("two"))).await;
    assert!(one.release(&release(&freed)).await.unwrap());
    let renewed = one.renew(&renewal(&held)).await.unwrap();

    replica.cut_off().await;
    let error = one.acquire(&ask(&mutex("three"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());
    let error = one.renew(&renewal(&renewed)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());

    primary.kill();
    replica.promote().await;
    let other = replica.connect().await;
    assert!(matches!(other.acquire(&ask(&mutex("one"))).await.unwrap(), Acquired::Busy(_)));
    let kept = other.get_mutex(&mutex("one")).await.unwrap();
    assert_eq!((kept.version, kept.fencing_token), (renewed.version, held.fencing_token));
    assert!(granted(&other, &ask(&mutex("two"))).await.fencing_token > freed.fencing_token);
    granted(&other, &ask(&mutex("three"))).await;
}
