// One trace as a waterfall: a row a span, time from left to right.
//
// Waiting in a mailbox is hatched, handling is solid; an ask is a hollow bar around what it waited for. The
// colour is the NUMA node that handled it, which a label names as well. Where a message went to another NUMA
// node or another peer, its row says so.

import { h } from "./dom.js";
import { clock, count, duration, moment, percent, plural, shortType, words } from "./format.js";
import { actorLink, answer, facts, href, mark, numa, outcome, traceLink, typeName } from "./parts.js";

/** Spans in reading order, each before its children; of those without a parent here, the earliest first. */
export function arrange(spans) {
  const byId = new Map(spans.map((span) => [span.span_id, span]));
  const below = new Map();
  const roots = [];
  for (const span of spans) {
    if (span.parent_id && byId.has(span.parent_id) && span.parent_id !== span.span_id) {
      const list = below.get(span.parent_id);
      if (list) list.push(span);
      else below.set(span.parent_id, [span]);
    } else {
      roots.push(span);
    }
  }
  const begin = (span) => span.sent_ns ?? span.start_ns;
  const byTime = (a, b) => begin(a) - begin(b) || a.start_ns - b.start_ns;
  const rows = [];
  const seen = new Set();
  const visit = (list, level) => {
    // A stack of its own: a chain of a thousand spans is deep.
    const stack = [...list].sort(byTime).reverse().map((span) => [span, level]);
    while (stack.length > 0) {
      const [span, at] = stack.pop();
      if (seen.has(span.span_id)) continue;
      seen.add(span.span_id);
      const children = below.get(span.span_id) ?? [];
      rows.push({ span, level: at, children: children.length, parent: byId.get(span.parent_id) ?? null, orphan: at === 0 && Boolean(span.parent_id) });
      for (const child of [...children].sort(byTime).reverse()) stack.push([child, at + 1]);
    }
  };
  visit(roots, 0);
  // Parents in a circle, from broken data: shown all the same.
  for (const span of spans) if (!seen.has(span.span_id)) visit([span], 0);
  return rows;
}

export default function trace(context) {
  const closed = new Set();
  let span = context.query.get("span");
  let zoom = null;
  let rows = [];
  let visible = [];
  let title = "Trace";
  let settled = false;

  const select = (id, focus = true) => {
    span = id;
    context.setQuery({ span: id });
    context.update();
    if (!focus) return;
    const show = () => {
      const row = document.getElementById(`span-${id}`);
      row?.focus({ preventScroll: true });
      row?.scrollIntoView({ block: "nearest" });
      return row;
    };
    // One that was folded away is there after the next frame.
    if (!show()) requestAnimationFrame(() => requestAnimationFrame(show));
  };
  const chosen = () => rows.find((row) => row.span.span_id === span);
  const step = (by) => {
    const at = visible.findIndex((row) => row.span.span_id === span);
    const to = visible[Math.min(visible.length - 1, Math.max(0, at + by))];
    if (to) select(to.span.span_id);
  };
  const toError = (by) => {
    const bad = rows.filter((row) => row.span.outcome !== "ok" && row.span.outcome !== null);
    if (bad.length === 0) return;
    const at = bad.findIndex((row) => row.span.span_id === span);
    const to = bad[(at + by + bad.length) % bad.length] ?? bad[0];
    for (let parent = to.parent; parent;) {
      closed.delete(parent.span_id);
      parent = rows.find((row) => row.span.span_id === parent.span_id)?.parent ?? null;
    }
    select(to.span.span_id);
  };
  const zoomTo = () => {
    const row = chosen();
    if (!row) return;
    const from = row.span.sent_ns ?? row.span.start_ns;
    const margin = Math.max(1, (row.span.end_ns - from) * 0.05);
    const next = [Math.max(0, from - margin), row.span.end_ns + margin];
    zoom = zoom && zoom[0] === next[0] && zoom[1] === next[1] ? null : next;
    context.update();
  };

  return {
    title: () => title,
    shortcuts: [[["↑", "↓"], "Through the spans"], [["→", "←"], "Open, close"], [["e"], "Next error"], [["E"], "Error before"], [["z"], "Zoom to the span, and back"], [["Enter"], "The span's actor"]],
    // Until nothing is likely to come any more: then it stays as it is, even if the store lets go of it.
    sources: { trace: { path: () => (settled ? null : `traces/${encodeURIComponent(context.id)}`), every: 3000 } },
    asked(query) {
      if (query.get("span")) select(query.get("span"));
    },
    answered(_, { value }) {
      if (!value) return;
      rows = arrange(value.spans);
      settled = value.complete && Date.now() > value.started_at_ms + value.duration_ns / 1e6 + 10_000;
      const root = rows[0]?.span;
      if (root) title = `${shortType(root.message)} to ${root.name ?? shortType(root.type)}`;
      if (!rows.some((row) => row.span.span_id === span)) span = rows.find((row) => row.span.outcome !== "ok" && row.span.outcome !== null)?.span.span_id ?? root?.span_id ?? null;
    },
    keys(event) {
      const press = {
        ArrowDown: () => step(1), ArrowUp: () => step(-1), Home: () => step(-1e6), End: () => step(1e6), PageDown: () => step(20), PageUp: () => step(-20),
        ArrowRight: () => { if (closed.delete(span)) context.update(); else step(1); },
        ArrowLeft: () => {
          const row = chosen();
          if (row?.children > 0 && !closed.has(span)) {
            closed.add(span);
            context.update();
          } else if (row?.parent) select(row.parent.span_id);
        },
        e: () => toError(1), E: () => toError(-1), z: zoomTo,
      }[event.key];
      // Buttons and links keep what is theirs.
      if (!press || (event.target.matches("a, button") && event.key.length > 1 && !event.key.startsWith("Arrow"))) return false;
      press();
      return true;
    },
    draw: (data) => answer(data.trace, (value) => {
      visible = [];
      let hidden = Infinity;
      for (const row of rows) {
        if (row.level > hidden) continue;
        hidden = closed.has(row.span.span_id) ? row.level : Infinity;
        visible.push(row);
      }
      return [
        head(value, rows, title, data.trace.stale),
        h("div", { key: "body", class: "trace-body" },
          waterfall(value, visible, { span, select, closed, zoom, zoomTo, context, unzoom: () => { zoom = null; context.update(); } }),
          details(chosen(), value, context)),
      ];
    }),
  };
}

function head(value, rows, title, stale) {
  const errors = rows.filter((row) => row.span.outcome !== "ok" && row.span.outcome !== null).length;
  const waits = rows.reduce((sum, row) => sum + (row.span.wait_ns ?? 0), 0);
  const crossed = rows.filter((row) => crossesNuma(row.span)).length;
  const peers = [...new Set(rows.map((row) => row.span.peer).filter(Boolean))];
  return h("div", { key: "head", class: "page-head" },
    h("nav", { class: "crumbs", "aria-label": "Where this is" }, h("a", { href: href("traces") }, "Traces"), " / ", h("span", { class: "mono" }, value.trace_id)),
    h("h2", { class: "page-title" }, title, errors > 0 && h("span", { class: "page-state" }, mark("bad", plural(errors, "error")))),
    facts(
      ["Began", h("span", { title: moment(value.started_at_ms) }, clock(value.started_at_ms))],
      ["Took", duration(value.duration_ns)],
      ["In mailboxes", `${duration(waits)}`, "all spans together: more than it took, where they waited side by side"],
      ["Spans", `${count(rows.length)}${value.dropped > 0 ? `, ${value.dropped} more were dropped` : ""}`],
      ["Crossed NUMA", plural(crossed, "time")],
      ["Peers", peers.length > 0 ? peers.join(", ") : "this one only"],
    ),
    !value.complete && h("p", { class: "hint" }, "Some spans of this trace are missing: they were dropped, are still to come, or were made by another peer, whose console has them."),
    stale && h("p", { class: "hint" }, "The store has let go of this trace meanwhile; this page still has it."));
}

/** Where nobody knows the NUMA node (an ask is nowhere in particular), the bar is grey. */
const hue = (numaNode) => (numaNode === null || numaNode === undefined ? "hue-none" : `hue-${numaNode % 8}`);

const crossesNuma = (span) => span.numa_from !== null && span.numa_to !== null && span.numa_from !== span.numa_to;

/** Whether its message went to another peer. */
const toPeer = ({ span, parent }) => span.peer !== null && span.peer !== (parent?.peer ?? null);

/** Round moments within a span of time. */
export function ticksOf(from, to, most = 5) {
  const rough = (to - from) / most;
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1)));
  const step = [1, 2, 5, 10].map((by) => by * power).find((by) => by >= rough) ?? power;
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  return ticks;
}

function waterfall(value, visible, { span, select, closed, zoom, context, unzoom }) {
  const end = Math.max(1, value.duration_ns, ...visible.map((row) => row.span.end_ns ?? 0));
  const [from, to] = zoom ?? [0, end];
  const at = (ns) => `${(((ns - from) / (to - from)) * 100).toFixed(3)}%`;
  const wide = (ns) => `${((ns / (to - from)) * 100).toFixed(3)}%`;
  const used = [...new Set(visible.map((row) => row.span.numa_to).filter((id) => id !== null))].sort((a, b) => a - b);
  const peers = [...new Set(value.spans.map((each) => each.peer).filter(Boolean))].sort();
  const hops = visible.some((row) => crossesNuma(row.span) || toPeer(row));
  const ticks = ticksOf(from, to);
  return h("div", { class: hops ? "waterfall" : "waterfall no-hops" },
    h("div", { class: "waterfall-legend" },
      h("span", null, h("i", { class: "swatch-wait" }), "waits in the mailbox"), h("span", null, h("i", { class: "swatch-work" }), "is handled"),
      h("span", null, h("i", { class: "swatch-ask" }), "asks, and waits for the reply"),
      used.length > 0 && h("span", null, "on ", used.map((id) => h("span", { key: id }, numa(id), " "))),
      zoom && h("button", { type: "button", onclick: unzoom }, "Whole trace (z)")),
    h("div", { class: "waterfall-head", "aria-hidden": "true" },
      h("span", { class: "w-label" }, "Span"), h("span", { class: "w-hop" }, "Hop to"),
      h("span", { class: "w-time" }, ticks.map((tick) => h("span", { key: tick, class: "w-tick", style: { left: at(tick) } }, duration(tick).replace(/\.0+(?= )/, "")))),
      h("span", { class: "w-duration" }, "Took")),
    h("div", { class: "waterfall-rows", role: "tree", "aria-label": "Spans" }, visible.map((row) => {
      const { span: it } = row;
      const bad = it.outcome !== "ok" && it.outcome !== null;
      const chosen = it.span_id === span;
      const work = it.end_ns - it.start_ns;
      const hollow = ["ask", "request", "forward"].includes(it.kind);
      return h("div", {
        key: it.span_id, id: `span-${it.span_id}`, class: `w-row${chosen ? " chosen" : ""}${bad ? " bad" : ""}`,
        role: "treeitem", "aria-level": row.level + 1, "aria-selected": String(chosen), tabindex: chosen ? "0" : "-1",
        "aria-expanded": row.children > 0 ? String(!closed.has(it.span_id)) : null,
        onclick: () => select(it.span_id),
        onkeydown: (event) => { if (event.key === "Enter" && it.actor) { event.preventDefault(); event.stopPropagation(); context.go(href(`actors/${it.actor}`)); } },
      },
      h("span", { class: "w-label" }, h("span", { class: "branch", style: { "--level": String(Math.min(row.level, 12)) } },
        row.children > 0
          ? h("button", { type: "button", tabindex: "-1", class: "toggle", "aria-hidden": "true", onclick: (event) => {
            event.stopPropagation();
            if (!closed.delete(it.span_id)) closed.add(it.span_id);
            context.update();
          } }, closed.has(it.span_id) ? "▸" : "▾")
          : h("span", { class: "toggle", "aria-hidden": "true" }, "·"),
        bad && mark("bad"),
        h("span", { class: `kind kind-${it.kind}` }, words(it.kind)),
        h("span", { class: "w-name", title: `${it.message ?? ""} → ${it.type ?? ""} ${it.actor ?? ""}` }, shortType(it.message), h("span", { class: "muted" }, ` → ${it.name ?? shortType(it.type)}`)))),
      h("span", { class: "w-hop" },
        toPeer(row) && h("span", { class: `hop peer hue-${peers.indexOf(it.peer) % 7}`, title: `on peer ${it.peer}` }, `⇢ ${it.peer}`),
        crossesNuma(it) && h("span", { class: `hop ${hue(it.numa_to)}`, title: `from NUMA node ${it.numa_from} to ${it.numa_to}` }, numa(it.numa_from), " → ", numa(it.numa_to))),
      h("span", { class: "w-time" },
        h("span", { class: "visually-hidden" }, `${it.wait_ns ? `waited ${duration(it.wait_ns)}, ` : ""}${bad ? `${words(it.outcome)}, ` : ""}took`),
        ticks.map((tick) => h("i", { key: tick, class: "w-grid", style: { left: at(tick) } })),
        it.wait_ns > 0 && h("i", { class: `w-bar wait ${hue(it.numa_to)}`, style: { left: at(it.start_ns - it.wait_ns), width: wide(it.wait_ns) } }),
        h("i", { class: `w-bar ${hollow ? "hollow" : "work"} ${hue(it.numa_to)}${bad ? " bad" : ""}`, style: { left: at(it.start_ns), width: wide(work) } })),
      h("span", { class: "w-duration" }, duration(work)));
    })));
}

function details(row, value, context) {
  if (!row) return null;
  const { span: it } = row;
  const bad = it.outcome !== "ok" && it.outcome !== null;
  const total = it.end_ns - (it.start_ns - (it.wait_ns ?? 0));
  return h("aside", { class: "span-details", "aria-label": "The span" },
    h("h3", null, shortType(it.message)),
    h("p", { class: "page-sub" }, words(it.kind), it.actor || it.name ? " at " : "", (it.actor || it.name) && actorLink({ id: it.peer ? null : it.actor, name: it.name ?? shortType(it.type), type: it.type })),
    bad && h("div", { class: "span-error" }, mark("bad", words(it.outcome)), it.error && h("pre", { tabindex: "0" }, it.error)),
    facts(
      ["Waited", it.wait_ns === null ? "no mailbox in between" : `${duration(it.wait_ns)}${total > 0 && it.wait_ns > 0 ? ` (${percent(it.wait_ns / total)} of its time)` : ""}`],
      [it.kind === "ask" ? "Until reply" : "Worked", duration(it.end_ns - it.start_ns)],
      ["Began", `${duration(it.start_ns)} into the trace`],
      ["Outcome", outcome(it.outcome)],
      ["Sent from", numa(it.numa_from)],
      ["Handled on", h("span", null, numa(it.numa_to), it.worker === null ? "" : `, worker ${it.worker}`)],
      ["Behind it", it.depth === null ? null : `${plural(it.depth, "message")} in the mailbox`, "when its handler began"],
      ["Restarts", it.restarts === null ? null : `${count(it.restarts)} before`],
      ["Peer", it.peer ?? "this one"],
      ["Actor's type", typeName(it.type)],
      ["Message", typeName(it.message)],
      ["Parent", it.parent_id === null ? "none" : row.parent ? h("a", { href: href(`traces/${value.trace_id}`, { span: it.parent_id }), class: "mono" }, it.parent_id) : h("span", { class: "muted" }, `${it.parent_id}, not here`)],
      ["Span", h("span", { class: "mono" }, it.span_id)],
      it.sender && ["Sent by", it.peer ? h("span", { class: "mono" }, it.sender) : h("a", { class: "mono", href: href(`actors/${it.sender}`) }, it.sender)],
      ...(it.attributes ?? []).map(({ key, value: text }) => [key, text]),
    ),
    it.links.length > 0 && h("div", { class: "span-links" }, h("h4", null, "Linked with"), h("ul", null, it.links.map((link) => h("li", { key: link.span_id },
      link.trace_id === value.trace_id
        ? h("a", { class: "mono", href: href(`traces/${link.trace_id}`, { span: link.span_id }) }, `span ${link.span_id}`)
        : h("span", null, "trace ", traceLink(link.trace_id)))))));
}
