//! Values that take no write with an older token.

use async_trait::async_trait;
use db_locks_core::fenced::{token_from_sql, token_to_sql};
use db_locks_core::{FencedRepository, FencedValue, FencedWrite, LockResult, RegisterId};
use tokio_postgres::types::Type;

use crate::codec;
use crate::repository::PostgresRepository;
use crate::statements::Statement;

/// Tenant, key, token, value: the token that is there afterwards. The row is locked while it is compared, and always
/// written, if only with what it has, so that its token comes back either way.
pub(crate) fn write(mutexes: &str) -> Statement {
    Statement {
        sql: format!(
            r#"INSERT INTO "{mutexes}_fenced" AS f (tenant_id, register_key, token, value) VALUES ($1, $2, $3, $4)
               ON CONFLICT (tenant_id, register_key) DO UPDATE SET
                   value = CASE WHEN f.token <= excluded.token THEN excluded.value ELSE f.value END,
                   token = greatest(f.token, excluded.token)
               RETURNING token"#
        ),
        types: vec![Type::TEXT, Type::TEXT, Type::INT8, Type::TEXT],
    }
}

/// Tenant, key: token and value.
pub(crate) fn read(mutexes: &str) -> Statement {
    Statement {
        sql: format!(
            r#"SELECT token, value FROM "{mutexes}_fenced" WHERE tenant_id = $1 AND register_key = $2"#
        ),
        types: vec![Type::TEXT; 2],
    }
}

#[async_trait]
impl FencedRepository for PostgresRepository {
    async fn write_fenced(&self, register: &RegisterId, token: u64, value: &str) -> LockResult<FencedWrite> {
        let (tenant, key, sql_token) = (register.tenant(), register.key(), token_to_sql(token));
        let statement = &self.statements.write_fenced;
        let row = self.row("write to the register", statement, &[&tenant, &key, &sql_token, &value]).await?;
        Ok(FencedWrite::of(token, token_from_sql(codec::read(&row, 0)?)))
    }

    async fn read_fenced(&self, register: &RegisterId) -> LockResult<Option<FencedValue>> {
        let (tenant, key) = (register.tenant(), register.key());
        let rows = self.rows("read the register", &self.statements.read_fenced, &[&tenant, &key]).await?;
        let value = |row| {
            Ok(FencedValue { token: token_from_sql(codec::read(row, 0)?), value: codec::read(row, 1)? })
        };
        rows.first().map(value).transpose()
    }
}
