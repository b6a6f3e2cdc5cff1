// Actors by their type: a system has a million actors and a dozen types, and a type is what somebody wrote.

import { h } from "./dom.js";
import { count, duration, rate } from "./format.js";
import { answer, empty, href, section, table, typeName } from "./parts.js";

const nothing = () => h("span", { class: "muted", title: "not measured: no sample in the last minute" }, "–");
const time = (latency, which) => (latency ? duration(latency[which]) : nothing());

/** Where a type is from, which tells two of one name apart: `shop::orders::Order<T>` is of `shop::orders`. */
const moduleOf = (name) => {
  const path = name.split("<")[0];
  return path.includes("::") ? path.slice(0, path.lastIndexOf("::")) : "";
};

/** Types with their figures. */
export function typesTable(rows, { sort, none } = {}) {
  return table({
    label: "Types of actors", rows, key: (row) => row.type, none, sort,
    columns: [
      { id: "type", title: "Type", grow: true, cell: (row) => h("span", { class: "two" }, h("a", { href: href("actors", { type: row.type }) }, typeName(row.type)), h("span", { class: "actor-type doing" }, moduleOf(row.type))) },
      { id: "alive", title: "Actors", number: true, sort: "alive", cell: (row) => count(row.alive) },
      { id: "busy", title: "Busy", number: true, hide: 2, sort: "busy", help: "scheduled, running, or awaiting in a handler", cell: (row) => count(row.busy) },
      { id: "queued", title: "Waiting", number: true, sort: "queued", help: "messages in their mailboxes", cell: (row) => count(row.queued) },
      { id: "rate", title: "Rate", unit: "/s", number: true, sort: "rate", cell: (row) => (row.rate_per_s === null ? nothing() : rate(row.rate_per_s)) },
      { id: "wait50", title: "Wait p50", number: true, hide: 1, cell: (row) => time(row.wait, "p50_ns") },
      { id: "wait99", title: "p99", number: true, sort: "wait", hide: 3, cell: (row) => time(row.wait, "p99_ns") },
      { id: "wait999", title: "p99.9", number: true, hide: 1, cell: (row) => time(row.wait, "p999_ns") },
      { id: "handle50", title: "Handler p50", number: true, hide: 1, cell: (row) => time(row.handle, "p50_ns") },
      { id: "handle99", title: "p99", number: true, sort: "handle", hide: 3, cell: (row) => time(row.handle, "p99_ns") },
      { id: "handle999", title: "p99.9", number: true, hide: 1, cell: (row) => time(row.handle, "p999_ns") },
      { id: "failures", title: "Failures", number: true, hide: 2, help: "lives that ended in failure since the start", cell: (row) => count(row.failures_total) },
    ],
  });
}

export default function types(context) {
  const sorted = () => context.query.get("sort") ?? "rate";
  return {
    title: "Types",
    sources: { types: { path: () => `types?sort=${encodeURIComponent(sorted())}&limit=200`, every: 2000 } },
    draw: (data) => section("Types", {
      note: "the most first; rates of the last second, times of the last minute, from samples", key: "types",
    }, answer(data.types, (value) => [
      typesTable(value.items, {
        sort: {
          by: sorted(), ascending: false,
          onsort: (by) => {
            context.setQuery({ sort: by });
            context.refresh("types");
            context.update();
          },
        },
        none: empty("No actor has been spawned yet.", "Types appear here with their first actor."),
      }),
      value.truncated || value.total > value.shown
        ? h("p", { class: "note" }, `${value.shown} of ${count(value.total)} types; the others have less.`) : null,
    ])),
  };
}
