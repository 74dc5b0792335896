//! What the library promises above the stores, tried on each of them: futures dropped anywhere, the blocking forms, guards,
//! fairness turned off.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::future::Future;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::Duration;

use db_locks::{Locks, blocking};
use libtest_mimic::{Arguments, Failed, Trial};

/// A store's name, whether it is compiled in, and the variable that names a server of it.
const STORES: [(&str, bool, &str); 5] = [
    ("sqlite", cfg!(feature = "sqlite"), ""),
    ("postgres", cfg!(feature = "postgres"), "DB_LOCKS_TEST_POSTGRES_URL"),
    ("mysql", cfg!(feature = "mysql"), "DB_LOCKS_TEST_MYSQL_URL"),
    ("redis", cfg!(feature = "redis"), "DB_LOCKS_TEST_REDIS_URL"),
    ("dynamodb", cfg!(feature = "dynamodb"), "DB_LOCKS_TEST_DYNAMODB_URL"),
];

type Test = (&'static str, fn(&Place) -> Result<(), Failed>);

const TESTS: [Test; 5] = [
    ("an_acquire_dropped_anywhere_leaves_nothing", |place| place.run(dropped_anywhere)),
    ("a_waiting_acquire_dropped_anywhere_leaves_no_place", |place| place.run(dropped_while_waiting)),
    ("a_release_dropped_anywhere_is_finished", |place| place.run(release_dropped)),
    ("without_fairness_a_newcomer_passes_who_waits", |place| place.run(without_fairness)),
    ("plain_threads_have_it_all", plain_threads),
];

/// A database, and a tenant that nobody else uses.
struct Place {
    url: String,
    tenant: String,
    _folder: tempfile::TempDir,
}

impl Place {
    fn new(store: &str, variable: &str) -> Result<Self, Failed> {
        let folder = tempfile::tempdir()?;
        let tenant = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        let server =
            || std::env::var(variable).map_err(|_| format!("{variable} is not set: run `cargo xtask test`"));
        let url = match store {
            "sqlite" => format!("sqlite:{}", folder.path().join("locks.db").display()),
            "dynamodb" => format!("dynamodb+{}", server()?),
            _ => server()?,
        };
        Ok(Self { url, tenant, _folder: folder })
    }

    /// Another client, as of another process.
    async fn locks(&self) -> Locks {
        Locks::connect_as(&self.url, &self.tenant).await.unwrap()
    }

    fn run<F: Future<Output = ()>>(&self, test: impl FnOnce(Locks, Locks) -> F) -> Result<(), Failed> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async { test(self.locks().await, self.locks().await).await });
        Ok(())
    }
}

/// Ends a future after so many polls; none if it was done before.
struct Dropped<F> {
    future: Pin<Box<F>>,
    polls: u32,
}

impl<F: Future> Future for Dropped<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(None);
        }
        self.polls -= 1;
        match self.future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Nobody wakes it when it has been polled often enough.
            Poll::Pending if self.polls == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

fn after<F: Future>(polls: u32, future: F) -> Dropped<F> {
    Dropped { future: Box::pin(future), polls }
}

/// At first every number of polls, then fewer and fewer.
fn numbers_of_polls() -> impl Iterator<Item = u32> {
    (1..16).chain((16..=120).step_by(8))
}

const LEASE: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(20);

/// Another client gets the lock at once, for nobody holds it and nobody waits.
async fn is_free(other: &Locks, key: &str, polls: u32) {
    let guard = other.mutex(key).lease(LEASE).try_acquire().await.unwrap();
    let guard =
        guard.unwrap_or_else(|| panic!("something is left of an acquire dropped after {polls} polls"));
    assert!(guard.release().await.unwrap());
}

async fn dropped_anywhere(locks: Locks, other: Locks) {
    for polls in numbers_of_polls() {
        let acquire = locks.mutex("free").lease(LEASE).wait(WAIT).acquire();
        // A guard is dropped at once, too.
        drop(after(polls, acquire).await);
        locks.settled().await;
        is_free(&other, "free", polls).await;
    }
}

async fn dropped_while_waiting(locks: Locks, other: Locks) {
    for polls in numbers_of_polls().step_by(2) {
        let held = other.mutex("held").lease(LEASE).acquire().await.unwrap();
        let acquire = after(polls, locks.mutex("held").lease(LEASE).wait(WAIT).acquire());
        // Nothing wakes one who waits; so he is given up at the latest after a while.
        let _ = tokio::time::timeout(Duration::from_millis(100), acquire).await;
        locks.settled().await;
        assert!(held.release().await.unwrap());
        is_free(&other, "held", polls).await;
    }
}

async fn release_dropped(locks: Locks, other: Locks) {
    for polls in numbers_of_polls().step_by(2) {
        let guard = locks.mutex("kept").lease(LEASE).acquire().await.unwrap();
        let _ = after(polls, guard.release()).await;
        locks.settled().await;
        is_free(&other, "kept", polls).await;
    }
}

async fn without_fairness(locks: Locks, other: Locks) {
    let held = other.mutex("contended").lease(LEASE).acquire().await.unwrap();
    let mut waiting = pin!(locks.mutex("contended").lease(LEASE).wait(WAIT).acquire());
    let asks = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
    assert!(asks.is_err(), "it was granted what another holds");
    // He cannot go on meanwhile, since nobody polls him; but his process shows that it lives.
    assert!(held.release().await.unwrap());
    let newcomer = other.mutex("contended").lease(LEASE).try_acquire().await.unwrap();
    assert!(newcomer.is_none(), "a newcomer passed who waits");
    let passes = other.mutex("contended").lease(LEASE).fair(false).try_acquire().await.unwrap().unwrap();
    let token = passes.fencing_token();
    assert!(passes.release().await.unwrap());
    let guard = waiting.await.unwrap();
    assert!(guard.fencing_token() > token);
    assert!(guard.release().await.unwrap());
}

fn plain_threads(place: &Place) -> Result<(), Failed> {
    let connect = || blocking::Locks::connect_as(&place.url, &place.tenant);
    let (locks, other) = (connect()?, connect()?);
    let guard = locks.mutex("one").lease(Duration::from_secs(3)).acquire()?;
    let token = guard.fencing_token();
    assert!(other.mutex("one").try_acquire()?.is_none());
    // Renewed while nobody looks.
    assert_eq!(guard.wait_lost(Duration::from_millis(1_500))?, None);
    assert!(guard.is_held());
    let waits = std::thread::spawn({
        let other = other.clone();
        move || other.mutex("one").lease(LEASE).wait(WAIT).acquire()
    });
    std::thread::sleep(Duration::from_millis(200));
    assert!(guard.release()?);
    let next = waits.join().unwrap()?;
    assert!(next.fencing_token() > token);
    drop(next);
    other.settle()?;
    let slots = [
        locks.semaphore("two", 2).lease(LEASE).acquire()?,
        other.semaphore("two", 2).lease(LEASE).acquire()?,
    ];
    assert!(locks.semaphore("two", 2).try_acquire()?.is_none());
    for slot in slots {
        assert!(slot.release()?);
    }
    assert!(locks.mutex("one").try_acquire()?.is_some());
    Ok(())
}

fn main() -> ExitCode {
    let mut trials = Vec::new();
    for (store, compiled_in, variable) in STORES {
        for (name, test) in TESTS {
            let trial = move || test(&Place::new(store, variable)?);
            let trial = Trial::test(format!("{store}::{name}"), trial);
            let kind = if compiled_in { "" } else { "not compiled in" };
            trials.push(trial.with_kind(kind).with_ignored_flag(!compiled_in));
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
