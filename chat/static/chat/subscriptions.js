// Which rooms the socket follows, and how it catches up. Every subscription says what is held (`since`, `epoch`), so
// that after a gap, a reconnect or a nap exactly the missing events come, and nothing is asked for twice.

const MOST = 190; // rooms a connection follows; the server's limit is 200
const AT_ONCE = 50; // questions a second: the server takes no more for long
const RETRY = 2_000; // ms, when the server could not say how long
const ASKED = "@"; // before a slug: the id of our questions, so that a refusal can be told from a post's

export class Subscriptions extends EventTarget {
  #connection;
  #rooms;
  #followed = new Set();
  #asked = new Set(); // slugs whose `subscribed` is awaited: one question at a time

  constructor(connection, rooms) {
    super();
    this.#connection = connection;
    this.#rooms = rooms;
    connection.addEventListener("open", () => {
      this.#asked.clear();
      [...this.#followed].forEach((slug, index) => {
        if (index < AT_ONCE) this.resume(slug);
        else setTimeout(() => this.resume(slug), Math.floor(index / AT_ONCE) * 1000);
      });
    });
  }

  /** Follows exactly these rooms from now on, the first ones if they are too many. */
  follow(slugs) {
    const wanted = new Set(slugs.slice(0, MOST));
    for (const slug of this.#followed) {
      if (wanted.has(slug)) continue;
      this.#followed.delete(slug);
      this.#asked.delete(slug);
      this.#connection.send({ type: "unsubscribe", room: slug });
    }
    for (const slug of wanted) {
      if (this.#followed.has(slug)) continue;
      this.#followed.add(slug);
      this.resume(slug);
    }
  }

  /** Asks for what came after what is held. */
  resume(slug) {
    if (!this.#followed.has(slug) || this.#asked.has(slug)) return;
    const command = this.question(slug);
    if (command && this.#connection.send(command, { answered: true })) this.#asked.add(slug);
  }

  question(slug = [...this.#followed][0]) {
    const room = slug && this.#rooms.get(slug);
    if (!room) return null;
    const command = { type: "subscribe", id: ASKED + slug, room: slug, since: room.last };
    if (room.epoch) command.epoch = room.epoch;
    return command;
  }

  /** The reply, and also what the server says unasked when it had to start over. */
  subscribed({ room: slug, head, epoch, recovered }) {
    this.#asked.delete(slug);
    const room = this.#rooms.get(slug);
    if (!room) return;
    if (recovered) {
      room.epoch = epoch;
    } else {
      this.#rooms.restarted(room, { head, epoch });
      this.dispatchEvent(new CustomEvent("lost", { detail: room }));
    }
  }

  /** Whether the error was an answer to one of our questions. */
  refused({ id, code, retry_after }) {
    if (!id?.startsWith?.(ASKED)) return false;
    const slug = id.slice(ASKED.length);
    this.#asked.delete(slug);
    if (code === "not_found") {
      this.#followed.delete(slug);
      this.#rooms.forget(slug);
    } else if (code === "rate_limited" || code === "unavailable") {
      setTimeout(() => this.resume(slug), retry_after ? retry_after * 1000 : RETRY);
    }
    return true;
  }
}
