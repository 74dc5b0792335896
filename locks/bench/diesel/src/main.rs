//! Statements a second of tokio-postgres and of diesel-async, each on connections of its own, in the same run:
//! `UPDATE … SET fence = fence + 1, owner = $2 WHERE name = $1 RETURNING fence` over 10,000 rows.

use std::time::{Duration, Instant};

use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use tokio_postgres::NoTls;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const ROWS: u64 = 10_000;
const LASTS: Duration = Duration::from_secs(4);
const UPDATE: &str =
    "UPDATE db_locks_bench_diesel SET fence = fence + 1, owner = $2 WHERE name = $1 RETURNING fence";

diesel::table! {
    db_locks_bench_diesel (name) {
        name -> Text,
        fence -> BigInt,
        owner -> Text,
    }
}

#[tokio::main]
async fn main() -> Outcome {
    let url = std::env::var("DATABASE_URL").map_err(|_| "set DATABASE_URL to a PostgreSQL server")?;
    prepare(&url).await?;
    println!("{:>6} {:>16} {:>14} {:>7}", "tasks", "tokio-postgres", "diesel-async", "ratio");
    for tasks in [1, 16] {
        for _ in 0..3 {
            let driver = rate(tasks, &url, driver_task).await?;
            let diesel = rate(tasks, &url, diesel_task).await?;
            println!("{tasks:>6} {driver:>16.0} {diesel:>14.0} {:>7.2}", diesel / driver);
        }
    }
    let client = connect(&url).await?;
    client.batch_execute("DROP TABLE db_locks_bench_diesel").await?;
    Ok(())
}

async fn connect(url: &str) -> Outcome<tokio_postgres::Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(async move {
        let _ = connection.await;
    });
    Ok(client)
}

async fn prepare(url: &str) -> Outcome {
    let client = connect(url).await?;
    client
        .batch_execute(&format!(
            "DROP TABLE IF EXISTS db_locks_bench_diesel;
             CREATE TABLE db_locks_bench_diesel (name text PRIMARY KEY, fence bigint NOT NULL, owner text NOT NULL);
             INSERT INTO db_locks_bench_diesel SELECT 'lock ' || n, 0, '' FROM generate_series(0, {}) n;
             ANALYZE db_locks_bench_diesel",
            ROWS - 1
        ))
        .await?;
    Ok(())
}

/// Statements a second of so many tasks.
async fn rate<F, Fut>(tasks: u64, url: &str, task: F) -> Outcome<f64>
where
    F: Fn(String, u64) -> Fut,
    Fut: Future<Output = Outcome<u64>> + Send + 'static,
{
    let begun = Instant::now();
    let running: Vec<_> = (0..tasks).map(|n| tokio::spawn(task(url.to_string(), n))).collect();
    let mut done = 0;
    for task in running {
        done += task.await??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// The names that a task updates, in an order that visits every row.
fn name(task: u64, turn: u64) -> String {
    format!("lock {}", (task * 631 + turn * 7_919) % ROWS)
}

async fn driver_task(url: String, task: u64) -> Outcome<u64> {
    let client = connect(&url).await?;
    let update = client.prepare(UPDATE).await?;
    let (begun, mut turn) = (Instant::now(), 0);
    while begun.elapsed() < LASTS {
        let row = client.query_one(&update, &[&name(task, turn), &"bench"]).await?;
        assert!(row.get::<_, i64>(0) > 0);
        turn += 1;
    }
    Ok(turn)
}

async fn diesel_task(url: String, task: u64) -> Outcome<u64> {
    let mut connection = AsyncPgConnection::establish(&url).await?;
    let (begun, mut turn) = (Instant::now(), 0);
    while begun.elapsed() < LASTS {
        // The query builder's statements are prepared once and cached, as the driver's is.
        let row = db_locks_bench_diesel::table.find(name(task, turn));
        let fence: i64 = diesel::update(row)
            .set((
                db_locks_bench_diesel::fence.eq(db_locks_bench_diesel::fence + 1),
                db_locks_bench_diesel::owner.eq("bench"),
            ))
            .returning(db_locks_bench_diesel::fence)
            .get_result(&mut connection)
            .await?;
        assert!(fence > 0);
        turn += 1;
    }
    Ok(turn)
}
