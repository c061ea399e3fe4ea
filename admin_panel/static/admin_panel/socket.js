// A socket that only listens, and says honestly how it stands: connecting, open, stale (open, and nothing comes),
// waiting (lost; another attempt is due) or refused.

const SILENT = 3_500; // ms without a picture, where one is due every second
const LONGEST = 15_000; // ms between two attempts
const REFUSED = new Set([4401, 4403]);

export class Listener extends EventTarget {
  state = "connecting";
  retryAt = 0; // when waiting: the next attempt, ms since 1970

  #url;
  #failures = 0;
  #heard = 0;
  #socket = null;

  constructor(path) {
    super();
    this.#url = new URL(path, location.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    setInterval(() => this.#look(), 500);
    addEventListener("online", () => this.state === "waiting" && this.#open());
    this.#open();
  }

  #open() {
    const socket = (this.#socket = new WebSocket(this.#url));
    let spoke = false;
    this.#heard = Date.now();
    this.#become("connecting");
    socket.addEventListener("message", ({ data }) => {
      if (socket !== this.#socket) return;
      spoke = true;
      this.#failures = 0;
      this.#heard = Date.now();
      this.#become("open");
      this.dispatchEvent(new CustomEvent("message", { detail: JSON.parse(data) }));
    });
    socket.addEventListener("close", ({ code }) => {
      if (socket !== this.#socket) return;
      this.#lost(code);
      if (!spoke) this.#ask();
    });
  }

  /** A refused handshake looks like a lost connection. The page itself is refused to whom the socket is. */
  async #ask() {
    const answer = await fetch(location.href, { redirect: "manual" }).catch(() => null);
    if (this.state === "waiting" && (answer?.type === "opaqueredirect" || answer?.status === 403)) this.#become("refused");
  }

  #lost(code) {
    this.#socket = null;
    if (REFUSED.has(code)) return this.#become("refused");
    this.#failures += 1;
    this.retryAt = Date.now() + Math.min(LONGEST, 500 * 2 ** this.#failures) * (0.5 + Math.random() / 2);
    this.#become("waiting");
  }

  #look() {
    const now = Date.now();
    if (this.state === "waiting" && now >= this.retryAt) this.#open();
    else if (this.#socket && now - this.#heard > 4 * SILENT) {
      const dead = this.#socket;
      this.#lost(1006);
      dead.close();
    } else if (this.state === "open" && now - this.#heard > SILENT) this.#become("stale");
    else if (this.state === "waiting") this.dispatchEvent(new Event("state")); // the countdown
  }

  #become(state) {
    if (state === this.state && state !== "waiting") return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
