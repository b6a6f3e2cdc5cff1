//! One connection while it is read and written by turns: during the handshake, and until it becomes a link.
//!
//! TLS is a state machine here as everything is: bytes that came go in, bytes that are to go come out, and
//! this file is what moves them. Before authentication every byte counts against a budget, and the buffer
//! is small and fixed.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use rustls::Connection;
use socket2::SockRef;
use tokio::net::TcpStream;

use super::security::{HandshakeFailure, Mode};

/// A connection, with TLS or without.
pub(crate) struct Session {
    pub(crate) tcp: TcpStream,
    pub(crate) tls: Option<Connection>,
    mode: Mode,
    budget: Budget,
    scratch: Box<[u8]>,
}

/// How much may still come from somebody unknown.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: usize,
    limit: usize,
}

impl Session {
    pub(crate) fn new(tcp: TcpStream, mode: Mode, bytes_max: usize) -> Self {
        Self {
            tcp,
            tls: None,
            mode,
            budget: Budget {
                left: bytes_max,
                limit: bytes_max,
            },
            scratch: vec![0; SCRATCH_BYTES].into(),
        }
    }

    /// The other side is known: it may send as much as is read.
    pub(crate) fn lift_budget(&mut self) {
        self.budget = Budget {
            left: usize::MAX,
            limit: usize::MAX,
        };
    }

    /// The first byte that comes, which is not taken; `None`: the end.
    pub(crate) async fn first_byte(&mut self) -> Result<Option<u8>, HandshakeFailure> {
        let mut byte = [0];
        match self.tcp.peek(&mut byte).await? {
            0 => Ok(None),
            _ => Ok(Some(byte[0])),
        }
    }

    /// TLS, to the end of this side's part.
    pub(crate) async fn shake_hands(&mut self, tls: Connection) -> Result<(), HandshakeFailure> {
        self.tls = Some(tls);
        loop {
            self.send_tls().await?;
            if self.tls.as_ref().is_none_or(|tls| !tls.is_handshaking()) {
                return Ok(());
            }
            self.receive_tls().await?;
        }
    }

    /// All of `out`.
    pub(crate) async fn read_exact(&mut self, out: &mut [u8]) -> Result<(), HandshakeFailure> {
        let mut filled = 0;
        while filled < out.len() {
            match self.read(&mut out[filled..]).await? {
                0 => return Err(HandshakeFailure::Closed),
                n => filled += n,
            }
        }
        Ok(())
    }

    /// What there is, at least a byte; 0: the end.
    ///
    /// Cancel safe: bytes that were not returned will be.
    pub(crate) async fn read(&mut self, out: &mut [u8]) -> Result<usize, HandshakeFailure> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(tls) = &mut self.tls else {
                let most = out.len().min(self.budget.left);
                if most == 0 {
                    return Err(self.over_budget());
                }
                let n = read_some(&self.tcp, &mut out[..most]).await?;
                self.budget.left -= n;
                return Ok(n);
            };
            match tls.reader().read(out) {
                Ok(n) => return Ok(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
            self.receive_tls().await?;
        }
    }

    /// All of `bytes`.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> Result<(), HandshakeFailure> {
        let mut rest = bytes;
        while let (Some(tls), false) = (&mut self.tls, rest.is_empty()) {
            let n = tls.writer().write(rest)?;
            rest = &rest[n..];
            self.send_tls().await?;
        }
        Ok(write_all(&self.tcp, rest).await?)
    }

    /// Lets the other side read what it was told before the connection goes away.
    ///
    /// Closing with unread bytes resets a connection, and a reset overtakes the alert that says why. So:
    /// half close, and read what comes, a little while and a little much.
    pub(crate) async fn linger(mut self) {
        if SockRef::from(&self.tcp).shutdown(Shutdown::Write).is_err() {
            return;
        }
        let drained = async {
            let mut left = LINGER_BYTES;
            while left > 0 {
                match read_some(&self.tcp, &mut self.scratch).await {
                    Ok(0) | Err(_) => return,
                    Ok(n) => left = left.saturating_sub(n),
                }
            }
        };
        // Over time or not, the connection goes.
        let _ = tokio::time::timeout(LINGER, drained).await;
    }

    /// Feeds TLS what comes.
    async fn receive_tls(&mut self) -> Result<(), HandshakeFailure> {
        let most = self.scratch.len().min(self.budget.left);
        if most == 0 {
            return Err(self.over_budget());
        }
        let n = read_some(&self.tcp, &mut self.scratch[..most]).await?;
        self.budget.left -= n;
        let Some(tls) = &mut self.tls else {
            return Err(HandshakeFailure::Closed);
        };
        if n == 0 {
            return Err(HandshakeFailure::Closed);
        }
        let mut bytes = &self.scratch[..n];
        while !bytes.is_empty() {
            let took = tls.read_tls(&mut bytes)?;
            if let Err(error) = tls.process_new_packets() {
                // It has an alert to send. If that does not go out at once, it never will.
                let _ = tls.write_tls(&mut Now(&self.tcp));
                return Err(HandshakeFailure::from_tls(error, self.mode));
            }
            if took == 0 {
                return Err(HandshakeFailure::Tls("bytes after the end".to_owned()));
            }
        }
        Ok(())
    }

    /// Sends what TLS has to say.
    async fn send_tls(&mut self) -> Result<(), HandshakeFailure> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        while tls.wants_write() {
            match tls.write_tls(&mut Now(&self.tcp)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.tcp.writable().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn over_budget(&self) -> HandshakeFailure {
        HandshakeFailure::TooManyBytes {
            limit: self.budget.limit,
        }
    }
}

async fn read_some(tcp: &TcpStream, out: &mut [u8]) -> io::Result<usize> {
    loop {
        tcp.readable().await?;
        match tcp.try_read(out) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

async fn write_all(tcp: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match tcp.try_write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => tcp.writable().await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A socket as something that is written to now or not at all.
struct Now<'a>(&'a TcpStream);

impl Write for Now<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, bytes: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is read at once from somebody unknown.
const SCRATCH_BYTES: usize = 4 << 10;

/// How long a refused peer may take to hear it.
const LINGER: Duration = Duration::from_secs(1);

/// How much of what it still says is read.
const LINGER_BYTES: usize = 64 << 10;
