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

/// Reads the rest of a body that nobody wants, and drops it: over HTTP/2, a stream whose request is not read to its end
/// is reset after the answer, and most clients then lose the answer.
pub(crate) async fn drain<B>(body: B, limit_bytes: usize, timeout: Duration)
where
    B: Body<Data = Bytes>,
{
    // What says beforehand that there is too much of it would be reset in any case.
    if body.is_end_stream() || body.size_hint().lower() > limit_bytes as u64 {
        return;
    }
    let mut body = std::pin::pin!(body);
    let rest = async {
        let mut left = limit_bytes;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    // One that does not come in time is left.
    let _ = tokio::time::timeout(timeout, rest).await;
}
