//! Reads the body of a request up to a limit. [`read`] also reads on for a while beyond it, and drops that: a sender
//! that is cut off while it still writes sees a broken pipe instead of the answer.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::StreamExt;
use tokio::time::timeout;

/// The number of bytes beyond the limit that are read for the sake of an answer.
const DRAINED: usize = 1024 * 1024;
/// The longest time that a body may take.
pub(crate) const LASTS: Duration = Duration::from_secs(5);

/// The reason why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// The body is longer than the limit.
    TooLong,
    /// The body did not arrive in time, or not whole.
    Incomplete,
}

/// Returns the body, if it has at most `limit` bytes.
pub(crate) async fn read(body: Body, limit: usize) -> Result<Bytes, BodyError> {
    timeout(LASTS, collect(body, limit)).await.unwrap_or(Err(BodyError::Incomplete))
}

async fn collect(body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let mut stream = body.into_data_stream();
    let (mut read, mut length) = (Vec::new(), 0_usize);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
        length = length.saturating_add(chunk.len());
        if length <= limit {
            read.extend_from_slice(&chunk);
        } else if length > limit + DRAINED {
            return Err(BodyError::TooLong);
        }
    }
    if length <= limit { Ok(read.into()) } else { Err(BodyError::TooLong) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(length: usize, expected: Result<usize, BodyError>) {
        let found = read(Body::from(vec![b' '; length]), 10).await.map(|body| body.len());
        assert_eq!(found, expected, "{length}");
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_refused_beyond() {
        check(0, Ok(0)).await;
        check(10, Ok(10)).await;
        check(11, Err(BodyError::TooLong)).await;
        check(3 * DRAINED, Err(BodyError::TooLong)).await;
    }
}
