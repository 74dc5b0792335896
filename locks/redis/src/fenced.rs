//! Values that take no write with an older token. A register is a hash: `t` token in digits, `v` value.

use async_trait::async_trait;
use db_locks_core::{FencedRepository, FencedValue, FencedWrite, LockResult, RegisterId};

use crate::codec;
use crate::error::failed;
use crate::repository::RedisRepository;
use crate::statements::statements;

impl RedisRepository {
    fn register_key(&self, register: &RegisterId) -> String {
        format!("{}{{{}}}", self.wire.prefix, register.encoded())
    }
}

#[async_trait]
impl FencedRepository for RedisRepository {
    async fn write_fenced(&self, register: &RegisterId, token: u64, value: &str) -> LockResult<FencedWrite> {
        let (key, digits) = (self.register_key(register), token.to_string());
        let script = &statements().write_fenced;
        let seen = self.run("write to the register", script, &[&key], &[&digits, value]).await?;
        Ok(FencedWrite::of(token, codec::token(seen)?))
    }

    async fn read_fenced(&self, register: &RegisterId) -> LockResult<Option<FencedValue>> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.register_key(register)).arg("t").arg("v");
        let reply =
            self.wire.link.send(&command, true).await.map_err(|error| failed("read the register", error))?;
        codec::register(reply)
    }
}
