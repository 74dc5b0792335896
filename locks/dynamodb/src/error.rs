//! The SDK's errors as [`LockError`]s, and which answers are tried again.

use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_execute_statement::BatchExecuteStatementError;
use aws_sdk_dynamodb::operation::get_item::GetItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use db_locks_core::LockError;

/// Error codes that mean "you may not", whatever the reason.
const DENIED: &[&str] = &[
    "AccessDeniedException",
    "AccessDenied",
    "UnrecognizedClientException",
    "InvalidSignatureException",
    "IncompleteSignatureException",
    "IncompleteSignature",
    "SignatureDoesNotMatch",
    "InvalidClientTokenId",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "ExpiredToken",
    "ExpiredTokenException",
    "OptInRequired",
    "KMSAccessDeniedException",
];

/// Error codes that pass by themselves.
const PASSING: &[&str] = &[
    "ProvisionedThroughputExceededException",
    "ProvisionedThroughputExceeded",
    "ThrottlingException",
    "Throttling",
    "ThrottledException",
    "RequestLimitExceeded",
    "RequestLimitExceededException",
    "InternalServerError",
    "InternalServerErrorException",
    "InternalFailure",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "TransactionConflictException",
    "TransactionConflict",
    "TransactionInProgressException",
    "ReplicatedWriteConflictException",
    "LimitExceededException",
];

/// Tries again what passes by itself and what the SDK's own list lacks, on any status code.
#[derive(Debug)]
pub(crate) struct PassingErrors;

impl ClassifyRetry for PassingErrors {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(Err(error)) = context.output_or_error() else { return RetryAction::NoActionIndicated };
        let Some(error) = error.as_operation_error() else { return RetryAction::NoActionIndicated };
        let code = (error.downcast_ref::<UpdateItemError>().and_then(|error| error.code()))
            .or_else(|| error.downcast_ref::<GetItemError>().and_then(|error| error.code()))
            .or_else(|| error.downcast_ref::<PutItemError>().and_then(|error| error.code()))
            .or_else(|| error.downcast_ref::<BatchExecuteStatementError>().and_then(|error| error.code()));
        match code {
            Some(code) if PASSING.contains(&code) => RetryAction::throttling_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "db-locks: errors that pass"
    }
}

/// Whether the same request may be answered another time: throttled, out of reach, an engine in trouble.
pub(crate) fn may_pass<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let code = error.as_service_error().and_then(|error| error.code()).unwrap_or_default();
    let status = error.raw_response().map(|response| response.status().as_u16()).unwrap_or_default();
    // 429: too many requests; 501: not implemented.
    let refused = ((400..500).contains(&status) && status != 429) || status == 501;
    PASSING.contains(&code) || !refused
}

/// Whether a batch was refused for the caller's credentials, with which a single request fares no better.
pub(crate) fn says_nothing_of_batches<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let code = error.as_service_error().and_then(|error| error.code()).unwrap_or_default();
    DENIED.contains(&code) && !code.starts_with("AccessDenied")
}

/// What the SDK says of one call, in the library's terms. `what` is what could not be done, in `table`.
pub(crate) fn from_sdk<E, R>(what: &str, table: &str, error: SdkError<E, R>) -> LockError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let message = format!("DynamoDB table {table}: cannot {what}");
    let code = error.as_service_error().and_then(|error| error.code()).unwrap_or_default().to_string();
    let said = error.as_service_error().and_then(|error| error.message()).unwrap_or_default().to_string();
    match &error {
        SdkError::ServiceError(service) => {
            let unavailable = service.err().code().is_none();
            if DENIED.contains(&code.as_str()) {
                LockError::access_denied(format!("{message}: {code}"), error)
            } else if PASSING.contains(&code.as_str()) || unavailable {
                LockError::unavailable(format!("{message}: {code}"), error)
            } else if code == "ResourceNotFoundException" {
                let words = "there is no such table; `db-locks migrate` creates it";
                LockError::database(format!("{message}: {words}"), error)
            } else if said.contains("tem size") {
                let words = "the lock's item would be larger than the 400 KB that DynamoDB allows";
                LockError::database(format!("{message}: {words}"), error)
            } else {
                LockError::database(format!("{message}: {code}"), error)
            }
        }
        SdkError::TimeoutError(_) | SdkError::ResponseError(_) => LockError::unavailable(message, error),
        // No credentials can be found, or no request can be built: another try will not find them either.
        _ if chain_says(&error, "credential") => {
            LockError::access_denied(format!("{message}: no AWS credentials"), error)
        }
        SdkError::DispatchFailure(_) => LockError::unavailable(message, error),
        _ => LockError::runtime_from(message, error),
    }
}

fn chain_says(error: &dyn std::error::Error, word: &str) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if error.to_string().to_lowercase().contains(word) {
            return true;
        }
        next = error.source();
    }
    false
}
