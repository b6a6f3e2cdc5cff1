// The pictures of docs/images, from programs that run: README.md.
//
//   node pictures.mjs --modules DIR --to DIR --orders 'PROGRAM ARGS..' --scene 'PROGRAM ARGS..'
//
// Each program is started, says the console's address in a line with `http://`, and is ended when its pictures are
// taken. They are of a moment: two runs give the same places with other figures.

import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const PATIENCE = 120_000;
// The charts have something to show by then.
const WARM_UP = Number(process.env.WARM_UP_SECONDS ?? 60) * 1000;

const options = {};
for (let at = 2; at < process.argv.length; at += 2) options[process.argv[at].replace(/^--/, "")] = process.argv[at + 1];
for (const wanted of ["modules", "to", "orders", "scene"]) {
  if (!options[wanted]) {
    console.error("node pictures.mjs --modules DIR --to DIR --orders 'PROGRAM ARGS..' --scene 'PROGRAM ARGS..'");
    process.exit(2);
  }
}
const { chromium } = createRequire(`${resolve(options.modules)}/`)("playwright-core");

let program = null;

function start(command) {
  const [path, ...args] = command.split(" ");
  return new Promise((done, refuse) => {
    const child = spawn(path, args, { stdio: ["ignore", "pipe", "pipe"] });
    program = child;
    let said = "";
    const hear = (part) => {
      said += part;
      const found = said.match(/console[^\n]*?(http:\/\/[0-9.:]+)/);
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

const read = (page, path) => page.evaluate((from) => fetch(`/api/v1/${from}`).then((answer) => answer.json()), path);

/** The place of that picture. What is there now may be gone when it opens: then another one. */
const PLACES = {
  overview: () => "",
  machine: () => "machine",
  actor: async (page) => {
    const { items } = await read(page, "actors?sort=rate&limit=50");
    return `actors/${items.find((item) => item.type.endsWith("Payments")).id}`;
  },
  trace: async (page) => `traces/${(await read(page, "traces?kind=slow&limit=1")).items[0].trace_id}`,
  asks: () => "asks",
};

async function picture(browser, origin, name, place, scheme, height, holds = async () => true) {
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width: 1280, height }, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  await page.goto(origin);
  await page.waitForFunction(() => globalThis.actorConsole?.app.overview);
  const began = Date.now();
  for (;;) {
    await page.goto(`${origin}#/${await PLACES[place](page)}`);
    await page.waitForFunction(() => !document.querySelector("main .loading"));
    // Two answers, so that there are rates.
    await page.waitForTimeout(5000);
    if (!(await page.locator("main .failure").count()) && (await holds(page))) break;
    if (Date.now() - began > PATIENCE) throw new Error(`${name} did not come to show what it is to show`);
  }
  await page.screenshot({ path: `${options.to}/${name}.png` });
  await context.close();
  console.log(`${name}.png`);
}

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--force-color-profile=srgb"] });
process.on("exit", () => program?.kill("SIGKILL"));
try {
  mkdirSync(options.to, { recursive: true });
  const pause = () => new Promise((done) => setTimeout(done, WARM_UP));

  let origin = await start(options.orders);
  await pause();
  await picture(browser, origin, "console-overview-light", "overview", "light", 790);
  await picture(browser, origin, "console-machine-dark", "machine", "dark", 760);
  await picture(browser, origin, "console-actor-light", "actor", "light", 860);
  await picture(browser, origin, "console-trace-dark", "trace", "dark", 560);
  await stop();

  origin = await start(options.scene);
  await pause();
  // Somebody waits at this moment, and a circle was refused.
  const waits = (page) => page.evaluate(() => document.querySelectorAll(".ask-line:not(.bad)").length > 0 && document.querySelectorAll(".ask-line.bad").length > 0);
  await picture(browser, origin, "console-asks-light", "asks", "light", 760, waits);
  const linked = (page) => page.evaluate(() => document.querySelectorAll(".peer-line").length === 2);
  await picture(browser, origin, "console-peers-light", "machine", "light", 900, linked);
} finally {
  await browser.close();
  await stop();
}
