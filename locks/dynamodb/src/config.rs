//! From a [`LocksConfig`] and the environment to a client: where DynamoDB is, who asks, and how long it may take.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Credentials, SharedHttpClient, StalledStreamProtectionConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use db_locks_core::error::redact_url;
use db_locks_core::{LockError, LockResult, LocksConfig};

use crate::error::PassingErrors;

/// The region of local engines, which do not care.
const LOCAL_REGION: &str = "us-west-2";
/// Tries again within one call, at most; the manager makes whole calls again.
const RETRIES_IN_A_CALL: u32 = 3;
/// The longest pause between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);
/// Retries that this client may spend while nothing succeeds, in the SDK's units (5 a retry).
const RETRY_BUDGET: usize = 5_000;

/// Builds the client. Nothing is sent yet, except perhaps to find a region or credentials.
///
/// # Errors
/// `Validation` for table names that DynamoDB does not take, a bad endpoint, or no region.
pub(crate) async fn client(config: &LocksConfig) -> LockResult<Client> {
    validate(config)?;
    let endpoint = endpoint(config)?;
    let builder = match &endpoint {
        Some(endpoint) if endpoint.is_loopback && !has_credentials() => local(config, endpoint),
        _ => from_environment(config, endpoint.as_ref()).await?,
    };
    let mut builder = builder
        .retry_config(retries(config))
        .retry_partition(
            RetryPartition::custom("db-locks").token_bucket(TokenBucket::new(RETRY_BUDGET)).build(),
        )
        .retry_classifier(PassingErrors)
        .timeout_config(timeouts(config))
        // It guards long transfers; calls here are short and have a time limit of their own.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = endpoint {
        builder = builder.endpoint_url(&endpoint.url);
        if endpoint.is_plain {
            builder = builder.http_client(Builder::new().build_http());
        }
    }
    Ok(Client::from_conf(builder.build()))
}

fn validate(config: &LocksConfig) -> LockResult<()> {
    config.validate()?;
    let tables = [
        ("mutexes_table_name", config.mutexes_table_name()),
        ("semaphores_table_name", config.semaphores_table_name()),
    ];
    for (field, name) in tables {
        if name.len() < 3 {
            return Err(LockError::validation(field, "must have at least 3 characters on DynamoDB"));
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Endpoint {
    url: String,
    is_plain: bool,
    is_loopback: bool,
}

fn endpoint(config: &LocksConfig) -> LockResult<Option<Endpoint>> {
    let url = config
        .ddb_endpoint_url
        .clone()
        .filter(|url| !url.is_empty())
        .or_else(|| environment("AWS_ENDPOINT_URL_DYNAMODB"))
        .or_else(|| environment("AWS_ENDPOINT_URL"));
    url.map(|url| parse_endpoint(&url)).transpose()
}

fn parse_endpoint(url: &str) -> LockResult<Endpoint> {
    let wrong = || {
        let words = format!("{:?} is not of the form http://host:port or https://host", redact_url(url));
        LockError::validation("ddb_endpoint_url", words)
    };
    let (is_plain, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => (true, rest),
        (_, Some(rest)) => (false, rest),
        _ => return Err(wrong()),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // Credentials do not belong there, and would end up in messages of the HTTP client.
    if authority.is_empty() || authority.contains('@') || authority.contains(char::is_whitespace) {
        return Err(wrong());
    }
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let address = host.parse::<std::net::IpAddr>();
    let is_loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    Ok(Endpoint { url: url.to_string(), is_plain, is_loopback })
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the user has set up credentials in one of the usual places; asking the SDK instead would make it look
/// for a cloud machine's metadata service, which takes seconds where there is none.
fn has_credentials() -> bool {
    let named =
        ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"];
    named.iter().any(|name| environment(name).is_some())
        || environment("HOME")
            .is_some_and(|home| std::path::Path::new(&home).join(".aws/credentials").exists())
}

fn region(config: &LocksConfig) -> Option<Region> {
    let named = config.aws_region.clone().filter(|region| !region.is_empty());
    named.or_else(|| environment("AWS_REGION")).or_else(|| environment("AWS_DEFAULT_REGION")).map(Region::new)
}

/// A local engine, which takes any credentials.
fn local(config: &LocksConfig, endpoint: &Endpoint) -> aws_sdk_dynamodb::config::Builder {
    let builder = aws_sdk_dynamodb::Config::builder();
    let builder = if endpoint.is_plain { builder } else { builder.http_client(https()) };
    builder
        .behavior_version(BehaviorVersion::latest())
        .region(region(config).unwrap_or_else(|| Region::new(LOCAL_REGION)))
        .credentials_provider(Credentials::new("local", "local", None, None, "db-locks local engine"))
}

async fn from_environment(
    config: &LocksConfig,
    endpoint: Option<&Endpoint>,
) -> LockResult<aws_sdk_dynamodb::config::Builder> {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https());
    if let Some(region) = region(config).or_else(|| endpoint.map(|_| Region::new(LOCAL_REGION))) {
        loader = loader.region(region);
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        let words = "no AWS region is known: set aws_region or the environment's AWS_REGION";
        return Err(LockError::validation("aws_region", words));
    }
    Ok(aws_sdk_dynamodb::config::Builder::from(&shared))
}

fn https() -> SharedHttpClient {
    Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

fn retries(config: &LocksConfig) -> RetryConfig {
    let first = Duration::from_millis(config.wait_before_server_error_retries_ms());
    RetryConfig::standard()
        .with_max_attempts(1 + config.server_error_retries_limit().min(RETRIES_IN_A_CALL))
        .with_initial_backoff(first.min(LONGEST_BACKOFF))
        .with_max_backoff(LONGEST_BACKOFF)
}

/// A call ends within the request timeout, and a try in a third of it: so a reply that got lost can still be asked for.
fn timeouts(config: &LocksConfig) -> TimeoutConfig {
    let call = config.request_timeout();
    TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout().min(call))
        .operation_attempt_timeout((call / 3).max(Duration::from_millis(1)))
        .operation_timeout(call)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_checked_and_shown_without_passwords() {
        let local = parse_endpoint("http://127.0.0.1:8000").unwrap();
        assert!(local.is_plain && local.is_loopback);
        assert!(parse_endpoint("http://[::1]:8000/").unwrap().is_loopback);
        let remote = parse_endpoint("https://dynamodb.eu-central-1.amazonaws.com").unwrap();
        assert!(!remote.is_plain && !remote.is_loopback);
        for bad in ["", "localhost:8000", "ftp://x", "http://", "http://u:s3cret@host", "http://a b"] {
            let error = parse_endpoint(bad).unwrap_err();
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn short_table_names_are_refused() {
        let mut config = LocksConfig::new("t");
        config.semaphores_table_name = Some("ab".into());
        let error = validate(&config).unwrap_err();
        assert!(error.to_string().starts_with("semaphores_table_name: "), "{error}");
        config.semaphores_table_name = Some("abc".into());
        assert!(validate(&config).is_ok());
    }

    /// There is one for each kind of endpoint: the SDK's own default is left out.
    #[tokio::test]
    async fn a_local_engine_behind_tls_is_asked_too() {
        let mut config = LocksConfig::new("t");
        config.server_error_retries_limit = Some(0);
        for scheme in ["http", "https"] {
            // Nobody listens there.
            config.ddb_endpoint_url = Some(format!("{scheme}://127.0.0.1:1"));
            let error = client(&config).await.unwrap().list_tables().send().await.unwrap_err();
            let words = format!("{error:?}");
            assert!(words.contains("ConnectionRefused"), "{scheme}: {words}");
        }
    }
}
