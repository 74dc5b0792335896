//! Every Rust snippet of the two documents that db-locks was created from, compiled and run. The snippets stand as they
//! were printed, with `.await` where a method is async, and with the locks' keys and versions of the run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
// As the documents print it.
#![allow(clippy::needless_borrow)]

use std::sync::{Arc, OnceLock};

use db_locks::{
    AcquireLockOptionsBuilder, DefaultLockStore, FairLockStore, LockManager, LockManagerImpl, LocksConfig,
    ReleaseLockOptionsBuilder, RepositoryProvider, SemaphoreBuilder, SendHeartbeatOptionsBuilder,
    default_registry, factory,
};

/// The snippets use the default database: a file in the working directory, so that is a temporary one.
fn in_a_temporary_folder() {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    std::env::set_current_dir(folder.path()).unwrap();
}

async fn manager() -> LockManagerImpl {
    in_a_temporary_folder();
    // -- "Create Lock Manager"
    let config = LocksConfig::new("test_tenant");
    let mutex_repo = factory::build_mutex_repository(RepositoryProvider::Rdb, &config)
        .await
        .expect("failed to build mutex repository");
    let semaphore_repo = factory::build_semaphore_repository(RepositoryProvider::Rdb, &config)
        .await
        .expect("failed to build semaphore repository");
    let store = Box::new(DefaultLockStore::new(&config, mutex_repo, semaphore_repo));

    let locks_manager =
        LockManagerImpl::new(&config, store, &default_registry()).expect("failed to initialize lock manager");
    // --
    locks_manager
}

async fn fair_manager(provider: RepositoryProvider, mut config: LocksConfig) -> LockManagerImpl {
    // -- "Acquiring Fair Semaphores"
    let fair_semaphore = true;
    config.fair_semaphore = Some(fair_semaphore);
    let fair_semaphore_repo = factory::build_fair_semaphore_repository(provider, &config)
        .await
        .expect("failed to create fair semaphore");
    let store = Box::new(FairLockStore::new(&config, fair_semaphore_repo));
    let locks_manager =
        LockManagerImpl::new(&config, store, &default_registry()).expect("failed to initialize lock manager");
    // --
    locks_manager
}

#[tokio::test]
async fn readme_mutex_acquire_renew_release() {
    let lock_manager = manager().await;
    let acquire_opts = AcquireLockOptionsBuilder::new("mylock").with_lease_duration_secs(10).build();
    let lock = lock_manager.acquire_lock(&acquire_opts).await.expect("should acquire lock");

    let renew_opts = lock.to_heartbeat_options();
    let updated_lock = lock_manager.send_heartbeat(&renew_opts).await.expect("should renew lock");
    assert_ne!(updated_lock.version, lock.version);

    let release_opts = updated_lock.to_release_options();
    assert!(lock_manager.release_lock(&release_opts).await.expect("should release lock"));
}

#[tokio::test]
async fn readme_semaphore_acquire_renew_release() {
    let lock_manager = manager().await;
    let acquire_opts = AcquireLockOptionsBuilder::new("my_pool")
        .with_lease_duration_secs(1)
        .with_semaphore_max_size(10)
        .build();
    let lock = lock_manager.acquire_lock(&acquire_opts).await.expect("should acquire semaphore lock");

    let renew_opts = lock.to_heartbeat_options();
    let updated_lock = lock_manager.send_heartbeat(&renew_opts).await.expect("should renew lock");

    let release_opts = updated_lock.to_release_options();
    assert!(lock_manager.release_lock(&release_opts).await.expect("should release lock"));
}

#[tokio::test]
async fn article_mutex_by_key_and_version() {
    let lock_manager = manager().await;
    let opts = AcquireLockOptionsBuilder::new("one").with_lease_duration_secs(15).build();
    let lock = lock_manager.acquire_lock(&opts).await.expect("should acquire lock");
    assert_json_has(
        &lock,
        &["mutex_key", "tenant_id", "version", "lease_duration_ms", "locked", "expires_at"],
    );

    let opts = SendHeartbeatOptionsBuilder::new("one", &lock.version).with_lease_duration_secs(15).build();
    let updated_lock = lock_manager.send_heartbeat(&opts).await.expect("should renew lock");

    let release_opts = ReleaseLockOptionsBuilder::new("one", &updated_lock.version).build();
    assert!(lock_manager.release_lock(&release_opts).await.expect("should release lock"));
}

#[tokio::test]
async fn article_semaphore_slots_are_numbered_from_zero() {
    let locks_manager = manager().await;
    let opts = AcquireLockOptionsBuilder::new("article")
        .with_lease_duration_secs(15)
        .with_semaphore_max_size(10)
        .build();
    let lock = locks_manager.acquire_lock(&opts).await.expect("should acquire semaphore lock");
    assert_eq!(lock.mutex_key, "article_0000000000");
    assert_eq!(lock.semaphore_key.as_deref(), Some("article"));

    let semaphore = locks_manager.get_semaphore("article").await.expect("failed to find semaphore");
    let shape = serde_json::to_value(&semaphore).unwrap();
    assert_eq!(
        (&shape["busy_count"], &shape["max_size"], &shape["fair_semaphore"]),
        (&1.into(), &10.into(), &false.into())
    );

    let mutexes =
        locks_manager.get_semaphore_mutexes("article").await.expect("failed to find semaphore mutexes");
    assert_eq!(mutexes.len(), 10);
    assert_eq!((mutexes[1].mutex_key.as_str(), mutexes[1].locked), ("article_0000000001", false));

    let opts = SendHeartbeatOptionsBuilder::new("article_0000000000", &lock.version)
        .with_lease_duration_secs(15)
        .with_opt_semaphore_key("article")
        .build();
    let updated_lock = locks_manager.send_heartbeat(&opts).await.expect("should renew lock");

    let opts = ReleaseLockOptionsBuilder::new("article_0000000000", &updated_lock.version)
        .with_opt_semaphore_key("article")
        .build();
    assert!(locks_manager.release_lock(&opts).await.expect("should release lock"));
}

#[tokio::test]
async fn semaphores_are_created_and_resized() {
    let locks_manager = manager().await;
    let semaphore = SemaphoreBuilder::new("sized", 3).with_lease_duration_secs(5).build();
    locks_manager.create_semaphore(&semaphore).await.expect("should create semaphore");
    let smaller = SemaphoreBuilder::new("sized", 2).build();
    locks_manager.create_semaphore(&smaller).await.expect("should shrink semaphore");
    let found = locks_manager.get_semaphore("sized").await.expect("failed to find semaphore");
    assert_eq!((found.max_size, &found.version), (2, &smaller.version));
    assert_eq!(locks_manager.delete_semaphore("sized", &found.version).await.expect("should delete"), 1);
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn fair_semaphore_on_sqlite() {
    in_a_temporary_folder();
    fair_snippets(fair_manager(RepositoryProvider::Rdb, LocksConfig::new("test_tenant")).await).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn fair_semaphore_on_redis() {
    let mut config = LocksConfig::new(&uuid::Uuid::new_v4().to_string());
    config.redis_url = Some(server("DB_LOCKS_TEST_REDIS_URL"));
    fair_snippets(fair_manager(RepositoryProvider::Redis, config).await).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn default_store_on_redis() {
    let mut config = LocksConfig::new(&uuid::Uuid::new_v4().to_string());
    config.redis_url = Some(server("DB_LOCKS_TEST_REDIS_URL"));
    let mutex_repo = factory::build_mutex_repository(RepositoryProvider::Redis, &config)
        .await
        .expect("failed to build mutex repository");
    let semaphore_repo = factory::build_semaphore_repository(RepositoryProvider::Redis, &config)
        .await
        .expect("failed to build semaphore repository");
    let store = Box::new(DefaultLockStore::new(&config, mutex_repo, semaphore_repo));
    acquire_and_release(LockManagerImpl::new(&config, store, &default_registry()).unwrap()).await;
}

#[cfg(feature = "dynamodb")]
#[tokio::test]
async fn default_store_on_dynamodb() {
    let mut config = LocksConfig::new(&uuid::Uuid::new_v4().to_string());
    config.ddb_endpoint_url = Some(server("DB_LOCKS_TEST_DYNAMODB_URL"));
    let mutex_repo = factory::build_mutex_repository(RepositoryProvider::Ddb, &config)
        .await
        .expect("failed to build mutex repository");
    let semaphore_repo = factory::build_semaphore_repository(RepositoryProvider::Ddb, &config)
        .await
        .expect("failed to build semaphore repository");
    let store = Box::new(DefaultLockStore::new(&config, mutex_repo, semaphore_repo));
    acquire_and_release(LockManagerImpl::new(&config, store, &default_registry()).unwrap()).await;
}

#[cfg(any(feature = "redis", feature = "dynamodb"))]
fn server(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set: run `cargo xtask test`"))
}

#[cfg(any(feature = "redis", feature = "dynamodb"))]
async fn acquire_and_release(locks_manager: LockManagerImpl) {
    let lock = locks_manager.acquire_lock(&AcquireLockOptionsBuilder::new("one").build()).await.unwrap();
    assert!(locks_manager.release_lock(&lock.to_release_options()).await.unwrap());
}

async fn fair_snippets(lock_manager: LockManagerImpl) {
    let opts = AcquireLockOptionsBuilder::new("my_pool")
        .with_lease_duration_secs(15)
        .with_semaphore_max_size(10)
        .build();
    let lock = lock_manager.acquire_lock(&opts).await.expect("should acquire semaphore lock");
    assert_eq!(lock.mutex_key, format!("my_pool_{}", lock.version));

    let locks_manager = Arc::new(lock_manager);
    let semaphore = locks_manager.get_semaphore("my_pool").await.expect("failed to find semaphore");
    assert_eq!((semaphore.busy_count, semaphore.fair_semaphore), (Some(1), Some(true)));
    let mutexes =
        locks_manager.get_semaphore_mutexes("my_pool").await.expect("failed to find semaphore mutexes");
    assert_eq!((mutexes.len(), &mutexes[0].mutex_key), (10, &lock.mutex_key));
    let free = serde_json::to_value(&mutexes[1]).unwrap();
    assert_eq!(
        (&free["mutex_key"], &free["version"], &free["locked"]),
        (&"my_pool_0000000001".into(), &"".into(), &false.into())
    );

    let opts = SendHeartbeatOptionsBuilder::new(&lock.mutex_key, &lock.version)
        .with_lease_duration_secs(15)
        .with_opt_semaphore_key("my_pool")
        .build();
    let updated_lock = locks_manager.send_heartbeat(&opts).await.expect("should renew lock");
    assert_eq!(updated_lock.version, lock.version, "a fair lock keeps its version");

    let opts = ReleaseLockOptionsBuilder::new(&lock.mutex_key, &lock.version)
        .with_opt_semaphore_key("my_pool")
        .build();
    assert!(locks_manager.release_lock(&opts).await.expect("should release lock"));
}

fn assert_json_has(lock: &db_locks::MutexLock, keys: &[&str]) {
    let json = serde_json::to_value(lock).unwrap();
    for key in keys {
        assert!(!json[key].is_null(), "{key} is missing in {json}");
    }
}
