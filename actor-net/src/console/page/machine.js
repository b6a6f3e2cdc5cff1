// The machine: NUMA nodes as boxes, a cell for each worker, and between the boxes what goes from one to another,
// the thicker the more.
//
// NUMA nodes stand in one row, or in two with the traffic between them: so a line never crosses a box. The
// same figures stand below as tables: for eight NUMA nodes a picture shows where to look, and a table what it is.

import { h, measured, widthOf } from "./dom.js";
import { bytes, count, duration, percent, plural, rate } from "./format.js";
import { actorLink, answer, empty, facts, mark, meter, numa, section, table } from "./parts.js";

/** So many NUMA nodes are drawn; all are in the tables. */
const DRAWN = 16;
/** So many pairs are listed until more are asked for. */
const FEW = 10;
const CHANNEL = 168;

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
    sources: { machine: { path: "machine", every: 1000 } },
    draw: (data) => answer(data.machine, (value) => [
      summary(value),
      map(value, pointed, point, context),
      edges(value, point, all, () => { all = !all; context.update(); }),
      memory(value),
      workers(value),
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

const across = (value) => value.edges.filter((edge) => edge.from !== edge.to);

function map(value, pointed, point, context) {
  const nodes = value.numa_nodes.slice(0, DRAWN);
  const width = widthOf("machine-map", 900);
  const most = width < 560 ? 2 : width < 900 ? 4 : 8;
  const twoRows = nodes.length > 4 || nodes.length > most;
  const columns = twoRows ? Math.ceil(nodes.length / 2) : nodes.length;
  const box = (node) => numaBox(node, columns, context);
  const place = { "grid-template-columns": `repeat(${columns}, minmax(${twoRows ? 118 : 150}px, 1fr))` };
  const least = columns * (twoRows ? 130 : 162);
  const drawn = Math.max(width, least);
  return section("NUMA nodes", {
    key: "map",
    note: "a cell is a worker and the CPU it is pinned to, filled by its load",
    side: nodes.length < value.numa_nodes.length && h("span", { class: "note" }, `the first ${DRAWN} of ${value.numa_nodes.length}`),
  }, h("div", { class: "map-scroll", tabindex: "0", role: "region", "aria-label": "Map of NUMA nodes" },
    h("div", { class: "map", ...measured("machine-map"), style: { "--least": `${least}px` } },
      h("div", { class: "map-row", style: place }, nodes.slice(0, twoRows ? columns : undefined).map(box)),
      nodes.length > 1
        ? channel(value, nodes, { twoRows, columns, width: drawn, pointed, point })
        : h("p", { class: "note map-note" }, "One NUMA node: nothing crosses."),
      twoRows && h("div", { class: "map-row", style: place }, nodes.slice(columns).map(box)))));
}

function numaBox(node, columns, context) {
  const busy = node.workers.length - node.asleep;
  return h("div", { key: node.id, class: `node hue-${node.id % 8}` },
    h("div", { class: "node-head" }, h("strong", null, `NUMA ${node.id}`), h("span", { class: "number" }, percent(node.load))),
    h("div", { class: "node-sub" }, `CPUs ${node.cpus}`),
    h("div", { class: "cells" }, node.workers.map((worker) => h("div", {
      key: worker.id,
      class: `cell${worker.stalled ? " stalled" : ""}${worker.pinned ? "" : " loose"}`,
      title: describe(worker),
      role: "img", "aria-label": describe(worker),
      style: { "--load": String(Math.min(1, worker.load ?? 0)) },
    }, h("span", null, worker.stalled ? "!" : worker.pinned ? String(worker.cpu) : "?")))),
    h("dl", { class: "node-facts" },
      h("div", null, h("dt", null, "awake"), h("dd", null, `${Math.max(0, busy)}/${node.workers.length}`)),
      h("div", null, h("dt", null, "actors"), h("dd", null, count(node.actors))),
      h("div", null, h("dt", null, "queued"), h("dd", null, count(node.queued))),
      h("div", null, h("dt", null, "arena"), h("dd", null, bytes(node.arena.slab_bytes + node.arena.large_bytes)))));
}

function describe(worker) {
  const parts = [
    `worker ${worker.id}`,
    worker.pinned ? `pinned to CPU ${worker.cpu}` : `not pinned${worker.pin_problem ? `: ${worker.pin_problem}` : ""}`,
    `load ${percent(worker.load)}`,
    `${rate(worker.turns_per_s)} turns/s`,
  ];
  if (worker.stalled) parts.push(`held for ${duration(worker.stalled.for_ns)} by ${worker.stalled.type} ${worker.stalled.actor}`);
  return parts.join(", ");
}

/** What goes between NUMA nodes, as lines from the edge of a box to the edge of another. */
function channel(value, nodes, { twoRows, columns, width, pointed, point }) {
  const all = across(value).filter((edge) => nodes.some((n) => n.id === edge.from) && nodes.some((n) => n.id === edge.to));
  const moving = all.filter((edge) => edge.messages_per_s > 0).sort((a, b) => b.messages_per_s - a.messages_per_s);
  const most = moving[0]?.messages_per_s ?? 1;
  const height = moving.length === 0 ? 56 : twoRows ? CHANNEL : 104;
  const gap = 12;
  const cell = (width - gap * (columns - 1)) / columns;
  const seat = (id) => {
    const at = nodes.findIndex((each) => each.id === id);
    const below = twoRows && at >= columns;
    const column = below ? at - columns : at;
    return { x: column * (cell + gap) + cell / 2, below, spread: cell * 0.34 };
  };
  // Lines that leave a box side by side: in the order of where they go.
  const drawn = moving.slice(0, 40);
  const ports = new Map();
  for (const edge of drawn) {
    for (const [end, other] of [["from", "to"], ["to", "from"]]) {
      const list = ports.get(edge[end]) ?? [];
      list.push({ edge, end, towards: seat(edge[other]).x });
      ports.set(edge[end], list);
    }
  }
  const port = new Map();
  for (const [id, list] of ports) {
    const { x, spread } = seat(id);
    list.sort((a, b) => a.towards - b.towards || (a.end === "from" ? -1 : 1));
    list.forEach((each, index) => {
      const share = list.length === 1 ? 0 : (index / (list.length - 1)) * 2 - 1;
      port.set(`${each.end}:${each.edge.from}>${each.edge.to}`, x + share * spread);
    });
  }
  const name = (edge) => `${edge.from}>${edge.to}`;
  const lines = drawn.map((edge) => {
    const from = seat(edge.from);
    const to = seat(edge.to);
    const x1 = port.get(`from:${name(edge)}`);
    const x2 = port.get(`to:${name(edge)}`);
    const y1 = from.below ? height : 0;
    const y2 = to.below ? height - 7 : 7;
    let path;
    let label;
    if (from.below === to.below) {
      const deep = Math.min(height * 0.82, 34 + Math.abs(x1 - x2) * 0.16);
      const way = from.below ? -1 : 1;
      path = `M${x1} ${y1}C${x1} ${y1 + way * deep} ${x2} ${y1 + way * deep} ${x2} ${y2}`;
      label = { x: (x1 + x2) / 2, y: y1 + way * deep * 0.76 };
    } else {
      const half = height / 2;
      path = `M${x1} ${y1}C${x1} ${half} ${x2} ${half} ${x2} ${y2}`;
      label = { x: (x1 + x2) / 2, y: half };
    }
    return { edge, path, label, thick: 1 + 7 * Math.sqrt(edge.messages_per_s / most), name: name(edge) };
  });
  // The hottest have their figures beside them, as far as these do not lie on one another; the table has all.
  const labelled = [];
  for (const line of lines) {
    if (pointed ? line.name !== pointed : labelled.length >= (twoRows ? 3 : 6) || line.edge.messages_per_s < most / 20) continue;
    const covered = labelled.some((other) => Math.abs(other.label.x - line.label.x) < 100 && Math.abs(other.label.y - line.label.y) < 16);
    if (!covered) labelled.push(line);
  }
  return h("svg", {
    class: `channel${pointed ? " pointing" : ""}`, width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": moving.length === 0 ? "No messages cross NUMA nodes now" : `Messages between NUMA nodes; the most: ${
      moving.slice(0, 5).map((edge) => `${edge.from} to ${edge.to} ${rate(edge.messages_per_s)} per second`).join(", ")}. All are in the table below.`,
  },
  h("defs", null, h("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 4, refY: 4, markerWidth: 7, markerHeight: 7, markerUnits: "userSpaceOnUse", orient: "auto" },
    h("path", { d: "M0 0 8 4 0 8Z", class: "arrow-head" }))),
  moving.length === 0 && h("text", { x: width / 2, y: height / 2, "text-anchor": "middle", class: "tick" }, "No messages cross now"),
  // The hottest last, on top.
  [...lines].reverse().map((line) => h("g", { key: line.name },
    h("path", {
      class: `edge${line.name === pointed ? " pointed" : ""} heat-${Math.min(3, Math.floor((line.edge.messages_per_s / most) * 4))}`,
      d: line.path, "stroke-width": line.thick.toFixed(1), "marker-end": "url(#arrow)",
      onpointerenter: () => point(line.name), onpointerleave: () => point(null),
    }, h("title", null, `NUMA ${line.edge.from} → ${line.edge.to}: ${rate(line.edge.messages_per_s)} messages/s`)))),
  labelled.map((line) => h("text", { key: `label-${line.name}`, class: "edge-label", x: line.label.x, y: line.label.y + 4, "text-anchor": "middle" },
    `${line.edge.from}→${line.edge.to} ${rate(line.edge.messages_per_s)}/s`)));
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
      { id: "large", title: "Large blocks", number: true, hide: 2, cell: (row) => bytes(row.arena.large_bytes) },
      { id: "boxes", title: "NumaBoxes", number: true, hide: 2, cell: (row) => bytes(row.arena.user_bytes) },
      { id: "ram", title: "Of the NUMA node's", number: true, hide: 3, help: "memory that the NUMA node has", cell: (row) => bytes(row.memory_bytes) },
      { id: "remote", title: "Freed elsewhere", number: true, hide: 1, help: "blocks given back by other NUMA nodes, in batches", cell: (row) => count(row.arena.remote_frees_total) },
      { id: "unbound", title: "Unbound", number: true, hide: 1, help: "chunks that the kernel refused to bind to the NUMA node", cell: (row) => (row.arena.unbound_chunks > 0 ? mark("warn", count(row.arena.unbound_chunks)) : "0") },
      { id: "misplaced", title: "Misplaced pages", number: true, help: "pages that lie on another NUMA node than they should", cell: (row) => {
        const seen = residency.get(row.id);
        if (!seen) return h("span", { class: "muted", title: "the kernel does not tell where pages lie" }, "–");
        return seen.misplaced > 0 ? mark("warn", count(seen.misplaced)) : "0";
      } },
      { id: "blocking", title: "Blocking threads", number: true, hide: 2, help: "threads for work that blocks: running of all, and what waits", cell: (row) => `${row.blocking.running}/${row.blocking.threads}${row.blocking.queued > 0 ? `, ${row.blocking.queued} wait` : ""}` },
      { id: "timers", title: "Timers", number: true, hide: 1, cell: (row) => count(row.timers.waiting) },
    ],
  }));
}
