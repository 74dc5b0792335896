//! The behaviour suite of all stores, on one Redis server and on a Redis Cluster.

use std::process::ExitCode;
use std::sync::Arc;

use async_trait::async_trait;
use db_locks_conformance::{Backend, Store};
use db_locks_core::{Capabilities, LockResult, LocksConfig};
use db_locks_redis::RedisRepository;

/// What the environment names.
fn url(variable: &str) -> Result<String, String> {
    std::env::var(variable).map_err(|_| format!("{variable} is not set: run `cargo xtask test`"))
}

fn config(tenant: &str, url: &str) -> LocksConfig {
    let mut config = LocksConfig::new(tenant);
    config.redis_url = Some(url.to_string());
    config
}

const CAPABILITIES: Capabilities =
    Capabilities { server_clock: true, shared_between_processes: true, survives_restart: true, push: true };

struct Redis;

#[async_trait]
impl Backend for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        Ok(config(tenant, &url("DB_LOCKS_TEST_REDIS_URL")?))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        Ok(RedisRepository::connect(config).await?)
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn server_kind(&self) -> Option<&'static str> {
        Some("redis")
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        config(tenant, url)
    }
}

struct Cluster;

#[async_trait]
impl Backend for Cluster {
    fn name(&self) -> &'static str {
        "redis_cluster"
    }

    fn config(&self, tenant: &str) -> Result<LocksConfig, String> {
        Ok(config(tenant, &url("DB_LOCKS_TEST_REDIS_CLUSTER_URL")?))
    }

    async fn connect(&self, config: &LocksConfig) -> LockResult<Arc<dyn Store>> {
        Ok(RedisRepository::connect(config).await?)
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn server_kind(&self) -> Option<&'static str> {
        Some("redis-cluster")
    }

    fn config_for_url(&self, tenant: &str, url: &str) -> LocksConfig {
        config(tenant, url)
    }
}

fn main() -> ExitCode {
    db_locks_conformance::main(vec![Box::new(Redis), Box::new(Cluster)])
}
