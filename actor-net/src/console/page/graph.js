// Who waits for whom, drawn: those who ask at the left, those they wait for at the right of them. Circles are
// marked with a word and a heavier line, not by colour alone.

import { h } from "./dom.js";
import { duration, shortType } from "./format.js";
import { href } from "./parts.js";

const BOX = { width: 152, height: 38, across: 62, down: 14 };
const MOST = 60;
/** How high the line that closes a circle rises above its row. */
const ARC = 22;

/** Columns for nodes: each to the right of all that wait for it, circles cut where they close. */
export function columnsOf(ids, edges) {
  const out = new Map(ids.map((id) => [id, []]));
  for (const { from, to } of edges) if (out.has(from) && out.has(to)) out.get(from).push(to);
  const column = new Map(ids.map((id) => [id, 0]));
  // Edges that close a circle are found by a walk in depth, and left out below.
  const state = new Map();
  const back = new Set();
  const order = [];
  const asked = new Set(edges.map((edge) => edge.to));
  for (const root of ids) {
    if (state.has(root)) continue;
    const stack = [[root, 0]];
    state.set(root, "open");
    while (stack.length > 0) {
      const top = stack.at(-1);
      const next = out.get(top[0])[top[1]++];
      if (next === undefined) {
        state.set(top[0], "done");
        order.push(top[0]);
        stack.pop();
      } else if (!state.has(next)) {
        state.set(next, "open");
        stack.push([next, 0]);
      } else if (state.get(next) === "open") {
        back.add(`${top[0]}>${next}`);
      }
    }
  }
  for (const id of order.reverse()) {
    for (const to of out.get(id)) {
      if (!back.has(`${id}>${to}`)) column.set(to, Math.max(column.get(to), column.get(id) + 1));
    }
  }
  // Who is waited for by nobody stands next to those it waits for: shorter lines, and none across a box.
  for (const id of ids) {
    const targets = out.get(id).filter((to) => !back.has(`${id}>${to}`)).map((to) => column.get(to));
    if (!asked.has(id) && targets.length > 0) column.set(id, Math.min(...targets) - 1);
  }
  return { column, back };
}

/**
 * `edges`: `{from, to, message, since_ns}` with `from` and `to` as `{id, type, name}`; `cycles`: lists of ids;
 * `self`: the actor whose page this is.
 */
export function askGraph({ edges, cycles = [], self = null }) {
  const actors = new Map();
  for (const edge of edges) {
    for (const actor of [edge.from, edge.to]) if (actors.size < MOST || actors.has(actor.id)) actors.set(actor.id, actor);
  }
  const shown = edges.filter((edge) => actors.has(edge.from.id) && actors.has(edge.to.id));
  const inCycle = new Set(cycles.flat());
  const closes = new Set(cycles.flatMap((cycle) => cycle.map((id, at) => `${id}>${cycle[(at + 1) % cycle.length]}`)));
  const { column, back } = columnsOf([...actors.keys()], shown.map((edge) => ({ from: edge.from.id, to: edge.to.id })));
  const rows = new Map();
  const place = new Map();
  // Circles first: each in a row of its own as far as it can be, with room above for the line that closes it.
  const order = [...actors.keys()].sort((a, b) => Number(inCycle.has(b)) - Number(inCycle.has(a)));
  const room = (row) => 18 + Math.min(row + 1, cycles.length) * ARC;
  for (const id of order) {
    const at = column.get(id);
    const row = rows.get(at) ?? 0;
    rows.set(at, row + 1);
    place.set(id, { x: at * (BOX.width + BOX.across) + 4, y: row * (BOX.height + BOX.down) + room(row) });
  }
  const width = Math.max(...[...place.values()].map((each) => each.x), 0) + BOX.width + 40;
  const height = Math.max(...[...place.values()].map((each) => each.y), 0) + BOX.height + (shown.some(({ from, to }) => back.has(`${from.id}>${to.id}`) && place.get(from.id).y !== place.get(to.id).y) ? 34 : 10);
  const label = shown.map((edge) => `${name(edge.from)} waits for ${name(edge.to)}`).join("; ");

  return h("div", { class: "graph-frame", tabindex: "0", role: "region", "aria-label": "Who waits for whom, drawn" },
    h("svg", { class: "graph", width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label },
      h("defs", null,
        ["plain", "bad"].map((tone) => h("marker", { key: tone, id: `ask-${tone}`, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" },
          h("path", { d: "M0 0 8 4 0 8Z", class: `ask-head ${tone}` })))),
      shown.map((edge) => {
        const from = place.get(edge.from.id);
        const to = place.get(edge.to.id);
        const name_ = `${edge.from.id}>${edge.to.id}`;
        const bad = closes.has(name_);
        const middle = BOX.height / 2;
        const backwards = back.has(name_) || to.x <= from.x;
        const path = lineOf(from, to, backwards);
        return h("g", { key: name_ },
          h("path", { class: `ask-line${bad ? " bad" : ""}`, d: path, "marker-end": `url(#ask-${bad ? "bad" : "plain"})` },
            h("title", null, `${name(edge.from)} waits for ${name(edge.to)}${edge.message ? `, in ${shortType(edge.message)}` : ""}${edge.since_ns > 0 ? `, for ${duration(edge.since_ns)} at least` : ""}`)),
          edge.since_ns > 0 && !backwards && h("text", { class: "tick halo", "text-anchor": "middle", x: (from.x + BOX.width + to.x) / 2, y: (from.y + to.y) / 2 + middle - 5 }, duration(edge.since_ns)));
      }),
      [...actors.values()].map((actor) => {
        const { x, y } = place.get(actor.id);
        const bad = inCycle.has(actor.id);
        return h("a", { key: actor.id, href: href(`actors/${actor.id}`), class: `ask-node${bad ? " bad" : ""}${actor.id === self ? " self" : ""}` },
          h("rect", { x, y, width: BOX.width, height: BOX.height, rx: 5 }),
          h("text", { x: x + 10, y: y + 16, class: "ask-name" }, short(name(actor))),
          h("text", { x: x + 10, y: y + 30, class: "ask-type" }, bad ? `in a circle · ${short(shortType(actor.type), 11)}` : short(actor.name ? shortType(actor.type) : actor.id, 22)));
      })),
    edges.length > shown.length && h("p", { class: "note" }, `The first ${actors.size} actors are drawn; the table has all.`));
}

/** From box to box: to the right of it straight on, back over the top of a row, between rows from below. */
function lineOf(from, to, backwards) {
  const middle = BOX.height / 2;
  if (!backwards) {
    return `M${from.x + BOX.width} ${from.y + middle}C${from.x + BOX.width + 36} ${from.y + middle} ${to.x - 36} ${to.y + middle} ${to.x - 1} ${to.y + middle}`;
  }
  const [x1, x2] = [from.x + BOX.width / 2, to.x + BOX.width / 2];
  if (from.y === to.y) return `M${x1} ${from.y}C${x1} ${from.y - ARC - 6} ${x2} ${from.y - ARC - 6} ${x2} ${to.y - 1}`;
  const low = Math.max(from.y, to.y) + BOX.height + 20;
  return `M${x1} ${from.y + BOX.height}C${x1} ${low} ${x2} ${low} ${x2} ${to.y + BOX.height + 1}`;
}

const name = (actor) => actor.name ?? (actor.type ? shortType(actor.type) : actor.id);
const short = (text, most = 18) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
