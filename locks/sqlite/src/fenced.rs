//! Values that take no write with an older token.

use async_trait::async_trait;
use db_locks_core::fenced::{token_from_sql, token_to_sql};
use db_locks_core::{FencedRepository, FencedValue, FencedWrite, LockResult, RegisterId};
use rusqlite::params;

use crate::repository::SqliteRepository;
use crate::writer::Access;

/// A row that is there already is always written, if only with what it has, so that its token comes back either way.
pub(crate) fn write_sql(table: &str) -> String {
    format!(
        r#"INSERT INTO "{table}" AS f (tenant_id, register_key, token, value) VALUES (?1, ?2, ?3, ?4)
           ON CONFLICT (tenant_id, register_key) DO UPDATE SET
               value = CASE WHEN f.token <= excluded.token THEN excluded.value ELSE f.value END,
               token = max(f.token, excluded.token)
           RETURNING token"#
    )
}

pub(crate) fn read_sql(table: &str) -> String {
    format!(r#"SELECT token, value FROM "{table}" WHERE tenant_id = ?1 AND register_key = ?2"#)
}

#[async_trait]
impl FencedRepository for SqliteRepository {
    async fn write_fenced(&self, register: &RegisterId, token: u64, value: &str) -> LockResult<FencedWrite> {
        let (register, value) = (register.clone(), value.to_string());
        self.call(Access::Write, move |session| {
            let row = params![register.tenant(), register.key(), token_to_sql(token), value];
            let seen = session.one(&session.sql.write_fenced, row, |row| row.get::<_, i64>(0))?;
            Ok(FencedWrite::of(token, seen.map_or(token, token_from_sql)))
        })
        .await
    }

    async fn read_fenced(&self, register: &RegisterId) -> LockResult<Option<FencedValue>> {
        let register = register.clone();
        self.call(Access::Read, move |session| {
            let key = params![register.tenant(), register.key()];
            Ok(session.one(&session.sql.read_fenced, key, |row| {
                Ok(FencedValue { token: token_from_sql(row.get(0)?), value: row.get(1)? })
            })?)
        })
        .await
    }
}
