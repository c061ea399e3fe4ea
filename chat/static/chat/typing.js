// Who is writing at this moment. Fleeting in both directions: told at most every 3 s, forgotten after 5.

const TELL = 3_000; // ms between two notices of ours
const FORGET = 5_000; // ms after which somebody has stopped

export class Typing extends EventTarget {
  #connection;
  #me;
  #told = new Map(); // room → when we last said so
  #heard = new Map(); // room → Map of user id → { name, timer }

  constructor(connection, me) {
    super();
    this.#connection = connection;
    this.#me = me;
  }

  typed(room) {
    if (Date.now() - (this.#told.get(room) ?? 0) < TELL) return;
    if (this.#connection.send({ type: "typing", room })) this.#told.set(room, Date.now());
  }

  /** What we wrote has been sent: the next key is news again. */
  sent(room) {
    this.#told.delete(room);
  }

  heard({ room, user }) {
    if (user.id === this.#me.id) return;
    if (!this.#heard.has(room)) this.#heard.set(room, new Map());
    const people = this.#heard.get(room);
    clearTimeout(people.get(user.id)?.timer);
    people.set(user.id, { name: user.name, timer: setTimeout(() => this.stopped(room, user.id), FORGET) });
    this.#changed();
  }

  stopped(room, id) {
    const person = this.#heard.get(room)?.get(id);
    if (!person) return;
    clearTimeout(person.timer);
    this.#heard.get(room).delete(id);
    this.#changed();
  }

  sentence(room) {
    const names = [...(this.#heard.get(room)?.values() ?? [])].map((person) => person.name);
    if (names.length === 0) return "";
    if (names.length === 1) return `${names[0]} is typing…`;
    if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
    return "Several people are typing…";
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
