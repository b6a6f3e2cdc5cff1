//! Reaches peers: look up, connect, prove, one address after the other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpStream;

use super::endpoint::Endpoint;
use super::error::{DialError, DialFailure};
use super::established::Established;
use super::handshake;
use super::link::Peer;
use super::security::{HandshakeFailure, Mode};
use super::session::Session;
use super::socket;
use super::state::{Core, bump};

/// Tries each address of an endpoint in turn, or the one that is given.
pub(crate) async fn dial(
    core: &Arc<Core>,
    to: &Endpoint,
    only: Option<SocketAddr>,
) -> Result<Established, DialError> {
    let mut error = DialError {
        endpoint: to.clone(),
        tried: Vec::new(),
        failure: DialFailure::ShutDown,
    };
    let all = async {
        let addresses = match only {
            Some(addr) => Ok(vec![addr]),
            None => look_up(core, to).await,
        };
        let addresses = match addresses {
            Ok(addresses) => addresses,
            Err(failure) => {
                error.failure = failure;
                return Err(error);
            }
        };
        for addr in addresses {
            match try_one(core, to, addr).await {
                Ok(established) => return Ok(established),
                Err(failure) => {
                    error.failure = failure.clone();
                    error.tried.push((addr, failure));
                }
            }
        }
        Err(error)
    };
    let result = core.closing.run_until_cancelled(all).await;
    let result = result.unwrap_or_else(|| {
        Err(DialError {
            endpoint: to.clone(),
            tried: Vec::new(),
            failure: DialFailure::ShutDown,
        })
    });
    bump(match result {
        Ok(_) => &core.counters.dialled,
        Err(_) => &core.counters.dials_failed,
    });
    result
}

async fn look_up(core: &Core, to: &Endpoint) -> Result<Vec<SocketAddr>, DialFailure> {
    if let Some(ip) = to.ip() {
        return Ok(vec![SocketAddr::new(ip, to.port())]);
    }
    let none = |text: String| DialFailure::NotResolvable { text };
    let within = core.settings.connect_within;
    let found = tokio::time::timeout(within, tokio::net::lookup_host((to.host(), to.port())))
        .await
        .map_err(|_| none(format!("no answer within {within:?}")))?
        .map_err(|error| none(error.to_string()))?;
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for addr in found.take(ADDRESSES_MAX) {
        if !addresses.contains(&addr) {
            addresses.push(addr);
        }
    }
    if addresses.is_empty() {
        return Err(none("the resolver found none".to_owned()));
    }
    Ok(addresses)
}

async fn try_one(
    core: &Arc<Core>,
    to: &Endpoint,
    addr: SocketAddr,
) -> Result<Established, DialFailure> {
    let settings = &core.settings;
    let keys = core.keyring.loaded();
    if keys.mode() == Mode::Insecure && !addr.ip().to_canonical().is_loopback() {
        return Err(DialFailure::InsecureBeyondLoopback);
    }
    if !core.quota.has_room() {
        return Err(DialFailure::TooManyLinks);
    }
    let after = settings.connect_within;
    let connected = tokio::time::timeout(after, TcpStream::connect(addr)).await;
    let tcp = match connected {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            return Err(DialFailure::ConnectTimedOut { after });
        }
        Ok(Err(error)) => return Err(DialFailure::of(&error)),
        Err(_) => return Err(DialFailure::ConnectTimedOut { after }),
    };
    socket::prepare(&tcp, settings).map_err(|error| DialFailure::of(&error))?;
    let local = tcp.local_addr().map_err(|error| DialFailure::of(&error))?;

    // Two sides that listen with the same port and dial each other at once may meet as one connection.
    if local == addr {
        return Err(DialFailure::ConnectionRefused);
    }
    let mut session = Session::new(tcp, keys.mode(), settings.handshake_bytes_max);
    let after = settings.handshake_within;
    let shaken = handshake::dial(&mut session, &keys, to.host());
    let result = tokio::time::timeout(after, shaken)
        .await
        .unwrap_or(Err(HandshakeFailure::TimedOut { after }));
    let proven = match result {
        Ok(proven) => proven,
        Err(failure) => {
            // So that the listener hears why; counted, and ended with the transport.
            let core = core.clone();
            let tasks = core.tasks.clone();
            let runtime = core.runtime.clone();
            tasks.spawn(&runtime, async move {
                core.abort.run_until_cancelled(session.linger()).await;
            });
            return Err(failure.into());
        }
    };
    let slot = core
        .slot(&proven.identity, addr)
        .ok_or(DialFailure::TooManyLinks)?;
    let peer = Peer {
        identity: proven.identity,
        addr,
        local,
        dialled: true,
        binding: proven.binding,
    };
    Ok(Established::new(session, peer, slot, core.clone()))
}

/// A name with more addresses than these is a service of many peers; some of them do.
const ADDRESSES_MAX: usize = 16;
