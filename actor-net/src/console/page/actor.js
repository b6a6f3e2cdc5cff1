// One actor: what it is, what it does now, whom it waits for, and how its last messages went.

import { refusedCircles } from "./circles.js";
import { h } from "./dom.js";
import { count, duration, plural, rate, shortType, words } from "./format.js";
import { askGraph } from "./graph.js";
import { depth } from "./actors.js";
import { actorLink, answer, empty, facts, href, mark, numa, outcome, phase, section, stat, table, time, traceLink, typeName } from "./parts.js";

export default function actor(context) {
  const path = `actors/${encodeURIComponent(context.id)}`;
  let title = `Actor ${context.id}`;
  return {
    title: () => title,
    sources: { actor: { path, every: 1000 } },
    answered(_, { value }) {
      if (value) title = value.actor.name ?? shortType(value.actor.type);
    },
    draw: (data) => answer(data.actor, (page) => {
      if (data.actor.stale?.status === 404) return gone(context);
      return draw(page, context, data.actor);
    }),
  };
}

function gone(context) {
  return empty(`Actor ${context.id} has stopped.`, h("a", { href: href("actors") }, "All actors"));
}

function draw(page, context) {
  const { actor: it } = page;
  return [
    h("div", { key: "head", class: "page-head" },
      h("nav", { class: "crumbs", "aria-label": "Supervisors" }, h("a", { href: href("actors") }, "Actors"),
        page.ancestors.map((each) => [" / ", h("a", { key: each.id, href: href(`actors/${each.id}`) }, each.name ?? shortType(each.type))])),
      h("h2", { class: "page-title" }, it.name ?? shortType(it.type),
        h("span", { class: "page-state" }, it.busy ? mark("warn", "does not answer") : phase(it.phase), page.asker_gone && mark("warn", "its asker has given up"), page.cycle && mark("bad", "in a circle of asks"))),
      h("p", { class: "page-sub mono" }, it.type, h("span", { class: "muted" }, `  ${it.id}`))),
    it.busy && h("p", { key: "busy", class: "hint" }, "It did not answer within 100 ms: its handler neither returns nor awaits, or its worker is behind. What only it can tell is missing below. ",
      page.stalls > 0 && h("a", { href: href("stalls") }, "See stalls")),
    page.last_failure && h("div", { key: "failure", class: "failure-line" }, mark("bad", "Last failure"), time(page.last_failure.at_ms),
      " in ", typeName(page.last_failure.message), ": ", h("span", { class: "mono" }, page.last_failure.error), " ",
      page.last_failure.trace_id && traceLink(page.last_failure.trace_id, "its trace")),
    h("div", { key: "stats", class: "stats six" },
      stat("Waiting", depth(it), { note: it.capacity ? "of its mailbox's bound" : "no bound known" }),
      stat("Rate", rate(it.rate_per_s), { unit: it.rate_per_s === null ? null : "/s", note: it.rate_per_s === null ? "no sample of it" : "from samples" }),
      stat("Restarts", count(it.restarts), { note: words(page.restart) }),
      stat("Mailbox wait p99", duration(page.latency.wait?.p99_ns), times(page.latency.wait)),
      stat("Handler time p99", duration(page.latency.handle?.p99_ns), times(page.latency.handle)),
      it.quiet_ns > 0
        ? stat("Quiet for", duration(it.quiet_ns), { note: "handled nothing, at least" })
        : stat("Activity", it.quiet_ns === 0 ? "active" : "–", { note: it.quiet_ns === 0 ? "in the last ten seconds" : "not known yet" })),
    h("div", { key: "two", class: "columns" },
      section("Facts", { key: "facts" }, facts(
        ["NUMA node", numa(it.numa_node)],
        ["Handling", it.handling ? typeName(it.handling) : h("span", { class: "muted" }, "nothing suspended")],
        ["Children", h("a", { href: "#children" , onclick: (event) => { event.preventDefault(); document.getElementById("children-title")?.scrollIntoView(); } }, plural(it.children, "child", "children"))],
        ["Strategy", words(it.strategy)],
        ["Restart", words(page.restart)],
        ["Registered as", page.registered.length > 0 ? page.registered.join(", ") : h("span", { class: "muted" }, "no name")],
        ["Watched by", plural(page.watchers, "actor")],
        ["Watches", plural(page.watching, "actor")],
        ["Links", count(page.links)],
        ["Waited for by", plural(page.monitors, "future")],
        ["Timers", count(page.timers)],
        ["Attached tasks", count(page.tasks)],
        ["Recent dead letters", page.dead_letters > 0 ? h("a", { href: href("dead-letters", { q: it.type }) }, count(page.dead_letters)) : "0"],
        ["Recent stalls", page.stalls > 0 ? h("a", { href: href("stalls") }, count(page.stalls)) : "0"],
      ), context.app.overview?.features.actions && h("div", { class: "actions" },
        h("button", { type: "button", class: "danger", onclick: () => context.act(`Stop ${it.name ?? it.type} (${it.id}) after the message that it handles?`, "stop-actor", { actor: it.id, mode: "now" }) }, "Stop …"),
        h("button", { type: "button", onclick: () => context.act(`Stop ${it.name ?? it.type} (${it.id}) after all messages that wait?`, "stop-actor", { actor: it.id, mode: "drain" }) }, "Drain and stop …"))),
      section("Asks", { key: "asks", note: "who waits for whom at this moment", side: h("a", { href: href("asks") }, "All asks") }, asks(page))),
    refusedCircles(page.refused_cycles),
    section("Recent messages", {
      key: "recent", note: "sampled ones, the newest first",
      side: h("span", { class: "flow" }, h("a", { href: href("failures", { q: it.id }) }, "Its failures"), h("a", { href: href("traces", { kind: "failed", q: it.type }) }, "Failed traces of its type"), h("a", { href: href("traces", { kind: "slow", q: it.type }) }, "Slow ones")),
    }, recent(page, context.app.overview)),
    it.children > 0 && section("Children", {
      key: "children", id: "children", note: it.children > page.children.length ? `the oldest ${page.children.length} of ${count(it.children)}` : null,
    }, h("ul", { class: "flow" }, page.children.map((each) => h("li", { key: each.id }, actorLink(each))))),
  ];
}

/** Of its type, all together: one actor has too few samples for a p99. */
function times(latency) {
  return {
    note: latency ? `p50 ${duration(latency.p50_ns)} · p99.9 ${duration(latency.p999_ns)}`.replaceAll(" ", "\u00a0").replace("\u00a0·\u00a0", " · ") : "of its type: no sample",
    title: latency ? `of its type, from ${count(latency.samples)} samples of the last minute; the longest ${duration(latency.max_ns)}` : null,
  };
}

function asks({ actor: it, waits_for: waits, asked_by: asked, cycle }) {
  const self = { id: it.id, type: it.type, name: it.name };
  const edges = asked.map((each) => ({ from: each.actor, to: self, message: each.message, since_ns: each.since_ns }));
  if (waits) edges.push({ from: self, to: waits.actor, message: waits.message, since_ns: waits.since_ns });
  if (cycle) {
    // The rest of the circle, so that it is seen as one.
    const known = new Map(edges.flatMap((edge) => [[edge.from.id, edge.from], [edge.to.id, edge.to]]));
    const at = (id) => known.get(id) ?? { id, type: null, name: id };
    cycle.forEach((id, index) => {
      const to = cycle[(index + 1) % cycle.length];
      if (!edges.some((edge) => edge.from.id === id && edge.to.id === to)) edges.push({ from: at(id), to: at(to), message: null, since_ns: null });
    });
  }
  if (edges.length === 0) {
    return empty("It waits for nobody, and no handler waits for it.", "Asks that other threads make are not seen here.");
  }
  return [
    askGraph({ edges, cycles: cycle ? [cycle] : [], self: it.id }),
    cycle && h("p", { class: "hint" }, "These actors wait for each other, and none of them can go on until a deadline passes. Let one of them tell instead of ask, or handle the ask as reentrant."),
  ];
}

function recent(page, overview) {
  const most = Math.max(1, ...page.recent.map((each) => (each.wait_ns ?? 0) + (each.handle_ns ?? 0)));
  return table({
    label: "Recent messages", rows: page.recent, key: (row, index) => `${row.span_id ?? ""}${row.at_ms}${index}`,
    none: empty("No message of it was in a recorded trace lately.", overview?.tracing?.sample === 0
      ? "The share of traces that is recorded is 0: the traces' page says how to raise it."
      : "Messages of recorded traces are here with their times. The traces' page says which share is recorded, and how to raise it.", h("a", { href: href("traces") }, "Traces")),
    rowClass: (row) => (row.outcome === "ok" ? null : "bad-row"),
    columns: [
      { id: "at", title: "At", fit: true, cell: (row) => time(row.at_ms) },
      { id: "message", title: "Message", grow: true, cell: (row) => typeName(row.message) },
      { id: "wait", title: "Wait", number: true, cell: (row) => duration(row.wait_ns) },
      { id: "handle", title: "Handler", number: true, cell: (row) => duration(row.handle_ns) },
      { id: "bar", title: h("span", { class: "legend-inline" }, h("i", { class: "swatch-wait" }), "wait ", h("i", { class: "swatch-work" }), "work"), hide: 2, cell: (row) => waitBar(row.wait_ns, row.handle_ns, most, row.outcome !== "ok") },
      { id: "outcome", title: "Outcome", cell: (row) => outcome(row.outcome) },
      { id: "trace", title: "Trace", fit: true, cell: (row) => (row.trace_id ? h("a", { class: "mono", href: href(`traces/${row.trace_id}`, { span: row.span_id }) }, row.trace_id.slice(0, 8)) : h("span", { class: "muted" }, "–")) },
    ],
  });
}

/** Waiting (hatched) and working (solid), to one scale. */
export function waitBar(wait, work, most, bad) {
  const part = (ns) => `${(((ns ?? 0) / most) * 100).toFixed(2)}%`;
  return h("span", { class: `wait-bar${bad ? " bad" : ""}`, role: "img", "aria-label": `waited ${duration(wait)}, worked ${duration(work)}` },
    h("i", { class: "wait", style: { width: part(wait) } }), h("i", { class: "work", style: { width: part(work) } }));
}
