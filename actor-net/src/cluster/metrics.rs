//! The cluster's figures in the readings of its system: members, connections, messages to and from other peers, groups,
//! shards.
//!
//! So they go wherever the system's own go ([`SystemRef::add_metrics`](actor_core::SystemRef::add_metrics)): to OTLP, and
//! to Prometheus by the console. They are there from the start of this peer until it has left. Labels are bounded: a series
//! per peer, of the first 256; per group, of the 100 with the most members, and all others together; per kind of entity, of
//! the first 100.

use std::cmp::Reverse;
use std::sync::{Arc, Weak};

use actor_core::metrics::{Entry, Reading, Source};

use super::lives::Shared;
use super::{Cluster, PeerLink, Status};
use crate::membership::MemberState;

/// Peers that have series of their own.
const PEERS_MAX: usize = 256;
/// Groups that have, and kinds of entities.
const NAMED_MAX: usize = 100;
/// All further groups together.
const OTHER: &str = "other";

pub(super) fn add(shared: &Arc<Shared>) -> Source {
    let weak: Weak<Shared> = Arc::downgrade(shared);
    shared.plan.system.add_metrics(move |reading| {
        if let Some(shared) = weak.upgrade() {
            read(&Cluster { shared }, reading);
        }
    })
}

fn read(cluster: &Cluster, reading: &mut Reading) {
    members(cluster, reading);
    links(&cluster.links(), reading);
    messages(cluster, reading);
    groups(cluster, reading);
    shards(cluster, reading);
}

fn members(cluster: &Cluster, reading: &mut Reading) {
    let view = cluster.view();
    let mut out = reading.gauge(
        "actor.cluster.members",
        "{peer}",
        "Members of the cluster as this peer sees them, by state.",
    );
    for state in [
        MemberState::Joining,
        MemberState::Up,
        MemberState::Unreachable,
        MemberState::Leaving,
        MemberState::Down,
        MemberState::Left,
    ] {
        let members = view.members().iter();
        let count = members.filter(|it| it.state() == state).count();
        out.add(&[("state", &state.to_string())], count);
    }
    let status = cluster.status();
    reading
        .gauge(
            "actor.cluster.running",
            "",
            "Whether this peer takes part: 1 or 0.",
        )
        .add(&[], matches!(status, Status::Running { .. }));
    reading
        .gauge("actor.cluster.voters", "{peer}", "Peers that vote.")
        .add(&[], cluster.voters().len());
    reading
        .gauge(
            "actor.cluster.has_leader",
            "",
            "Whether somebody leads: 1 or 0; otherwise nothing is decided.",
        )
        .add(&[], cluster.leader().is_some());
}

fn links(links: &[PeerLink], reading: &mut Reading) {
    let links = &links[..links.len().min(PEERS_MAX)];
    let mut out = reading.gauge(
        "actor.peer.connected",
        "",
        "Whether there is a connection to the peer: 1 or 0.",
    );
    for link in links {
        out.add(&[("peer", link.peer.as_str())], link.is_connected);
    }
    let mut out = reading.up_down_counter(
        "actor.peer.lanes",
        "{connection}",
        "Connections for messages to the peer.",
    );
    for link in links {
        out.add(&[("peer", link.peer.as_str())], link.lanes);
    }
    let mut out = reading.counter(
        "actor.peer.messages",
        "{message}",
        "Messages and answers to the peer and from it, in its present life.",
    );
    for link in links {
        both_ways(&mut out, link, link.messages_out, link.messages_in);
    }
    let mut out = reading.counter(
        "actor.peer.io",
        "By",
        "Bytes to the peer and from it, over all of its connections, in its present life.",
    );
    for link in links {
        both_ways(&mut out, link, link.bytes_out, link.bytes_in);
    }
    let mut out = reading.up_down_counter(
        "actor.peer.queued",
        "{message}",
        "Messages that wait to be sent to the peer.",
    );
    for link in links {
        out.add(&[("peer", link.peer.as_str())], link.queued);
    }
    let mut out = reading.gauge(
        "actor.peer.round_trip",
        "s",
        "How long a heartbeat takes to go and come back.",
    );
    for link in links {
        if let Some(time) = link.round_trip {
            out.add(&[("peer", link.peer.as_str())], time);
        }
    }
}

fn both_ways(family: &mut Entry<'_>, link: &PeerLink, out: u64, came: u64) {
    for (direction, count) in [("out", out), ("in", came)] {
        let labels = [("peer", link.peer.as_str()), ("direction", direction)];
        family.add(&labels, count);
    }
}

fn messages(cluster: &Cluster, reading: &mut Reading) {
    let Some(stats) = cluster.stats() else {
        return;
    };
    let mut out = reading.counter(
        "actor.remote.messages",
        "{message}",
        "Messages to and from other peers in this life, by what became of them.",
    );
    for (name, count) in stats.counts() {
        // What is held goes down again.
        if name != "held" {
            out.add(&[("what", name)], count);
        }
    }
    reading
        .up_down_counter(
            "actor.remote.messages.held",
            "{message}",
            "Messages from peers that wait for room in a mailbox.",
        )
        .add(&[], stats.held);
}

fn groups(cluster: &Cluster, reading: &mut Reading) {
    let mut sizes = cluster.shared.registered.groups.sizes();
    sizes.sort_by_key(|(_, members)| Reverse(*members));
    let (own, rest) = sizes.split_at(sizes.len().min(NAMED_MAX));
    let mut out = reading.gauge(
        "actor.group.members",
        "{actor}",
        "Members of groups, on all peers, as this one knows.",
    );
    for (name, members) in own {
        out.add(&[("group", name)], *members);
    }
    if !rest.is_empty() {
        let members: usize = rest.iter().map(|(_, members)| members).sum();
        out.add(&[("group", OTHER)], members);
    }
}

fn shards(cluster: &Cluster, reading: &mut Reading) {
    let mut out = reading.gauge(
        "actor.shards",
        "{shard}",
        "Shards by kind of entity and by where they are: here, elsewhere, nowhere while they move.",
    );
    for map in cluster.shard_maps().iter().take(NAMED_MAX) {
        let count = |is: &dyn Fn(&super::ShardPlace) -> bool| {
            map.shards.iter().filter(|place| is(place)).count()
        };
        let here = count(&|place| place.owner.as_ref() == Some(cluster.peer()));
        let nowhere = count(&|place| place.owner.is_none());
        let sort = if map.is_singleton {
            "singleton"
        } else {
            "entity"
        };
        for (place, shards) in [
            ("here", here),
            ("elsewhere", map.shards.len() - here - nowhere),
            ("nowhere", nowhere),
        ] {
            let labels = [("kind", map.kind.as_str()), ("of", sort), ("place", place)];
            out.add(&labels, shards);
        }
    }
}
