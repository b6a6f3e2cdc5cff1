// Traces that were kept: the newest, the slowest, those that failed. Each as one bar, in which the time in
// mailboxes is hatched.

import { waitBar } from "./actor.js";
import { h } from "./dom.js";
import { count, duration, plural, shortType, words } from "./format.js";
import { answer, choice, empty, href, mark, numa, search, section, table, time } from "./parts.js";
import { samplingChoice, samplingLine, samplingOff } from "./sampling.js";

const KINDS = [["recent", "Recent"], ["slow", "Slowest"], ["failed", "Failed"]];

export default function traces(context) {
  const kind = () => (KINDS.some(([id]) => id === context.query.get("kind")) ? context.query.get("kind") : "recent");
  const change = (changes) => {
    context.setQuery(changes);
    context.refresh("traces");
    context.update();
  };
  return {
    title: "Traces",
    sources: {
      traces: {
        path: () => {
          const parts = new URLSearchParams({ kind: kind(), limit: 100 });
          if (context.query.get("q")) parts.set("q", context.query.get("q"));
          return `traces?${parts}`;
        },
        every: 2000,
      },
    },
    draw(data) {
      return [
        h("div", { class: "controls", key: "controls" },
          choice({ label: "Which traces", options: KINDS, value: kind(), onchoose: (to) => change({ kind: to === "recent" ? null : to }) }),
          search({ id: "trace-search", label: "Search traces", value: context.query.get("q") ?? "", placeholder: "Type of actor or message", onsearch: (q) => change({ q }) }),
          samplingLine(context.app.overview?.tracing)),
        samplingOff(context.app.overview?.tracing, context),
        answer(data.traces, (value) => list(value, kind(), context)),
      ];
    },
  };
}

function list(value, kind, context) {
  const tracing = context.app.overview?.tracing;
  const q = context.query.get("q");
  const none = q ? empty(`No kept trace has “${q}” in a type of its actors or messages.`)
    : !tracing ? empty("No traces are kept here.", "Tracing is switched on where the system is built: ActorSystem::builder().tracing(TracingOptions::..).")
    : kind === "failed" ? empty("No kept trace failed.", "That is good news, as far as sampled traces go.")
    : empty("No trace was kept yet.", tracing.sample > 0 ? `One in ${count(Math.round(1 / tracing.sample))} is recorded: send something.` : null);
  const most = Math.max(1, ...value.items.map((each) => each.duration_ns));
  return section(KINDS.find(([id]) => id === kind)[1], {
    key: "list", side: tracing?.sample > 0 && samplingChoice(tracing, context), note: value.total > value.shown ? `${value.shown} of ${plural(value.total, "trace")}` : plural(value.total, "trace"),
  }, table({
    label: "Traces", rows: value.items, key: (row) => row.trace_id, none,
    rowClass: (row) => (row.errors > 0 ? "bad-row" : null),
    columns: [
      { id: "at", title: "Began", fit: true, cell: (row) => time(row.started_at_ms) },
      { id: "root", title: "First message", grow: true, cell: (row) => h("a", { class: "two", href: href(`traces/${row.trace_id}`), title: row.trace_id },
        h("span", { class: "actor-name" }, shortType(row.root.message)), h("span", { class: "actor-type" }, `to ${row.root.name ?? shortType(row.root.type)}`)) },
      { id: "duration", title: "Took", number: true, fit: true, cell: (row) => duration(row.duration_ns) },
      { id: "bar", title: h("span", { class: "legend-inline" }, h("i", { class: "swatch-wait" }), "in mailboxes ", h("i", { class: "swatch-work" }), "else"), hide: 2,
        cell: (row) => waitBar(Math.min(row.wait_ns ?? 0, row.duration_ns), Math.max(0, row.duration_ns - (row.wait_ns ?? 0)), most, row.errors > 0) },
      { id: "wait", title: "Waited", number: true, hide: 1, help: "in mailboxes, all spans together: more than it took, where they waited side by side", cell: (row) => duration(row.wait_ns) },
      { id: "spans", title: "Spans", number: true, hide: 3, cell: (row) => h("span", { title: row.complete ? null : "some are missing: they were dropped, or were made by other peers" }, count(row.spans), row.complete ? "" : "+") },
      { id: "errors", title: "Errors", cell: (row) => (row.errors > 0 ? mark("bad", count(row.errors)) : h("span", { class: "muted" }, "none")) },
      { id: "numa", title: "NUMA", hide: 1, help: "NUMA nodes that handled something of it", cell: (row) => h("span", { class: "flow", title: row.crossings > 0 ? `${plural(row.crossings, "message")} crossed` : null }, row.numa_nodes.map((id) => h("span", { key: id }, numa(id), " "))) },
      { id: "peers", title: "Peers", hide: 1, cell: (row) => (row.peers.length > 0 ? row.peers.join(", ") : h("span", { class: "muted" }, "this one")) },
      { id: "kind", title: "Kept as", hide: 1, cell: (row) => h("span", { class: "muted" }, row.kind.length > 0 ? row.kind.map(words).join(", ") : "recent") },
    ],
  }));
}
