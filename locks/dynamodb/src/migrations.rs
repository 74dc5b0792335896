//! The two tables: created where they are missing, by however many processes at once.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription,
    TableStatus, TimeToLiveSpecification,
};
use db_locks_core::{LockError, LockResult};
use futures_util::future::join_all;
use tokio::time::Instant;

use crate::error::from_sdk;

/// The longest wait for a new table to become usable.
const CREATION_TIMEOUT: Duration = Duration::from_secs(60);
/// The name of the key.
const KEY: &str = "pk";
/// The attribute by which DynamoDB forgets deleted locks.
const TTL: &str = "purge_at";

/// Creates the tables that are missing; returns the names of those that this call created.
///
/// # Errors
/// `AccessDenied`; `CurrentlyUnavailable`, also when a table is not ready in time; `Database` when a table of
/// that name serves another purpose.
pub(crate) async fn migrate(client: &Client, tables: &[&str]) -> LockResult<Vec<String>> {
    let ensured = join_all(tables.iter().map(|table| ensure(client, table))).await;
    let mut created = Vec::new();
    for (table, is_new) in tables.iter().zip(ensured) {
        if is_new? {
            created.push(table.to_string());
        }
    }
    Ok(created)
}

async fn ensure(client: &Client, table: &str) -> LockResult<bool> {
    let created = match describe(client, table).await? {
        Some(found) if is_ready(&found) => return check_key(table, &found).map(|()| false),
        Some(_) => false,
        None => create(client, table).await?,
    };
    wait_until_ready(client, table).await?;
    if created {
        forget_tombstones(client, table).await;
    }
    Ok(created)
}

async fn describe(client: &Client, table: &str) -> LockResult<Option<TableDescription>> {
    match client.describe_table().table_name(table).send().await {
        Ok(output) => Ok(output.table),
        Err(error) if error.code() == Some("ResourceNotFoundException") => Ok(None),
        Err(error) => Err(from_sdk("see whether it is there", table, error)),
    }
}

fn is_ready(table: &TableDescription) -> bool {
    // A table that is being updated can be used.
    matches!(table.table_status, Some(TableStatus::Active | TableStatus::Updating))
}

fn check_key(table: &str, found: &TableDescription) -> LockResult<()> {
    match found.key_schema() {
        [key] if key.attribute_name() == KEY => Ok(()),
        _ => Err(LockError::Database {
            message: format!("table {table} serves another purpose: its key is not {KEY:?} alone"),
            retryable: false,
            source: None,
        }),
    }
}

/// True if this call created it, false if another process was quicker.
async fn create(client: &Client, table: &str) -> LockResult<bool> {
    let cannot_build = |error| LockError::runtime_from("cannot describe a table", error);
    let attribute = AttributeDefinition::builder()
        .attribute_name(KEY)
        .attribute_type(ScalarAttributeType::S)
        .build()
        .map_err(cannot_build)?;
    let key = KeySchemaElement::builder()
        .attribute_name(KEY)
        .key_type(KeyType::Hash)
        .build()
        .map_err(cannot_build)?;
    let request = client.create_table().table_name(table).attribute_definitions(attribute).key_schema(key);
    match request.billing_mode(BillingMode::PayPerRequest).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some("ResourceInUseException") => Ok(false),
        Err(error) => Err(from_sdk("create it", table, error)),
    }
}

async fn wait_until_ready(client: &Client, table: &str) -> LockResult<()> {
    let deadline = Instant::now() + CREATION_TIMEOUT;
    let mut pause = Duration::from_millis(20);
    loop {
        if let Some(found) = describe(client, table).await?.filter(is_ready) {
            return check_key(table, &found);
        }
        if Instant::now() + pause > deadline {
            return Err(LockError::in_use(format!("table {table} is not ready after {CREATION_TIMEOUT:?}")));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// Without it, items of deleted locks stay: that costs a little storage and nothing else.
async fn forget_tombstones(client: &Client, table: &str) {
    let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name(TTL).build();
    let Ok(specification) = specification else { return };
    let request = client.update_time_to_live().table_name(table).time_to_live_specification(specification);
    if let Err(error) = request.send().await {
        let code = error.code().unwrap_or("no answer");
        tracing::warn!(table, code, "tombstones of deleted locks will stay: cannot switch on time to live");
    }
}
