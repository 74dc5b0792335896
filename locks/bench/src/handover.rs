//! How long the next one waits after a release, in another process.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::AttributeValue;
use mysql_async::prelude::Queryable;

use crate::contest::{self, Contestant};
use crate::database::{Database, Kind};
use crate::naive::Connections;
use crate::naive::dynamodb::Dynamo;
use crate::stats::{Dice, median, millis, percentile};
use crate::{Outcome, connect, naive};

const ROUNDS: usize = 100;
/// Writes of the bare driver, for comparison.
const WRITES: usize = 40;

pub(crate) async fn measure(databases: &[Database]) -> Outcome {
    println!(
        "Handover between two processes, {ROUNDS} times, ms. The waiter has waited for 0.1 to 0.4 s. \"One write\" is one row \
         changed by the bare driver after the same pauses, durable as the server is set: DynamoDB's round trip, PostgreSQL's commit."
    );
    println!(
        "{:<10} {:>10} {:>12} {:>12} {:>8} {:>8} {:>18}",
        "database", "one write", "from call", "from return", "p99", "max", "from return, writes"
    );
    for database in databases {
        let write = one_write(database).await?;
        let seen = contest::handover(&Contestant::ours(database)?, ROUNDS).await?;
        println!(
            "{:<10} {:>10.3} {:>12.2} {:>12.2} {:>8.2} {:>8.2} {:>18.1}",
            database.name(),
            millis(write),
            millis(median(&seen.from_call)),
            millis(median(&seen.from_return)),
            millis(percentile(&seen.from_call, 0.99)),
            millis(percentile(&seen.from_call, 1.0)),
            median(&seen.from_return) as f64 / write as f64,
        );
    }
    Ok(())
}

/// As long as a waiter waits: what was idle takes longer, on both sides.
async fn pause(dice: &mut Dice) {
    tokio::time::sleep(Duration::from_millis(dice.between(100, 400))).await;
}

/// The median time of a change of one row, in nanoseconds.
async fn one_write(database: &Database) -> Outcome<i64> {
    let (mut times, mut dice) = (Vec::with_capacity(WRITES), Dice::new());
    match database.kind {
        Kind::Sqlite => {
            let connection = rusqlite::Connection::open(database.address().to_string() + ".write")?;
            connection.execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;
                 CREATE TABLE IF NOT EXISTS one (n INTEGER); DELETE FROM one; INSERT INTO one VALUES (0)",
            )?;
            for _ in 0..WRITES {
                pause(&mut dice).await;
                let begun = Instant::now();
                connection.prepare_cached("UPDATE one SET n = n + 1")?.execute([])?;
                times.push(begun.elapsed().as_nanos() as i64);
            }
        }
        Kind::Postgres => {
            let client = connect::postgres(database.address()).await?;
            client
                .batch_execute(
                    "DROP TABLE IF EXISTS db_locks_bench_one;
                     CREATE TABLE db_locks_bench_one (n bigint); INSERT INTO db_locks_bench_one VALUES (0)",
                )
                .await?;
            let update = client.prepare("UPDATE db_locks_bench_one SET n = n + 1").await?;
            for _ in 0..WRITES {
                pause(&mut dice).await;
                let begun = Instant::now();
                client.execute(&update, &[]).await?;
                times.push(begun.elapsed().as_nanos() as i64);
            }
        }
        Kind::Mysql => {
            let mut conn = connect::mysql(database.address()).await?;
            conn.query_drop("DROP TABLE IF EXISTS db_locks_bench_one").await?;
            conn.query_drop("CREATE TABLE db_locks_bench_one (id int PRIMARY KEY, n bigint)").await?;
            conn.query_drop("INSERT INTO db_locks_bench_one VALUES (1, 0)").await?;
            for _ in 0..WRITES {
                pause(&mut dice).await;
                let begun = Instant::now();
                conn.exec_drop("UPDATE db_locks_bench_one SET n = n + 1 WHERE id = 1", ()).await?;
                times.push(begun.elapsed().as_nanos() as i64);
            }
        }
        Kind::Redis => {
            let mut connection = connect::redis(database.address()).await?;
            for _ in 0..WRITES {
                pause(&mut dice).await;
                let begun = Instant::now();
                let _: i64 =
                    redis::cmd("INCR").arg("db-locks-bench:one").query_async(&mut connection).await?;
                times.push(begun.elapsed().as_nanos() as i64);
            }
        }
        Kind::Dynamodb => {
            use naive::Naive;
            let engine = Dynamo::new(database.address(), Connections::EachOperation);
            engine.prepare().await?;
            let client = engine.connect();
            for _ in 0..WRITES {
                pause(&mut dice).await;
                let begun = Instant::now();
                client
                    .update_item()
                    .table_name(naive::dynamodb::TABLE)
                    .key("pk", AttributeValue::S("one".into()))
                    .update_expression("ADD n :one")
                    .expression_attribute_values(":one", AttributeValue::N("1".into()))
                    .send()
                    .await?;
                times.push(begun.elapsed().as_nanos() as i64);
            }
        }
    }
    Ok(median(&times))
}
