// The server's answers: asked for one at a time for each source, no oftener than needed, and not at all while
// nobody looks.
//
// One place knows whether the server answers. The first source that gets no answer says so; then all of them
// rest, and one probe asks again and again, slower each time, until there is an answer. So a server that is
// down hears from an open page once every ten seconds, and the page comes back by itself.

/** Why there is no answer, in words that can be shown. */
export class ApiError extends Error {
  constructor(kind, status, message, hint) {
    super(message);
    this.kind = kind; // "offline", "token", "refused"
    this.status = status;
    this.hint = hint ?? null;
  }
}

const LIMIT_MS = 10_000;
const PROBE_MS = [1000, 1000, 2000, 4000, 8000, 10_000];
export class Api {
  #sources = new Set();
  #probing = null;
  #probes = 0;

  /** "starting", "live", "lost" or "token". */
  state = "starting";
  /** Since when the server does not answer, and when it is asked again. */
  lostAt = null;
  retryAt = null;
  lostWhy = null;
  /** The reader wants it to stand still. */
  paused = false;
  /** When the last answer came. */
  answeredAt = null;
  /** Requests sent so far; for tests. */
  sent = 0;
  onchange = () => {};

  constructor() {
    document.addEventListener("visibilitychange", () => this.#wake());
    window.addEventListener("online", () => this.#retryNow());
  }

  /** Shows the token to the server, which remembers it by a cookie that no script can read. Nothing is kept here. */
  async signIn(token) {
    await this.post("/login", { token });
    this.state = "starting";
    this.onchange();
    this.#wake();
  }

  async signOut() {
    await this.post("/logout", {});
    this.state = "token";
    this.onchange();
  }

  /** Has something done. The header says that it was this page: no form of another one can send it. */
  async post(path, body) {
    return this.#request(path, {
      method: "POST",
      headers: { accept: "application/json", "content-type": "application/json", "x-console-action": "1" },
      body: JSON.stringify(body),
    }).then((response) => response.json().catch(() => null));
  }

  pause(on) {
    this.paused = on;
    this.#wake();
    this.onchange();
  }

  retryNow() {
    this.#retryNow();
  }

  /** One answer of `/api/v1/…` as a value. */
  async get(path, signal) {
    const response = await this.fetch(`/api/v1/${path}`, signal);
    try {
      return await response.json();
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new ApiError("refused", response.status, "The answer is not JSON.", "Is this address the console's?");
    }
  }

  /** Any path of the server. */
  async fetch(path, signal, limit) {
    return this.#request(path, { headers: { accept: "application/json" } }, signal, limit);
  }

  async #request(path, options, signal, limit = LIMIT_MS) {
    const timeout = AbortSignal.timeout(limit);
    let response;
    this.sent += 1;
    try {
      response = await fetch(path, {
        ...options,
        cache: "no-store",
        credentials: "same-origin",
        redirect: "error",
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
    } catch (error) {
      if (signal?.aborted) throw error;
      const why = timeout.aborted ? `no answer within ${limit / 1000} s` : "the connection is refused or broken";
      throw new ApiError("offline", 0, why);
    }
    if (response.ok) return response;
    const said = await response.json().catch(() => null);
    const message = said?.error ?? `${response.status} ${response.statusText}`;
    if (response.status === 401) throw new ApiError("token", 401, String(message), said?.hint);
    throw new ApiError("refused", response.status, String(message), said?.hint);
  }

  /** Keeps asking for `path()` every so often and tells what came; `null` as the path: nothing to ask now. */
  source(path, everyMs, onanswer) {
    const source = new Source(this, path, everyMs, onanswer);
    this.#sources.add(source);
    source.wake();
    return source;
  }

  forget(source) {
    this.#sources.delete(source);
  }

  get mayAsk() {
    return !this.paused && !document.hidden && (this.state === "live" || this.state === "starting");
  }

  answered() {
    this.answeredAt = Date.now();
    if (this.state === "live") return;
    this.state = "live";
    this.lostAt = this.retryAt = this.lostWhy = null;
    this.#probes = 0;
    this.#wake();
    this.onchange();
  }

  failed(error) {
    if (error.kind === "token") {
      if (this.state !== "token") {
        this.state = "token";
        this.onchange();
      }
    } else if (error.kind === "offline" && this.state !== "lost") {
      this.state = "lost";
      this.lostAt = Date.now();
      this.lostWhy = error.message;
      this.#probes = 0;
      this.#schedule();
      this.onchange();
    }
  }

  #schedule() {
    clearTimeout(this.#probing);
    const pause = PROBE_MS[Math.min(this.#probes, PROBE_MS.length - 1)];
    this.#probes += 1;
    this.retryAt = Date.now() + pause;
    this.#probing = setTimeout(() => this.#probe(), pause);
  }

  async #probe() {
    if (this.state !== "lost") return;
    if (document.hidden) return; // asked again when somebody looks
    try {
      await this.get("overview");
      this.answered();
    } catch (error) {
      if (error.kind === "token") this.failed(error);
      else if (error.kind === "refused") this.answered();
      else {
        this.lostWhy = error.message ?? this.lostWhy;
        this.#schedule();
        this.onchange();
      }
    }
  }

  #retryNow() {
    if (this.state !== "lost") return;
    clearTimeout(this.#probing);
    this.#probes = 0;
    this.retryAt = Date.now();
    this.#probing = setTimeout(() => this.#probe(), 0);
    this.onchange();
  }

  #wake() {
    if (this.state === "lost") this.#retryNow();
    for (const source of this.#sources) source.wake();
  }
}

class Source {
  #api;
  #path;
  #every;
  #onanswer;
  #timer = null;
  #asking = null;
  #closed = false;

  constructor(api, path, every, onanswer) {
    this.#api = api;
    this.#path = path;
    this.#every = every;
    this.#onanswer = onanswer;
  }

  /** Asks now, if it may; also what has changed its path. */
  wake() {
    clearTimeout(this.#timer);
    if (this.#closed || !this.#api.mayAsk) return;
    this.#timer = setTimeout(() => this.#ask(), 0);
  }

  /** Asks even though the page stands still: the reader wants something else to be shown. */
  again() {
    if (this.#closed) return;
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#asking = null;
    if (this.#api.state === "live" || this.#api.state === "starting") this.#ask();
  }

  close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#asking?.abort();
    this.#api.forget(this);
  }

  async #ask() {
    if (this.#asking || this.#closed) return;
    const path = this.#path();
    if (path === null) return;
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const value = await this.#api.get(path, asking.signal);
      if (asking.signal.aborted) return;
      this.#api.answered();
      this.#onanswer({ value, error: null, at: Date.now(), path });
    } catch (error) {
      if (asking.signal.aborted) return;
      if (error instanceof ApiError) {
        this.#api.failed(error);
        if (error.kind === "refused") {
          this.#api.answered();
          this.#onanswer({ value: null, error, at: Date.now(), path });
        }
      } else {
        // A fault of this page: shown, not swallowed.
        this.#onanswer({ value: null, error: new ApiError("refused", 0, String(error)), at: Date.now(), path });
        console.error(error);
      }
    } finally {
      if (this.#asking === asking) this.#asking = null;
      if (!this.#closed && this.#api.mayAsk && this.#asking === null) {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(() => this.#ask(), this.#every);
      }
    }
  }
}
