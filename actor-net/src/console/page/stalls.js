// Handlers that hold up their workers: those that do now, and those that did.

import { h } from "./dom.js";
import { count, duration } from "./format.js";
import { actorLink, answer, empty, facts, mark, numa, section, table, time, traceLink, typeName } from "./parts.js";

export default function stalls() {
  return {
    title: "Stalls",
    sources: { stalls: { path: "stalls", every: 1000 } },
    draw: (data) => answer(data.stalls, (value) => [
      h("div", { key: "totals", class: "lead" }, facts(
        ["Held up now", value.totals.now > 0 ? mark("bad", count(value.totals.now)) : "0"],
        ["So far", count(value.totals.stalls_total)],
        ["Longest", value.totals.stalls_total > 0 ? duration(value.totals.longest_ns) : "–"],
        ["Spare threads", `${count(value.totals.spares_on_duty)} on duty of ${count(value.totals.spare_threads)}`, "threads that take over the queue of a worker that is held up"],
        value.totals.spares_exhausted_total > 0 && ["No spare thread left", mark("warn", `${count(value.totals.spares_exhausted_total)} times`)],
      )),
      section("Now", { key: "now" }, list("Stalls now", value.now, empty("No handler holds up its worker.", "A handler is listed here as soon as it runs for longer than the system's threshold without an await (report_stalls_after)."))),
      section("Over", { key: "over", note: "the last 100" }, list("Stalls that are over", value.recent, empty("No stall was recorded so far."))),
      (value.now.length > 0 || value.recent.length > 0) && h("p", { key: "hint", class: "hint" },
        "Work that blocks belongs on a thread of its own: cx.blocking(..), or #[message(blocking)] on the handler."),
    ]),
  };
}

function list(label, rows, none) {
  return table({
    label, rows, key: (row, index) => `${row.worker}-${row.at_ms}-${row.actor}-${row.running ? "" : index}`, none,
    columns: [
      { id: "at", title: "Since", fit: true, cell: (row) => time(row.at_ms) },
      { id: "for", title: "For", number: true, fit: true, cell: (row) => (row.running ? mark("bad", duration(row.for_ns)) : duration(row.for_ns)) },
      { id: "actor", title: "Actor", cell: (row) => h("div", null, actorLink({ id: row.actor, type: row.type, name: row.name }),
        row.stack && h("details", { class: "stack" }, h("summary", null, "Stack"), h("pre", { tabindex: "0" }, row.stack))) },
      { id: "message", title: "Message", grow: true, cell: (row) => (row.message ? typeName(row.message) : h("span", { class: "muted" }, "in a hook")) },
      { id: "worker", title: "Worker", number: true, hide: 2, cell: (row) => row.worker },
      { id: "numa", title: "NUMA", hide: 2, cell: (row) => numa(row.numa_node) },
      { id: "trace", title: "Trace", fit: true, hide: 2, cell: (row) => traceLink(row.trace_id) },
    ],
  });
}
