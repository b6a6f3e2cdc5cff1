// Which peer has which shards: a cell for each shard, in order, with the peer's letter.

import { h } from "./dom.js";
import { count, percent, plural } from "./format.js";
import { answer, empty, facts, mark, section } from "./parts.js";

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

export default function shards() {
  return {
    title: "Shards",
    sources: { shards: { path: "shards", every: 2000 } },
    draw: (data) => answer(data.shards, (value) => {
      if (!value.enabled) return empty("This system is not part of a cluster.", "Entities by key live on the peers of one: Cluster::builder(..).entity(..).");
      if (value.kinds.length === 0) return empty("No kind of entity is declared.", "ClusterBuilder::entity(..) declares one; its shards appear here.");
      // One letter for a peer, whatever the kind.
      const peers = [...new Set(value.kinds.flatMap((kind) => kind.owners ?? []).filter(Boolean))]
        .sort((a, b) => Number(b === value.own) - Number(a === value.own) || a.localeCompare(b));
      return value.kinds.map((kind) => section(kind.name, {
        key: kind.name, note: kind.singleton ? "a singleton: one in the whole cluster" : plural(kind.shards, "shard"),
      }, map(kind, peers, value.own), here(kind)));
    }),
  };

  function map(kind, peers, own) {
    if (!kind.owners) return empty("This peer does not know the map.", "It is told to peers that have a part of the kind, or use it.");
    const has = (peer) => kind.owners.filter((owner) => owner === peer).length;
    const homeless = kind.owners.filter((owner) => owner === null).length;
    const moving = kind.moving?.filter((to) => to !== null).length ?? 0;
    const letter = (peer) => LETTERS[peers.indexOf(peer) % 26];
    return [
      h("ul", { class: "shard-legend" }, peers.map((peer, index) => has(peer) > 0 && h("li", { key: peer },
        h("i", { class: `shard hue-${index % 8}` }, letter(peer)), `${peer}${peer === own ? " (this peer)" : ""}`,
        h("span", { class: "muted" }, ` ${count(has(peer))} · ${percent(has(peer) / kind.shards)}`))),
      homeless > 0 && h("li", { key: "none" }, h("i", { class: "shard none" }, "–"), mark("warn", `${plural(homeless, "shard")} without an owner`)),
      moving > 0 && h("li", { key: "moving" }, h("i", { class: "shard moving" }, "→"), `${plural(moving, "shard")} on the way`)),
      h("div", { class: "shard-map", role: "img", "aria-label": peers.map((peer) => `${peer} has ${has(peer)}`).join(", ") + (homeless > 0 ? `, ${homeless} without an owner` : "") },
        kind.owners.slice(0, 4096).map((owner, index) => h("i", {
          key: index,
          class: `shard ${owner === null ? "none" : `hue-${peers.indexOf(owner) % 8}`}${kind.moving?.[index] ? " moving" : ""}`,
          title: `shard ${index}: ${owner ?? "nobody"}${kind.moving?.[index] ? `, on its way to ${kind.moving[index]}` : ""}${kind.epochs?.[index] !== null && kind.epochs?.[index] !== undefined ? `, epoch ${kind.epochs[index]}` : ""}`,
        }, kind.moving?.[index] ? "→" : owner === null ? "–" : letter(owner)))),
    ];
  }
}

function here(kind) {
  const it = kind.here;
  if (!it) return h("p", { class: "note" }, "Not declared on this peer.");
  return facts(
    ["Shards here", count(it.shards)], ["Entities here", count(it.entities)], ["Delivered here", count(it.delivered_total)],
    ["Forwarded", count(it.forwarded_total)], ["Waiting", it.waiting > 0 ? count(it.waiting) : "0", "for a shard to find its peer"],
    ["Refused", it.refused_total > 0 ? mark("warn", count(it.refused_total)) : "0"],
    it.has_other_shards && ["Declared otherwise", mark("bad", "with another number of shards than the cluster agreed on")],
  );
}
