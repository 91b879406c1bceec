//! TCP: names, addresses and the one socket option that matters.

use std::io;

use tokio::net::{TcpStream, lookup_host};

/// Why there is no TCP connection.
#[derive(Debug)]
pub(crate) enum TcpError {
    /// The name has no address.
    Resolve(io::Error),
    /// No address answered; the last reason.
    Connect(io::Error),
}

/// Tries every address of `host` in turn.
pub(crate) async fn resolve(host: &str, port: u16) -> Result<Vec<std::net::SocketAddr>, TcpError> {
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(TcpError::Resolve)?.collect();
    if addresses.is_empty() {
        return Err(TcpError::Resolve(io::Error::new(io::ErrorKind::NotFound, "the name has no address")));
    }
    Ok(addresses)
}

pub(crate) async fn dial(addresses: &[std::net::SocketAddr]) -> Result<TcpStream, TcpError> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no address to try");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                // Small frames must not wait for acknowledgements of earlier ones.
                stream.set_nodelay(true).map_err(TcpError::Connect)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(TcpError::Connect(last))
}
