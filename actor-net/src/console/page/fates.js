// The books: what became of every message and of every ask since the program began. Nothing is lost without a
// name: what was offered was refused or accepted, and what was accepted was handled, had nobody to go to, was
// dropped, or still waits.

import { h } from "./dom.js";
import { count, percent, whole, words } from "./format.js";
import { empty, mark, section, table } from "./parts.js";

const OF = {
  refused: {
    full: "the mailbox was full", dead: "the actor had ended", overloaded: "the memory limit was reached", other: "other reasons",
  },
  dead_letters: {
    actor_stopped: "the actor stopped first", peer_gone: "the peer's life was over", not_exported: "not for other peers",
    too_large: "too large for the wire", unreachable: "the peer did not answer",
  },
  dropped: {
    expired: "the deadline had passed", cancelled: "cancelled", panicked: "the handler panicked", interrupted: "the actor was restarted or killed",
    overflow_oldest: "the oldest of a full mailbox", overflow_newest: "the newest of a full mailbox", abandoned: "abandoned",
  },
};

/** How asks end, and what that means. */
const ENDS = {
  ok: "the reply came", answered: "the reply came", expired: "the deadline passed first", cancelled: "cancelled", panicked: "the handler panicked", no_reply: "the handler ended without a reply",
  dead: "the actor had ended", full: "the mailbox was full", overloaded: "the memory limit was reached", deadlock: "it would have closed a circle of asks",
  peer_gone: "the peer's life was over", unreachable: "the peer did not answer", no_room: "the peer had no room for it", not_exported: "the actor's type does not take it from other peers",
  too_large: "larger than the wire allows", would_block: "a worker would have been blocked", abandoned: "the asker went away",
};

/** Two lists side by side: from offered to accepted, and from accepted to its end. */
export function messageFates(messages) {
  const rows = (kind) => Object.entries(messages[kind]).filter(([, number]) => number > 0)
    .map(([why, number]) => h("div", { key: why, class: "row part" }, h("dt", { class: "part" }, OF[kind]?.[why] ?? words(why)), h("dd", null, h("span", { class: "muted" }, count(number)))));
  const line = (name, number, severity) => h("div", { key: name, class: "row" },
    h("dt", null, severity && number > 0 ? mark(severity, name) : name), h("dd", { title: whole(number) }, number > 0 ? h("strong", null, count(number)) : "0"));
  return section("Every message", { key: "fates", note: "since the program began; the sums agree but for what happens while they are read" },
    h("div", { class: "fates" },
      h("div", { class: "fate" }, h("h3", null, "Offered", h("span", null, count(messages.offered_total))),
        h("dl", null, line("Refused, and given back", messages.refused_total), rows("refused"), line("Accepted", messages.accepted_total))),
      h("div", { class: "fate" }, h("h3", null, "Accepted", h("span", null, count(messages.accepted_total))),
        h("dl", null, line("Handled", messages.handled_total), line("Dead letters", messages.dead_letters_total, "warn"), rows("dead_letters"),
          line("Dropped", messages.dropped_total), rows("dropped"), line("Waiting", messages.queued)))));
}

/** Asks by how they ended; `null` where this program does not count them. */
export function askEnds(asks, perSecond) {
  if (!asks || asks.ok_total === null || asks.ok_total === undefined) return null;
  const ends = asks.by_outcome.filter((each) => !["ok", "answered"].includes(each.outcome) && each.total > 0).sort((a, b) => b.total - a.total);
  const rows = [{ outcome: "answered", total: asks.ok_total }, ...ends];
  const all = asks.ok_total + (asks.failed_total ?? ends.reduce((sum, each) => sum + each.total, 0));
  return section("By outcome", {
    key: "ends", note: `asks that have ended, from handlers and from other threads${asks.in_flight > 0 ? `; ${count(asks.in_flight)} wait for a reply now` : ""}${asks.late_replies_total > 0 ? `; ${count(asks.late_replies_total)} replies came too late` : ""}`,
    side: perSecond,
  }, table({
    label: "Asks by outcome", rows, key: (row) => row.outcome, none: empty("No ask has ended yet."),
    columns: [
      { id: "outcome", title: "Outcome", fit: true, cell: (row) => (row.outcome === "answered" ? mark("good", "answered") : mark("warn", words(row.outcome))) },
      { id: "total", title: "So far", number: true, fit: true, cell: (row) => h("span", { title: whole(row.total) }, count(row.total)) },
      { id: "share", title: "Share", number: true, fit: true, cell: (row) => percent(all > 0 ? row.total / all : null) },
      { id: "why", title: "Meaning", grow: true, hide: 3, cell: (row) => h("span", { class: "muted" }, ENDS[row.outcome] ?? "") },
    ],
  }));
}
