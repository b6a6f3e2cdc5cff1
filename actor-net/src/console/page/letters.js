// Messages that had nobody to go to: why, and which.

import { h } from "./dom.js";
import { messageFates } from "./fates.js";
import { count, rate, words } from "./format.js";
import { actorLink, answer, choice, empty, search, section, table, time, traceLink, typeName } from "./parts.js";

const WHY = {
  actor_stopped: "the actor had stopped, or stopped before it came to them",
  peer_gone: "they were for a peer whose life is over",
  not_exported: "the actor's type does not take them from other peers",
  too_large: "they were larger than the wire allows",
  unreachable: "the peer did not answer for too long",
};

export default function letters(context) {
  const change = (changes) => {
    context.setQuery(changes);
    context.refresh("letters");
    context.update();
  };
  return {
    title: "Dead letters",
    sources: {
      letters: {
        path: () => {
          const parts = new URLSearchParams({ limit: 100 });
          for (const name of ["reason", "q"]) if (context.query.get(name)) parts.set(name, context.query.get(name));
          return `dead-letters?${parts}`;
        },
        every: 2000,
      },
    },
    draw: (data) => [
      nothing(data) ? null : h("div", { class: "controls", key: "controls" },
        search({ id: "letter-search", label: "Search dead letters", value: context.query.get("q") ?? "", placeholder: "Type of actor or message", onsearch: (q) => change({ q }) }),
        choice({
          label: "Reason", value: context.query.get("reason") ?? "", onchoose: (reason) => change({ reason }),
          options: [["", "All"], ...(data.letters?.value?.by_reason ?? []).filter((each) => each.total > 0 || each.reason === context.query.get("reason")).map((each) => [each.reason, words(each.reason), count(each.total)])],
        })),
      answer(data.letters, (value) => draw(value, context)),
    ],
  };
}

/** There is no dead letter to look for. */
const nothing = (data) => data.letters?.value?.by_reason.every((each) => each.total === 0) ?? false;

function draw(value, context) {
  const books = context.app.overview && messageFates(context.app.overview.messages);
  if (value.by_reason.every((each) => each.total === 0)) {
    return [
      empty("Every accepted message found its actor.", "A dead letter is an accepted message whose actor stopped before it came to it. Refusals are not in here: those were given back to their senders."),
      books,
    ];
  }
  return [
    section("By reason", { key: "reasons" }, table({
      label: "Dead letters by reason", rows: value.by_reason.filter((each) => each.total > 0), key: (row) => row.reason,
      columns: [
        { id: "reason", title: "Reason", fit: true, cell: (row) => words(row.reason) },
        { id: "total", title: "So far", number: true, fit: true, cell: (row) => count(row.total) },
        { id: "rate", title: "Now", unit: "/s", number: true, fit: true, cell: (row) => (row.per_s > 0 ? h("strong", null, rate(row.per_s)) : "0") },
        { id: "why", title: "Meaning", grow: true, hide: 3, cell: (row) => h("span", { class: "muted" }, WHY[row.reason] ?? "") },
      ],
    })),
    books,
    section("Recent ones", { key: "recent", note: value.recorded ? "some of them, the newest first" : null },
      !value.recorded
        ? empty("This system counts dead letters and does not keep them.")
        : table({
          label: "Recent dead letters", rows: value.items, key: (row, index) => `${row.at_ms}${row.actor}${index}`,
          none: empty(context.query.get("q") || context.query.get("reason") ? "None of the recent ones is like that." : "None of them is recent enough to be kept."),
          columns: [
            { id: "at", title: "At", fit: true, cell: (row) => time(row.at_ms) },
            { id: "message", title: "Message", cell: (row) => typeName(row.message) },
            { id: "to", title: "To", cell: (row) => actorLink({ id: row.actor, type: row.type, name: row.name }) },
            { id: "reason", title: "Reason", grow: true, cell: (row) => h("span", { title: WHY[row.reason] }, words(row.reason)) },
            { id: "trace", title: "Trace", fit: true, hide: 2, cell: (row) => traceLink(row.trace_id) },
          ],
        })),
  ];
}
