//! Acquire+release pairs of one client, beside the bare SDK sending the same two updates in the same run; and renewals
//! of many locks at once, beside a request for each.
//!
//! `cargo run --release -p db-locks-dynamodb --example dynamodb_pairs -- http://127.0.0.1:8000`

use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use db_locks_core::models::new_version;
use db_locks_core::{
    AcquireRequest, Acquired, LockId, LockRepository, LocksConfig, MutexLock, ReleaseRequest, RenewRequest,
};
use db_locks_dynamodb::DynamoRepository;
use futures_util::StreamExt;

/// How long one measurement lasts, and how many there are of each kind, taking turns.
const ROUND: Duration = Duration::from_secs(2);
const ROUNDS: usize = 5;
/// Locks that are renewed at once.
const HELD: usize = 1_000;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn bare_client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-west-2"))
        .credentials_provider(Credentials::new("local", "local", None, None, "example"))
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// What a mutex's acquire and release send, with nothing around it.
async fn bare_pair(client: &Client, key: &str) -> Outcome {
    let version = new_version();
    let slot = HashMap::from([
        ("v".to_string(), s(&version)),
        ("k".to_string(), n(0)),
        ("l".to_string(), n(15_000)),
        ("h".to_string(), AttributeValue::Bool(true)),
        ("o".to_string(), s("pairs")),
        ("u".to_string(), n(1_800_000_000_000_000)),
    ]);
    let update = || client.update_item().table_name("mutexes").key("pk", s(key));
    update()
        .update_expression(
            "SET s0 = :slot, f0 = if_not_exists(fence, :now) + :one, fence = if_not_exists(fence, :now) + :one \
             REMOVE purge_at, mark",
        )
        .condition_expression(
            "attribute_not_exists(s0.h) AND NOT (s0.v = :v) AND (attribute_not_exists(q) OR size(q) = :none)",
        )
        .expression_attribute_values(":v", s(&version))
        .expression_attribute_values(":slot", AttributeValue::M(slot))
        .expression_attribute_values(":now", n(1_800_000_000_000_000))
        .expression_attribute_values(":one", n(1))
        .expression_attribute_values(":none", n(0))
        .return_values(ReturnValue::AllNew)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await?;
    update()
        .update_expression("REMOVE s0.h, s0.o, s0.u")
        .condition_expression("s0.v = :v AND attribute_exists(s0.h) AND attribute_not_exists(s0.x)")
        .expression_attribute_values(":v", s(&version))
        .return_values(ReturnValue::None)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await?;
    Ok(())
}

fn request(lock: &LockId) -> AcquireRequest {
    AcquireRequest {
        owner: "pairs".into(),
        max_size: lock.is_semaphore().then_some(10),
        ..AcquireRequest::new(lock.clone())
    }
}

async fn our_pair(store: &DynamoRepository, lock: &LockId) -> Outcome {
    let request = request(lock);
    let Acquired::Granted(held) = store.acquire(&request).await? else { return Err("refused".into()) };
    let release = ReleaseRequest {
        lock: request.lock,
        mutex_key: held.mutex_key,
        version: held.version,
        delete: false,
        data: None,
    };
    if store.release(&release).await? { Ok(()) } else { Err("not released".into()) }
}

/// Pairs a second over one round.
async fn rate<F: Future<Output = Outcome>>(mut pair: impl FnMut() -> F) -> Outcome<f64> {
    let (begun, mut pairs) = (Instant::now(), 0_u32);
    while begun.elapsed() < ROUND {
        pair().await?;
        pairs += 1;
    }
    Ok(f64::from(pairs) / begun.elapsed().as_secs_f64())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}

fn renewal(lock: &MutexLock) -> Outcome<RenewRequest> {
    Ok(RenewRequest {
        lock: lock.lock_id()?,
        mutex_key: lock.mutex_key.clone(),
        version: lock.version.clone(),
        new_version: new_version(),
        lease_ms: 600_000,
        data: None,
    })
}

/// Renews each lock once, all at once or in requests of their own; renewals a second.
async fn renew(store: &DynamoRepository, held: &mut Vec<MutexLock>, together: bool) -> Outcome<f64> {
    let requests = held.iter().map(renewal).collect::<Outcome<Vec<_>>>()?;
    let begun = Instant::now();
    let replies = if together {
        store.renew_many(&requests).await
    } else {
        let alone = requests.iter().map(|request| store.renew(request));
        futures_util::stream::iter(alone).buffered(16).collect().await
    };
    *held = replies.into_iter().collect::<Result<_, _>>()?;
    Ok(held.len() as f64 / begun.elapsed().as_secs_f64())
}

/// What one process that holds many locks can renew.
async fn renewals(store: &DynamoRepository, tenant: &str) -> Outcome {
    let mut held = Vec::new();
    for number in 0..HELD {
        let mut request = request(&LockId::mutex(tenant, &format!("held-{number}"))?);
        request.lease_ms = 600_000;
        match store.acquire(&request).await? {
            Acquired::Granted(lock) => held.push(lock),
            Acquired::Busy(_) => return Err("refused".into()),
        }
    }
    let (mut together, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        together.push(renew(store, &mut held, true).await?);
        alone.push(renew(store, &mut held, false).await?);
    }
    let (together, alone) = (median(together), median(alone));
    println!("{HELD} locks, a request each, 16 at a time {alone:8.0} renewals/s");
    println!("{HELD} locks, in batches {together:8.0} renewals/s, {:.2} of that", together / alone);
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let endpoint = std::env::args().nth(1).ok_or("usage: dynamodb_pairs http://host:port")?;
    let mut config = LocksConfig::new(&new_version());
    config.ddb_endpoint_url = Some(endpoint.clone());
    let store = DynamoRepository::connect(&config).await?;
    let mutex = LockId::mutex(&config.tenant_id, "pairs")?;
    let semaphore = LockId::semaphore(&config.tenant_id, "pairs")?;
    let (client, bare_key) = (bare_client(&endpoint), format!("bare:{}", config.tenant_id));
    let (mut bare, mut mutexes, mut slots) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(rate(|| bare_pair(&client, &bare_key)).await?);
        mutexes.push(rate(|| our_pair(&store, &mutex)).await?);
        slots.push(rate(|| our_pair(&store, &semaphore)).await?);
    }
    let bare = median(bare);
    println!("the bare SDK, a mutex's updates {bare:8.0} pairs/s");
    for (what, rates) in [("mutex", mutexes), ("slot of a semaphore of ten", slots)] {
        let ours = median(rates);
        println!("{what:31} {ours:8.0} pairs/s, {:.2} of the bare SDK", ours / bare);
    }
    renewals(&store, &config.tenant_id).await
}
