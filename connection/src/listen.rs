//! Binds the addresses at which programs listen.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

/// The number of connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Binds an address, for a runtime that does not block. `[::]` takes connections over IPv6 and IPv4, and over IPv4 alone where
/// the kernel has no IPv6.
///
/// # Errors
///
/// The error of the operating system, such as for a port that another program has.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = match address {
        SocketAddr::V6(any) if any.ip().is_unspecified() => or_over_ipv4(over_both(address), any.port()),
        _ => TcpListener::bind(address),
    }?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Binds an address of IPv6 that takes connections over IPv4 too, whatever the kernel does by default.
fn over_both(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn or_over_ipv4(bound: io::Result<TcpListener>, port: u16) -> io::Result<TcpListener> {
    match bound {
        Err(error) if lacks_ipv6(&error) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)),
        bound => bound,
    }
}

fn lacks_ipv6(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL))
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr, TcpStream};

    use super::*;

    #[test]
    fn any_address_of_ipv6_is_reached_over_ipv4_too() {
        let listener = bind("[::]:0".parse().unwrap()).unwrap();
        let bound = listener.local_addr().unwrap();
        let reached = |host: IpAddr| TcpStream::connect((host, bound.port())).is_ok();
        assert!(reached(Ipv4Addr::LOCALHOST.into()));
        assert!(bound.is_ipv4() || reached(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn a_kernel_without_ipv6_is_listened_at_over_ipv4() {
        for errno in [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL] {
            let listener = or_over_ipv4(Err(errno.into()), 0).unwrap();
            assert!(listener.local_addr().unwrap().is_ipv4());
        }
        let taken = or_over_ipv4(Err(Errno::ADDRINUSE.into()), 0).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
