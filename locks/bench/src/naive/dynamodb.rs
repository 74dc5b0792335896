//! On DynamoDB: a client a call, GetItem, then a conditional PutItem.

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use super::{Connections, LEASE_MS, Naive, now_ms};
use crate::Outcome;

pub(crate) const TABLE: &str = "db_locks_usual";

pub(crate) struct Dynamo {
    endpoint: String,
    connections: Connections,
}

impl Dynamo {
    pub(crate) fn new(endpoint: &str, connections: Connections) -> Self {
        Self { endpoint: endpoint.to_string(), connections }
    }

    fn http_client(&self) -> SharedHttpClient {
        let client = aws_smithy_http_client::Builder::new();
        if self.endpoint.starts_with("http:") {
            return client.build_http();
        }
        client.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
    }

    pub(crate) fn connect(&self) -> Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http_client())
            .region(Region::new("us-west-2"))
            .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"))
            .endpoint_url(&self.endpoint)
            .build();
        Client::from_conf(config)
    }

    async fn write(&self, from: &str, to: &str, expires_ms: i64) -> Outcome<bool> {
        let mut client = self.connect();
        let key = AttributeValue::S("pairs".into());
        let item =
            client.get_item().table_name(TABLE).key("pk", key.clone()).consistent_read(true).send().await?;
        let item = item.item.unwrap_or_default();
        let version = item.get("version").and_then(|v| v.as_s().ok()).cloned().unwrap_or_default();
        let expires: i64 = item.get("expires_ms").and_then(|v| v.as_n().ok()).map_or(Ok(0), |n| n.parse())?;
        if version != from && expires > now_ms() {
            return Ok(false);
        }
        if self.connections == Connections::EachCall {
            client = self.connect();
        }
        client
            .put_item()
            .table_name(TABLE)
            .item("pk", key)
            .item("version", AttributeValue::S(to.into()))
            .item("expires_ms", AttributeValue::N(expires_ms.to_string()))
            .condition_expression("attribute_not_exists(pk) OR #v = :v")
            .expression_attribute_names("#v", "version")
            .expression_attribute_values(":v", AttributeValue::S(version))
            .send()
            .await?;
        Ok(true)
    }
}

#[async_trait]
impl Naive for Dynamo {
    async fn prepare(&self) -> Outcome {
        let client = self.connect();
        let tables = client.list_tables().send().await?;
        if tables.table_names().iter().any(|name| name == TABLE) {
            client.delete_table().table_name(TABLE).send().await?;
        }
        let attribute =
            AttributeDefinition::builder().attribute_name("pk").attribute_type(ScalarAttributeType::S);
        let schema = KeySchemaElement::builder().attribute_name("pk").key_type(KeyType::Hash);
        client
            .create_table()
            .table_name(TABLE)
            .attribute_definitions(attribute.build()?)
            .key_schema(schema.build()?)
            .billing_mode(BillingMode::PayPerRequest)
            .send()
            .await?;
        Ok(())
    }

    async fn acquire(&self, version: &str) -> Outcome<bool> {
        self.write("", version, now_ms() + LEASE_MS).await
    }

    async fn release(&self, version: &str) -> Outcome<bool> {
        self.write(version, "", 0).await
    }
}
