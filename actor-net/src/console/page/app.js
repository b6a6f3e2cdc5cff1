// The frame: which view is shown, what all views share (the head line, the list of views, what needs
// attention), shortcuts, and what is said when the server does not answer.
//
// A view is a function that is given a context and returns `{title, sources, draw, keys?, close?}`:
// `sources` are what it reads and how often; `draw(data)` describes what is shown, and is called again
// whenever something has changed, at most once a frame.

import { Api, ApiError } from "./api.js";
import { h, onResize, render } from "./dom.js";
import { ago, clock, count, duration, plural } from "./format.js";
import { href, mark } from "./parts.js";
import { helpDialog, tokenDialog } from "./dialogs.js";
import overview from "./overview.js";
import machine from "./machine.js";
import actors from "./actors.js";
import actor from "./actor.js";
import types from "./types.js";
import traces from "./traces.js";
import trace from "./trace.js";
import failures from "./failures.js";
import letters from "./letters.js";
import stalls from "./stalls.js";
import asks from "./asks.js";
import leaks from "./leaks.js";
import cluster from "./cluster.js";
import shards from "./shards.js";

// Path, name, key after `g`, view, view of one thing below it, kinds of attention that show here.
const VIEWS = [
  { path: "", name: "Overview", key: "o", view: overview, kinds: [] },
  { path: "machine", name: "Machine", key: "m", view: machine, kinds: ["pin_lost"] },
  { path: "actors", name: "Actors", key: "a", view: actors, one: actor, kinds: [] },
  { path: "types", name: "Types", key: "y", view: types, kinds: [] },
  { path: "traces", name: "Traces", key: "t", view: traces, one: trace, kinds: ["spans_dropped"] },
  { group: "Trouble" },
  { path: "failures", name: "Failures", key: "f", view: failures, kinds: ["restarts"] },
  { path: "dead-letters", name: "Dead letters", key: "d", view: letters, kinds: ["dead_letters"] },
  { path: "stalls", name: "Stalls", key: "s", view: stalls, kinds: ["stall"] },
  { path: "asks", name: "Asks", key: "k", view: asks, kinds: ["ask_cycle"] },
  { path: "leaks", name: "Leaks", key: "l", view: leaks, kinds: ["leak"] },
  { group: "Cluster" },
  { path: "cluster", name: "Peers", key: "c", view: cluster, kinds: ["peer_unreachable", "no_leader"] },
  { path: "shards", name: "Shards", key: "h", view: shards, kinds: [] },
];
const PLACES = VIEWS.filter((each) => each.view);

const api = new Api();
const top_ = document.getElementById("top");
const nav = document.getElementById("nav");
const main = document.getElementById("main");
const dialogs = document.getElementById("dialogs");

const app = {
  /** The last answer of `overview`, which the frame itself reads. */
  overview: null,
  open: null, // "help" or null
  recording: null,
  notice: null,
  restartedAt: null,
};
let current = null;
/** How each list was left: its address with what was asked, and how far it was scrolled. */
const left = new Map();

// ---- Which view ---------------------------------------------------------------------------------------

function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const [first, ...rest] = path.split("/");
  const at = PLACES.find((each) => each.path === first);
  let id = rest.join("/");
  try {
    id = decodeURIComponent(id);
  } catch (_) {
    // Not encoded as it should be: taken as it is.
  }
  return { at, id: id || null, query: new URLSearchParams(query), name: path };
}

/** Changes the query of the address, without a new entry in the history. */
function setQuery(changes) {
  const { name, query } = place();
  for (const [key, value] of Object.entries(changes)) {
    if (value === null || value === undefined || value === "") query.delete(key);
    else query.set(key, value);
  }
  const text = query.toString();
  history.replaceState(null, "", `#/${name}${text ? `?${text}` : ""}`);
  current.query = query;
}

function navigate() {
  const { at, id, query, name } = place();
  if (current && current.name === name) {
    // The same place with another question.
    current.query = query;
    current.view.asked?.(query);
    again();
    update();
    return;
  }
  leave();
  const known = at && (!id || at.one);
  const make = known ? (id ? at.one : at.view) : () => ({
    title: "Not found",
    sources: {},
    draw: () => h("div", { class: "empty" },
      h("p", { class: "empty-title" }, `There is no view “${name}”.`),
      h("p", null, h("a", { href: href("") }, "Go to the overview"))),
  });
  const data = {};
  const was = known && !id ? left.get(at.path) : null;
  current = { name, at, id, query, data, view: null, sources: {}, scroll: was && was.hash === location.hash ? was.scroll : 0 };
  const context = {
    api, id, data, app,
    get query() {
      return current.query;
    },
    setQuery,
    update,
    refresh: (source) => current.sources[source]?.again(),
    go: (to) => { location.hash = to; },
    say,
    act,
  };
  current.view = make(context);
  for (const [source, { path, every }] of Object.entries(current.view.sources)) {
    const mine = current;
    current.sources[source] = api.source(typeof path === "function" ? path : () => path, every, (answer) => {
      if (mine !== current) return;
      // An answer that could not be had leaves the one before it in place, unless there is none.
      if (answer.error && data[source]?.value && answer.error.status !== 404 && data[source].path === answer.path) {
        data[source] = { ...data[source], stale: answer.error };
      } else {
        data[source] = answer;
      }
      mine.view.answered?.(source, answer);
      update();
      if (mine.scroll) {
        // Back in a list: where it was left, once it is as long as it was.
        const to = mine.scroll;
        mine.scroll = 0;
        requestAnimationFrame(() => requestAnimationFrame(() => { if (mine === current) window.scrollTo(0, to); }));
      }
    });
  }
  main.scrollTop = 0;
  window.scrollTo(0, 0);
  update();
  // Where the views are a row that scrolls, the one that is shown is in sight.
  requestAnimationFrame(() => requestAnimationFrame(() => nav.querySelector(".active")?.scrollIntoView({ block: "nearest", inline: "center" })));
}

function leave() {
  if (!current) return;
  if (current.at && !current.id) {
    const text = current.query.toString();
    left.set(current.at.path, { hash: `#/${current.name}${text ? `?${text}` : ""}`, scroll: window.scrollY });
  }
  for (const source of Object.values(current.sources)) source.close();
  current.view.close?.();
  current = null;
}

function again() {
  for (const source of Object.values(current?.sources ?? {})) source.again();
  frame.again();
}

// ---- What is drawn ------------------------------------------------------------------------------------

let due = false;
function update() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    draw();
  });
}

function attention() {
  return app.overview?.attention ?? [];
}

function draw() {
  const worst = attention();
  const title = current.view.title;
  const name = app.overview?.system.name;
  const state = api.state === "lost" ? "no answer – " : worst.length > 0 ? `(${worst.length}) ` : "";
  document.title = `${state}${typeof title === "function" ? title() : title}${name ? ` – ${name}` : ""}`;
  document.body.classList.toggle("stale", api.state === "lost");
  render(top_, head());
  render(nav, navigation(worst));
  render(main,
    banner(),
    h("div", { key: current.name, class: "view" },
      h("h1", { class: "visually-hidden" }, typeof title === "function" ? title() : title),
      current.view.draw(current.data)));
  const field = searching && main.querySelector("[data-search]");
  if (field) {
    searching = false;
    field.focus();
  }
  render(dialogs,
    app.open === "help" && helpDialog({ views: PLACES, own: current.view.shortcuts, close: () => show(null) }),
    api.state === "token" && tokenDialog({ signIn: (token) => api.signIn(token) }));
}

function head() {
  const system = app.overview?.system;
  const health = app.overview?.health;
  const peers = app.overview?.peers;
  return [
    h("div", { class: "who" },
      h("a", { href: href(""), class: "system", title: system ? `${system.name} ${system.version}, process ${system.pid} on ${system.hostname ?? "this machine"}` : null },
        system ? system.name : "Console"),
      system && h("span", { class: "where" }, [system.hostname, `pid ${system.pid}`].filter(Boolean).join(" · ")),
      system && h("span", { class: "where uptime" }, `up ${duration(system.uptime_ns)}`)),
    h("div", { class: "state" },
      health && (health.ready
        ? mark("good", "ready")
        : h("span", { title: health.why.map((each) => each.text).join("\n") }, mark(health.live ? "warn" : "bad", health.live ? "not ready" : "not live"))),
      peers && h("a", { href: href("cluster"), class: "peers" },
        peers.unreachable > 0 ? mark("bad", `${peers.unreachable} of ${peers.up + peers.unreachable} peers unreachable`) : `${plural(peers.up, "peer")} up`)),
    h("div", { class: "tools" },
      connection(),
      app.overview?.features.schedule && h("button", {
        type: "button", class: "record", onclick: record, disabled: app.recording !== null || api.state !== "live",
        title: "Records every turn, steal, park and wake for 2 s, and saves a file for ui.perfetto.dev",
      }, app.recording === null ? "Record schedule" : "Recording …"),
      h("button", { type: "button", class: "quiet", onclick: turnTheme, title: "Light, dark, or as the browser prefers (b)" }, `Theme: ${themeName().toLowerCase()}`),
      h("button", { type: "button", class: "quiet", onclick: () => show("help"), title: "Keyboard shortcuts (?)", "aria-label": "Keyboard shortcuts" }, "?"),
      app.overview?.features.token_required && h("button", { type: "button", class: "quiet", onclick: () => api.signOut().catch(report) }, "Sign out")),
  ];
}

function connection() {
  const label = api.state === "lost" ? mark("bad", "no answer")
    : api.state === "token" ? mark("warn", "token asked")
    : api.state === "starting" ? mark("off", "asking")
    : api.paused ? mark("off", "paused")
    : h("span", { class: "live" }, h("i", { class: "pulse", "aria-hidden": "true" }), "live");
  return h("button", {
    type: "button", class: "connection", "aria-pressed": api.paused ? "true" : "false", onclick: () => api.pause(!api.paused),
    title: api.paused ? "Goes on with new figures (p)" : "Stands still, to look closely (p)",
  }, label, api.answeredAt && (api.paused || api.state === "lost") && h("span", { class: "as-of" }, ` ${clock(api.answeredAt)}`));
}

function navigation(worst) {
  const rows = [];
  for (const each of VIEWS) {
    if (each.group) {
      rows.push(h("li", { key: each.group, class: "group", "aria-hidden": "true" }, each.group));
      continue;
    }
    const here = worst.filter((item) => each.kinds.includes(item.kind));
    const severity = here.some((item) => item.severity === "bad") ? "bad" : "warn";
    const badge = each.path === "" ? null : here.length;
    const active = current.at === each;
    rows.push(h("li", { key: each.path },
      h("a", { href: href(each.path), class: active ? "active" : null, "aria-current": active ? "page" : null, title: `g ${each.key}` },
        h("span", null, each.name),
        badge > 0 && h("span", { class: "badge" }, mark(severity), h("span", { class: "visually-hidden" }, `${here.length} need attention`)))));
  }
  return h("ul", null, rows);
}

function banner() {
  if (api.state === "lost") {
    const next = Math.max(0, Math.ceil((api.retryAt - Date.now()) / 1000));
    return h("div", { key: "banner", class: "banner bad", role: "alert" },
      mark("bad", "The server does not answer"),
      h("span", null, ` ${api.lostWhy}, since ${clock(api.lostAt)}.`, api.answeredAt ? ` What is shown is of ${clock(api.answeredAt)}.` : "", " "),
      h("span", { class: "note", "aria-hidden": "true" }, next > 0 ? `Asked again in ${next} s.` : "Asking again …"),
      h("button", { type: "button", onclick: () => api.retryNow() }, "Ask now"));
  }
  if (app.notice) {
    return h("div", { key: "banner", class: `banner ${app.notice.severity}`, role: "status" },
      mark(app.notice.severity, app.notice.text),
      h("button", { type: "button", onclick: () => { app.notice = null; update(); } }, "Close"));
  }
  if (app.restartedAt) {
    return h("div", { key: "banner", class: "banner warn", role: "status" },
      mark("warn", `The process began anew ${ago(app.restartedAt)}`), h("span", null, " Counters start from zero; actors have other ids. "),
      h("button", { type: "button", onclick: () => { app.restartedAt = null; update(); } }, "Close"));
  }
  return null;
}

// ---- What is done -------------------------------------------------------------------------------------

function say(text) {
  document.getElementById("said").textContent = text;
}

function report(error) {
  const text = error instanceof ApiError ? `${error.message}${error.hint ? ` – ${error.hint}` : ""}` : String(error);
  if (error instanceof ApiError) api.failed(error);
  app.notice = { severity: "bad", text };
  update();
}

/** Has the server do something, after the reader has said yes. */
async function act(question, path, body) {
  if (!window.confirm(question)) return;
  try {
    const answer = await api.post(`/api/v1/actions/${path}`, body);
    app.notice = { severity: answer?.done ? "good" : "warn", text: answer?.detail ?? "done" };
    again();
  } catch (error) {
    report(error);
  }
  update();
}

async function record() {
  const seconds = 2;
  app.recording = Date.now();
  say("Recording the schedule for 2 seconds");
  update();
  try {
    const response = await api.fetch(`/debug/schedule?seconds=${seconds}`, undefined, 30_000);
    const file = await response.blob();
    const address = URL.createObjectURL(file);
    const name = `schedule-${app.overview?.system.name ?? "system"}-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}.json`;
    download(address, name);
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
    app.notice = { severity: "good", text: `${name} is saved. Open it at ui.perfetto.dev, or in chrome://tracing without a network.` };
  } catch (error) {
    report(error);
  }
  app.recording = null;
  update();
}

function download(address, name) {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
}

// ---- Light and dark -----------------------------------------------------------------------------------

function themeName() {
  return { light: "Light", dark: "Dark" }[document.documentElement.dataset.theme] ?? "Auto";
}

function turnTheme() {
  const { dataset } = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
  // From what is seen now to the other one, then to the third.
  const order = dark ? [undefined, "light", "dark"] : [undefined, "dark", "light"];
  const next = order[(order.indexOf(dataset.theme) + 1) % 3];
  if (next) dataset.theme = next;
  else delete dataset.theme;
  try {
    if (next) localStorage.setItem("console-theme", next);
    else localStorage.removeItem("console-theme");
  } catch (_) {
    // It holds until the page is closed.
  }
  say(`Colours: ${themeName()}`);
  update();
}

// ---- Keys ---------------------------------------------------------------------------------------------

function show(what) {
  app.open = what;
  update();
}

let went = 0;
let searching = false;
function keys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  const inField = event.target.matches?.("input, select, textarea");
  if (inField || document.querySelector("dialog[open]")) return;
  if (went > 0 && Date.now() - went < 1500) {
    went = 0;
    const at = PLACES.find((each) => each.key === event.key);
    if (at) {
      location.hash = href(at.path);
      main.focus({ preventScroll: true });
      event.preventDefault();
      return;
    }
  }
  went = 0;
  if (current.view.keys?.(event)) {
    event.preventDefault();
    return;
  }
  const press = {
    g: () => { went = Date.now(); },
    "?": () => show("help"),
    p: () => api.pause(!api.paused),
    r: again,
    b: turnTheme,
    "/": () => {
      const field = main.querySelector("[data-search]");
      if (field) {
        field.focus();
        field.select();
      } else {
        location.hash = href("actors");
        searching = true;
      }
    },
    Escape: () => {
      if (current.id) location.hash = left.get(current.at.path)?.hash ?? href(current.at.path);
    },
  }[event.key];
  if (press) {
    press();
    event.preventDefault();
  }
}

// ---- Begin --------------------------------------------------------------------------------------------

let startedAt = null;
const frame = api.source(() => "overview", 1000, (answer) => {
  if (!answer.value) {
    if (answer.error) report(answer.error);
    return;
  }
  app.overview = answer.value;
  const began = answer.value.system.started_at_ms;
  if (startedAt !== null && Math.abs(began - startedAt) > 1500) {
    app.restartedAt = began;
    current.view.restarted?.();
  }
  startedAt = began;
  current?.view.frame?.(answer.value);
  update();
});
app.refreshFrame = () => frame.again();

api.onchange = () => {
  say(api.state === "lost" ? "The server does not answer" : "");
  update();
};
onResize(update);
window.addEventListener("hashchange", navigate);
document.addEventListener("keydown", keys);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
// Ages and the time to the next try go on without answers.
setInterval(() => { if (!document.hidden && (api.state === "lost" || app.restartedAt)) update(); }, 1000);
navigate();

// For tests and for those who debug this page: nothing of it is needed to use it.
globalThis.actorConsole = { api, app, get data() { return current?.data; }, count };
