// The machine: its map, and as tables what goes between NUMA nodes and between peers, the workers, the memory.

import { h } from "./dom.js";
import { bytes, count, duration, percent, plural, rate } from "./format.js";
import { across, map } from "./map.js";
import { actorLink, answer, empty, facts, mark, meter, numa, section, table } from "./parts.js";
import { peersTraffic } from "./peers.js";

/** So many pairs are listed until more are asked for. */
const FEW = 10;

export default function machine(context) {
  let pointed = null; // a pair of NUMA nodes, "0>1"
  let all = false; // of the pairs, not the hottest alone
  const point = (to) => {
    if (pointed === to) return;
    pointed = to;
    context.update();
  };
  return {
    title: "Machine",
    sources: {
      machine: { path: "machine", every: 1000 },
      peers: { path: () => (context.app.overview?.features.cluster ? "cluster" : null), every: 1500 },
    },
    // Whether there is a cluster is known with the first overview, which may come after this view.
    frame: ({ features }) => { if (features.cluster && !context.data.peers) context.refresh("peers"); },
    draw: (data) => answer(data.machine, (value) => [
      summary(value),
      map(value, pointed, point),
      edges(value, point, all, () => { all = !all; context.update(); }),
      data.peers?.value?.cluster && peersTraffic(data.peers.value.cluster),
      workers(value),
      memory(value),
      value.dedicated.length > 0 && section("Threads of one actor", { key: "dedicated" }, table({
        label: "Threads of one actor", rows: value.dedicated, key: (row) => row.worker,
        columns: [
          { id: "thread", title: "Thread", number: true, cell: (row) => row.worker },
          { id: "numa", title: "NUMA node", cell: (row) => numa(row.numa_node) },
          { id: "actor", title: "Actor", grow: true, cell: (row) => actorLink(row.actor) },
          { id: "turns", title: "Turns", number: true, cell: (row) => count(row.turns_total) },
          { id: "parks", title: "Parks", number: true, cell: (row) => count(row.parks_total) },
        ],
      })),
    ]),
  };
}

function summary(value) {
  const all = value.numa_nodes.flatMap((each) => each.workers);
  const loose = all.filter((each) => !each.pinned);
  return h("div", { key: "summary", class: "lead" }, facts(
    ["Described by", value.pretended ? mark("warn", "pretended") : value.source, value.pretended ? "these NUMA nodes are none (ACTOR_TOPOLOGY)" : null],
    ["NUMA nodes", count(value.numa_nodes.length)],
    ["Workers", `${all.length}, ${loose.length === 0 ? "all pinned" : `${loose.length} not pinned`}`],
    value.cpu_quota !== null && ["CPU quota", `${value.cpu_quota} CPUs`, "what the cgroup grants"],
    ["Crossed NUMA", value.crossed_share === null ? "no message between actors" : `${percent(value.crossed_share)} of messages`],
    ["Woken from outside", `${count(value.wakes_from_outside_total)} times`, "wake-ups by threads that are no workers"],
    value.balancing && ["Balancer", `${value.balancing.on ? "on" : "off"}, ${plural(value.balancing.moves_total, "move")}${
      value.balancing.crossing_before !== null ? `; crossing ${percent(value.balancing.crossing_before)} → ${percent(value.balancing.crossing_now)}` : ""}`],
  ));
}

function edges(value, point, all, turn) {
  const rows = [...across(value)].sort((a, b) => b.messages_per_s - a.messages_per_s || b.messages_total - a.messages_total);
  const near = value.edges.filter((edge) => edge.from === edge.to).reduce((sum, edge) => sum + edge.messages_per_s, 0);
  const most = rows[0]?.messages_per_s || 1;
  if (value.numa_nodes.length < 2) return null;
  const lane = new Map(value.lanes.map((each) => [`${each.from}>${each.to}`, each]));
  const steals = new Map(value.steals_across.map((each) => [`${each.from}>${each.by}`, each]));
  const distance = (row) => value.distances?.[row.from]?.[row.to] ?? null;
  return section("Between NUMA nodes", {
    key: "edges",
    side: rows.length > FEW && h("button", { type: "button", "aria-pressed": String(all), onclick: turn }, all ? `The hottest ${FEW}` : `All ${rows.length} pairs`),
    note: `messages between actors; ${rate(near)} /s more stayed on their own NUMA node`,
  },
    table({
      label: "Messages between NUMA nodes", rows: rows.slice(0, all ? 256 : FEW), key: (row) => `${row.from}>${row.to}`,
      none: empty("No message between actors has crossed NUMA nodes so far.", "What threads outside of actors send is not counted here."),
      columns: [
        { id: "pair", title: "From → to", fit: true, cell: (row) => h("span", { class: "pair", onpointerenter: () => point(`${row.from}>${row.to}`), onpointerleave: () => point(null) }, numa(row.from), " → ", numa(row.to)) },
        { id: "rate", title: "Messages", unit: "/s", number: true, fit: true, cell: (row) => rate(row.messages_per_s) },
        { id: "bar", title: h("span", { class: "visually-hidden" }, "Share of the hottest"), hide: 2, grow: true, cell: (row) => meter(row.messages_per_s / most, { label: `${percent(row.messages_per_s / most)} of the hottest` }) },
        { id: "total", title: "So far", number: true, cell: (row) => count(row.messages_total) },
        { id: "distance", title: "Distance", number: true, hide: 1, help: "as the firmware tells it; 10 is the NUMA node itself", cell: (row) => count(distance(row)) },
        { id: "steals", title: "Actors stolen", unit: "/s", number: true, hide: 2, help: "actors of the first that workers of the second took for a turn", cell: (row) => rate(steals.get(`${row.from}>${row.to}`)?.actors_per_s ?? 0) },
        value.lanes.length > 0 && { id: "lane", title: "Batch", number: true, hide: 1, help: "messages taken off a batch lane at once, on average", cell: (row) => count(lane.get(`${row.from}>${row.to}`)?.mean_batch) },
      ].filter(Boolean),
    }));
}

function workers(value) {
  const rows = value.numa_nodes.flatMap((node) => node.workers.map((worker) => ({ ...worker, numa: node.id })));
  return section("Workers", { key: "workers", note: "near: taken from a worker of the same NUMA node; far: from another" }, table({
    label: "Workers", rows, key: (row) => row.id, rowClass: (row) => (row.stalled ? "bad-row" : null),
    columns: [
      { id: "worker", title: "Worker", number: true, fit: true, cell: (row) => row.id },
      { id: "numa", title: "NUMA", fit: true, cell: (row) => numa(row.numa) },
      { id: "cpu", title: "CPU", fit: true, cell: (row) => (row.pinned ? h("span", { class: "number" }, row.cpu) : h("span", { title: row.pin_problem }, mark("warn", row.pin_problem ?? "not pinned"))) },
      { id: "load", title: "Load", number: true, fit: true, cell: (row) => percent(row.load) },
      { id: "bar", title: h("span", { class: "visually-hidden" }, "Load, drawn"), hide: 3, cell: (row) => meter(row.load, { label: `load ${percent(row.load)}` }) },
      { id: "queue", title: "Queue", number: true, help: "actors in its own queue", cell: (row) => count(row.queued) },
      { id: "turns", title: "Turns", unit: "/s", number: true, cell: (row) => rate(row.turns_per_s) },
      { id: "near", title: "Steals near", unit: "/s", number: true, hide: 2, cell: (row) => rate(row.steals_near_per_s) },
      { id: "far", title: "far", unit: "/s", number: true, hide: 2, cell: (row) => rate(row.steals_far_per_s) },
      { id: "parks", title: "Parks", unit: "/s", number: true, hide: 1, cell: (row) => rate(row.parks_per_s) },
      { id: "now", title: "Held by", grow: true, hide: 1, cell: (row) => (row.stalled
        ? h("span", null, mark("bad", duration(row.stalled.for_ns)), " ", actorLink({ id: row.stalled.actor, type: row.stalled.type, name: row.stalled.name }))
        : h("span", { class: "muted" }, "–")) },
    ],
  }));
}

function memory(value) {
  const residency = new Map((value.residency ?? []).map((each) => [each.numa_node, each]));
  return section("Memory by NUMA node", { key: "memory", note: "arenas hold actors, their states and messages; all systems of the process share them" }, table({
    label: "Memory by NUMA node", rows: value.numa_nodes, key: (row) => row.id,
    columns: [
      { id: "numa", title: "NUMA node", fit: true, cell: (row) => numa(row.id) },
      { id: "slab", title: "Arena", number: true, cell: (row) => bytes(row.arena.slab_bytes) },
      { id: "cells", title: "Actors' cells", number: true, hide: 3, cell: (row) => `${count(row.arena.cells)} · ${bytes(row.arena.cell_bytes)}` },
      { id: "large", title: "Large blocks", number: true, hide: 1, cell: (row) => bytes(row.arena.large_bytes) },
      { id: "boxes", title: "NumaBoxes", number: true, hide: 2, cell: (row) => bytes(row.arena.user_bytes) },
      { id: "ram", title: "RAM", number: true, hide: 2, help: "memory that the NUMA node has", cell: (row) => bytes(row.memory_bytes) },
      { id: "remote", title: "Freed elsewhere", number: true, hide: 0, help: "blocks given back by other NUMA nodes, in batches", cell: (row) => count(row.arena.remote_frees_total) },
      { id: "unbound", title: "Unbound", number: true, hide: 0, help: "chunks that the kernel refused to bind to the NUMA node", cell: (row) => (row.arena.unbound_chunks > 0 ? mark("warn", count(row.arena.unbound_chunks)) : "0") },
      { id: "misplaced", title: "Misplaced pages", number: true, help: "pages that lie on another NUMA node than they should", cell: (row) => {
        const seen = residency.get(row.id);
        if (!seen) return h("span", { class: "muted", title: "the kernel does not tell where pages lie" }, "–");
        return seen.misplaced > 0 ? mark("warn", count(seen.misplaced)) : "0";
      } },
      { id: "blocking", title: "Blocking", number: true, hide: 1, help: "threads for work that blocks: running of all, and what waits", cell: (row) => `${row.blocking.running}/${row.blocking.threads}${row.blocking.queued > 0 ? `, ${row.blocking.queued} wait` : ""}` },
      { id: "timers", title: "Timers", number: true, hide: 0, cell: (row) => count(row.timers.waiting) },
    ],
  }));
}
