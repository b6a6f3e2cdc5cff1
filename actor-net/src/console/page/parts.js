// The pieces that every view is made of: one look for one meaning.

import { h } from "./dom.js";
import { ago, clock, moment, NONE, shortType, words } from "./format.js";

/** A mark and a word for how bad something is. The mark's shape differs, not its colour alone. */
export function mark(severity, label) {
  const shapes = {
    bad: h("path", { d: "M6 .8 11.4 11H.6Z" }),
    warn: h("path", { d: "M6 .6 11.4 6 6 11.4 .6 6Z" }),
    good: h("path", { d: "M1.5 6.5 4.6 9.6 10.6 2.6", class: "stroke" }),
    off: h("circle", { cx: 6, cy: 6, r: 4.4, class: "stroke" }),
  };
  return h("span", { class: `mark ${severity}` },
    h("svg", { width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" }, shapes[severity] ?? shapes.off),
    label !== undefined && h("span", { class: "mark-label" }, label));
}

/** Nothing to show: why, and what to do. */
export function empty(title, ...hints) {
  return h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), hints.filter(Boolean).map((hint) => h("p", null, hint)));
}

/** What came instead of an answer. */
export function failure(error) {
  return h("div", { class: "empty failure", role: "alert" },
    h("p", { class: "empty-title" }, mark("bad", error.status === 404 ? "Not there" : "The server refused this")),
    h("p", null, error.message),
    error.hint && h("p", null, error.hint));
}

/** What an answer of a source is shown as: nothing yet, an error, or what `draw` makes of it. */
export function answer(source, draw) {
  if (!source) return h("p", { class: "loading" }, "Reading …");
  if (source.error) return failure(source.error);
  return draw(source.value, source.at);
}

/** A part of a view under a heading. `side` stands at the right of the heading. */
export function section(title, { note, side, id, key, wide } = {}, ...children) {
  return h("section", { key: key ?? title, class: wide ? "section wide" : "section", "aria-labelledby": id ? `${id}-title` : null },
    h("div", { class: "section-head" },
      h("h2", id ? { id: `${id}-title` } : null, title),
      note !== undefined && note !== null && h("span", { class: "note" }, note),
      side && h("div", { class: "side" }, side)),
    children);
}

/**
 * A table. `columns`: `{id, title, unit?, number?, sort?, hide?, cell(row)}`; `hide`: 0 goes first where it is narrow, 3 last.
 * `sort`: `{by, onsort}`; `key(row)` names a row.
 */
export function table({ columns, rows, key, label, sort, rowClass, none, onrow }) {
  if (rows.length === 0 && none) return none;
  return h("div", { class: "table-frame", tabindex: rows.length > 0 ? "0" : null, role: "region", "aria-label": label },
    h("table", null,
      h("thead", null, h("tr", null, columns.map((column) => {
        const sorted = sort && sort.by === column.sort && column.sort;
        const title = [column.title, column.unit && h("span", { class: "unit" }, ` ${column.unit}`)];
        return h("th", {
          key: column.id, scope: "col", class: className(column), title: column.help,
          "aria-sort": sorted ? (sort.ascending ? "ascending" : "descending") : null,
        }, column.sort && sort
          ? h("button", { type: "button", class: "sort", onclick: () => sort.onsort(column.sort) }, title,
            h("span", { class: "arrow", "aria-hidden": "true" }, sorted ? (sort.ascending ? " ↑" : " ↓") : ""))
          : title);
      }))),
      h("tbody", null, rows.map((row, index) => h("tr", {
        key: key ? key(row, index) : index, class: rowClass?.(row), onclick: onrow ? (event) => onrow(row, event) : null,
      }, columns.map((column) => h("td", { key: column.id, class: className(column) }, column.cell(row, index))))))));
}

function className(column) {
  const names = [];
  if (column.number) names.push("number");
  if (column.hide !== undefined) names.push(`hide-${column.hide}`);
  if (column.grow) names.push("grow");
  if (column.fit) names.push("fit");
  return names.join(" ") || null;
}

/** A list of facts: pairs of a name and what it is. */
export function facts(...pairs) {
  return h("dl", { class: "facts" }, pairs.filter(Boolean).map(([name, value, title]) =>
    h("div", { key: name, title }, h("dt", null, name), h("dd", null, value ?? NONE))));
}

/** One figure that is read from afar. */
export function stat(label, value, { unit, note, severity, title } = {}) {
  return h("div", { key: label, class: severity ? `stat ${severity}` : "stat", title },
    h("div", { class: "stat-label" }, severity ? mark(severity, label) : label),
    h("div", { class: "stat-value" }, value, unit && h("span", { class: "unit" }, ` ${unit}`)),
    h("div", { class: "stat-note" }, note ?? "\u00a0"));
}

export const href = (path, query = {}) => {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parts.set(name, value);
  }
  const text = parts.toString();
  return `#/${path}${text ? `?${text}` : ""}`;
};

/** A link to an actor: what it is called, and its type. */
export function actorLink(actor, { type = true } = {}) {
  if (!actor) return NONE;
  const id = typeof actor === "string" ? actor : actor.id;
  if (!id) return h("span", { class: "muted" }, actor.name ?? actor.description ?? "outside of actors");
  const name = actor.name ?? null;
  const short = actor.type ? shortType(actor.type) : null;
  return h("a", { class: "actor", href: href(`actors/${encodeURIComponent(id)}`), title: [actor.type, id].filter(Boolean).join("  ") },
    h("span", { class: "actor-name" }, name ?? short ?? id),
    type && name && short && h("span", { class: "actor-type" }, short),
    !name && short && h("span", { class: "actor-id" }, id));
}

export function traceLink(id, label) {
  if (!id) return h("span", { class: "muted" }, NONE);
  return h("a", { class: "mono", href: href(`traces/${encodeURIComponent(id)}`), title: id }, label ?? id.slice(0, 8));
}

/** A type or a message: short, in full when pointed at. */
export function typeName(name) {
  if (!name) return h("span", { class: "muted" }, NONE);
  return h("span", { class: "mono", title: name }, shortType(name));
}

export function time(unixMs, now) {
  return unixMs === null || unixMs === undefined
    ? NONE
    : h("time", { datetime: new Date(unixMs).toISOString(), title: `${moment(unixMs)} (${ago(unixMs, now)})` }, clock(unixMs));
}

/** Where something happened: a NUMA node, its number and its colour. */
export function numa(id) {
  if (id === null || id === undefined) return h("span", { class: "muted" }, NONE);
  return h("span", { class: "numa" }, h("i", { class: `chip hue-${Number(id) % 8}`, "aria-hidden": "true" }), `N${id}`);
}

/** A bar behind a figure: a share of something, from 0 to 1. */
export function meter(share, { label, tone } = {}) {
  const value = Math.max(0, Math.min(1, share ?? 0));
  return h("span", { class: `meter ${tone ?? ""}`, role: "img", "aria-label": label },
    h("i", { style: { width: `${(value * 100).toFixed(1)}%` } }));
}

const PHASES = {
  running: ["good", "running"], starting: ["off", "starting"], stopping: ["off", "stopping"], down: ["bad", "down"],
  backing_off: ["warn", "backing off"], busy: ["warn", "busy"],
};

/** Where an actor is in its life. Running says nothing loud. */
export function phase(state) {
  const [severity, label] = PHASES[state] ?? ["off", words(state)];
  return severity === "good" ? h("span", { class: "muted" }, label) : mark(severity, label);
}

export function outcome(value, error) {
  if (value === "ok") return h("span", { class: "muted" }, "ok");
  if (value === null || value === undefined) return h("span", { class: "muted" }, NONE);
  return h("span", { title: error ?? null }, mark("bad", words(value)));
}

/** One of a few: a row of radio buttons that looks like one control. */
export function choice({ label, options, value, onchoose }) {
  return h("div", { class: "choice", role: "radiogroup", "aria-label": label }, options.map(([id, text, count]) =>
    h("button", {
      key: id, type: "button", role: "radio", "aria-checked": id === value ? "true" : "false", tabindex: id === value ? "0" : "-1",
      onclick: () => onchoose(id),
      onkeydown: (event) => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (step === undefined) return;
        event.preventDefault();
        const at = options.findIndex(([each]) => each === value);
        const next = options[(at + step + options.length) % options.length][0];
        const group = event.currentTarget.parentElement;
        onchoose(next);
        requestAnimationFrame(() => group.querySelector('[aria-checked="true"]')?.focus());
      },
    }, text, count !== undefined && count !== null && h("span", { class: "count" }, ` ${count}`))));
}

/** A field to search in; what is typed counts after a moment without typing. */
export function search({ id, label, value, placeholder, onsearch }) {
  return h("div", { class: "search" },
    h("label", { class: "visually-hidden", for: id }, label),
    h("input", {
      id, type: "search", value, placeholder, autocomplete: "off", spellcheck: "false", "data-search": "true",
      oninput: (event) => {
        const { target } = event;
        clearTimeout(target.pending);
        target.pending = setTimeout(() => onsearch(target.value.trim()), 250);
      },
      onkeydown: (event) => {
        if (event.key === "Enter") {
          clearTimeout(event.target.pending);
          onsearch(event.target.value.trim());
        } else if (event.key === "Escape") {
          if (event.target.value === "") event.target.blur();
          else {
            event.target.value = "";
            clearTimeout(event.target.pending);
            onsearch("");
          }
          event.stopPropagation();
        }
      },
    }));
}

/** Forward and back through pages. */
export function pager({ page, shown, total, next, onpage, what }) {
  if (!next && !page) return null;
  return h("div", { class: "pager" },
    h("button", { type: "button", disabled: !page, onclick: () => onpage(null) }, "First page"),
    h("button", { type: "button", disabled: !next, onclick: () => onpage(next) }, "Next page"),
    h("span", { class: "note" }, total !== null && total !== undefined ? `${shown} of ${total} ${what} on this page` : `${shown} ${what} on this page`));
}
