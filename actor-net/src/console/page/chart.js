// Charts over time: lines in SVG, drawn to the width that is there.
//
// All charts of a view share one cursor: pointing at a moment in one shows the figures of that moment in all.
// Without a cursor the legend shows the newest figures. Lines differ by dashes as well as by colour; a hole
// in the data is a hole in the line.

import { h, measured, widthOf } from "./dom.js";
import { clock, NONE } from "./format.js";

const HEIGHT = 148;
const MARGIN = { left: 58, right: 10, top: 8, bottom: 20 };

/** The moment that the reader points at, in Unix ms; shared by the charts of a view. */
export class Cursor {
  at = null;
  constructor(onchange) {
    this.onchange = onchange;
  }
  move(at) {
    if (at === this.at) return;
    this.at = at;
    this.onchange();
  }
}

/** The index of the time nearest to `at`. */
export function nearest(times, at) {
  let low = 0;
  let high = times.length - 1;
  if (high < 0) return -1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < at) low = middle + 1;
    else high = middle;
  }
  return low > 0 && at - times[low - 1] < times[low] - at ? low - 1 : low;
}

/** Round figures from 0 to at least `most`: 1, 2 or 5 times a power of ten apart. */
export function linearTicks(most, wanted = 3) {
  if (!(most > 0)) return [0, 1];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((by) => by * power).find((by) => by >= rough * 0.999);
  const ticks = [];
  for (let at = 0; at <= most + step * 0.999; at += step) ticks.push(Number(at.toPrecision(12)));
  return ticks;
}

/** Powers of ten around what there is, two apart at least. */
export function logTicks(least, most) {
  let low = Math.floor(Math.log10(Math.max(least, 1)));
  let high = Math.ceil(Math.log10(Math.max(most, 1)));
  if (high <= low) high = low + 1;
  if (high - low < 2) low = Math.max(0, low - 1);
  const step = Math.ceil((high - low) / 5);
  const ticks = [];
  for (let at = low; at < high + step; at += step) ticks.push(10 ** at);
  return ticks;
}

/** Full minutes (or what fits) within a span of time. */
function timeTicks(from, to, width) {
  const most = Math.max(2, Math.floor(width / 90));
  const minute = 60_000;
  const step = [15_000, 30_000, minute, 2 * minute, 5 * minute, 10 * minute, 15 * minute, 30 * minute, 60 * minute,
    180 * minute].find((each) => (to - from) / each <= most) ?? 360 * minute;
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  return { ticks, seconds: step < minute };
}

/**
 * A chart. `lines`: `{name, label, tone, values}`, `values` as long as `times`; `scale`: "linear" or "log";
 * `format`: a figure as text with its unit.
 */
export function chart({ id, title, note, lines, times, windowMs, scale = "linear", format, cursor, empty }) {
  const width = widthOf(id, 520);
  const to = times.at(-1) ?? Date.now();
  const from = to - windowMs;
  const first = times.findIndex((time) => time >= from);
  const begin = first < 0 ? times.length : first;
  let least = Infinity;
  let most = -Infinity;
  for (const { values } of lines) {
    for (let at = begin; at < times.length; at++) {
      const value = values?.[at];
      if (value === null || value === undefined) continue;
      if (scale === "log" && value <= 0) continue;
      if (value < least) least = value;
      if (value > most) most = value;
    }
  }
  const anything = most !== -Infinity;
  const ticks = !anything ? [] : scale === "log" ? logTicks(least, most) : linearTicks(most);
  const bottom = HEIGHT - MARGIN.bottom;
  const inner = Math.max(40, width - MARGIN.left - MARGIN.right);
  const x = (time) => MARGIN.left + ((time - from) / windowMs) * inner;
  const low = ticks[0];
  const high = ticks.at(-1);
  const place = scale === "log"
    ? (value) => (Math.log10(value) - Math.log10(low)) / (Math.log10(high) - Math.log10(low))
    : (value) => (value - low) / (high - low);
  const y = (value) => bottom - place(value) * (bottom - MARGIN.top);
  const shownAt = cursor.at === null ? -1 : nearest(times, cursor.at);
  const pointed = shownAt >= begin ? shownAt : -1;

  const path = (values) => {
    let text = "";
    let open = false;
    for (let at = begin; at < times.length; at++) {
      let value = values?.[at];
      if (value !== null && value !== undefined && scale === "log" && value <= 0) value = null;
      if (value === null || value === undefined) {
        open = false;
        continue;
      }
      const point = `${x(times[at]).toFixed(1)} ${y(value).toFixed(1)}`;
      // A single figure between two holes is a dot.
      text += open ? `L${point}` : `M${point}h.01L${point}`;
      open = true;
    }
    return text;
  };

  const figure = (line) => {
    const at = pointed >= 0 ? pointed : times.length - 1;
    let value = line.values?.[at];
    // Now: the newest that was measured, within the last few steps.
    if (pointed < 0) for (let back = at; back > at - 5 && (value === null || value === undefined); back--) value = line.values?.[back];
    return value === null || value === undefined ? NONE : format(value);
  };
  const { ticks: hours, seconds } = timeTicks(from, to, inner);
  const move = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    const share = (event.clientX - box.left - MARGIN.left) / inner;
    cursor.move(share < 0 || share > 1 ? null : from + share * windowMs);
  };
  const keys = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -30, PageDown: 30 }[event.key];
    if (step !== undefined && times.length > begin) {
      const at = Math.min(times.length - 1, Math.max(begin, (pointed >= 0 ? pointed : times.length - 1) + step));
      cursor.move(times[at]);
      event.preventDefault();
    } else if (event.key === "Escape" && cursor.at !== null) {
      cursor.move(null);
      event.stopPropagation();
    }
  };
  const summary = lines.map((line) => `${line.label} ${figure(line)}`).join(", ");
  const when = pointed >= 0 ? `at ${clock(times[pointed])}` : "now";

  return h("figure", {
    class: "chart", tabindex: "0", onkeydown: keys,
    "aria-label": `${title}, ${when}: ${anything ? summary : "nothing measured"}. Left and right arrow keys read other moments.`,
  },
  h("figcaption", null,
    h("span", { class: "chart-title" }, title),
    note && h("span", { class: "chart-note" }, note),
    h("span", { class: "chart-when" }, pointed >= 0 ? clock(times[pointed]) : "")),
  h("div", { class: "legend" }, lines.map((line) => h("span", { key: line.name, class: "legend-item" },
    h("svg", { class: "swatch", width: "16", height: "8", "aria-hidden": "true" },
      h("path", { d: "M1 4H15", class: `line ${line.tone}` })),
    h("span", { class: "legend-label" }, line.label), " ",
    h("span", { class: "legend-value" }, figure(line))))),
  h("div", { class: "chart-area", ...measured(id) },
    !anything
      ? h("p", { class: "chart-empty" }, empty)
      : h("svg", {
        width, height: HEIGHT, "aria-hidden": "true", onpointermove: move, onpointerleave: () => cursor.move(null),
      },
      ticks.map((tick) => h("g", { key: `y${tick}` },
        h("line", { class: tick === low ? "axis" : "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(tick), y2: y(tick) }),
        h("text", { class: "tick", x: MARGIN.left - 6, y: y(tick) + 4, "text-anchor": "end" },
          tick === 0 ? "0" : format(tick).replace(/\.0+(?= )/, "")))),
      hours.map((time) => h("g", { key: `x${time}` },
        h("line", { class: "grid", x1: x(time), x2: x(time), y1: bottom, y2: bottom + 3 }),
        h("text", { class: "tick", x: Math.min(width - 20, x(time)), y: HEIGHT - 4, "text-anchor": "middle" },
          seconds ? clock(time) : clock(time).slice(-8, -3)))),
      lines.map((line) => [
        line.area && h("path", { key: `area-${line.name}`, class: `area ${line.tone}`, d: areaOf(path(line.values), x, times, begin, bottom, line.values) }),
        h("path", { key: line.name, class: `line ${line.tone}`, d: path(line.values) }),
      ]),
      pointed >= 0 && h("g", { key: "cursor" },
        h("line", { class: "cursor", x1: x(times[pointed]), x2: x(times[pointed]), y1: MARGIN.top, y2: bottom }),
        lines.map((line) => {
          const value = line.values?.[pointed];
          if (value === null || value === undefined || (scale === "log" && value <= 0)) return null;
          return h("circle", { key: line.name, class: `dot ${line.tone}`, cx: x(times[pointed]), cy: y(value), r: 3 });
        })))));
}

/** The same line, closed down to the axis; only without holes, where it cannot say what was not. */
function areaOf(path, x, times, begin, bottom, values) {
  for (let at = begin; at < times.length; at++) if (values?.[at] === null || values?.[at] === undefined) return "";
  if (begin >= times.length) return "";
  return `${path}L${x(times.at(-1)).toFixed(1)} ${bottom}L${x(times[begin]).toFixed(1)} ${bottom}Z`;
}
