//! Values that take no write with an older token.

use async_trait::async_trait;
use db_locks_core::{FencedRepository, FencedValue, FencedWrite, LockError, LockResult, RegisterId};

use crate::error::Task;
use crate::repository::MysqlRepository;

/// Tenant, key, token, value. The token that is there afterwards comes back as the "inserted id", which
/// `LAST_INSERT_ID(…)` sets: there is no RETURNING in MySQL. The value is assigned first, since assignments are seen by those
/// after them.
pub(crate) fn write_sql(mutexes: &str) -> String {
    format!(
        "INSERT INTO `{mutexes}_fenced` (tenant_id, register_key, token, value) VALUES (?, ?, LAST_INSERT_ID(?), ?) \
         ON DUPLICATE KEY UPDATE value = IF(token <= VALUES(token), VALUES(value), value), \
             token = LAST_INSERT_ID(GREATEST(token, VALUES(token)))"
    )
}

pub(crate) fn read_sql(mutexes: &str) -> String {
    format!("SELECT token, value FROM `{mutexes}_fenced` WHERE tenant_id = ? AND register_key = ?")
}

#[async_trait]
impl FencedRepository for MysqlRepository {
    async fn write_fenced(&self, register: &RegisterId, token: u64, value: &str) -> LockResult<FencedWrite> {
        let params = vec![register.tenant().into(), register.key().into(), token.into(), value.into()];
        let answer =
            self.execute(Task::general("writing to a register"), &self.sql().write_fenced, params).await?;
        let seen = answer.inserted_id.ok_or_else(|| {
            LockError::runtime(format!("the server did not say which token the {register} has seen"))
        })?;
        Ok(FencedWrite::of(token, seen))
    }

    async fn read_fenced(&self, register: &RegisterId) -> LockResult<Option<FencedValue>> {
        let params = vec![register.tenant().into(), register.key().into()];
        let answer =
            self.execute(Task::general("reading a register"), &self.sql().read_fenced, params).await?;
        let Some(row) = answer.rows.into_iter().next() else { return Ok(None) };
        let (token, value) = mysql_async::from_row_opt(row).map_err(|error| {
            LockError::serialization(format!("the {register} holds no token and text"), error)
        })?;
        Ok(Some(FencedValue { token, value }))
    }
}
