// The one socket: opens it, notices when it is dead, and opens it again with back-off and full jitter.
// It knows nothing of chat. It fires "open", "message" (detail: the decoded object), "state", and "refused" when the
// server twice in a row does not know who we are. It goes on trying all the same: whoever hears "refused" finds out
// whether the session has really ended, and leaves the page if so.
//
// Browsers hide the server's pings from a page, so silence alone says nothing: after QUIET the page asks something
// that has an answer (`question`), and without any frame within ANSWER the socket counts as dead.

const FIRST_DELAY = 500; // ms, the ceiling of the first wait; it doubles
const LONGEST_DELAY = 30_000; // ms
const QUIET = 30_000; // ms without a frame before we ask whether anybody is there
const ANSWER = 7_000; // ms an answer or a handshake may take
const LOOK = 1_000; // ms between two looks at the clock

const NOT_KNOWN = 4401;
const BANNED = 4403;
const MOVED = 4409; // the session is another connection's now
const BY_STAFF = 4410;
const TOO_FAST = 4429;
const RESTARTING = 1012;

export class Connection extends EventTarget {
  state = "closed"; // connecting · open · waiting · stopped
  retryAt = 0; // when waiting: the moment of the next attempt, ms since 1970
  code = 0; // how the last socket was closed
  question = () => null; // a command that is sure to be answered, or null when there is none

  #url;
  #subprotocols;
  #socket = null;
  #failures = 0;
  #unknown = false; // the last attempt ended with 4401
  #heard = 0;
  #asked = 0; // when the oldest question still unanswered was asked; 0: none
  #retry = 0;

  /** `subprotocols`: a function that gives what each attempt offers. */
  constructor(url, subprotocols = () => []) {
    super();
    this.#url = url;
    this.#subprotocols = subprotocols;
  }

  start() {
    setInterval(() => this.#look(), LOOK);
    addEventListener("online", () => this.#wake());
    addEventListener("offline", () => this.#ask());
    addEventListener("pageshow", () => this.#wake());
    document.addEventListener("visibilitychange", () => document.hidden || this.#wake());
    this.#open();
  }

  get isOpen() {
    return this.state === "open";
  }

  /** Whether it went out. With `answered`, a lack of any answer means the socket is dead. */
  send(command, { answered = false } = {}) {
    if (!this.isOpen) return false;
    this.#socket.send(JSON.stringify(command));
    if (answered) this.#asked ||= Date.now();
    return true;
  }

  retryNow() {
    if (this.state === "waiting" || this.state === "stopped") this.#open();
  }

  #open() {
    clearTimeout(this.#retry);
    this.#asked = Date.now();
    const socket = (this.#socket = new WebSocket(this.#url, this.#subprotocols()));
    const ours = (handler) => (event) => socket === this.#socket && handler(event);
    socket.addEventListener("open", ours(() => {
      this.#asked = 0;
      this.#heard = Date.now();
      this.#become("open");
      this.dispatchEvent(new Event("open"));
    }));
    socket.addEventListener("message", ours((event) => this.#receive(event.data)));
    socket.addEventListener("close", ours((event) => this.#lost(event.code)));
    this.#become("connecting");
  }

  #receive(text) {
    this.#asked = 0;
    this.#heard = Date.now();
    const message = JSON.parse(text);
    if (message.code !== "unauthenticated") {
      this.#failures = 0; // only now: a server that accepts and closes at once is not back yet
      this.#unknown = false;
    }
    this.dispatchEvent(new CustomEvent("message", { detail: message }));
  }

  #lost(code) {
    this.#socket = null;
    this.#asked = 0;
    this.code = code;
    if (code === BY_STAFF || code === BANNED || code === MOVED) return this.#become("stopped");
    const refused = code === NOT_KNOWN && this.#unknown;
    this.#unknown = code === NOT_KNOWN;
    if (code === TOO_FAST) this.#failures = Math.max(this.#failures, 5);
    if (code === RESTARTING) this.#failures = Math.max(this.#failures, 2); // everybody comes back at once: spread out
    const ceiling = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures);
    this.#failures += 1;
    const delay = Math.random() * ceiling;
    this.retryAt = Date.now() + delay;
    this.#retry = setTimeout(() => this.#open(), delay);
    this.#become("waiting");
    if (refused) this.dispatchEvent(new Event("refused"));
  }

  #look() {
    const now = Date.now();
    if (this.#asked && now - this.#asked > ANSWER) this.#drop();
    else if (this.isOpen && !this.#asked && now - this.#heard > QUIET) this.#ask();
  }

  #ask() {
    const question = this.isOpen && this.question();
    if (question) this.send(question, { answered: true });
  }

  /** The page is looked at again, or the network is back: no reason to wait any longer. */
  #wake() {
    if (this.state === "waiting") this.#open();
    else if (Date.now() - this.#heard > LOOK) this.#ask();
  }

  /** Nobody waits for a dead socket's closing handshake. */
  #drop() {
    const socket = this.#socket;
    this.#lost(1006);
    socket?.close();
  }

  #become(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }
}
