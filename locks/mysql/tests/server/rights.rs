//! What a user must be allowed, and what is said when he is not.

use db_locks_core::{ErrorKind, LockError, LockRepository, LocksConfig};
use db_locks_mysql::MysqlRepository;

use crate::support::{
    Database, ask, config, granted, mutex, release, renewal, semaphore, server_url, without_database,
};

const PASSWORD: &str = "s3cret-pass";

/// A user of this database with these rights; returns the configuration that is his.
async fn user(database: &mut Database, rights: &str) -> LocksConfig {
    let name = format!("u{}", &database.name[2..30]);
    database.run(&format!("CREATE USER IF NOT EXISTS '{name}'@'%' IDENTIFIED BY '{PASSWORD}'")).await;
    database.run(&format!("REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{name}'@'%'")).await;
    let on = database.name.clone();
    database.run(&format!("GRANT {rights} ON {on}.* TO '{name}'@'%'")).await;
    let address = without_database(&database.url).split_once('@').unwrap().1.to_string();
    config(&format!("mysql://{name}:{PASSWORD}@{address}/{on}"))
}

async fn drop_user(database: &mut Database) {
    let name = format!("u{}", &database.name[2..30]);
    database.run(&format!("DROP USER '{name}'@'%'")).await;
}

fn check_denied(error: &LockError, words: &str) {
    assert_eq!(error.kind(), ErrorKind::AccessDenied, "{}", error.chain());
    assert!(!error.retryable());
    let all = format!("{} {error:?}", error.chain());
    assert!(all.contains(words), "{all}");
    assert!(!all.contains(PASSWORD), "{all}");
}

/// README says: SELECT, INSERT, UPDATE, DELETE and EXECUTE.
#[tokio::test]
async fn five_rights_are_enough_to_lock() {
    let mut database = Database::new().await;
    database.connect().await;
    let mut config = user(&mut database, "SELECT, INSERT, UPDATE, DELETE, EXECUTE").await;
    for migrate in [false, true] {
        // Nothing is missing, so nothing has to be made.
        config.run_database_migrations = Some(migrate);
        let store = MysqlRepository::connect(&config).await.unwrap();
        for lock in [mutex("one"), semaphore("one")] {
            let held = granted(&store, &ask(&lock)).await;
            let held = store.renew(&renewal(&held)).await.unwrap();
            assert!(store.release(&release(&held)).await.unwrap());
        }
        store.beat(&[]).await.unwrap();
    }
    drop_user(&mut database).await;
    database.drop().await;
}

/// README says: CREATE, CREATE ROUTINE and ALTER ROUTINE more.
#[tokio::test]
async fn three_more_make_tables_and_procedures() {
    let mut database = Database::new().await;
    let config =
        user(&mut database, "SELECT, INSERT, UPDATE, DELETE, EXECUTE, CREATE, CREATE ROUTINE, ALTER ROUTINE")
            .await;
    let store = MysqlRepository::connect(&config).await.unwrap();
    granted(&store, &ask(&mutex("one"))).await;
    drop_user(&mut database).await;
    database.drop().await;
}

#[tokio::test]
async fn missing_rights_are_named() {
    let mut database = Database::new().await;
    let config = user(&mut database, "SELECT").await;
    check_denied(&MysqlRepository::connect(&config).await.unwrap_err(), "denied");
    database.connect().await;
    // He may not sweep, which is no reason to refuse him; but he may not call anything.
    let config = user(&mut database, "SELECT, EXECUTE").await;
    let store = MysqlRepository::connect(&config).await.unwrap();
    check_denied(&store.acquire(&ask(&mutex("one"))).await.unwrap_err(), "denied");
    let config = user(&mut database, "SELECT, INSERT, UPDATE, DELETE").await;
    let mut forbidden = config.clone();
    forbidden.run_database_migrations = Some(false);
    let store = MysqlRepository::connect(&forbidden).await.unwrap();
    check_denied(&store.acquire(&ask(&mutex("one"))).await.unwrap_err(), "denied");
    drop_user(&mut database).await;
    database.drop().await;
}

#[tokio::test]
async fn wrong_passwords_are_refused_and_not_shown() {
    let url = server_url();
    let (_, address) = url.split_once('@').unwrap();
    let config = config(&format!("mysql://app:{PASSWORD}@{address}"));
    let error = MysqlRepository::connect(&config).await.unwrap_err();
    check_denied(&error, "app:***@");
    check_denied(&error, "Access denied");
}

#[tokio::test]
async fn an_unknown_database_is_named() {
    let url = format!("{}/no_such_database", without_database(&server_url()));
    let error = MysqlRepository::connect(&config(&url)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(error.to_string().contains("no_such_database"), "{error}");
}
