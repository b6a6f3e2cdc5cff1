//! `GET /api/v1/shards`.

use std::collections::BTreeMap;

use crate::cluster::ShardMapView;
use crate::console::Shared;
use crate::console::answer::{Answer, Wrong, json};
use crate::console::api::{KindHere, Shards, ShardsOfKind};
use crate::sharding::KindStats;

pub(in crate::console) async fn shards(shared: &Shared) -> Result<Answer, Wrong> {
    let Some(cluster) = &shared.cluster else {
        return Ok(json(&Shards {
            enabled: false,
            own: None,
            kinds: Vec::new(),
        }));
    };
    // A kind and a singleton may have one name.
    let mut kinds: BTreeMap<(String, bool), (Option<ShardMapView>, Option<KindStats>)> =
        BTreeMap::new();
    for map in cluster.shard_maps() {
        let name = (map.kind.clone(), map.is_singleton);
        kinds.entry(name).or_default().0 = Some(map);
    }
    for here in cluster.entities().await {
        let name = (here.name.to_string(), here.is_singleton);
        kinds.entry(name).or_default().1 = Some(here);
    }
    Ok(json(&Shards {
        enabled: true,
        own: Some(cluster.peer().to_string()),
        kinds: kinds
            .into_iter()
            .map(|((name, singleton), (map, here))| {
                kind(name, singleton, map.as_ref(), here.as_ref())
            })
            .collect(),
    }))
}

fn kind(
    name: String,
    singleton: bool,
    map: Option<&ShardMapView>,
    here: Option<&KindStats>,
) -> ShardsOfKind {
    let column = |of: fn(&crate::cluster::ShardPlace) -> Option<String>| {
        map.map(|map| map.shards.iter().map(of).collect())
    };
    ShardsOfKind {
        name,
        singleton,
        shards: map.map_or(0, |map| map.shards.len() as u64),
        owners: column(|place| place.owner.as_ref().map(ToString::to_string)),
        epochs: map.map(|map| {
            let epochs = map.shards.iter();
            epochs
                .map(|place| (place.epoch > 0).then_some(place.epoch))
                .collect()
        }),
        moving: column(|place| place.next.as_ref().map(ToString::to_string)),
        here: here.map(|here| KindHere {
            shards: here.shards as u64,
            entities: here.entities as u64,
            offered_total: here.offered,
            delivered_total: here.delivered,
            forwarded_total: here.forwarded,
            waiting: here.waiting,
            refused_total: here.refused,
            barriers_cut_short_total: here.barriers_cut_short,
            gone: here.is_gone,
            has_other_shards: here.has_other_shards,
        }),
    }
}
