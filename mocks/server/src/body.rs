//! Reads bodies of requests, never more than is allowed and never longer.

use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::problem::Problem;

/// The whole body.
pub(crate) async fn read<B>(body: B, limit_bytes: usize, timeout: Duration) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    // Most requests have none: no timer for those.
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // What says beforehand that it is too long is not read at all, nor is it asked for with `100 Continue`.
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(Problem::too_large(limit_bytes));
    }
    let whole = std::pin::pin!(Limited::new(body, limit_bytes).collect());
    match tokio::time::timeout(timeout, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::too_large(limit_bytes)),
        Ok(Err(error)) => Err(Problem::bad_request(format!("the body cannot be read: {error}"))),
        Err(_) => Err(Problem::timeout()),
    }
}
