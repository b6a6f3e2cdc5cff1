// Numbers as people read them at night: three digits, a unit, and the same width whatever the figure.
//
// `null` and `undefined` mean "not measured" and are shown as a dash; a zero is a zero.

export const NONE = "–";

const known = (value) => value !== null && value !== undefined && Number.isFinite(Number(value));

/** Three significant digits, without exponents: 0.123, 1.23, 12.3, 123. */
function three(value) {
  const size = Math.abs(value);
  if (size >= 99.95 || value === 0) return Math.round(value).toString();
  if (size >= 9.995) return value.toFixed(1);
  return value.toFixed(2);
}

/** The thousands of a whole number apart: 12,345. */
export function whole(value) {
  return known(value) ? Math.round(Number(value)).toLocaleString("en-US") : NONE;
}

/** A count: whole up to 99,999, then 123 k, 4.56 M. */
export function count(value) {
  if (!known(value)) return NONE;
  const number = Number(value);
  const size = Math.abs(number);
  if (size < 99_999.5) return Number.isInteger(number) || size >= 100 ? whole(number) : three(number);
  for (const [scale, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"]]) {
    if (size >= scale * 0.9995) return `${three(number / scale)} ${unit}`;
  }
  return `${three(number / 1e3)} k`;
}

/** So many per second: 0, 0.25, 12.3, 1,234, 1.23 M; the unit is the caller's. */
export function rate(value) {
  if (!known(value)) return NONE;
  const number = Number(value);
  if (number !== 0 && Math.abs(number) < 0.01) return "< 0.01";
  return count(Math.abs(number) >= 100 ? Math.round(number) : Number(three(number)));
}

/** A duration in nanoseconds: 850 ns, 1.23 µs, 45.6 ms, 1.20 s, 2 min 05 s, 3 h 12 min, 4 d 03 h. */
export function duration(ns) {
  if (!known(ns)) return NONE;
  const value = Number(ns);
  if (value === 0) return "0 s";
  if (value < 999.5) return `${Math.round(value)} ns`;
  if (value < 999.5e3) return `${three(value / 1e3)} µs`;
  if (value < 999.5e6) return `${three(value / 1e6)} ms`;
  if (value < 59.95e9) return `${three(value / 1e9)} s`;
  const seconds = Math.round(value / 1e9);
  const two = (part) => String(part).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

/** Bytes: 512 B, 1.23 KiB, 45.6 MiB. */
export function bytes(value) {
  if (!known(value)) return NONE;
  let number = Number(value);
  for (const unit of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (Math.abs(number) < 999.5 || unit === "TiB") {
      return `${unit === "B" ? Math.round(number) : three(number)} ${unit}`;
    }
    number /= 1024;
  }
  return NONE;
}

/** A share from 0 to 1: 0 %, 0.5 %, 12 %, 100 %. */
export function percent(share) {
  if (!known(share)) return NONE;
  const value = Number(share) * 100;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  // Not quite all is not all.
  if (value > 99.5 && value < 100) return value > 99.9 ? "> 99.9 %" : `${value.toFixed(1)} %`;
  return `${value > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} %`;
}

const clockFormat = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const dayFormat = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** So long ago a time of day alone could be that of another day. */
const WITHOUT_DAY_MS = 12 * 3_600_000;

/** A moment on the reader's own clock: 14:03:22, with the day if it is neither today nor of the last hours. */
export function clock(unixMs) {
  if (!known(unixMs)) return NONE;
  const date = new Date(Number(unixMs));
  const now = new Date();
  const near = now.toDateString() === date.toDateString() || Math.abs(now - date) < WITHOUT_DAY_MS;
  return near ? clockFormat.format(date) : `${dayFormat.format(date)}, ${clockFormat.format(date)}`;
}

/** The moment in full, for titles. */
export function moment(unixMs) {
  return known(unixMs) ? new Date(Number(unixMs)).toISOString().replace("T", " ").replace("Z", " UTC") : NONE;
}

/** How long ago: just now, 12 s ago, 3 min ago. One unit is enough. */
export function ago(unixMs, now = Date.now()) {
  if (!known(unixMs)) return NONE;
  const seconds = Math.max(0, Math.round((now - Number(unixMs)) / 1000));
  if (seconds < 2) return "just now";
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} d ago`;
}

/** A Rust type without its paths: `shop::orders::Order<shop::Card>` is `Order<Card>`. */
export function shortType(name) {
  return name ? name.replace(/(?:[A-Za-z_][A-Za-z0-9_]*::)+/g, "") : NONE;
}

/** `one order`, `2 orders`. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${Number(number) === 1 ? one : many}`;
}

/** Words of the API as words: `one_for_all` is `one for all`. */
export function words(text) {
  return text === null || text === undefined || text === "" ? NONE : String(text).replaceAll("_", " ");
}
