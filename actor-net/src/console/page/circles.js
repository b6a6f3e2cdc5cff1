// Asks that were refused because they would have closed a circle: the asker got an error at once, where it would
// otherwise have waited until a deadline.

import { h } from "./dom.js";
import { count } from "./format.js";
import { askGraph } from "./graph.js";
import { actorLink, section, table, time, typeName } from "./parts.js";

/** So many of the latest are listed. */
const FEW = 10;

/** `list`: the recent ones; `total`: how many there were, if that is known. `null` where there is none. */
export function refusedCircles(list, total = null) {
  if (!list || list.length === 0) return null;
  const [latest] = list;
  const ring = latest.actors.map((from, at) => ({ from, to: latest.actors[(at + 1) % latest.actors.length], message: null, since_ns: null }));
  return section("Refused circles", { key: "refused", note: `an ask that would have closed a circle is refused with its path; the latest is drawn${total > list.length ? `, ${count(total)} in all` : ""}` },
  askGraph({ edges: ring, cycles: [latest.actors.map((each) => each.id)] }),
  table({
    label: "Refused asks", rows: list.slice(0, FEW), key: (row, index) => `${row.at_ms}${index}`,
    columns: [
      { id: "at", title: "At", fit: true, cell: (row) => time(row.at_ms) },
      { id: "message", title: "Ask", fit: true, cell: (row) => typeName(row.message) },
      { id: "circle", title: "Would have waited for each other", grow: true, cell: (row) => h("span", { class: "flow" }, [...row.actors, row.actors[0]].filter(Boolean)
        .map((each, at) => h("span", { key: at }, at > 0 && "→ ", actorLink(each, { type: false })))) },
    ],
  }));
}
