// The map of the machine: NUMA nodes as boxes, a cell for each worker, and between the boxes what goes from one
// to another, the thicker the more.
//
// Two NUMA nodes stand side by side with an arrow each way. More stand in one row, or in two with the traffic
// between them: so a line never crosses a box. The same figures stand in tables below it: for eight NUMA nodes a
// picture shows where to look, and a table what it is.

import { h, measured, widthOf } from "./dom.js";
import { bytes, count, duration, percent, rate } from "./format.js";
import { section } from "./parts.js";

/** So many NUMA nodes are drawn; all are in the tables. */
const DRAWN = 16;
const CHANNEL = 168;
/** The room between two that stand side by side. */
const BETWEEN = 236;

/** The pairs of different NUMA nodes. */
export const across = (value) => value.edges.filter((edge) => edge.from !== edge.to);

/** All of it, as wide as there is room. `pointed` is the pair that the reader points at, "0>1". */
export function map(value, pointed, point) {
  const nodes = value.numa_nodes.slice(0, DRAWN);
  const width = widthOf("machine-map", 900);
  const workers = nodes.flatMap((node) => node.workers);
  return section("NUMA nodes", {
    key: "map",
    note: ["a cell is a worker and the CPU it is pinned to, filled by its load", workers.some((each) => each.stalled) && "! is held up",
      workers.some((each) => !each.pinned) && "? is not pinned"].filter(Boolean).join("; "),
    side: nodes.length < value.numa_nodes.length && h("span", { class: "note" }, `the first ${DRAWN} of ${value.numa_nodes.length}`),
  }, h("div", { class: "map-scroll", tabindex: "0", role: "region", "aria-label": "Map of NUMA nodes" },
    nodes.length === 2 && width >= 640 ? sideBySide(value, nodes, pointed, point) : inRows(value, nodes, width, pointed, point)));
}

function inRows(value, nodes, width, pointed, point) {
  const most = width < 560 ? 2 : width < 900 ? 4 : 8;
  const twoRows = nodes.length > 4 || nodes.length > most;
  const columns = twoRows ? Math.ceil(nodes.length / 2) : nodes.length;
  const place = { "grid-template-columns": `repeat(${columns}, minmax(${twoRows ? 118 : 150}px, 1fr))` };
  const least = columns * (twoRows ? 130 : 162);
  return h("div", { key: "rows", class: "map", ...measured("machine-map"), style: { "--least": `${least}px` } },
    h("div", { class: "map-row", style: place }, nodes.slice(0, twoRows ? columns : undefined).map(numaBox)),
    nodes.length > 1
      ? channel(value, nodes, { twoRows, columns, width: Math.max(width, least), pointed, point })
      : h("p", { class: "note map-note" }, "One NUMA node: nothing crosses."),
    twoRows && h("div", { class: "map-row", style: place }, nodes.slice(columns).map(numaBox)));
}

/** Two of them, and an arrow each way. */
function sideBySide(value, [left, right], pointed, point) {
  const perSecond = (from, to) => value.edges.find((each) => each.from === from.id && each.to === to.id)?.messages_per_s ?? 0;
  const ways = [[left, right, 30], [right, left, 82]].map(([from, to, y]) => ({ from, to, y, name: `${from.id}>${to.id}`, flow: perSecond(from, to) }));
  const most = fullWidth(value);
  return h("div", { key: "pair", class: "map map-pair", ...measured("machine-map") },
    numaBox(left),
    h("svg", { class: `channel${pointed ? " pointing" : ""}`, width: BETWEEN, height: 112, viewBox: `0 0 ${BETWEEN} 112`, role: "img",
      "aria-label": ways.map(({ from, to, flow }) => `From NUMA ${from.id} to ${to.id}: ${rate(flow)} messages per second`).join("; ") },
    arrowHead(),
    ways.map(({ from, to, y, name, flow }) => {
      const forth = from === left;
      const thick = flow > 0 ? 1.5 + 7 * Math.sqrt(flow / most) : 1;
      return h("g", { key: name, onpointerenter: () => point(name), onpointerleave: () => point(null) },
        h("text", { class: "edge-label", x: BETWEEN / 2, y: y - 9, "text-anchor": "middle" }, `${from.id} → ${to.id}  ${rate(flow)}/s`),
        h("path", {
          class: `edge heat-${flow > 0 ? heat(flow / most) : 0}${name === pointed ? " pointed" : ""}`, "stroke-width": thick.toFixed(1), "marker-end": "url(#arrow)",
          "stroke-dasharray": flow > 0 ? null : "2 4", d: forth ? `M6 ${y}H${BETWEEN - 12}` : `M${BETWEEN - 6} ${y}H12`,
        }));
    })),
    numaBox(right));
}

function numaBox(node) {
  const busy = node.workers.length - node.asleep;
  return h("div", { key: node.id, class: `node hue-${node.id % 8}` },
    h("div", { class: "node-head" }, h("strong", null, `NUMA ${node.id}`), h("span", { class: "number" }, h("span", { class: "muted" }, "load "), percent(node.load))),
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
  const most = fullWidth(value);
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
    if (pointed ? line.name !== pointed : labelled.length >= (twoRows ? 3 : 6) || line.edge.messages_per_s < moving[0].messages_per_s / 20) continue;
    const covered = labelled.some((other) => Math.abs(other.label.x - line.label.x) < 120 && Math.abs(other.label.y - line.label.y) < 20);
    if (!covered) labelled.push(line);
  }
  return h("svg", {
    class: `channel${pointed ? " pointing" : ""}`, width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": moving.length === 0 ? "No messages cross NUMA nodes now" : `Messages between NUMA nodes; the most: ${
      moving.slice(0, 5).map((edge) => `${edge.from} to ${edge.to} ${rate(edge.messages_per_s)} per second`).join(", ")}. All are in the table below.`,
  },
  arrowHead(),
  moving.length === 0 && h("text", { x: width / 2, y: height / 2, "text-anchor": "middle", class: "tick" }, "No messages cross now"),
  // The hottest last, on top.
  [...lines].reverse().map((line) => h("g", { key: line.name },
    h("path", {
      class: `edge${line.name === pointed ? " pointed" : ""} heat-${heat(line.edge.messages_per_s / most)}`,
      d: line.path, "stroke-width": line.thick.toFixed(1), "marker-end": "url(#arrow)",
      onpointerenter: () => point(line.name), onpointerleave: () => point(null),
    }, h("title", null, `NUMA ${line.edge.from} → ${line.edge.to}: ${rate(line.edge.messages_per_s)} messages/s`)))),
  labelled.map((line) => {
    const text = `${line.edge.from} → ${line.edge.to}  ${rate(line.edge.messages_per_s)}/s`;
    const wide = text.length * 6.4 + 12;
    return h("g", { key: `label-${line.name}`, class: "edge-tag" },
      h("rect", { x: line.label.x - wide / 2, y: line.label.y - 9, width: wide, height: 18, rx: 9 }),
      h("text", { class: "edge-label", x: line.label.x, y: line.label.y + 4, "text-anchor": "middle" }, text));
  }));
}

/**
 * What is drawn in full width: the hottest pair, and no less than a tenth of what stays on its NUMA node, so that a trickle
 * is drawn as one.
 */
function fullWidth(value) {
  const sum = (edges) => edges.reduce((all, each) => all + each.messages_per_s, 0);
  return Math.max(1e-9, sum(value.edges.filter((each) => each.from === each.to)) / 10, ...across(value).map((each) => each.messages_per_s));
}

/** One of four strengths for a share of the full width. */
const heat = (share) => Math.min(3, Math.floor(share * 4));

/** As large as the line's end needs, whatever its width; in the line's colour. */
const arrowHead = () => h("defs", null, h("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 4, refY: 4, markerWidth: 13, markerHeight: 13, markerUnits: "userSpaceOnUse", orient: "auto" },
  h("path", { d: "M0 0 8 4 0 8Z", class: "arrow-head" })));
