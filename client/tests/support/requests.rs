//! Reads requests as servers of tests do. The unit tests of following include this file too.

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Reads a request, and returns its target and its body.
pub(super) async fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut bytes = Vec::new();
    let header = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    };
    let length = header.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < length.unwrap_or(0) {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
    }
    (header.split_whitespace().nth(1).unwrap().to_owned(), bytes)
}
