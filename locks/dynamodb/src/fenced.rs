//! Values that take no write with an older token: items of the table of mutexes, under keys that no lock has.
//! `ft` is the token, `fv` the value.

use async_trait::async_trait;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use db_locks_core::{FencedRepository, FencedValue, FencedWrite, LockError, LockResult, RegisterId};
use std::collections::HashMap;

use crate::error::from_sdk;
use crate::repository::DynamoRepository;
use crate::statements::{n, s};

/// What is written.
const WRITE: &str = "SET ft = :token, fv = :value";
/// When it is written.
const NO_GREATER_TOKEN: &str = "attribute_not_exists(ft) OR ft <= :token";

type Item = HashMap<String, AttributeValue>;

fn malformed(register: &RegisterId) -> LockError {
    let message = format!("the item of the {register} holds no token and text");
    LockError::Serialization { message, source: None }
}

fn token(register: &RegisterId, item: &Item) -> LockResult<u64> {
    let digits = item.get("ft").and_then(|token| token.as_n().ok()).ok_or_else(|| malformed(register))?;
    digits.parse().map_err(|_| malformed(register))
}

#[async_trait]
impl FencedRepository for DynamoRepository {
    async fn write_fenced(
        &self,
        register: &RegisterId,
        written: u64,
        value: &str,
    ) -> LockResult<FencedWrite> {
        let request = self
            .client
            .update_item()
            .table_name(&self.mutexes)
            .key("pk", s(register.encoded()))
            .update_expression(WRITE)
            .condition_expression(NO_GREATER_TOKEN)
            .expression_attribute_values(":token", n(written))
            .expression_attribute_values(":value", s(value))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(FencedWrite::Accepted),
            Err(SdkError::ServiceError(error)) if error.err().is_conditional_check_failed_exception() => {
                let UpdateItemError::ConditionalCheckFailedException(refusal) = error.into_err() else {
                    return Err(malformed(register));
                };
                let seen = token(register, &refusal.item.unwrap_or_default())?;
                Ok(FencedWrite::Stale { seen })
            }
            Err(error) => Err(from_sdk(&format!("write to the {register}"), &self.mutexes, error)),
        }
    }

    async fn read_fenced(&self, register: &RegisterId) -> LockResult<Option<FencedValue>> {
        let request = self.client.get_item().table_name(&self.mutexes).key("pk", s(register.encoded()));
        // Always: an old value would look like a new one.
        let output = request.consistent_read(true).send().await;
        let output =
            output.map_err(|error| from_sdk(&format!("read the {register}"), &self.mutexes, error))?;
        let Some(item) = output.item else { return Ok(None) };
        let value = item.get("fv").and_then(|value| value.as_s().ok()).ok_or_else(|| malformed(register))?;
        Ok(Some(FencedValue { token: token(register, &item)?, value: value.clone() }))
    }
}
