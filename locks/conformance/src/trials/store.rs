//! The store as a whole: what it claims, its tables, many calls in one.

use db_locks_core::LocksConfig;
use db_locks_core::models::new_version;

use crate::failure::{Outcome, check, check_eq, check_err};
use crate::fixture::{Fixture, ask, renewal};
use crate::harness::suite;

suite![
    claims_are_the_backends,
    migrations_run_once,
    migrations_run_from_many_clients_at_once,
    tables_have_the_names_of_the_configuration,
    clients_see_the_same_locks,
    renew_many_answers_in_order,
];

async fn claims_are_the_backends(f: Fixture) -> Outcome {
    check_eq!(f.store.capabilities(), f.backend.capabilities());
    check!(
        ["sqlite", "postgres", "mysql", "redis", "dynamodb"].contains(&f.store.name()),
        "{}",
        f.store.name()
    );
    check!(f.backend.name().starts_with(f.store.name()), "{} is called {}", f.backend.name(), f.store.name());
    f.store.ping().await?;
    let (first, last) = f.store.poll_ms();
    check!(0 < first && first <= last, "polls from {first} to {last} ms");
    Ok(())
}

async fn migrations_run_once(f: Fixture) -> Outcome {
    // The client has run them when it connected.
    check_eq!(f.store.migrate().await?, Vec::<String>::new());
    let lock = ask(&f.mutex("one")?).granted(&f.store).await?;
    check_eq!(f.another().await?.migrate().await?, Vec::<String>::new());
    f.store.renew(&renewal(&lock)?).await?;
    Ok(())
}

/// A configuration with tables that nobody has made yet.
fn with_new_tables(config: &LocksConfig) -> LocksConfig {
    let id = new_version().replace('-', "");
    LocksConfig {
        mutexes_table_name: Some(format!("m_{id}")),
        semaphores_table_name: Some(format!("s_{id}")),
        waiters_table_name: Some(format!("w_{id}")),
        ..config.clone()
    }
}

async fn migrations_run_from_many_clients_at_once(f: Fixture) -> Outcome {
    let config = with_new_tables(&f.config);
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (backend, config) = (f.backend.clone(), config.clone());
        starting.spawn(async move {
            let store = backend.connect(&config).await?;
            store.migrate().await.map(|applied| (store, applied))
        });
    }
    let id = f.mutex("one")?;
    let mut granted = 0;
    while let Some(started) = starting.join_next().await {
        let (store, applied) = started??;
        check_eq!(applied, Vec::<String>::new());
        granted += usize::from(ask(&id).granted(&store).await.is_ok());
    }
    check_eq!(granted, 1, "grants of one lock to six clients");
    Ok(())
}

async fn tables_have_the_names_of_the_configuration(f: Fixture) -> Outcome {
    let elsewhere = f.backend.connect(&with_new_tables(&f.config)).await?;
    for asked in f.both("one")? {
        let here = asked.granted(&f.store).await?;
        let there = asked.granted(&elsewhere).await?;
        check!(here.fencing_token != there.fencing_token, "one lock in two sets of tables");
        asked.anew().busy(&elsewhere).await?;
    }
    check_err!(elsewhere.get_mutex(&f.mutex("two")?).await, NotFound);
    Ok(())
}

async fn clients_see_the_same_locks(f: Fixture) -> Outcome {
    for asked in f.both("one")? {
        let other = f.another().await?;
        let lock = asked.granted(&f.store).await?;
        asked.anew().busy(&other).await?;
        let renewed = other.renew(&renewal(&lock)?).await?;
        f.release(&renewed).await?;
        asked.anew().granted(&other).await?;
    }
    Ok(())
}

async fn renew_many_answers_in_order(f: Fixture) -> Outcome {
    let mut requests = Vec::new();
    for number in 0..20 {
        for asked in f.both(&format!("key {number}"))? {
            let lock = asked.granted(&f.store).await?;
            let mut request = renewal(&lock)?;
            if number % 3 == 1 {
                request.version = "stale".into();
            }
            requests.push(request);
        }
    }
    requests[10].lock = f.mutex("absent")?;
    check_eq!(f.store.renew_many(&[]).await.len(), 0);
    let answers = f.store.renew_many(&requests).await;
    check_eq!(answers.len(), requests.len());
    for (request, answer) in requests.iter().zip(answers) {
        if request.version == "stale" || request.lock.key() == "absent" {
            check_err!(answer, NotFound);
        } else {
            let renewed = answer?;
            check_eq!((renewed.lock_id()?, &renewed.version), (request.lock.clone(), &request.new_version));
            f.store.renew(&renewal(&renewed)?).await?;
        }
    }
    Ok(())
}
