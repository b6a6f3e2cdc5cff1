//! Connections stay on the NUMA node that they come in on.

mod common;

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use actor_core::topology::affinity;
use common::*;

const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[test]
fn each_numa_node_has_a_socket_on_the_same_port() {
    let system = system();
    let sockets = system.listen(ANY_PORT, 16).unwrap();
    let nodes: Vec<_> = sockets.iter().map(|each| each.numa_node).collect();
    assert_eq!(nodes, system.numa_nodes());
    let address = sockets[0].listener.local_addr().unwrap();
    assert_ne!(address.port(), 0);
    for each in &sockets {
        assert_eq!(each.listener.local_addr().unwrap(), address);
    }
    drop(sockets);
    finish(system);
}

#[test]
fn an_address_in_use_is_refused() {
    let system = system();
    let taken = std::net::TcpListener::bind(ANY_PORT).unwrap();
    let error = system.listen(taken.local_addr().unwrap(), 16).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse, "{error}");
    finish(system);
}

/// On loopback a connection's first packet is handled on the CPU of whoever connects.
#[test]
fn a_connection_goes_to_the_numa_node_of_the_cpu_it_comes_in_on() {
    const EACH: usize = 20;
    let system = system();
    let sockets = system.listen(ANY_PORT, 1024).unwrap();
    if !sockets.iter().all(|each| each.near) {
        eprintln!("not checked: this kernel spreads connections by a hash");
        finish(system);
        return;
    }
    let address = sockets[0].listener.local_addr().unwrap();
    // A CPU that several pretended NUMA nodes share belongs to the first of them.
    let mut of_cpu: Vec<(actor_core::CpuId, usize)> = Vec::new();
    for (index, each) in sockets.iter().enumerate() {
        for cpu in system.topology().real_cpus_of(each.numa_node) {
            if !of_cpu.iter().any(|(known, _)| *known == cpu) {
                of_cpu.push((cpu, index));
            }
        }
    }
    let mut expected = vec![0; sockets.len()];
    let clients: Vec<TcpStream> = std::thread::spawn(move || {
        let allowed = affinity::current_thread_cpus().unwrap();
        let mut clients = Vec::new();
        for (cpu, index) in of_cpu {
            if affinity::pin_current_thread(cpu, &allowed).is_err() {
                continue;
            }
            for _ in 0..EACH {
                clients.push((TcpStream::connect(address).unwrap(), index));
            }
        }
        clients
    })
    .join()
    .unwrap()
    .into_iter()
    .map(|(client, index)| {
        expected[index] += 1;
        client
    })
    .collect();
    for (each, expected) in sockets.iter().zip(expected) {
        let accepted = system.block_on(async {
            let mut accepted = 0;
            while accepted < expected {
                let next = tokio::time::timeout(PATIENCE, each.listener.accept()).await;
                next.expect("one more connection is on its way").unwrap();
                accepted += 1;
            }
            // And no more than those.
            let more = tokio::time::timeout(Duration::from_millis(50), each.listener.accept());
            accepted + usize::from(more.await.is_ok())
        });
        assert_eq!(accepted, expected, "{}", each.numa_node);
    }
    drop(clients);
    finish(system);
}
