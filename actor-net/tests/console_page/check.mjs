// The console's page in a real browser, against a real server. What is checked and why: README.md.
//
//   node check.mjs --modules DIR [--shots DIR] -- PROGRAM ARGS..
//   node check.mjs --modules DIR --url http://127.0.0.1:9600/      (a server that is there already)
//
// The program is started, says the console's address in a line with `http://`, and is ended and started again
// for what is checked of that. Patience is 60 s everywhere: a slow machine is no error.

import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const PATIENCE = 60_000;
const options = parse(process.argv.slice(2));
const require = createRequire(`${resolve(options.modules)}/`);
const { chromium } = require("playwright-core");
const axe = require("axe-core").source;

let passed = 0;
let failed = 0;

// ---- The program --------------------------------------------------------------------------------------

let program = null;

/** Starts the program; its console's address, as it prints it. Once more: at the address that it had. */
function start(address = null) {
  return new Promise((done, refuse) => {
    const args = options.command.slice(1).map((each) => (address && each.startsWith("--console=") ? `--console=${address}` : each));
    const child = spawn(options.command[0], args, { stdio: ["ignore", "pipe", "pipe"] });
    program = child;
    let said = "";
    const hear = (part) => {
      said += part;
      const found = said.match(/console[^\n]*?(http:\/\/[0-9.:[\]a-f]+)/i);
      if (found) done(`${found[1]}/`);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.on("error", refuse);
    child.on("exit", (code) => refuse(new Error(`it ended with ${code} before it told its address:\n${said}`)));
    setTimeout(() => refuse(new Error(`no address of a console within ${PATIENCE / 1000} s:\n${said}`)), PATIENCE).unref();
  });
}

function stop() {
  const child = program;
  program = null;
  if (!child || child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  child.kill("SIGKILL");
  return new Promise((done) => child.once("exit", done));
}

// ---- Checks -------------------------------------------------------------------------------------------

const only = options.only ? new RegExp(options.only) : null;

async function check(name, run) {
  if (only && !only.test(name)) return;
  const began = Date.now();
  try {
    await run();
    passed += 1;
    console.log(`ok      ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n        ${String(error.stack ?? error).split("\n").join("\n        ")}`);
  }
}

function must(holds, words) {
  if (!holds) throw new Error(words);
}

const same = (is, should, what) => must(JSON.stringify(is) === JSON.stringify(should), `${what}: ${JSON.stringify(is)}, not ${JSON.stringify(should)}`);

/** Waits until `read` gives what `holds` takes. */
async function until(read, holds, what) {
  const began = Date.now();
  let last;
  while (Date.now() - began < PATIENCE) {
    last = await read();
    if (holds(last)) return last;
    await new Promise((done) => setTimeout(done, 100));
  }
  throw new Error(`${what}: still ${JSON.stringify(last)} after ${PATIENCE / 1000} s`);
}

/** A page whose complaints are kept: errors, violations of the policy, requests to elsewhere, oversized ones. */
async function open(browser, origin, { scheme = "light", width = 1440, height = 900 } = {}) {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height }, reducedMotion: "reduce", acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const complaints = [];
  let mayBreak = false;
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    if (mayBreak && /ERR_|Failed to load resource/.test(message.text())) return;
    // An actor may stop and a trace be let go of between two looks: the browser tells of each 404.
    if (/404/.test(message.text()) && /\/api\/v1\/(actors|traces)\//.test(message.location().url)) return;
    complaints.push(`console: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => complaints.push(`error: ${error.stack}`));
  const underWay = new Set();
  for (const end of ["requestfinished", "requestfailed"]) page.on(end, (request) => underWay.delete(request));
  page.on("request", (request) => {
    underWay.add(request);
    const url = new URL(request.url());
    if (url.protocol === "blob:" || url.protocol === "data:") return;
    if (`${url.origin}/` !== origin) complaints.push(`request to elsewhere: ${url}`);
    const limit = Number(url.searchParams.get("limit") ?? 0);
    if (limit > 200) complaints.push(`asks for more than a page: ${url}`);
  });
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return {
    page, context, complaints,
    /** From now on the server may be away. */
    letBreak: (on) => { mayBreak = on; },
    async to(hash) {
      await page.goto(`${origin}#/${hash}`);
      await ready(page);
    },
    /** Until what the page has asked for has come, and it shows it. For a page that asks for nothing new. */
    async settled() {
      await until(() => underWay.size, (count) => count === 0, "requests under way");
      await page.waitForTimeout(1500);
    },
    quiet: () => same(complaints, [], "the browser complained"),
    close: () => context.close(),
  };
}

/** Until the view has its answers. */
async function ready(page) {
  // The address may be new and the view still the old one: first the page hears of it, then it draws.
  await page.evaluate(() => new Promise((done) => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 0)));
  await page.waitForFunction(() => globalThis.actorConsole?.app.overview && !document.querySelector("main .loading"), null, { timeout: PATIENCE });
}

const VIEWS = ["", "machine", "actors", "actors?sort=queued", "actors?sort=rate", "actors?sort=restarts", "types", "traces", "failures", "dead-letters", "stalls", "asks", "leaks", "cluster", "shards"];

async function everyView(browser, origin) {
  for (const scheme of ["light", "dark"]) {
    for (const [width, height] of [[1920, 1080], [1280, 800], [390, 844]]) {
      if (scheme === "dark" && width === 1280) continue; // between the two others
      await check(`every view, ${scheme}, ${width} wide: no error, nothing from elsewhere, nothing cut off, readable`, async () => {
        const it = await open(browser, origin, { scheme, width, height });
        try {
          await it.page.goto(origin);
          for (let view of [...VIEWS, actor, trace]) {
            // What is there now may be gone when its page opens: then another one.
            for (let tries = 0; ; tries++) {
              const one = typeof view === "function" ? await view(it.page) : view;
              if (one === null) break;
              await it.to(one);
              const gone = typeof view === "function" && tries < 10 && (await it.page.locator("main .failure").count()) > 0;
              if (gone) continue;
              view = one;
              break;
            }
            if (typeof view === "function") continue;
            must(!(await it.page.locator("main .failure").count()), `#/${view}: ${await it.page.locator("main").innerText()}`);
            must((await it.page.locator("main h1").innerText()) !== "", `#/${view} has no heading`);
            const over = await it.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
            must(over <= 0, `#/${view} is ${over} px wider than the window`);
            const dark = await it.page.evaluate(() => getComputedStyle(document.body).backgroundColor + getComputedStyle(document.documentElement).backgroundColor);
            must(/rgb\(2[0-9]{2}/.test(dark) === (scheme === "light"), `#/${view} is not ${scheme}: ${dark}`);
            await accessible(it.page, view);
            if (options.shots) await shot(it.page, `${scheme}-${width}-${view.replace(/\/.*/, "-one").replace(/[^a-z0-9-]+/gi, "_") || "overview"}`);
          }
          it.quiet();
        } finally {
          await it.close();
        }
      });
    }
  }
}

async function shot(page, name) {
  mkdirSync(options.shots, { recursive: true });
  await page.screenshot({ path: `${options.shots}/${name}.png` });
}

const read = (page, path) => page.evaluate((from) => fetch(`/api/v1/${from}`).then((answer) => answer.json()).catch(() => null), path);

/** The page of an actor that is there now, of a trace that is kept; `null` if there is none. */
async function actor(page) {
  const id = (await read(page, "actors?parent=root&limit=1"))?.items?.[0]?.id;
  return id ? `actors/${id}` : null;
}
async function trace(page) {
  const id = (await read(page, "traces?kind=slow&limit=1"))?.items?.[0]?.trace_id;
  return id ? `traces/${id}` : null;
}

/** The server's own answers, with something in them changed. */
function changed(page, path, change) {
  return page.route(`**/api/v1/${path}`, async (route) => {
    const response = await route.fetch().catch(() => null);
    if (!response) return route.abort().catch(() => null);
    const answer = await response.json();
    change(answer);
    await route.fulfill({ json: answer }).catch(() => null);
  });
}

/** WCAG 2.2 AA, as far as a program can tell: contrast, names, roles, order. */
async function accessible(page, view) {
  await page.evaluate(`(() => { const module = undefined, exports = undefined; ${axe} })()`);
  const found = await page.evaluate(async () => {
    const result = await globalThis.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return result.violations.map((each) => `${each.id}: ${each.help}: ${each.nodes.slice(0, 3).map((node) => `${node.html} ${node.any?.[0]?.message ?? ""}`).join(" | ")}`);
  });
  same(found, [], `#/${view} is not accessible`);
}

/** The parts that compute, in the browser they run in. */
async function parts(browser, origin) {
  const it = await open(browser, origin);
  await it.page.goto(origin);
  const inPage = (run) => it.page.evaluate(run);

  await check("figures are three digits and a unit", async () => {
    same(await inPage(async () => {
      const f = await import("/format.js");
      return [f.count(0), f.count(99_999), f.count(123_456), f.count(1_000_000), f.count(null), f.rate(0.004), f.rate(12.34), f.duration(0),
        f.duration(850), f.duration(1234), f.duration(9_999_000), f.duration(45.6e6), f.duration(1.2e9), f.duration(125e9), f.duration(11_520e9), f.duration(undefined),
        f.bytes(1536), f.bytes(1 << 30), f.percent(0), f.percent(0.0004), f.percent(0.064), f.percent(0.9996), f.percent(1), f.shortType("a::b::C<d::E, f::G>"), f.words("one_for_all")];
    }), ["0", "99,999", "123 k", "1.00 M", "–", "< 0.01", "12.3", "0 s", "850 ns", "1.23 µs", "10.0 ms", "45.6 ms", "1.20 s", "2 min 05 s", "3 h 12 min", "–",
      "1.50 KiB", "1.00 GiB", "0 %", "< 0.1 %", "6.4 %", "> 99.9 %", "100 %", "C<E, G>", "one for all"], "figures");
  });

  await check("a day of figures is not kept, a hole stays a hole", async () => {
    same(await inPage(async () => {
      const { Series, MOST_POINTS } = await import("/series.js");
      const series = new Series();
      const begin = 1_700_000_000_000;
      for (let second = 0; second < 86_400; second += 5) {
        const from = begin + (second - 10) * 1000;
        series.merge({ step_ms: 1000, from_ms: from, series: { a: Array.from({ length: 15 }, (_, at) => second - 10 + at), b: Array(15).fill(null) } });
      }
      const a = series.column("a");
      const even = a.every((value, at) => at === 0 || value === a[at - 1] + 1);
      // A gap in time is none in the figures: the next ones lie behind, at their own time.
      series.merge({ step_ms: 1000, from_ms: begin + 90_000_000, series: { a: [7], c: [1] } });
      return [series.length <= MOST_POINTS, a.length === series.length, even, series.latest("b"), series.column("c").at(-2), series.column("b").at(-1), series.times.at(-1) - begin];
    }), [true, true, true, null, null, null, 90_000_000], "the series");
  });

  await check("axes have round figures", async () => {
    same(await inPage(async () => {
      const { linearTicks, logTicks, nearest } = await import("/chart.js");
      return [linearTicks(0), linearTicks(37_000), linearTicks(0.3), logTicks(450, 60_000), logTicks(5, 5), nearest([10, 20, 30], 24), nearest([10, 20, 30], 99), nearest([], 1)];
    }), [[0, 1], [0, 20_000, 40_000], [0, 0.1, 0.2, 0.3], [100, 1000, 10_000, 100_000], [1, 10], 1, 2, -1], "axes");
  });

  await check("spans are put in order: orphans, circles, a chain of 1000", async () => {
    same(await inPage(async () => {
      const { arrange, ticksOf } = await import("/trace.js");
      const span = (span_id, parent_id, start_ns) => ({ span_id, parent_id, start_ns, sent_ns: null });
      const order = (spans) => arrange(spans).map((row) => `${row.span.span_id}${row.level}`).join(" ");
      const chain = Array.from({ length: 1000 }, (_, at) => span(String(at), at ? String(at - 1) : null, at)).reverse();
      return [order([span("b", "a", 2), span("a", null, 1), span("d", "a", 1.5), span("c", "gone", 0)]), order([span("x", "y", 1), span("y", "x", 0), span("z", "z", 2)]).split(" ").length,
        arrange(chain).at(-1).level, ticksOf(0, 104e6)];
    }), ["c0 a0 d1 b1", 3, 999, [0, 50e6, 100e6]], "spans");
  });

  await check("circles of asks are drawn, and end", async () => {
    same(await inPage(async () => {
      const { columnsOf } = await import("/graph.js");
      const { column, back } = columnsOf(["a", "b", "c", "d"], [{ from: "a", to: "b" }, { from: "b", to: "c" }, { from: "c", to: "a" }, { from: "d", to: "c" }]);
      return [[...column], [...back]];
    }), [[["a", 0], ["b", 1], ["c", 2], ["d", 1]], ["c>a"]], "columns");
  });

  await check("what the document shows changes where the data did, and nowhere else", async () => {
    same(await inPage(async () => {
      const { h, render } = await import("/dom.js");
      const host = document.createElement("div");
      document.body.append(host);
      const list = (ids) => h("ul", null, ids.map((id) => h("li", { key: id }, h("button", { "data-id": id }, `no ${id}`))));
      render(host, list(["a", "b", "c"]));
      const b = host.querySelector('[data-id="b"]');
      b.focus();
      render(host, list(["c", "b", "d", "a"]));
      const kept = host.querySelector('[data-id="b"]') === b && document.activeElement === b;
      render(host, h("p", { title: "<b>" }, "<i>not markup</i>", null, 0));
      const text = host.innerHTML.replace('"<b>"', '"&lt;b&gt;"'); // older browsers leave it as it is
      render(host);
      const empty = host.childNodes.length;
      host.remove();
      return [kept, text, empty];
    }), [true, '<p title="&lt;b&gt;">&lt;i&gt;not markup&lt;/i&gt;0</p>', 0], "the document");
  });
  await check("the parts made no complaint", async () => it.quiet());
  await it.close();
}

/** All that is reached by keyboard is reached, and is seen to be. */
async function keyboard(browser, origin) {
  for (const view of ["", "machine", "actors", "traces", "dead-letters", "cluster"]) {
    await check(`keyboard: Tab reaches everything of #/${view}, and the focus is seen`, async () => {
      const it = await open(browser, origin);
      try {
        await it.to(view);
        await it.page.keyboard.press("p"); // so that it stands still meanwhile
        await it.page.waitForFunction(() => globalThis.actorConsole.api.paused);
        await it.settled();
        const wanted = await it.page.evaluate(() => {
          const can = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex="0"]')].filter((each) => {
            const box = each.getBoundingClientRect();
            return !each.disabled && each.tabIndex >= 0 && box.width > 0 && box.height > 0 && getComputedStyle(each).visibility !== "hidden";
          });
          can.forEach((each, at) => { each.dataset.at = at; });
          return can.length;
        });
        must(wanted > 15, `only ${wanted} things can have the focus`);
        await it.page.evaluate(() => document.activeElement?.blur());
        const reached = new Set();
        for (let press = 0; press < wanted * 2 + 20 && reached.size < wanted; press++) {
          await it.page.keyboard.press("Tab");
          const at = await it.page.evaluate(() => {
            const now = document.activeElement;
            if (!now || now === document.body) return null;
            const style = getComputedStyle(now);
            const inner = now.querySelector("rect");
            const seen = style.outlineStyle !== "none" || (inner && getComputedStyle(inner).strokeWidth === "3px");
            return { at: now.dataset.at, seen, html: now.outerHTML.slice(0, 160) };
          });
          if (!at) continue;
          must(at.seen, `the focus is not seen on ${at.html}`);
          if (at.at !== undefined) reached.add(at.at);
        }
        must(reached.size === wanted, `Tab reaches ${reached.size} of ${wanted}`);
        it.quiet();
      } finally {
        await it.close();
      }
    });
  }

  await check("keyboard: shortcuts go everywhere", async () => {
    const it = await open(browser, origin);
    try {
      await it.to("");
      for (const [key, hash] of [["m", "machine"], ["a", "actors"], ["y", "types"], ["t", "traces"], ["f", "failures"], ["d", "dead-letters"], ["s", "stalls"], ["k", "asks"], ["l", "leaks"], ["c", "cluster"], ["h", "shards"], ["o", ""]]) {
        // The second key counts for a second and a half after the first, which a busy machine may take by itself.
        await until(async () => {
          await it.page.keyboard.press("g");
          await it.page.keyboard.press(key);
          return it.page.evaluate(() => location.hash);
        }, (is) => is === `#/${hash}`, `g ${key}`);
      }
      await it.page.keyboard.press("?");
      await it.page.locator("dialog.help[open]").waitFor();
      await it.page.keyboard.press("Escape");
      await it.page.locator("dialog.help").waitFor({ state: "detached" });
      await it.page.keyboard.press("/");
      await it.page.waitForFunction(() => document.activeElement?.id === "actor-search");
      await it.page.keyboard.press("Escape");
      const schemes = new Set();
      for (let press = 0; press < 3; press++) {
        schemes.add(await it.page.evaluate(() => document.documentElement.dataset.theme ?? "auto"));
        await it.page.keyboard.press("b");
      }
      same([...schemes].sort(), ["auto", "dark", "light"], "the schemes of b");
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("keyboard: through the tree of actors, into one, and back", async () => {
    const it = await open(browser, origin);
    try {
      await it.to("actors");
      const rows = it.page.locator("table.tree tbody tr[aria-level]");
      await rows.first().focus();
      const parent = await it.page.evaluate(() => {
        const rows = [...document.querySelectorAll("table.tree tbody tr[aria-level]")];
        return rows.findIndex((row) => row.getAttribute("aria-expanded") === "false");
      });
      if (parent >= 0) {
        for (let at = 0; at < parent; at++) await it.page.keyboard.press("ArrowDown");
        await it.page.keyboard.press("ArrowRight");
        await it.page.locator('table.tree tr[aria-level="2"]').first().waitFor();
        await it.page.keyboard.press("ArrowLeft");
        await it.page.locator('table.tree tr[aria-level="2"]').first().waitFor({ state: "detached" });
      }
      await it.page.keyboard.press("Enter");
      await it.page.locator(".page-title").waitFor();
      await it.page.keyboard.press("Escape");
      await until(() => it.page.evaluate(() => location.hash), (is) => is === "#/actors", "Esc");
      it.quiet();
    } finally {
      await it.close();
    }
  });
}

/** What an operator does. */
async function work(browser, origin) {
  await check("figures live: the overview changes by itself", async () => {
    const it = await open(browser, origin);
    try {
      await it.to("");
      const path = () => it.page.locator('.chart-area path.line').first().getAttribute("d");
      await it.page.locator(".chart-area path.line").first().waitFor();
      const before = await path();
      await until(path, (now) => now !== before, "the chart of messages");
      const handled = () => it.page.evaluate(() => globalThis.actorConsole.app.overview.messages.handled_total);
      const first = await handled();
      await until(handled, (now) => now > first, "messages handled");
      // And it can be read back in time.
      await it.page.locator("figure.chart").first().focus();
      for (let press = 0; press < 3; press++) await it.page.keyboard.press("ArrowLeft");
      await it.page.locator("line.cursor").first().waitFor({ state: "attached" });
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("it stands still when told to, and while nobody looks", async () => {
    const it = await open(browser, origin);
    try {
      await it.to("");
      const sent = () => it.page.evaluate(() => globalThis.actorConsole.api.sent);
      const still = async (why) => {
        await it.settled();
        const before = await sent();
        await it.page.waitForTimeout(3000);
        same(await sent(), before, `requests sent ${why}`);
      };
      await it.page.keyboard.press("p");
      await still("while it is paused");
      const paused = await sent();
      await it.page.keyboard.press("p");
      await until(sent, (now) => now > paused, "requests after the pause");
      const hide = (on) => it.page.evaluate((hidden) => {
        Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
        document.dispatchEvent(new Event("visibilitychange"));
      }, on);
      await hide(true);
      await still("while it is hidden");
      const hidden = await sent();
      await hide(false);
      await until(sent, (now) => now > hidden, "requests when it is seen again");
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("an actor is found by a search, and its page opens", async () => {
    const it = await open(browser, origin);
    try {
      await it.to("actors");
      const some = await it.page.evaluate(async () => {
        const answer = await fetch("/api/v1/actors?sort=id&limit=20").then((each) => each.json());
        return answer.items.at(-1) ?? null;
      });
      must(some, "there is no actor");
      const text = some.type.split("::").at(-1).replace(/<.*/, "");
      await it.page.keyboard.press("/");
      await it.page.keyboard.type(text);
      await it.page.keyboard.press("Enter");
      const link = it.page.locator("main table a.actor").first();
      await link.waitFor();
      must((await it.page.evaluate(() => location.hash)).includes(`q=${encodeURIComponent(text)}`), "the search is not in the address");
      await link.click();
      await it.page.locator(".page-title").waitFor();
      await it.page.locator("text=Recent messages").first().waitFor();
      // Nobody there: said, with what to do.
      await it.to("actors?q=no-such-actor-anywhere");
      await it.page.locator(".empty-title").waitFor();
      it.letBreak(true); // the browser tells of the 404
      await it.page.goto(`${origin}#/actors/0.99999999.1`);
      await it.page.locator(".empty.failure").waitFor();
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("a trace opens its waterfall, and is walked through", async () => {
    const it = await open(browser, origin);
    try {
      await it.to("traces?kind=slow");
      const link = it.page.locator("main table td a.two").first();
      const tracing = await it.page.evaluate(() => globalThis.actorConsole.app.overview.tracing);
      if (tracing === null || tracing.offered_total === 0) {
        console.log("        (this program has recorded no span: nothing to open)");
        must((await it.page.locator(".empty-title").count()) > 0, "and the list does not say so");
        return;
      }
      await link.waitFor();
      await link.click();
      await it.page.locator(".w-row").first().waitFor();
      must((await it.page.locator(".w-bar").count()) > 0, "no span is drawn");
      await it.page.locator(".w-row.chosen").waitFor();
      const chosen = () => it.page.evaluate(() => document.querySelector(".w-row.chosen")?.id);
      if ((await it.page.locator(".w-row").count()) > 1) {
        await it.page.keyboard.press("Home");
        const first = await chosen();
        await it.page.keyboard.press("ArrowDown");
        await until(chosen, (now) => now !== first, "the chosen span");
        must((await it.page.evaluate(() => location.hash)).includes("span="), "the span is not in the address");
      }
      await it.page.locator(".span-details").waitFor();
      await it.page.keyboard.press("z");
      await it.page.locator("text=Whole trace").waitFor();
      await it.page.keyboard.press("Escape");
      await until(() => it.page.evaluate(() => location.hash), (is) => is.startsWith("#/traces") && !is.startsWith("#/traces/"), "Esc");
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("the schedule is recorded and saved", async () => {
    const it = await open(browser, origin);
    try {
      await it.to("");
      if (!(await it.page.evaluate(() => globalThis.actorConsole.app.overview.features.schedule))) {
        console.log("        (this console has no recorder)");
        return;
      }
      const saved = it.page.waitForEvent("download");
      await it.page.locator("button.record").click();
      must(/schedule-.*\.json/.test((await saved).suggestedFilename()), "the file's name");
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("a token is asked for, a wrong one refused, and the right one not kept by the page", async () => {
    const it = await open(browser, origin);
    try {
      let signed = false;
      it.letBreak(true); // the browser tells of each 401
      const refuse = (route) => route.fulfill({ status: 401, json: { error: "a token is needed", hint: null } });
      await it.page.route("**/api/v1/**", (route) => (signed ? route.continue() : refuse(route)));
      await it.page.route("**/login", (route) => {
        signed = route.request().postDataJSON().token === "open sesame";
        return signed ? route.fulfill({ json: {} }) : route.fulfill({ status: 401, json: { error: "this is not the token", hint: null } });
      });
      await it.page.goto(origin);
      await it.page.locator("dialog.token[open]").waitFor();
      await it.page.keyboard.type("abracadabra");
      await it.page.keyboard.press("Enter");
      await it.page.locator(".said", { hasText: "not the token" }).waitFor();
      await it.page.locator("#token-field").fill("open sesame");
      await it.page.keyboard.press("Enter");
      await it.page.locator("dialog.token").waitFor({ state: "detached" });
      await ready(it.page);
      const kept = await it.page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }) + location.href);
      must(!kept.includes("sesame"), `the token is kept: ${kept}`);
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("a million actors: never more than a page is asked for or drawn", async () => {
    const it = await open(browser, origin);
    try {
      const asked = [];
      await it.page.route("**/api/v1/actors?**", async (route) => {
        const url = new URL(route.request().url());
        asked.push(url.search);
        const limit = Number(url.searchParams.get("limit"));
        const page = Number(url.searchParams.get("page") ?? 1);
        const parent = url.searchParams.get("parent");
        const one = (at) => ({
          id: `0.${at + 2}.1`, type: "shop::Order", name: null, path: null, parent: parent === "root" ? null : parent, phase: "running", numa_node: 0, queued: at % 7, capacity: 1024,
          restarts: 0, children: 1_000_000, strategy: "one_for_one", handling: null, waits_for: null, busy: false, quiet_ns: 0, rate_per_s: null,
        });
        const first = (page - 1) * limit + (parent === "root" || !parent ? 0 : 1_000_000 * (Number(parent.split(".")[1]) + 1));
        await route.fulfill({ json: {
          items: Array.from({ length: limit }, (_, at) => one(first + at)), total: 1_000_000, shown: limit, truncated: true, next: page * limit < 10_000 ? page + 1 : null,
          alive: 1_000_000, examined: 1_000_000, complete: true, walk_ns: 9_000_000,
        } });
      });
      await it.to("actors");
      for (let at = 0; at < 3; at++) await it.page.locator(`#row-0\\.${at + 2}\\.1 button.toggle`).click();
      await it.page.locator('tr[aria-level="2"]').first().waitFor();
      await it.page.locator("button", { hasText: "After" }).last().click();
      await it.page.locator("text=51 to 100").waitFor();
      const rows = await it.page.locator("table.tree tbody tr").count();
      must(rows <= 4 * 51, `${rows} rows are drawn`);
      must(asked.length > 0 && asked.every((each) => Number(new URLSearchParams(each).get("limit")) <= 200), `asked for ${asked.find((each) => !/limit=/.test(each))}`);
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("sampling 0 is told with what to do, and set from here where that is allowed", async () => {
    const it = await open(browser, origin);
    try {
      let actions = false;
      let sent = null;
      await changed(it.page, "overview", (answer) => {
        answer.tracing = { ...answer.tracing, sample: sent ? sent.body.share : 0 };
        answer.features.actions = actions;
      });
      await it.page.route("**/api/v1/actions/sampling", async (route) => {
        sent = { body: route.request().postDataJSON(), header: route.request().headers()["x-console-action"] };
        await route.fulfill({ json: { done: true, detail: "1 % of the traces that begin here are recorded" } });
      });
      await it.to("traces");
      await it.page.locator("text=Nothing is sampled").waitFor();
      must((await it.page.locator(".ways").innerText()).includes("set_sampling(0.01)"), "it does not say how");
      same(await it.page.locator(".ways button").count(), 0, "buttons of a console that only shows");
      actions = true;
      it.page.on("dialog", (dialog) => dialog.accept());
      await it.page.locator(".ways button", { hasText: /^1 %$/ }).click();
      await it.page.locator(".banner.good", { hasText: "are recorded" }).waitFor();
      same(sent, { body: { share: 0.01 }, header: "1" }, "what was sent");
      await it.page.locator("text=Nothing is sampled").waitFor({ state: "detached" });
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("asks by outcome, and what became of every message: the sums agree", async () => {
    const it = await open(browser, origin);
    try {
      await changed(it.page, "overview", (answer) => {
        answer.asks = { ok_total: 9000, no_reply_total: 1, late_replies_total: 2, failed_total: 4, by_outcome: [{ outcome: "no_reply", total: 1 }, { outcome: "expired", total: 3 }] };
      });
      await changed(it.page, "asks", (answer) => {
        const actors = [1, 2, 3].map((id) => ({ id: `0.${id}.1`, type: "shop::Clerk", name: `clerk-${id}` }));
        Object.assign(answer, { items: [], total: 0, shown: 0, cycles: [], refused_cycles: [{ at_ms: Date.now(), actors, message: "shop::Ask" }], deadlocks_total: 12 });
      });
      await it.to("asks");
      await it.page.locator("text=By outcome").waitFor();
      same(await it.page.locator('[aria-label="Refused asks"] tbody tr').count(), 1, "refused asks");
      same(await it.page.locator(".ask-line.bad").count(), 3, "lines of the refused circle");
      must((await it.page.locator("main").innerText()).includes("12 in all"), "how many there were is not told");
      same(await it.page.locator('[aria-label="Asks by outcome"] tbody tr td:first-child').allInnerTexts(), ["answered", "expired", "no reply"], "outcomes, the most first");
      same(await it.page.locator('[aria-label="Asks by outcome"] tbody tr td:nth-child(3)').first().innerText(), "> 99.9 %", "the share answered");
      await it.to("dead-letters");
      await it.page.locator(".fates").waitFor();
      const books = await it.page.evaluate(() => globalThis.actorConsole.app.overview.messages);
      same(await it.page.locator(".fate h3").allInnerTexts().then((all) => all.map((each) => each.split(/\s/)[0])), ["Offered", "Accepted"], "the books");
      must(books.offered_total >= books.accepted_total && books.accepted_total >= books.handled_total, JSON.stringify(books));
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("traffic between peers: the hottest first, on the machine's page too", async () => {
    const it = await open(browser, origin);
    try {
      const member = (peer, own, state, link) => ({
        peer, own, incarnation: 1, state, since_ns: 1e9, voter: true, roles: [], endpoints: ["10.0.0.1:1"], metadata: [], numa_nodes: [], started_at_ms: 1_766_271_600_000, link,
      });
      const link = (sent, received, more) => ({
        connected: true, lost: false, round_trip_ns: 240_000, lanes: 2, sent_per_s: sent, received_per_s: received, sent_bytes_per_s: sent * 100, received_bytes_per_s: received * 100,
        sent_total: 0, received_total: 0, queued: 0, ...more,
      });
      await changed(it.page, "overview", (answer) => {
        answer.features.cluster = true;
        answer.peers = { up: 3, unreachable: 1, others: 0 };
      });
      await it.page.route("**/api/v1/cluster", (route) => route.fulfill({ json: { enabled: true, cluster: {
        name: "shop", own: "shop-0", incarnation: 1, address: "10.0.0.1:1", status: "running", status_text: "running", version: 3, voters: ["shop-0"],
        members: [member("shop-0", true, "up", null), member("shop-1", false, "up", link(3, 2)), member("shop-2", false, "up", link(12_000, 900)),
          member("shop-3", false, "unreachable", link(0, 0, { connected: false, lost: true, round_trip_ns: null }))],
        remote: null, events: [], names: { items: [], total: 0, shown: 0, truncated: false, next: null }, groups: { items: [], total: 0, shown: 0, truncated: false, next: null },
      } } }));
      await it.to("machine");
      await it.page.locator('[aria-label="Messages between peers"] tbody tr').first().waitFor();
      same(await it.page.locator('[aria-label="Messages between peers"] tbody td:first-child').allInnerTexts(), ["shop-2", "shop-1", "shop-3"], "the order");
      const widths = await it.page.locator(".peer-line").evaluateAll((all) => all.map((each) => Number(each.getAttribute("stroke-width"))));
      must(widths[1] > widths[0] && widths[0] > widths[2], `thicker is more: ${widths}`);
      await accessible(it.page, "machine with peers");
      await it.to("cluster");
      same(await it.page.locator('[aria-label="Members"] .bad-row').count(), 1, "peers that are marked");
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("a circle of asks is drawn as one, above its row", async () => {
    const it = await open(browser, origin);
    try {
      const actor = (id) => ({ id: `0.${id}.1`, type: "shop::Clerk", name: `clerk-${id}` });
      const ask = (from, to, since) => ({ from: actor(from), to: actor(to), message: "shop::Ask", since_ns: since });
      await it.page.route("**/api/v1/asks", (route) => route.fulfill({ json: {
        items: [ask(9, 1, 0), ask(1, 2, 4e9), ask(2, 3, 4e9), ask(3, 1, 4e9)], total: 4, shown: 4, truncated: false, next: null, cycles: [["0.1.1", "0.2.1", "0.3.1"]], walk_ns: 1,
      } }));
      await it.to("asks");
      same(await it.page.locator(".ask-node.bad").count(), 3, "actors of the circle");
      same(await it.page.locator(".ask-line.bad").count(), 3, "lines of the circle");
      const boxes = await it.page.locator(".ask-node.bad rect").evaluateAll((all) => [...new Set(all.map((each) => each.getAttribute("y")))]);
      same(boxes.length, 1, "rows of the circle");
      await accessible(it.page, "a circle of asks");
      it.quiet();
    } finally {
      await it.close();
    }
  });

  await check("hours: the document does not grow", async () => {
    const it = await open(browser, origin);
    try {
      const devtools = await it.context.newCDPSession(it.page);
      const nodes = async () => {
        await devtools.send("HeapProfiler.collectGarbage");
        return devtools.send("Memory.getDOMCounters");
      };
      await it.to("");
      const round = async (times) => {
        for (let turn = 0; turn < times; turn++) {
          for (const view of ["machine", "actors", "traces", "dead-letters", "cluster", ""]) {
            await it.page.evaluate((hash) => { location.hash = `#/${hash}`; }, view);
            await ready(it.page);
          }
        }
      };
      await round(3);
      const before = await nodes();
      await round(10);
      const after = await nodes();
      must(after.nodes < before.nodes * 1.5 + 2000, `${before.nodes} nodes became ${after.nodes}`);
      must(after.jsEventListeners < before.jsEventListeners * 1.5 + 200, `${before.jsEventListeners} listeners became ${after.jsEventListeners}`);
      it.quiet();
    } finally {
      await it.close();
    }
  });
}

async function restart(browser, origin, again) {
  await check("the server's end is shown, and its return is found by itself", async () => {
    const it = await open(browser, origin);
    try {
      await it.to("");
      it.letBreak(true);
      await stop();
      await it.page.locator(".banner.bad", { hasText: "does not answer" }).waitFor();
      must((await it.page.title()).includes("no answer"), `the title says nothing: ${await it.page.title()}`);
      if (options.shots) await shot(it.page, "light-1280-no-answer");
      await again();
      await it.page.locator(".banner.bad").waitFor({ state: "detached" });
      await it.page.locator(".banner", { hasText: "began anew" }).waitFor();
      await ready(it.page);
      it.quiet();
    } finally {
      await it.close();
    }
  });
}

// ---- Begin --------------------------------------------------------------------------------------------

function parse(list) {
  const found = { modules: null, shots: null, url: null, only: null, command: [] };
  for (let at = 0; at < list.length; at++) {
    if (list[at] === "--") {
      found.command = list.slice(at + 1);
      break;
    }
    found[list[at].replace(/^--/, "")] = list[++at];
  }
  if (!found.modules || (!found.url && found.command.length === 0)) {
    console.error("node check.mjs --modules DIR [--shots DIR] [--only PATTERN] (--url URL | -- PROGRAM ARGS..)");
    process.exit(2);
  }
  return found;
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--force-color-profile=srgb"] });
process.on("exit", () => program?.kill("SIGKILL"));
try {
  const origin = options.url ?? (await start());
  console.log(`the console is at ${origin}`);
  await parts(browser, origin);
  await everyView(browser, origin);
  await keyboard(browser, origin);
  await work(browser, origin);
  if (!options.url) {
    await restart(browser, origin, () => start(new URL(origin).host));
  }
} catch (error) {
  failed += 1;
  console.log(`FAILED  ${error.stack ?? error}`);
} finally {
  await browser.close();
  await stop();
}
console.log(`console page: ${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
