// What goes between this peer and the others, drawn and as a table: the thicker a line the more, dashed where
// there is no connection now.

import { h } from "./dom.js";
import { bytes, count, duration, percent, rate, words } from "./format.js";
import { empty, href, mark, meter, section, table } from "./parts.js";

/** So many peers are drawn; all are in the tables. */
const DRAWN = 24;
const BOX = { width: 132, gap: 24, down: 34 };
const TOP = 128;

const known = (value) => value !== null && value !== undefined;
const flow = (peer) => (peer.link?.sent_per_s ?? 0) + (peer.link?.received_per_s ?? 0);
const bad = (peer) => ["unreachable", "down"].includes(peer.state);
const others = (it) => it.members.filter((each) => !each.own && each.state !== "left");

/** Whether this peer counts what it sends to each. */
export const hasTraffic = (it) => it.members.some((each) => known(each.link?.sent_per_s));

export const peersNote = (it) => `from this peer${hasTraffic(it) ? "; the thicker the more messages" : ""}; the time is the round trip`;

/** This peer and the others around it. */
export function peersPicture(it) {
  const shown = others(it).sort((a, b) => flow(b) - flow(a)).slice(0, DRAWN);
  if (shown.length === 0) return empty("This peer is alone.", "Others join by its address as a seed.");
  // By name, so that none jumps when figures change.
  shown.sort((a, b) => a.peer.localeCompare(b.peer, "en", { numeric: true }));
  const traffic = hasTraffic(it);
  const boxHeight = traffic ? 60 : 44;
  const columns = Math.min(shown.length, 8);
  const width = Math.max(columns * (BOX.width + BOX.gap) - BOX.gap, 240) + 8;
  const height = TOP + Math.ceil(shown.length / columns) * (boxHeight + BOX.down) - BOX.down + 8;
  const centre = width / 2;
  const most = Math.max(1, ...shown.map(flow));
  const seat = (index) => ({ x: (index % columns) * (BOX.width + BOX.gap) + 4, y: TOP + Math.floor(index / columns) * (boxHeight + BOX.down) });
  return h("div", { class: "graph-frame", tabindex: "0", role: "region", "aria-label": "Connections, drawn" },
    h("svg", { class: "graph peers-graph", width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
      "aria-label": shown.map((each) => [each.peer, words(each.state), known(each.link?.round_trip_ns) && `round trip ${duration(each.link.round_trip_ns)}`,
        known(each.link?.sent_per_s) && `${rate(each.link.sent_per_s)} out and ${rate(each.link.received_per_s)} in per second`].filter(Boolean).join(", ")).join("; ") },
    shown.map((each, index) => {
      const { x, y } = seat(index);
      const on = each.link?.connected && !each.link.lost;
      const target = x + BOX.width / 2;
      const share = flow(each) / most;
      return h("g", { key: each.peer },
        h("path", { class: `peer-line${bad(each) || each.link?.lost ? " bad" : ""}${on ? "" : " off"}`, "stroke-width": (1.5 + (share > 0 ? 7 * Math.sqrt(share) : 0)).toFixed(1),
          d: `M${centre} 56C${centre} ${56 + 46} ${target} ${y - 46} ${target} ${y}` }),
        // Beside the end of the line, on the side where it does not come from.
        h("text", { class: "tick halo", x: target < centre ? target - 10 : target + 10, y: y - 10, "text-anchor": target < centre ? "end" : "start" },
          on ? (known(each.link.round_trip_ns) ? duration(each.link.round_trip_ns) : "") : each.state === "down" ? "down" : "no connection"));
    }),
    h("g", null, h("rect", { class: "peer-box own", x: centre - 74, y: 8, width: 148, height: 48, rx: 6 }),
      h("text", { class: "ask-name", x: centre, y: 29, "text-anchor": "middle" }, it.own), h("text", { class: "ask-type", x: centre, y: 45, "text-anchor": "middle" }, "this peer")),
    shown.map((each, index) => {
      const { x, y } = seat(index);
      const middle = x + BOX.width / 2;
      return h("g", { key: each.peer },
        h("rect", { class: `peer-box${bad(each) ? " bad" : ""}`, x, y, width: BOX.width, height: boxHeight, rx: 6 }),
        h("text", { class: "ask-name", x: middle, y: y + 19, "text-anchor": "middle" }, each.peer.length > 17 ? `${each.peer.slice(0, 16)}…` : each.peer),
        h("text", { class: `ask-type${bad(each) ? " bad" : ""}`, x: middle, y: y + 35, "text-anchor": "middle" }, `${bad(each) ? "▲ " : ""}${words(each.state)}`),
        traffic && known(each.link?.sent_per_s) && h("text", { class: "ask-type", x: middle, y: y + 51, "text-anchor": "middle" }, `↓ ${rate(each.link.sent_per_s)}  ↑ ${rate(each.link.received_per_s)} /s`));
    })));
}

/** The hottest pairs of peers, as far as this peer is one of them. */
export function peersTraffic(it) {
  const rows = others(it).sort((a, b) => flow(b) - flow(a) || a.peer.localeCompare(b.peer, "en", { numeric: true }));
  if (rows.length === 0) return null;
  const most = Math.max(1e-9, ...rows.map(flow));
  const traffic = hasTraffic(it);
  return section("Between peers", { key: "peers", note: peersNote(it), side: h("a", { href: href("cluster") }, "All of the cluster") },
    peersPicture(it),
    table({
      label: "Messages between peers", rows: rows.slice(0, 64), key: (row) => `${row.peer}-${row.incarnation}`, rowClass: (row) => (bad(row) ? "bad-row" : null),
      columns: [
        { id: "peer", title: "Peer", fit: true, cell: (row) => h("strong", null, row.peer) },
        { id: "state", title: "State", fit: true, cell: (row) => mark({ up: "good", unreachable: "bad", down: "bad", leaving: "warn" }[row.state] ?? "off", words(row.state)) },
        traffic && { id: "out", title: "Out", unit: "/s", number: true, fit: true, cell: (row) => rate(row.link?.sent_per_s) },
        traffic && { id: "in", title: "In", unit: "/s", number: true, fit: true, cell: (row) => rate(row.link?.received_per_s) },
        traffic && { id: "bar", title: h("span", { class: "visually-hidden" }, "Share of the hottest"), hide: 2, grow: true, cell: (row) => meter(flow(row) / most, { label: `${percent(flow(row) / most)} of the hottest` }) },
        traffic && { id: "bytes", title: "Bytes out, in", unit: "/s", number: true, hide: 2, cell: (row) => (known(row.link?.sent_bytes_per_s) ? `${bytes(row.link.sent_bytes_per_s)}, ${bytes(row.link.received_bytes_per_s)}` : "–") },
        rows.some((row) => known(row.link?.queued)) && { id: "queued", title: "Waiting", number: true, help: "messages that wait for the connection", cell: (row) => count(row.link?.queued) },
        { id: "rtt", title: "Round trip", number: true, cell: (row) => duration(row.link?.round_trip_ns) },
      ].filter(Boolean),
    }));
}
