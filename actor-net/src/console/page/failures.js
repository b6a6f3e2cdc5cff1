// Lives of actors that ended in failure: which, on what, and why. All of them are here, not only those of recorded
// traces, as far as the system keeps them.

import { h } from "./dom.js";
import { count, plural } from "./format.js";
import { actorLink, answer, empty, search, section, table, time, traceLink, typeName } from "./parts.js";

export default function failures(context) {
  const q = () => context.query.get("q") ?? "";
  return {
    title: "Failures",
    sources: {
      failures: {
        path: () => {
          const parts = new URLSearchParams({ limit: 100 });
          if (q()) parts.set("q", q());
          return `failures?${parts}`;
        },
        every: 2000,
      },
    },
    draw: (data) => [
      h("div", { class: "controls", key: "controls" }, search({
        id: "failure-search", label: "Search failures", value: q(), placeholder: "Name, type, id, message or error",
        onsearch: (to) => {
          context.setQuery({ q: to });
          context.refresh("failures");
          context.update();
        },
      })),
      answer(data.failures, (value) => list(value, q(), context.app.overview?.actors)),
    ],
  };
}

function list(value, q, actors) {
  const none = q ? empty(`None of the recent failures has “${q}” in it.`)
    : empty("No actor has failed.", "A handler that panics ends its actor's life; what its supervisor does then is told in Restarts, on the actor's page.");
  return section("Recent failures", {
    key: "list",
    note: actors && value.items.length > 0 ? `${count(actors.panics_total)} panics and ${plural(actors.restarts_total, "restart")} so far${value.left_out > 0 ? `; ${count(value.left_out)} came in floods and were only counted` : ""}` : null,
  }, table({
    label: "Recent failures", rows: value.items, key: (row, index) => `${row.at_ms}${row.actor}${index}`, none,
    columns: [
      { id: "at", title: "At", fit: true, cell: (row) => time(row.at_ms) },
      { id: "actor", title: "Actor", fit: true, cell: (row) => h("span", { title: row.path }, actorLink({ id: row.actor, type: row.type, name: row.name })) },
      { id: "message", title: "Failed on", fit: true, hide: 3, cell: (row) => (row.message ? typeName(row.message) : h("span", { class: "muted" }, "a hook")) },
      { id: "error", title: "Why", grow: true, cell: (row) => h("span", { class: "mono" }, row.error) },
      { id: "then", title: "Then", fit: true, hide: 2, cell: (row) => h("span", { class: "muted" }, row.will_restart ? "restart" : "it stopped") },
      { id: "trace", title: "Trace", fit: true, hide: 2, cell: (row) => traceLink(row.trace_id) },
    ],
  }));
}
