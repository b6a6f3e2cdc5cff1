// What looks forgotten: actors that nobody needs, asks that nobody answers, types that only grow.

import { h } from "./dom.js";
import { count, duration, plural, shortType } from "./format.js";
import { actorLink, answer, empty, href, mark, section, table, time, typeName } from "./parts.js";

export default function leaks(context) {
  return {
    title: "Leaks",
    sources: { leaks: { path: "leaks", every: 10_000 } },
    draw: (data) => answer(data.leaks, (value) => {
      const head = h("p", { key: "head", class: "note lead" }, `Report of `, time(value.at_ms), ` over ${plural(value.actors, "actor")}, watched for ${duration(value.observed_for_ns)}; it took ${duration(value.took_ns)}. `,
        context.app.overview?.features.actions && h("button", { type: "button", onclick: () => context.act("Take a sample for the leak report now?", "sample-leaks", {}) }, "Sample now"));
      if (value.clean) {
        return [head, empty("Nothing looks forgotten.", "Looked for: actors that are idle and whose address nobody holds, asks that are not answered, types that only grow, actors with very many watchers. A sample is taken every ten seconds or so; the longer it runs, the more it can tell.")];
      }
      return [head, idle(value), stuck(value), growing(value), watches(value),
        value.unanswered.length > 0 && section("Did not answer", { key: "unanswered", note: "they were asked whether they are needed" },
          h("ul", { class: "flow" }, value.unanswered.map((id) => h("li", { key: id }, actorLink(id))))),
        value.not_asked > 0 && h("p", { key: "rest", class: "note" }, `${count(value.not_asked)} more actors were not asked: the report is bounded.`)];
    }),
  };
}

const under = (row) => (row.parent ? actorLink({ id: row.parent, type: row.parent_type }) : h("span", { class: "muted" }, "the top"));

function idle(value) {
  if (value.idle.length === 0) return null;
  return section("Idle, and nobody holds their address", { key: "idle" }, table({
    label: "Idle actors", rows: value.idle, key: (row) => `${row.type}${row.parent}`,
    columns: [
      { id: "type", title: "Type", cell: (row) => h("a", { href: href("actors", { type: row.type, sort: "quiet" }) }, typeName(row.type)) },
      { id: "parent", title: "Below", hide: 2, cell: under },
      { id: "idle", title: "Idle", number: true, cell: (row) => h("span", { title: `of ${row.alive} alive` }, count(row.idle), h("span", { class: "muted" }, ` of ${count(row.alive)}`)) },
      { id: "unneeded", title: "Unneeded", number: true, help: "of those that were asked, how many nobody needs", cell: (row) => `${count(row.unneeded)} of ${count(row.asked)} asked` },
      { id: "longest", title: "Longest", number: true, cell: (row) => duration(row.longest_ns) },
      { id: "examples", title: "Such as", hide: 1, grow: true, cell: (row) => h("span", { class: "flow" }, row.examples.slice(0, 3).map((id) => h("a", { key: id, class: "mono", href: href(`actors/${id}`) }, id, " "))) },
    ],
  }), h("p", { class: "hint" }, "Stop them when their work is done (cx.stop()), or let them end by themselves when nobody holds their address."));
}

function stuck(value) {
  if (value.asks.length === 0) return null;
  return section("Asks that are not answered", { key: "asks" }, table({
    label: "Stuck asks", rows: value.asks, key: (row) => row.actor, rowClass: (row) => (row.asker_gone ? "bad-row" : null),
    columns: [
      { id: "actor", title: "Actor", cell: (row) => actorLink({ id: row.actor, type: row.type, name: row.name }) },
      { id: "message", title: "Handles", cell: (row) => typeName(row.message) },
      { id: "running", title: "For", number: true, cell: (row) => duration(row.running_ns) },
      { id: "waits", title: "Waits for", hide: 1, cell: (row) => (row.waits_for ? actorLink(row.waits_for) : h("span", { class: "muted" }, "–")) },
      { id: "queued", title: "Behind it", number: true, hide: 2, cell: (row) => count(row.queued) },
      { id: "asker", title: "Asker", grow: true, cell: (row) => (row.asker_gone ? mark("warn", "has given up") : "waits") },
    ],
  }));
}

function growing(value) {
  if (value.growing.length === 0) return null;
  return section("Types that only grow", { key: "growing" }, table({
    label: "Growing types", rows: value.growing, key: (row) => `${row.type}${row.parent}`,
    columns: [
      { id: "type", title: "Type", cell: (row) => h("a", { href: href("actors", { type: row.type }) }, typeName(row.type)) },
      { id: "parent", title: "Below", hide: 2, cell: under },
      { id: "counts", title: "How many, and when", grow: true, cell: (row) => growth(row.counts) },
    ],
  }));
}

/** A few counts over time as columns, with the first and the last as figures. */
function growth(counts) {
  const most = Math.max(1, ...counts.map((each) => each.alive));
  const first = counts[0];
  const last = counts.at(-1);
  return h("span", { class: "growth", role: "img", "aria-label": counts.map((each) => `${each.alive} ${each.ago_ns > 0 ? `${duration(each.ago_ns)} ago` : "now"}`).join(", ") },
    h("span", null, `${count(first.alive)}, ${duration(first.ago_ns)} ago`),
    h("span", { class: "growth-bars" }, counts.slice(-30).map((each, index) => h("i", { key: index, style: { height: `${Math.max(4, (each.alive / most) * 100)}%` } }))),
    h("strong", null, count(last.alive)), " now");
}

function watches(value) {
  if (value.watches.length === 0) return null;
  return section("Very many watchers", { key: "watches" }, table({
    label: "Actors with many watchers", rows: value.watches, key: (row) => row.actor,
    columns: [
      { id: "actor", title: "Actor", cell: (row) => actorLink({ id: row.actor, type: row.type, name: row.name }) },
      { id: "watchers", title: "Watched by", number: true, cell: (row) => count(row.watchers) },
      { id: "watching", title: "Watches", number: true, cell: (row) => count(row.watching) },
      { id: "monitors", grow: true, title: "Futures", help: "futures that wait for its end", cell: (row) => count(row.monitors) },
    ],
  }), h("p", { class: "hint" }, `Unwatch what is no longer of interest (cx.unwatch(..)): ${shortType(value.watches[0].type)} keeps an entry for each.`));
}
