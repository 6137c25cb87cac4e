//! Reads the body of a request up to a limit.
//!
//! The rest beyond the limit is read and dropped after the answer, by the connection: a sender that is cut off while
//! it still writes sees a broken pipe instead of the answer.

use std::time::Duration;

use axum::body::{Body, Bytes};
use futures::{Stream, StreamExt};
use tokio::time::timeout;

/// The longest time that a body may take.
pub(crate) const LASTS: Duration = Duration::from_secs(10);

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
    let mut read = Vec::new();
    let mut pieces = std::pin::pin!(pieces(body, limit));
    while let Some(piece) = pieces.next().await {
        read.extend_from_slice(&piece?);
    }
    Ok(read.into())
}

/// Returns the pieces of a body of at most `limit` bytes, as they arrive. The caller limits the time.
pub(crate) fn pieces(body: Body, limit: usize) -> impl Stream<Item = Result<Bytes, BodyError>> {
    let mut left = limit;
    body.into_data_stream().map(move |piece| {
        let piece = piece.map_err(|_| BodyError::Incomplete)?;
        left = left.checked_sub(piece.len()).ok_or(BodyError::TooLong)?;
        Ok(piece)
    })
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
        check(3_000_000, Err(BodyError::TooLong)).await;
    }
}
