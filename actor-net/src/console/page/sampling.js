// Which share of traces is recorded, and how to change it: in the code, while it runs, from here where that is
// allowed, and for a single request.

import { h } from "./dom.js";
import { count, percent, plural } from "./format.js";
import { empty, mark, section } from "./parts.js";

const CHOICES = [0, 0.001, 0.01, 0.1, 1];

const share = (sample) => (sample === 1 ? "every trace is recorded" : sample > 0 ? `one in ${count(Math.round(1 / sample))} is recorded (${percent(sample)})` : "none is recorded by chance");

/** In a line: the share, what is kept, what was dropped. */
export function samplingLine(tracing) {
  if (!tracing) return null;
  return h("span", { class: "note side" }, tracing.enabled === false ? "tracing is off · " : tracing.sample === null || tracing.sample === undefined ? "" : `${share(tracing.sample)} · `,
    `${plural(tracing.stored, "trace")} kept`, tracing.dropped_total > 0 && [" · ", mark("warn", `${plural(tracing.dropped_total, "span")} dropped`)]);
}

/** What to do where nothing is recorded; `null` where something is. */
export function samplingOff(tracing, context) {
  if (tracing?.enabled === false) {
    return empty("Tracing is off.", "The system was built with TracingOptions::off(): nothing is recorded, whatever comes in. Build it with TracingOptions::new().sample(0.01).");
  }
  if (!tracing || tracing.sample !== 0) return null;
  const may = context.app.overview?.features.actions;
  return section("Nothing is sampled", { key: "sampling" }, h("div", { class: "lead" },
    h("p", null, "The share of traces that begin here and are recorded is 0. Those that come in as sampled are recorded all the same. To have more:"),
    h("dl", { class: "ways" },
      h("div", null, h("dt", null, "from the start"), h("dd", null, h("code", null, "ActorSystem::builder().tracing(TracingOptions::new().sample(0.01))"))),
      h("div", null, h("dt", null, "while it runs"), h("dd", null, h("code", null, "system.set_sampling(0.01)"))),
      h("div", null, h("dt", null, "one request"), h("dd", null, h("code", null, "traceparent: 00-<trace id>-<span id>-01"), h("span", { class: "muted" }, " where the program has the HTTP layer"))),
      h("div", null, h("dt", null, "from here"), h("dd", null, may ? samplingChoice(tracing, context) : h("span", { class: "muted" }, "where the console was started with ", h("code", null, ".allow_actions(true)")))))));
}

/** Sets the share, where the console may act. */
export function samplingChoice(tracing, context) {
  if (!context.app.overview?.features.actions || tracing.enabled === false) return null;
  return h("span", { class: "labelled" }, h("span", { class: "note" }, "record "), h("span", { class: "choice", role: "group", "aria-label": "Share of traces that is recorded" }, CHOICES.map((each) => h("button", {
    key: each, type: "button", "aria-pressed": String(tracing.sample === each),
    onclick: () => context.act(each === 0 ? "Record no trace but those that come in as sampled?" : `Record ${each === 1 ? "every trace" : `one in ${count(Math.round(1 / each))} traces`} from now on?`, "sampling", { share: each }),
  }, each === 0 ? "none" : `${each * 100} %`))));
}
