// Who waits for whom, in the whole system, at this moment; and where they wait in a circle.

import { refusedCircles } from "./circles.js";
import { h } from "./dom.js";
import { askEnds } from "./fates.js";
import { count, duration, rate } from "./format.js";
import { askGraph } from "./graph.js";
import { actorLink, answer, empty, mark, section, table, typeName } from "./parts.js";

export default function asks(context) {
  return {
    title: "Asks",
    sources: { asks: { path: "asks", every: 1500 } },
    draw: (data) => [waiting(data), ends(context.app.overview), refusedCircles(data.asks?.value?.refused_cycles, data.asks?.value?.deadlocks_total)],
  };

  function ends(overview) {
    return overview && askEnds(overview.asks, overview.rates.asks_per_s !== null && h("span", { class: "note" }, `${rate(overview.rates.asks_per_s)} /s`));
  }

  function waiting(data) {
    return answer(data.asks, (value) => {
      const inCycle = new Set(value.cycles.flat());
      if (value.items.length === 0) {
        return empty("No handler waits for a reply at this moment.", "Asks are seen here while they wait: those that handlers await, not those of other threads. Most are over in microseconds.");
      }
      const known = new Map(value.items.flatMap((each) => [[each.from.id, each.from], [each.to.id, each.to]]));
      // Circles first, and whoever waits on them.
      const rows = [...value.items].sort((a, b) => Number(inCycle.has(b.from.id)) - Number(inCycle.has(a.from.id)) || (b.since_ns ?? 0) - (a.since_ns ?? 0));
      return [
        value.cycles.length > 0 && section("Circles", { key: "circles" },
          h("ul", { class: "cycles" }, value.cycles.map((cycle, index) => h("li", { key: index },
            mark("bad"), cycle.map((id, at) => [at > 0 && " → ", actorLink(known.get(id) ?? id, { type: false })]), " → ", actorLink(known.get(cycle[0]) ?? cycle[0], { type: false })))),
          h("p", { class: "hint" }, "None of these can go on until a deadline passes. Let one of them tell instead of ask, or handle the ask as reentrant.")),
        section("Who waits for whom", { key: "graph", note: "those who ask at the left" }, askGraph({ edges: rows, cycles: value.cycles })),
        section("All", { key: "all", note: value.total > value.shown ? `${value.shown} of ${count(value.total)}` : count(value.total) }, table({
          label: "Asks", rows: rows.slice(0, 200), key: (row) => `${row.from.id}>${row.to.id}`,
          rowClass: (row) => (inCycle.has(row.from.id) && inCycle.has(row.to.id) ? "bad-row" : null),
          columns: [
            { id: "from", title: "Waits", cell: (row) => actorLink(row.from) },
            { id: "to", title: "for", cell: (row) => actorLink(row.to) },
            { id: "message", title: "while it handles", grow: true, hide: 3, cell: (row) => typeName(row.message) },
            { id: "since", title: "For", number: true, help: "to some ten seconds", cell: (row) => (row.since_ns === 0 ? "< 10 s" : duration(row.since_ns)) },
          ],
        })),
      ];
    });
  }
}
