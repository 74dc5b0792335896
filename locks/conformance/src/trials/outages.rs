//! Servers that die and networks that lose things (I5, I6).

use std::sync::Arc;
use std::time::{Duration, Instant};

use db_locks_core::{ErrorKind, LockError, LockId, LocksConfig, MutexLock};

use crate::backend::Store;
use crate::failure::{Failure, Outcome, check, check_eq};
use crate::fixture::{Fixture, Heart, LONG_LEASE_MS, ask, release, renewal, sleep_ms, token};
use crate::harness::suite;
use crate::proxy::{self, Mode, Proxy};
use crate::server::PrivateServer;
use crate::witness::Witness;
use crate::work::{Job, count_once, patiently};

suite![
    killed_server_forgets_no_lease: needs(Restart) seconds(180),
    killed_server_under_load_never_lets_two_hold: needs(Restart) seconds(180),
    absent_server_is_reported_in_time: needs(Proxy),
    silent_server_is_reported_in_time: needs(Proxy),
    client_works_again_when_the_server_does: needs(Proxy),
    lost_reply_of_an_acquire: needs(Proxy),
    lost_reply_of_an_acquire_that_waits: needs(Proxy),
    lost_reply_of_a_renewal: needs(Proxy),
    lost_reply_of_a_release: needs(Proxy),
];

/// A server of the store's kind that the trial may kill, and a client of it.
pub(super) async fn private(f: &Fixture) -> Outcome<(PrivateServer, Fixture)> {
    let kind = f.backend.server_kind().ok_or_else(|| Failure::new("no kind of server"))?;
    let server = PrivateServer::start(kind).await?;
    let config = f.backend.config_for_url(&f.config.tenant_id, &server.url);
    let store = f.backend.connect(&config).await?;
    Ok((server, Fixture { backend: f.backend.clone(), config, store, slowness: f.slowness }))
}

/// A client, as soon as the server lets one in.
async fn connect_patiently(f: &Fixture) -> Outcome<Arc<dyn Store>> {
    patiently(|| f.another()).await
}

async fn killed_server_forgets_no_lease(f: Fixture) -> Outcome {
    let (server, f) = private(&f).await?;
    let asks = [f.both("long")?, f.both("brief")?, f.both("given back")?].concat();
    let mut held = Vec::new();
    for (asked, lease_ms) in
        asks.iter().zip([LONG_LEASE_MS, LONG_LEASE_MS, 200, 200, LONG_LEASE_MS, LONG_LEASE_MS])
    {
        held.push(asked.clone().data("kept").lease_ms(lease_ms).granted(&f.store).await?);
    }
    f.release(&held[4]).await?;
    f.release(&held[5]).await?;

    server.kill().await?;
    let down = asks[0].anew().on(&f.store).await;
    check!(matches!(&down, Err(error) if error.retryable()), "a server that is dead: {down:?}");
    server.restart().await?;

    let other = connect_patiently(&f).await?;
    for at in [0, 1] {
        asks[at].anew().busy(&other).await?;
        // The old client finds the new server by itself.
        let request = renewal(&held[at])?;
        let renewed = patiently(|| f.store.renew(&request)).await?;
        check_eq!((renewed.fencing_token, renewed.data.as_deref()), (held[at].fencing_token, Some("kept")));
        asks[at].anew().busy(&other).await?;
        f.release(&renewed).await?;
        check!(asks[at].anew().granted(&other).await?.fencing_token > held[at].fencing_token);
    }
    for at in 2..6 {
        let next = asks[at].anew().until_granted(&other, f.patience(200)).await?;
        check!(next.fencing_token > held[at].fencing_token, "tokens fell back over a restart");
    }
    Ok(())
}

async fn killed_server_under_load_never_lets_two_hold(f: Fixture) -> Outcome {
    let (server, f) = private(&f).await?;
    let asked = ask(&f.mutex("one")?).lease_ms(1_500);
    let folder = tempfile::tempdir()?;
    let witness = Arc::new(Witness::open(&folder.path().join("witness"))?);
    let mut working = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let job =
            Job { store: f.another().await?, asked: asked.clone(), witness: witness.clone(), hold_ms: 3 };
        working.spawn(async move {
            let _heart = Heart::of(&job.store, std::slice::from_ref(&job.asked.0.lock));
            loop {
                if let Err(failure) = count_once(&job).await {
                    return failure;
                }
            }
        });
    }
    for _ in 0..2 {
        sleep_ms(700).await;
        server.kill().await?;
        server.restart().await?;
        let before = witness.report()?.count();
        check!(before > 0, "nothing was granted before the server was killed");
        let back = Instant::now();
        while witness.report()?.count() < before + 20 {
            check!(back.elapsed() < Duration::from_secs(40), "no more grants after the restart");
            if let Some(failed) = working.try_join_next() {
                return Err(failed?);
            }
            sleep_ms(50).await;
        }
    }
    working.shutdown().await;
    witness.report()?.check(1)
}

/// The URL that this configuration connects to.
pub(super) fn url_of(config: &LocksConfig) -> Outcome<String> {
    let urls = [&config.database_url, &config.redis_url, &config.ddb_endpoint_url];
    urls.into_iter().find_map(Clone::clone).ok_or_else(|| Failure::new("the configuration has no URL"))
}

/// The configuration for another address, impatient enough for a trial.
fn config_at(f: &Fixture, url: &str) -> LocksConfig {
    LocksConfig {
        connect_timeout_ms: Some(2_500),
        request_timeout_ms: Some(2_500),
        server_error_retries_limit: Some(1),
        ..f.backend.config_for_url(&f.config.tenant_id, url)
    }
}

/// A proxy before the server, and the configuration that goes through it.
async fn proxied(f: &Fixture) -> Outcome<(Proxy, LocksConfig)> {
    let url = url_of(&f.config)?;
    let proxy = Proxy::before(proxy::address_of(&url)?).await?;
    let config = config_at(f, &proxy.url(&url)?);
    Ok((proxy, config))
}

/// The bound that every store must keep with the time-outs of [`config_at`], with room for a busy machine and for a
/// driver's own second try.
const BOUND: Duration = Duration::from_secs(20);

/// Fails as it should: unavailable, a retry may help, in time, without a password in its words.
async fn check_unavailable<T>(call: impl Future<Output = Result<T, LockError>>) -> Outcome {
    let begun = Instant::now();
    let Ok(answer) = tokio::time::timeout(2 * BOUND, call).await else {
        return Err(Failure::new(format!("no answer within {:?}", 2 * BOUND)));
    };
    let Err(error) = answer else { return Err(Failure::new("it worked, without a server")) };
    check_eq!(error.kind(), ErrorKind::CurrentlyUnavailable, "{}", error.chain());
    check!(error.retryable());
    check!(begun.elapsed() < BOUND, "reported only after {:?}", begun.elapsed());
    Ok(())
}

/// Connects and asks; the first of the two that fails is the answer.
async fn connect_and_ask(f: &Fixture, config: &LocksConfig, lock: &LockId) -> Result<(), LockError> {
    let store = f.backend.connect(config).await?;
    ask(lock).on(&store).await.map(drop)
}

async fn absent_server_is_reported_in_time(f: Fixture) -> Outcome {
    let (proxy, config) = proxied(&f).await?;
    drop(proxy);
    // Nobody listens at its port now.
    check_unavailable(connect_and_ask(&f, &config, &f.mutex("one")?)).await
}

async fn silent_server_is_reported_in_time(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let (proxy, config) = proxied(&f).await?;
    let store = patiently(|| f.backend.connect(&config)).await?;
    let lock = ask(&id).until_granted(&store, BOUND).await?;
    proxy.set(Mode::Silent);
    check_unavailable(ask(&f.mutex("two")?).on(&store)).await?;
    check_unavailable(async { store.renew(&renewal(&lock)?).await }).await?;
    check_unavailable(connect_and_ask(&f, &config, &f.mutex("three")?)).await
}

async fn client_works_again_when_the_server_does(f: Fixture) -> Outcome {
    let id = f.mutex("one")?;
    let (proxy, config) = proxied(&f).await?;
    let store = patiently(|| f.backend.connect(&config)).await?;
    let lock = ask(&id).until_granted(&store, BOUND).await?;
    for mode in [Mode::Cut, Mode::Silent, Mode::Cut] {
        proxy.set(mode);
        check_unavailable(ask(&f.mutex("two")?).on(&store)).await?;
        proxy.set(Mode::Pass);
        let next = ask(&f.mutex("three")?);
        let next = next.until_granted(&store, BOUND).await?;
        patiently(|| async { store.release(&release(&next)?).await }).await?;
    }
    f.store.renew(&renewal(&lock)?).await?;
    Ok(())
}

/// A client behind a proxy, and what it takes to lose a reply of its.
struct Lossy {
    proxy: Proxy,
    store: Arc<dyn Store>,
}

/// How often a trial tries to hit the reply that it means: drivers exchange other messages too.
const TRIES: usize = 8;

impl Lossy {
    async fn start(f: &Fixture) -> Outcome<Self> {
        let (proxy, config) = proxied(f).await?;
        let store = patiently(|| f.backend.connect(&config)).await?;
        Ok(Self { proxy, store })
    }

    /// Warms the connection up, so that the next reply is the operation's own; then loses that.
    async fn arm(&self, f: &Fixture) -> Outcome {
        let warm = ask(&f.mutex("warm")?).until_granted(&self.store, BOUND).await?;
        let renewed = patiently(|| async { self.store.renew(&renewal(&warm)?).await }).await?;
        patiently(|| async { self.store.release(&release(&renewed)?).await }).await?;
        self.proxy.set(Mode::LoseReply);
        Ok(())
    }

    /// The reply was lost, or is not to be lost any more.
    fn disarm(&self) {
        self.proxy.set(Mode::Pass);
    }
}

async fn lost_reply_of_an_acquire(f: Fixture) -> Outcome {
    let lossy = Lossy::start(&f).await?;
    let mut hits = 0;
    for number in 0..TRIES {
        for asked in f.both(&format!("key {number}"))? {
            lossy.arm(&f).await?;
            let first = asked.on(&lossy.store).await;
            lossy.disarm();
            // What the database knows, seen past the proxy: did it grant what the client has not heard of?
            let granted = granted_version(&f, &asked.0.lock).await?;
            let again = asked.until_granted(&lossy.store, BOUND).await?;
            if let Some(lock) = granted.filter(|lock| lock.version == asked.0.version) {
                check_eq!(again.fencing_token, lock.fencing_token, "the retry got another grant ({first:?})");
                check_eq!(again.mutex_key, lock.mutex_key);
                hits += 1;
            }
            f.release(&again).await?;
        }
        if hits >= 4 {
            return Ok(());
        }
    }
    check!(hits > 0, "the proxy never lost the reply of an acquire that was applied");
    Ok(())
}

/// The first held slot.
async fn granted_version(f: &Fixture, id: &LockId) -> Outcome<Option<MutexLock>> {
    let read = if id.is_semaphore() {
        f.store.get_semaphore_mutexes(id).await
    } else {
        f.store.get_mutex(id).await.map(|lock| vec![lock])
    };
    match read {
        Ok(locks) => Ok(locks.into_iter().find(|lock| lock.locked)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The ticket that the client has not heard of is its own when it asks again.
async fn lost_reply_of_an_acquire_that_waits(f: Fixture) -> Outcome {
    let lossy = Lossy::start(&f).await?;
    for (number, asked) in f.both("one")?.into_iter().enumerate() {
        let held = asked.granted(&f.store).await?;
        let waiting = asked.anew().waiting();
        lossy.arm(&f).await?;
        let _ = waiting.on(&lossy.store).await;
        lossy.disarm();
        let later = asked.anew().waiting();
        let _heart = Heart::of(&lossy.store, std::slice::from_ref(&asked.0.lock));
        let place = patiently(|| waiting.on(&lossy.store)).await?;
        let db_locks_core::Acquired::Busy(place) = place else {
            return Err(Failure::new("granted while another holds it"));
        };
        check_eq!(place.position, 0, "trial {number}: it queued behind itself");
        check_eq!(later.busy(&f.store).await?.position, 1);
        f.release(&held).await?;
        let lock = waiting.until_granted(&lossy.store, BOUND).await?;
        f.release(&lock).await?;
    }
    Ok(())
}

async fn lost_reply_of_a_renewal(f: Fixture) -> Outcome {
    let lossy = Lossy::start(&f).await?;
    for asked in f.both("one")? {
        let mut hits = 0;
        for _ in 0..TRIES {
            let lock = asked.anew().granted(&f.store).await?;
            let request = renewal(&lock)?;
            lossy.arm(&f).await?;
            let _ = lossy.store.renew(&request).await;
            lossy.disarm();
            let known = granted_version(&f, &asked.0.lock).await?;
            hits += usize::from(known.is_some_and(|lock| lock.version == request.new_version));
            let renewed = patiently(|| lossy.store.renew(&request)).await?;
            check_eq!((&renewed.version, token(&renewed)?), (&request.new_version, token(&lock)?));
            f.release(&renewed).await?;
            if hits > 1 {
                break;
            }
        }
        check!(hits > 0, "the proxy never lost the reply of a renewal that was applied");
    }
    Ok(())
}

async fn lost_reply_of_a_release(f: Fixture) -> Outcome {
    let lossy = Lossy::start(&f).await?;
    for asked in f.both("one")? {
        let mut hits = 0;
        for _ in 0..TRIES {
            let lock = asked.anew().granted(&f.store).await?;
            let request = release(&lock)?;
            lossy.arm(&f).await?;
            let _ = lossy.store.release(&request).await;
            lossy.disarm();
            hits += usize::from(granted_version(&f, &asked.0.lock).await?.is_none());
            check!(patiently(|| lossy.store.release(&request)).await?, "the retry of a release was refused");
            if hits > 1 {
                break;
            }
        }
        check!(hits > 0, "the proxy never lost the reply of a release that was applied");
    }
    Ok(())
}
