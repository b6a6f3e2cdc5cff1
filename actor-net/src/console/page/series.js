// Columns of figures over time, kept for a while and no longer: so many points at most, however many hours
// the page is open.
//
// The server keeps the history (`/api/v1/history`); this asks for all of it once, and then for the newest
// part only, which is laid over what is there. A hole stays a hole: `null`, never a line drawn over it.

/** At most so many points; about what a wide chart has pixels for. */
export const MOST_POINTS = 900;

export class Series {
  stepMs = 1000;
  /** Unix time in ms of each point, ascending. */
  times = [];
  /** Name of a column to its figures, as long as `times`. */
  columns = new Map();

  get length() {
    return this.times.length;
  }

  clear() {
    this.times = [];
    this.columns = new Map();
  }

  /** Lays `{step_ms, from_ms, series}` over what is there. */
  merge({ step_ms: step, from_ms: from, series }) {
    if (!(step > 0) || !series) return;
    if (step !== this.stepMs) this.clear();
    this.stepMs = step;
    const length = Math.max(0, ...Object.values(series).map((column) => column.length));
    if (length === 0) return;
    // Where the new part begins in what is there; the same moment may be rounded otherwise by half a step.
    let at = this.times.findIndex((time) => time > from - step / 2);
    if (at < 0) at = this.times.length;
    for (const name of Object.keys(series)) {
      if (!this.columns.has(name)) this.columns.set(name, this.times.map(() => null));
    }
    this.times.length = at;
    for (const column of this.columns.values()) column.length = at;
    for (let index = 0; index < length; index++) {
      this.times.push(from + index * step);
      for (const [name, column] of this.columns) column.push(series[name]?.[index] ?? null);
    }
    const over = this.times.length - MOST_POINTS;
    if (over > 0) {
      this.times.splice(0, over);
      for (const column of this.columns.values()) column.splice(0, over);
    }
  }

  column(name) {
    return this.columns.get(name) ?? null;
  }

  /** The newest figure of a column that is one. */
  latest(name) {
    const column = this.columns.get(name);
    for (let at = (column?.length ?? 0) - 1; at >= 0; at--) if (column[at] !== null) return column[at];
    return null;
  }

  /** How many seconds are to be asked for: all at first, then what may be new. */
  missingSeconds(window, now = Date.now()) {
    const last = this.times.at(-1);
    if (last === undefined) return window;
    return Math.min(window, Math.max(10, Math.ceil((now - last) / 1000) + 5));
  }
}
