//! `GET /api/v1/cluster`.

use std::time::SystemTime;

use actor_core::ActorId;

use super::{id, ms, ns};
use crate::cluster::{Cluster, PeerLink, Status};
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{
    ClusterAnswer, ClusterInfo, Group, Groups, Link, Member, MemberEvent, MetadataEntry, Name,
    Named, Names, NumaCpus, RemoteCounts,
};
use crate::console::recent::{LinkRates, Pair};
use crate::membership::{self, MemberChange};
use crate::remote::RemoteStats;

/// Names and groups that are told.
const SHOWN: usize = 200;

pub(in crate::console) async fn cluster(shared: &Shared) -> Result<Answer, Wrong> {
    let Some(cluster) = shared.cluster.clone() else {
        return Ok(json(&ClusterAnswer {
            enabled: false,
            cluster: None,
        }));
    };
    let events = shared.recent.events();
    // Locks are taken, and lists copied that may be long.
    let pair = shared.recent.pair();
    let told = tokio::task::spawn_blocking(move || told(&cluster, &events, pair.as_deref())).await;
    let info = told.map_err(|error| {
        Wrong::unavailable(error.to_string(), "the system may be shutting down")
    })?;
    Ok(json(&ClusterAnswer {
        enabled: true,
        cluster: Some(info),
    }))
}

fn told(
    cluster: &Cluster,
    events: &[(SystemTime, membership::MemberEvent)],
    pair: Option<&Pair>,
) -> ClusterInfo {
    let view = cluster.view();
    let voters = cluster.voters();
    let links = cluster.links();
    let status = cluster.status();
    let members = view.members().iter().map(|member| {
        let profile = member.profile();
        let link = links
            .iter()
            .find(|link| link.peer == *member.peer() && link.incarnation == member.incarnation());
        Member {
            peer: member.peer().to_string(),
            own: member.peer() == cluster.peer(),
            incarnation: member.incarnation().0,
            state: member.state().to_string(),
            since_ns: ns(member.since().elapsed()),
            voter: voters.contains(member.peer()),
            roles: profile.map_or_else(Vec::new, |it| it.roles().map(str::to_owned).collect()),
            endpoints: profile.map_or_else(Vec::new, |it| {
                it.endpoints().iter().map(ToString::to_string).collect()
            }),
            metadata: profile.map_or_else(Vec::new, |it| {
                it.metadata()
                    .map(|(key, value)| MetadataEntry {
                        key: key.to_owned(),
                        value: value.to_owned(),
                    })
                    .collect()
            }),
            numa_nodes: profile.map_or_else(Vec::new, |it| {
                it.numa_nodes()
                    .iter()
                    .map(|node| NumaCpus {
                        id: node.id,
                        cpus: node.cpus,
                        bytes: node.bytes,
                    })
                    .collect()
            }),
            started_at_ms: profile.map(|it| it.started_ms()),
            link: link.map(|link| {
                let key = (link.peer.clone(), link.incarnation);
                link_of(link, pair.and_then(|pair| pair.link_rates.get(&key)))
            }),
        }
    });
    ClusterInfo {
        name: cluster.cluster().to_string(),
        own: cluster.peer().to_string(),
        incarnation: cluster.incarnation().map(|it| it.0),
        address: cluster.local_addr().to_string(),
        status: status_word(&status).to_owned(),
        status_text: status.to_string(),
        version: view.version(),
        voters: voters.iter().map(ToString::to_string).collect(),
        leader: cluster.leader().map(|it| it.to_string()),
        members: members.collect(),
        remote: cluster.stats().as_ref().map(remote),
        events: events.iter().map(event).collect(),
        names: names(cluster),
        groups: groups(cluster),
    }
}

fn link_of(link: &PeerLink, rates: Option<&LinkRates>) -> Link {
    Link {
        sent_total: link.messages_out,
        received_total: link.messages_in,
        sent_bytes_total: link.bytes_out,
        received_bytes_total: link.bytes_in,
        sent_per_s: rates.map(|it| it.messages_out),
        received_per_s: rates.map(|it| it.messages_in),
        sent_bytes_per_s: rates.map(|it| it.bytes_out),
        received_bytes_per_s: rates.map(|it| it.bytes_in),
        queued: link.queued,
        connected: link.is_connected,
        lost: link.is_lost,
        round_trip_ns: link.round_trip.map(ns),
        lanes: link.lanes,
    }
}

pub(super) fn status_word(status: &Status) -> &'static str {
    match status {
        Status::Running { .. } => "running",
        Status::Isolated { .. } => "isolated",
        Status::Restarting { .. } => "restarting",
        Status::Left => "left",
        Status::Ended { .. } => "ended",
    }
}

fn event((at, event): &(SystemTime, membership::MemberEvent)) -> MemberEvent {
    let (change, why) = match &event.change {
        MemberChange::Up => ("up", None),
        MemberChange::Unreachable => ("unreachable", None),
        MemberChange::ReachableAgain => ("reachable_again", None),
        MemberChange::Leaving => ("leaving", None),
        MemberChange::Left => ("left", None),
        MemberChange::Down(why) => ("down", Some(why.to_string())),
        MemberChange::MetadataChanged => ("metadata_changed", None),
    };
    MemberEvent {
        at_ms: ms(*at),
        peer: event.member.peer().to_string(),
        incarnation: event.member.incarnation().0,
        change: change.to_owned(),
        why,
        version: event.version,
    }
}

fn remote(stats: &RemoteStats) -> RemoteCounts {
    let all = stats.counts();
    let sum = |prefix: &str| {
        let of = all.iter().filter(|(name, _)| name.starts_with(prefix));
        of.map(|(_, value)| value).sum()
    };
    RemoteCounts {
        tells_out_total: stats.tells_out,
        asks_out_total: stats.asks_out,
        answers_out_total: stats.answers_out,
        tells_in_total: stats.tells_in,
        asks_in_total: stats.asks_in,
        answers_in_total: stats.answers_in,
        delivered_total: stats.delivered,
        held: stats.held,
        lost_total: sum("lost_"),
        dropped_total: sum("dropped_"),
        refused_total: sum("refused_"),
        all: all
            .iter()
            .map(|(name, value)| Named {
                name: (*name).to_owned(),
                value: *value,
            })
            .collect(),
    }
}

fn names(cluster: &Cluster) -> Names {
    let all = cluster.names().list();
    let total = all.len();
    let items: Vec<Name> = all
        .into_iter()
        .take(SHOWN)
        .map(|(name, holder)| Name {
            name,
            peer: holder.actor.peer.to_string(),
            actor: ActorId::from_number(holder.actor.number)
                .map_or_else(|| holder.actor.number.to_string(), id),
            actor_type: holder.actor_type.to_string(),
            epoch: holder.epoch,
        })
        .collect();
    Names {
        shown: items.len(),
        truncated: total > items.len(),
        items,
        total: total as u64,
        next: None,
    }
}

fn groups(cluster: &Cluster) -> Groups {
    let all = cluster.groups().list();
    let total = all.len();
    let items: Vec<Group> = all
        .into_iter()
        .take(SHOWN)
        .map(|name| Group {
            name: name.to_string(),
        })
        .collect();
    Groups {
        shown: items.len(),
        truncated: total > items.len(),
        items,
        total: total as u64,
        next: None,
    }
}
