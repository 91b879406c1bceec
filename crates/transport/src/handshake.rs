//! Running a SASL machine over a stream.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::ByteStream;

/// The most octets that are held before a peer is authenticated.
const MAX_HELD: usize = 64 * 1024;

/// Enough for most exchanges, so that growing leaves no copies of a secret behind.
const USUAL: usize = 2 * 1024;

/// What an exchange is read into.
pub(crate) fn buffer() -> BytesMut {
    BytesMut::with_capacity(USUAL)
}

/// Reads some more.
pub(crate) async fn read_more(stream: &mut dyn ByteStream, input: &mut BytesMut) -> io::Result<()> {
    if input.len() >= MAX_HELD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too many octets before authentication"));
    }
    let mut limited = stream.take(MAX_HELD.saturating_sub(input.len()) as u64);
    if limited.read_buf(input).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

pub(crate) async fn write(stream: &mut dyn ByteStream, octets: &[u8]) -> io::Result<()> {
    if !octets.is_empty() {
        stream.write_all(octets).await?;
        stream.flush().await?;
    }
    Ok(())
}
