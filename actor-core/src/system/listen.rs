//! One listening socket per NUMA node on one address, so that a connection stays on the NUMA node whose
//! CPU took it from the network card.
//!
//! `SO_REUSEPORT` lets several sockets share an address; which of them gets a connection is said by a
//! small program in the kernel (`SO_ATTACH_REUSEPORT_CBPF`) that looks at the CPU the packet is handled
//! on. Without it (older kernels, other systems, a filter that forbids it) the kernel spreads connections
//! by a hash: still one accept queue per NUMA node, no longer the near one.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

use super::SystemRef;
use crate::id::{CpuId, NumaNodeId};

/// A listening socket of one NUMA node; made by [`SystemRef::listen`].
#[derive(Debug)]
#[non_exhaustive]
pub struct NumaListener {
    /// The NUMA node whose tokio runtime drives it. Actors that serve its connections belong there:
    /// [`Placement::Node`](crate::Placement::Node).
    pub numa_node: NumaNodeId,
    /// The socket.
    pub listener: TcpListener,
    /// Whether the kernel gives it the connections that reach its NUMA node; otherwise it gets a share of
    /// all.
    pub near: bool,
}

impl SystemRef {
    /// Listens on `address` with one socket per NUMA node that has workers, each driven by the tokio
    /// runtime of its NUMA node. With port 0 the kernel chooses one port for all.
    ///
    /// On Linux a connection goes to the NUMA node whose CPU took its first packet, so sockets, buffers
    /// and the actors that serve them stay together; elsewhere, and on a machine with one NUMA node,
    /// there is a single socket. Accept from all of them: a connection that falls to a socket nobody
    /// accepts from waits there.
    ///
    /// `backlog` is how many connections may wait to be accepted, per socket; the kernel's own limit
    /// (`net.core.somaxconn`) holds as well.
    ///
    /// # Errors
    ///
    /// What the operating system says: the address is in use or not ours, the port is privileged.
    ///
    /// # Examples
    ///
    /// ```
    /// use actor_core::prelude::*;
    ///
    /// let system = ActorSystem::new()?;
    /// for socket in system.listen("127.0.0.1:0".parse()?, 1024)? {
    ///     let tokio = system.tokio_on(socket.numa_node).expect("it has workers");
    ///     tokio.spawn(async move {
    ///         while let Ok((stream, _)) = socket.listener.accept().await {
    ///             drop(stream); // spawn an actor with Placement::Node(socket.numa_node)
    ///         }
    ///     });
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn listen(&self, address: SocketAddr, backlog: u32) -> io::Result<Vec<NumaListener>> {
        let mut nodes = self.numa_nodes();
        if !cfg!(target_os = "linux") {
            nodes.truncate(1);
        }
        let shared = nodes.len() > 1;
        let mut address = address;
        let mut listeners = Vec::with_capacity(nodes.len());
        for numa_node in nodes {
            let Some(tokio) = self.tokio_on(numa_node) else {
                continue;
            };
            let _entered = tokio.enter();
            let socket = match address {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            // A server that restarts need not wait for the connections of its former life.
            socket.set_reuseaddr(true)?;
            #[cfg(target_os = "linux")]
            socket.set_reuseport(shared)?;
            socket.bind(address)?;
            let listener = socket.listen(backlog)?;
            // The others take the port that the first was given.
            address = listener.local_addr()?;
            listeners.push(NumaListener {
                numa_node,
                listener,
                near: !shared,
            });
        }
        if let (true, Some(first)) = (shared, listeners.first()) {
            let cpus: Vec<Vec<CpuId>> = listeners
                .iter()
                .map(|each| self.topology().real_cpus_of(each.numa_node))
                .collect();
            match steer::by_cpu(&first.listener, &cpus) {
                Ok(()) => listeners.iter_mut().for_each(|each| each.near = true),
                Err(error) => tracing::info!(
                    %address, %error,
                    "connections are spread over NUMA nodes by a hash, not by the CPU they come in on"
                ),
            }
        }
        Ok(listeners)
    }
}

/// The program that chooses a socket of the group by the CPU.
mod steer {
    use super::{CpuId, TcpListener, io};

    /// One step of classic BPF: what to do, where to jump if true and if false, an operand.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Step(pub(super) u16, pub(super) u8, pub(super) u8, pub(super) u32);

    /// Load the number of the CPU: `BPF_LD | BPF_W | BPF_ABS` at `SKF_AD_OFF + SKF_AD_CPU`.
    const LOAD_CPU: Step = Step(0x20, 0, 0, 0xffff_f000 + 36);
    /// `BPF_JMP | BPF_JGE | BPF_K`.
    const IF_AT_LEAST: u16 = 0x35;
    /// `BPF_JMP | BPF_JGT | BPF_K`.
    const IF_ABOVE: u16 = 0x25;
    /// `BPF_RET | BPF_K`.
    const RETURN: u16 = 0x06;
    /// No socket of that number: the kernel falls back on its hash.
    const NONE: u32 = u32::MAX;

    /// For each range of CPUs the number of its socket; sockets are numbered as they began to listen.
    pub(super) fn program(cpus: &[Vec<CpuId>]) -> Vec<Step> {
        let mut steps = vec![LOAD_CPU];
        for (socket, cpus) in (0u32..).zip(cpus) {
            for (first, last) in ranges(cpus) {
                steps.push(Step(IF_AT_LEAST, 0, 2, first));
                steps.push(Step(IF_ABOVE, 1, 0, last));
                steps.push(Step(RETURN, 0, 0, socket));
            }
        }
        steps.push(Step(RETURN, 0, 0, NONE));
        steps
    }

    fn ranges(cpus: &[CpuId]) -> Vec<(u32, u32)> {
        let mut numbers: Vec<u32> = cpus.iter().map(|cpu| cpu.0).collect();
        numbers.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some((_, last)) if number <= *last + 1 => *last = number,
                _ => ranges.push((number, number)),
            }
        }
        ranges
    }

    /// Attaches the program to the group that `listener` is in.
    #[cfg(target_os = "linux")]
    pub(super) fn by_cpu(listener: &TcpListener, cpus: &[Vec<CpuId>]) -> io::Result<()> {
        use std::os::fd::AsRawFd;

        let mut filter: Vec<libc::sock_filter> = program(cpus)
            .into_iter()
            .map(|Step(code, jt, jf, k)| libc::sock_filter { code, jt, jf, k })
            .collect();
        let len = u16::try_from(filter.len())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "too many ranges of CPUs"))?;
        let program = libc::sock_fprog {
            len,
            filter: filter.as_mut_ptr(),
        };
        // SAFETY: the kernel reads a `sock_fprog` of the size given, and through it `len` steps of
        // `filter`, both alive across the call; the descriptor is `listener`'s.
        let result = unsafe {
            libc::setsockopt(
                listener.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_ATTACH_REUSEPORT_CBPF,
                (&raw const program).cast(),
                size_of::<libc::sock_fprog>() as libc::socklen_t,
            )
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Elsewhere there is one socket, and nothing to choose.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn by_cpu(_listener: &TcpListener, _cpus: &[Vec<CpuId>]) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Unsupported))
    }
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
