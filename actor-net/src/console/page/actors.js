// The supervision tree, level by level, and lists of actors: found by a text, or sorted.
//
// A system may have a million actors. So nothing here ever asks for more than a page: a level of the tree
// shows one page at a time and is read when it is opened, and of the open levels one after the other is read
// anew. What the page keeps is bounded by what is on the screen.

import { h } from "./dom.js";
import { count, duration, plural, rate, shortType } from "./format.js";
import { actorLink, answer, choice, empty, failure, href, meter, numa, pager, phase, search, section, table, typeName } from "./parts.js";

const PAGE = 50;
const MOST_OPEN = 40;
const ROOT = "root";

const WAYS = [["tree", "Tree"], ["queued", "Longest mailboxes"], ["rate", "Busiest"], ["restarts", "Most restarts"], ["quiet", "Quiet for longest"], ["type", "By type"], ["id", "Oldest first"]];

/** Messages that wait, and how full that is. */
export function depth(row) {
  if (row.queued === null || row.queued === undefined) return h("span", { class: "muted" }, "–");
  const share = row.capacity ? row.queued / row.capacity : null;
  return h("span", { class: "depth", title: row.capacity ? `${row.queued} of ${row.capacity}` : row.busy ? "it did not answer, so the bound is not known" : "no bound" },
    share === null || row.queued === 0 ? h("span", { class: "meter-none" }) : meter(share, { label: `${Math.round(share * 100)} % full`, tone: share >= 0.9 ? "bad" : share >= 0.5 ? "warn" : "" }),
    h("span", null, count(row.queued)), h("span", { class: "muted" }, row.capacity ? `/${count(row.capacity)}` : ""));
}

/** Red where there is no actor any more, amber where it did not answer. */
const rowClass = (row) => (row.phase === "down" ? "bad-row" : row.busy ? "warn-row" : null);

const state = (row) => (row.busy ? phase("busy") : phase(row.phase));
const doing = (row) => (row.handling ? h("span", { class: "muted doing" }, "awaits in ", typeName(row.handling)) : null);

const COLUMNS = [
  { id: "state", title: "State", cell: state },
  { id: "numa", title: "NUMA", hide: 2, cell: (row) => numa(row.numa_node) },
  { id: "queued", title: "Waiting", unit: "/bound", number: true, cell: depth },
  { id: "rate", title: "Rate", unit: "/s", number: true, hide: 2, help: "an estimate from samples", cell: (row) => rate(row.rate_per_s) },
  { id: "restarts", title: "Restarts", number: true, cell: (row) => (row.restarts > 0 ? h("strong", null, count(row.restarts)) : count(row.restarts)) },
  { id: "quiet", title: "Quiet for", number: true, hide: 1, help: "how long it has handled nothing", cell: (row) => (row.quiet_ns === 0 ? h("span", { class: "muted" }, "active") : duration(row.quiet_ns)) },
];

export default function actors(context) {
  const levels = new Map(); // parent → {page, answer}
  const open = [ROOT];
  let turn = 0;
  let focus = null;

  const query = () => context.query;
  const way = () => {
    const given = query().get("sort") ?? "tree";
    return WAYS.some(([id]) => id === given) ? given : "tree";
  };
  const listed = () => way() !== "tree" || query().get("q") || query().get("type");
  const levelPath = (parent) => {
    const { page } = levels.get(parent) ?? { page: 1 };
    return `actors?parent=${encodeURIComponent(parent)}&page=${page}&limit=${PAGE}`;
  };
  const listPath = () => {
    const parts = new URLSearchParams({ limit: PAGE, page: query().get("page") ?? "1" });
    for (const name of ["q", "type"]) if (query().get(name)) parts.set(name, query().get(name));
    parts.set("sort", way() === "tree" ? "id" : way());
    return `actors?${parts}`;
  };

  async function read(parent) {
    try {
      const value = await context.api.get(levelPath(parent));
      put(parent, { value, error: null });
    } catch (error) {
      if (error.kind) context.api.failed(error);
      put(parent, { value: null, error });
    }
  }
  function put(parent, given) {
    const level = levels.get(parent);
    if (level && open.includes(parent)) level.answer = given;
    context.update();
  }
  function toggle(id, to = !open.includes(id)) {
    const at = open.indexOf(id);
    if (to && at < 0) {
      open.push(id);
      levels.set(id, { page: 1, answer: null });
      // The one opened first goes, so that the page never grows for hours.
      if (open.length > MOST_OPEN) levels.delete(open.splice(1, 1)[0]);
      read(id);
    } else if (!to && at > 0) {
      open.splice(at, 1);
      levels.delete(id);
    }
    context.update();
  }
  function turnPage(parent, page) {
    levels.get(parent).page = page;
    levels.get(parent).answer = null;
    read(parent);
    context.update();
  }

  levels.set(ROOT, { page: 1, answer: null });
  const change = (changes) => {
    context.setQuery({ page: null, ...changes });
    context.refresh("list");
    context.update();
  };

  return {
    title: "Actors",
    shortcuts: [[["↑", "↓"], "Through the tree"], [["→", "←"], "Open, close"], [["Enter"], "The actor's page"]],
    sources: {
      list: { path: () => (listed() ? listPath() : null), every: 2000 },
      level: { path: () => (listed() ? null : levelPath(open[turn++ % open.length])), every: 700 },
    },
    answered(source, given) {
      if (source !== "level") return;
      const parent = new URLSearchParams(given.path.split("?")[1]).get("parent");
      if (levels.get(parent) && levelPath(parent) === given.path) {
        // Children of an actor that has gone: its own level will say so.
        if (given.error && parent !== ROOT) toggle(parent, false);
        else put(parent, given);
      }
    },
    restarted() {
      open.length = 1;
      levels.clear();
      levels.set(ROOT, { page: 1, answer: null });
    },
    open, levels,
    draw(data) {
      return [
        h("div", { class: "controls", key: "controls" },
          search({
            id: "actor-search", label: "Search actors", value: query().get("q") ?? "", placeholder: "Name, type or id",
            onsearch: (q) => change({ q }),
          }),
          choice({ label: "Order", options: WAYS, value: way(), onchoose: (sort) => change({ sort: sort === "tree" ? null : sort }) }),
          query().get("type") && h("button", { type: "button", class: "filter", onclick: () => change({ type: null }) },
            "Type: ", h("strong", null, shortType(query().get("type"))), h("span", { "aria-hidden": "true" }, " ×"), h("span", { class: "visually-hidden" }, "remove"))),
        listed() ? answer(data.list, (value) => list(value, change)) : tree(),
      ];
    },
    close() {
      levels.clear();
    },
  };

  function list(value, page) {
    const q = query().get("q");
    const none = value.alive === 0
      ? empty("There is no actor.", "Actors appear here as soon as the program spawns some.")
      : empty(q ? `No actor has “${q}” in its name, type or id.` : "No actor is like that.",
        value.complete ? `All ${count(value.examined)} actors were looked at.` : "Not all names were looked at, because too many actors have one. Search for its type or its id.");
    return section("Actors", {
      key: "list",
      note: `${count(value.total)} of ${plural(value.alive, "actor")}${value.complete ? "" : "; not all names were looked at: the type or the id finds the others"}`,
    }, table({
      label: "Actors", rows: value.items, key: (row) => row.id, none,
      rowClass,
      columns: [
        { id: "actor", title: "Actor", grow: true, cell: (row) => h("span", { class: "two" }, actorLink(row), doing(row)) },
        { id: "parent", title: "Below", hide: 1, cell: (row) => (row.parent ? h("a", { class: "mono", href: href(`actors/${row.parent}`) }, row.parent) : h("span", { class: "muted" }, "top")) },
        // What it is sorted by is seen, however narrow it is.
        ...COLUMNS.map((column) => (column.id === way() ? { ...column, hide: undefined } : column)),
        { id: "children", title: "Children", number: true, hide: 1, cell: (row) => count(row.children) },
      ],
    }), pager({ page: Number(query().get("page")) || 0, shown: value.shown, total: count(value.total), next: value.next, what: "actors",
      onpage: (to) => page({ page: to }) }),
    value.truncated && h("p", { class: "note" }, "The first 10,000 can be paged to. Search to find others."));
  }

  function rows(parent, level, into) {
    const { answer: given, page } = levels.get(parent) ?? {};
    if (!given) {
      into.push({ key: `${parent}-reading`, level, note: "Reading …" });
      return;
    }
    if (given.error) {
      into.push({ key: `${parent}-error`, level, note: given.error.message });
      return;
    }
    const { items, next, total } = given.value;
    for (const row of items) {
      const opened = open.includes(row.id);
      into.push({ key: row.id, level, row, opened, parent });
      if (opened) rows(row.id, level + 1, into);
    }
    if (items.length === 0 && parent !== ROOT) into.push({ key: `${parent}-none`, level, note: "It has no children now." });
    if (next || page > 1) into.push({ key: `${parent}-pages`, level, pages: { parent, page, next, shown: items.length, total } });
  }

  function tree() {
    const top = levels.get(ROOT).answer;
    if (!top) return h("p", { class: "loading" }, "Reading …");
    if (top.error) return failure(top.error);
    if (top.value.items.length === 0) {
      return empty("There is no actor.", "Actors appear here as soon as the program spawns some.");
    }
    const all = [];
    rows(ROOT, 1, all);
    const here = all.filter((each) => each.row);
    if (!here.some((each) => each.key === focus)) focus = here[0]?.key ?? null;
    const go = (to) => {
      if (!to) return;
      focus = to.key;
      document.getElementById(`row-${to.key}`)?.focus();
      context.update();
    };
    const keys = (each) => (event) => {
      if (event.target !== event.currentTarget) return;
      const at = here.indexOf(each);
      const press = {
        ArrowDown: () => go(here[at + 1]),
        ArrowUp: () => go(here[at - 1]),
        Home: () => go(here[0]),
        End: () => go(here.at(-1)),
        ArrowRight: () => { if (each.row.children > 0 && !each.opened) toggle(each.key, true); else if (each.opened) go(here[at + 1]); },
        ArrowLeft: () => { if (each.opened) toggle(each.key, false); else go(here.find((other) => other.key === each.parent)); },
        Enter: () => context.go(href(`actors/${each.key}`)),
        " ": () => { if (each.row.children > 0) toggle(each.key); },
      }[event.key];
      if (!press) return;
      event.preventDefault();
      event.stopPropagation();
      press();
    };
    return section("Supervision tree", { key: "tree", note: `${plural(top.value.alive, "actor")}; levels are read when they are opened` },
      h("div", { class: "table-frame" }, h("table", { class: "tree", role: "treegrid", "aria-label": "Supervision tree" },
        h("thead", null, h("tr", null, h("th", { class: "grow", scope: "col" }, "Actor"),
          COLUMNS.map((column) => h("th", { key: column.id, scope: "col", class: cell(column), title: column.help }, column.title, column.unit && h("span", { class: "unit" }, ` ${column.unit}`))),
          h("th", { class: "number hide-1", scope: "col" }, "Children"))),
        h("tbody", null, all.map((each) => each.row ? h("tr", {
          key: each.key, id: `row-${each.key}`, role: "row", "aria-level": each.level,
          "aria-expanded": each.row.children > 0 ? String(each.opened) : null,
          tabindex: each.key === focus ? "0" : "-1", onkeydown: keys(each), onfocus: () => { focus = each.key; },
          class: rowClass(each.row),
        },
        h("td", { role: "gridcell", class: "grow" }, h("span", { class: "branch", style: { "--level": String(each.level - 1) } },
          each.row.children > 0
            ? h("button", { type: "button", class: "toggle", tabindex: "-1", "aria-label": each.opened ? "Close" : "Open", onclick: () => { focus = each.key; toggle(each.key); } }, each.opened ? "▾" : "▸")
            : h("span", { class: "toggle", "aria-hidden": "true" }, "·"),
          h("span", { class: "two" }, actorLink(each.row), doing(each.row)))),
        COLUMNS.map((column) => h("td", { key: column.id, role: "gridcell", class: cell(column) }, column.cell(each.row))),
        h("td", { role: "gridcell", class: "number hide-1" }, each.row.children > 0 ? `${count(each.row.children)}` : ""))
          : h("tr", { key: each.key, role: "row", "aria-level": each.level, class: "between" },
            h("td", { role: "gridcell", colspan: COLUMNS.length + 2 }, h("span", { class: "branch", style: { "--level": String(each.level - 1) } },
              h("span", { class: "toggle", "aria-hidden": "true" }),
              each.note ? h("span", { class: "muted" }, each.note) : pages(each.pages)))))))));
  }

  function pages({ parent, page, next, shown, total }) {
    const first = (page - 1) * PAGE + 1;
    return h("span", { class: "pager inline" },
      h("span", { class: "note" }, `${count(first)} to ${count(first + shown - 1)} of ${count(total)}`),
      h("button", { type: "button", disabled: page <= 1, onclick: () => turnPage(parent, page - 1) }, "Before"),
      h("button", { type: "button", disabled: !next, onclick: () => turnPage(parent, next) }, "After"));
  }
}

const cell = (column) => [column.number && "number", column.hide && `hide-${column.hide}`].filter(Boolean).join(" ") || null;
