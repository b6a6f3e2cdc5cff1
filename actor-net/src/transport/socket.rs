//! Options of sockets.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::settings::TransportSettings;

/// No delay for small writes, and an end for connections whose other end is gone.
pub(crate) fn prepare(tcp: &TcpStream, settings: &TransportSettings) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    // Probes begin at half the time and are a quarter apart; the kernel counts in seconds.
    let seconds = |time: Duration| Duration::from_secs(time.as_secs().max(1));
    let keepalive = TcpKeepalive::new()
        .with_time(seconds(settings.user_timeout / 2))
        .with_interval(seconds(settings.user_timeout / 4));
    #[cfg(target_os = "linux")]
    let keepalive = keepalive.with_retries(3);
    socket.set_tcp_keepalive(&keepalive)?;
    // What the kernel holds unsent a small message has to wait for: no more than a batch of ours.
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(NOTSENT_BYTES_MAX)?;
    // Where a kernel has no such option, keep-alive and the heartbeats above remain.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(settings.user_timeout))?;
    Ok(())
}

/// Closes a connection at once and without a trace in the kernel: the other end sees a reset.
pub(crate) fn reset(tcp: &TcpStream) {
    // If it cannot, the connection is closed the slow way.
    let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}

pub(crate) fn listen(addr: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = match addr {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // So that a restart need not wait for the connections of the life before.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(backlog)
}

/// As much as the floors above write at once. 5 ms at 100 Mbit/s.
#[cfg(target_os = "linux")]
const NOTSENT_BYTES_MAX: u32 = 64 << 10;
