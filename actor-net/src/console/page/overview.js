// The first look: what needs attention now, how much goes on, and how it went in the last minutes.

import { Cursor, chart } from "./chart.js";
import { h } from "./dom.js";
import { ago, bytes, count, duration, percent, plural, rate, whole, words } from "./format.js";
import { empty, href, mark, section, stat } from "./parts.js";
import { Series } from "./series.js";
import { typesTable } from "./types.js";

const KINDS = {
  stall: "Stall", ask_cycle: "Ask cycle", leak: "Leak", dead_letters: "Dead letters", peer_unreachable: "Peer",
  overload: "Overload", restarts: "Restarts", spans_dropped: "Tracing", not_ready: "Not ready", pin_lost: "Pinning",
};

export default function overview(context) {
  const { app } = context;
  const series = new Series();
  let minutes = Number(context.query.get("minutes")) || 5;
  const cursor = new Cursor(context.update);

  return {
    title: "Overview",
    sources: {
      history: { path: () => `history?seconds=${series.missingSeconds(minutes * 60)}`, every: 1000 },
      types: { path: "types?sort=rate&limit=8", every: 2000 },
    },
    answered(source, answer) {
      if (source === "history" && answer.value) series.merge(answer.value);
    },
    restarted: () => series.clear(),
    shortcuts: [[["←", "→"], "In a chart: read other moments"]],
    series,
    draw(data) {
      const now = app.overview;
      if (!now) return h("p", { class: "loading" }, "Reading …");
      const choose = (value) => {
        minutes = value;
        context.setQuery({ minutes: value === 5 ? null : value });
        if (value * 60_000 > (series.times.at(-1) ?? 0) - (series.times[0] ?? 0)) series.clear();
        context.refresh("history");
        context.update();
      };
      return [
        attention(now),
        figures(now, series),
        h("section", { class: "section", key: "charts" },
          h("div", { class: "section-head" },
            h("h2", null, "Over time"),
            h("span", { class: "note" }, "a figure a second; times on your clock"),
            h("div", { class: "side" }, h("div", { class: "choice", role: "group", "aria-label": "How far back" },
              [1, 5, 10].map((each) => h("button", {
                key: each, type: "button", "aria-pressed": each === minutes ? "true" : "false", onclick: () => choose(each),
              }, `${each} min`))))),
          charts(series, windowOf(minutes, now.system.uptime_ns), cursor, now)),
        section("Busiest types", {
          note: "rates of the last second, times of the last minute, from samples",
          side: h("a", { href: href("types") }, "All types"),
        }, typesTable(data.types?.value?.items ?? [], { none: empty("No actor has been spawned yet.", "Types appear here with their first actor.") })),
      ];
    },
  };
}

/** As far back as was asked for, but not far beyond the program's beginning: there is nothing to be seen. */
function windowOf(minutes, uptimeNs) {
  const lived = [1, 2, 5, 10].find((each) => each * 60e9 >= uptimeNs) ?? minutes;
  return Math.min(minutes, lived) * 60_000;
}

function attention(now) {
  const items = now.attention;
  const unready = now.health.ready || items.some((item) => item.kind === "not_ready") ? [] : now.health.why.map((why) => ({
    kind: "not_ready", severity: "bad", title: `not ready: ${words(why.reason)}`, detail: why.text, since_ms: null, link: null,
  }));
  const all = [...unready, ...items];
  return h("section", { key: "attention", class: all.length > 0 ? "attention" : "attention calm", "aria-label": "What needs attention" },
    all.length === 0
      ? h("p", null, mark("good", "Nothing needs attention."),
        h("span", { class: "note" }, " Watched: stalls, circles of asks, dead letters, restarts, leaks, overload, pinning",
          now.features.cluster ? ", peers." : "."))
      : h("ul", null, all.map((item, index) => h("li", { key: `${item.kind}-${item.title}-${index}` },
        h(item.link ? "a" : "div", { class: "alarm", href: item.link },
          mark(item.severity, KINDS[item.kind] ?? words(item.kind)),
          h("span", { class: "alarm-title" }, item.title),
          h("span", { class: "alarm-detail" }, item.detail),
          h("span", { class: "alarm-since" }, item.since_ms ? ago(item.since_ms) : ""))))));
}

function figures(now, series) {
  const wait = now.latency?.wait;
  const handle = now.latency?.handle;
  const failing = series.latest("asks_failed_per_s");
  return h("div", { class: "stats", key: "stats" },
    stat("Messages", rate(now.rates.messages_per_s), { unit: "/s", note: `${count(now.messages.handled_total)} handled` }),
    stat("Waiting now", count(now.messages.queued), { note: "in all mailboxes" }),
    stat("Mailbox wait p99", ...split(duration(wait?.p99_ns)), ),
    stat("Handler time p99", ...split(duration(handle?.p99_ns))),
    stat("Asks", rate(now.rates.asks_per_s), {
      unit: now.rates.asks_per_s === null ? null : "/s", note: failing === null ? "not counted" : `${rate(failing)} /s failed`, severity: failing > 0 ? "warn" : null,
    }),
    stat("Dead letters", rate(now.rates.dead_letters_per_s), {
      unit: "/s", note: `${count(now.messages.dead_letters_total)} so far`, severity: now.rates.dead_letters_per_s > 0 ? "warn" : null,
    }),
    stat("Actors", count(now.actors.alive), {
      note: `${count(now.actors.restarts_total)} restarts`, severity: now.rates.restarts_per_s > 0 ? "warn" : null,
      title: `${whole(now.actors.spawned_total)} spawned, ${whole(now.actors.stopped_total)} stopped`,
    }),
    stat("Load", percent(now.workers.load), {
      note: `${now.workers.busy}/${now.workers.count} awake`,
      title: "Share of their time that all workers spent on a CPU in the last second; workers that do not sleep",
    }),
    now.numa_nodes > 1 && stat("Crossed NUMA", percent(now.rates.crossed_share), { note: "of messages", title: plural(now.numa_nodes, "NUMA node") }),
    stat("Arenas", ...split(bytes(now.memory.arena_bytes), now.memory.user_bytes > 0 ? `${bytes(now.memory.user_bytes)} in boxes` : "of this process")));
}

/** `1.23 ms` as a figure and a unit. */
function split(text, note) {
  const at = text.lastIndexOf(" ");
  return at < 0 || text.split(" ").length > 2 ? [text, { note }] : [text.slice(0, at), { unit: text.slice(at + 1), note: note ?? "last minute" }];
}

function charts(series, windowMs, cursor, now) {
  const times = series.times;
  const line = (name, label, tone, more) => ({ name, label, tone, values: series.column(name), ...more });
  const all = { times, windowMs, cursor };
  const unmeasured = now.features.latency
    ? "No message was measured in this time: nothing was sent."
    : "Wait and handler times are not measured in this program.";
  return h("div", { class: "charts" },
    chart({ ...all, id: "messages", title: "Messages", note: "per second", format: rate, empty: "No figures yet: the first come within seconds.",
      lines: [line("messages_per_s", "handled", "tone-1", { area: true })] }),
    chart({ ...all, id: "wait", title: "Mailbox wait", note: "from send to handler, logarithmic", scale: "log", format: duration, empty: unmeasured,
      lines: [line("wait_p50_ns", "p50", "tone-low"), line("wait_p99_ns", "p99", "tone-mid"), line("wait_p999_ns", "p99.9", "tone-high")] }),
    chart({ ...all, id: "handle", title: "Handler time", note: "from first to last poll, logarithmic", scale: "log", format: duration, empty: unmeasured,
      lines: [line("handle_p50_ns", "p50", "tone-low"), line("handle_p99_ns", "p99", "tone-mid"), line("handle_p999_ns", "p99.9", "tone-high")] }),
    chart({ ...all, id: "asks", title: "Asks", note: "per second, by outcome", format: rate, empty: "No ask has ended in this time, or this program does not count them.",
      lines: [line("asks_ok_per_s", "answered", "tone-1"), line("asks_failed_per_s", "failed", "tone-bad")] }),
    chart({ ...all, id: "lost", title: "Lost and restarts", note: "per second", format: rate, empty: "No figures yet: the first come within seconds.",
      lines: [line("dead_letters_per_s", "dead letters", "tone-bad"), line("dropped_per_s", "dropped", "tone-warn"),
        line("refused_per_s", "refused", "tone-low"), line("restarts_per_s", "restarts", "tone-2")] }),
    chart({ ...all, id: "queued", title: "Waiting", note: "messages in all mailboxes", format: count, empty: "No figures yet: the first come within seconds.",
      lines: [line("queued", "messages", "tone-1", { area: true })] }));
}
