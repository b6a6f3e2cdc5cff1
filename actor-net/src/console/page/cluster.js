// The cluster as this peer sees it: who is there, who is not, and how the connections are.

import { h } from "./dom.js";
import { bytes, count, duration, plural, rate, words } from "./format.js";
import { answer, empty, facts, href, mark, section, table, time } from "./parts.js";
import { hasTraffic, peersNote, peersPicture } from "./peers.js";

const STATES = { up: "good", joining: "off", unreachable: "bad", leaving: "warn", down: "bad", left: "off" };

export default function cluster(context) {
  return {
    title: "Peers",
    sources: { cluster: { path: "cluster", every: 1500 } },
    draw: (data) => answer(data.cluster, (value) => (value.enabled && value.cluster
      ? draw(value.cluster, context)
      : empty("This system is not part of a cluster.", "With one, its peers are here: Cluster::builder(..), and Console::builder(&system).cluster(&cluster)."))),
  };
}

function draw(it, context) {
  return [
    h("div", { key: "head", class: "lead" },
      facts(
        ["Cluster", it.name],
        ["This peer", it.own],
        ["Status", mark({ running: "good", isolated: "bad", restarting: "warn" }[it.status] ?? "off", words(it.status)), it.status_text],
        ["Address", h("span", { class: "mono" }, it.address)],
        ["View", `version ${count(it.version)}`, "the list of members that all agree on; each change has a number"],
        ["Voters", it.voters.length > 0 ? it.voters.join(", ") : "–", "peers whose majority decides"],
        ["Leader", it.leader ?? mark("bad", "nobody"), "who proposes to the voters; without one nothing is decided"],
      ),
      it.status === "isolated" && h("p", { class: "hint" }, "Half of the members or more do not answer this peer. It goes on, and waits until a majority has decided who is down. Look at the network between it and the others first.")),
    section("Connections", { key: "picture", note: peersNote(it) }, peersPicture(it)),
    section("Members", { key: "members", note: plural(it.members.length, "member") }, table({
      label: "Members", rows: it.members, key: (row) => `${row.peer}-${row.incarnation}`, rowClass: (row) => (["unreachable", "down"].includes(row.state) ? "bad-row" : null),
      columns: [
        { id: "peer", title: "Peer", cell: (row) => h("span", { class: "two" }, h("strong", null, row.peer), h("span", { class: "muted" }, [row.own && "this one", row.voter && "voter"].filter(Boolean).join(", "))) },
        { id: "state", title: "State", fit: true, cell: (row) => mark(STATES[row.state] ?? "off", words(row.state)) },
        { id: "since", title: "For", number: true, fit: true, cell: (row) => duration(row.since_ns) },
        context.app.overview?.features.actions && { id: "act", title: h("span", { class: "visually-hidden" }, "Action"), fit: true, cell: (row) => (!row.own && ["unreachable"].includes(row.state)
          ? h("button", { type: "button", class: "danger", onclick: () => context.act(`Declare ${row.peer} down? Do this only if it is known not to come back: what it had is moved to others, and its life never returns.`, "declare-down", { peer: row.peer }) }, "Declare down …") : null) },
        { id: "roles", title: "Roles", hide: 2, cell: (row) => (row.roles.length > 0 ? row.roles.join(", ") : h("span", { class: "muted" }, "none")) },
        { id: "rtt", title: "Round trip", number: true, cell: (row) => (row.own ? "" : duration(row.link?.round_trip_ns)) },
        { id: "link", title: "Connection", cell: (row) => link(row) },
        hasTraffic(it) && { id: "out", title: "Out", unit: "/s", number: true, hide: 2, cell: (row) => rate(row.link?.sent_per_s) },
        hasTraffic(it) && { id: "in", title: "In", unit: "/s", number: true, hide: 2, cell: (row) => rate(row.link?.received_per_s) },
        { id: "where", title: "Address", hide: 1, cell: (row) => h("span", { class: "mono" }, row.endpoints.join(" ")) },
        { id: "machine", title: "Machine", hide: 1, cell: (row) => machine(row.numa_nodes) },
        it.members.some((row) => row.metadata.length > 0) && { id: "meta", title: "Metadata", hide: 1, grow: true, cell: (row) => row.metadata.map((each) => `${each.key}=${each.value}`).join(" ") },
        { id: "life", title: "Life", hide: 1, help: "incarnation: when this life of it began", cell: (row) => h("span", { title: `incarnation ${row.incarnation}` }, time(row.started_at_ms ?? row.incarnation)) },
      ].filter(Boolean),
    })),
    it.events && section("What happened", { key: "events", note: "as this peer heard of it, the newest first" }, table({
      label: "Events", rows: it.events.slice(0, 50), key: (row, index) => `${row.at_ms}${row.peer}${row.change}${index}`,
      none: empty("Nothing has changed since this peer began."),
      columns: [
        { id: "at", title: "At", fit: true, cell: (row) => time(row.at_ms) },
        { id: "peer", title: "Peer", fit: true, cell: (row) => row.peer },
        { id: "change", title: "Became", cell: (row) => mark({ up: "good", reachable_again: "good", unreachable: "bad", down: "bad", leaving: "off", left: "off" }[row.change] ?? "off", words(row.change)) },
        { id: "why", title: "Why", grow: true, cell: (row) => row.why ?? "" },
        { id: "version", title: "View", number: true, hide: 2, cell: (row) => count(row.version) },
      ],
    })),
    it.remote && section("Messages between peers", { key: "remote", note: "counted by this peer since its life began" }, h("div", { class: "remote" }, facts(
      ["Tells out", count(it.remote.tells_out_total)], ["Asks out", count(it.remote.asks_out_total)], ["Answers out", count(it.remote.answers_out_total)],
      ["Tells in", count(it.remote.tells_in_total)], ["Asks in", count(it.remote.asks_in_total)], ["Answers in", count(it.remote.answers_in_total)],
      ["Delivered", count(it.remote.delivered_total)], ["Held now", count(it.remote.held), "wait for a connection"],
      ["Lost", it.remote.lost_total > 0 ? mark("warn", count(it.remote.lost_total)) : "0", "nobody can know whether they arrived"],
      ["Dropped", it.remote.dropped_total > 0 ? mark("warn", count(it.remote.dropped_total)) : "0"],
      ["Refused", count(it.remote.refused_total)],
    ))),
    h("div", { key: "names", class: "columns" },
      section("Unique names", { key: "unique", note: more(it.names) }, table({
        label: "Unique names", rows: it.names.items, key: (row) => row.name,
        none: empty("No unique name is taken.", "cluster.names() takes one: all peers agree on its holder."),
        columns: [
          { id: "name", title: "Name", cell: (row) => row.name },
          { id: "peer", title: "Peer", cell: (row) => row.peer },
          { id: "actor", title: "Actor", cell: (row) => (row.peer === it.own ? h("a", { class: "mono", href: href(`actors/${row.actor}`) }, row.actor) : h("span", { class: "mono" }, row.actor)) },
          { id: "epoch", title: "Epoch", number: true, cell: (row) => count(row.epoch) },
        ],
      })),
      section("Groups", { key: "groups", note: more(it.groups) }, it.groups.items.length > 0
        ? h("ul", { class: "flow" }, it.groups.items.map((each) => h("li", { key: each.name, class: "tag" }, each.name)))
        : empty("There is no group.", "cluster.groups().join(..) makes one: any number of actors under one name."))),
  ];
}

const more = (list) => (list.total > list.shown ? `the first ${list.shown} of ${count(list.total)}` : count(list.total));

function link(row) {
  if (row.own) return h("span", { class: "muted" }, "–");
  if (!row.link) return h("span", { class: "muted" }, "none yet");
  if (row.link.lost) return mark("bad", "lost");
  if (!row.link.connected) return mark("warn", "not connected");
  return h("span", null, plural(row.link.lanes, "lane"));
}

function machine(nodes) {
  if (!nodes || nodes.length === 0) return h("span", { class: "muted" }, "–");
  const sum = (of) => nodes.reduce((all, each) => all + (each[of] ?? 0), 0);
  return `${plural(nodes.length, "NUMA node")}, ${plural(sum("cpus"), "CPU")}${sum("bytes") > 0 ? `, ${bytes(sum("bytes"))}` : ""}`;
}
