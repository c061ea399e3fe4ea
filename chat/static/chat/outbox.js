// What has been written and not yet been acknowledged. A post keeps its id for life, through reloads and reconnects,
// so sending it again is always safe: the server stores it once. It leaves the storage with its ack and this list
// with its own event. One post a room is under way at a time, so that what was written first is said first.
//
// Each post has a storage key of its own: two tabs never overwrite each other's.

import { keysWith, recall, remember } from "harbour/storage";

const AGAIN = 15_000; // ms without ack or error before a post is sent again
const FIRST_DELAY = 1_000; // ms, the ceiling of the first wait when the server is unavailable; it doubles
const LONGEST_DELAY = 30_000; // ms

const REFUSALS = {
  too_long: "Not sent: it is too long.",
  not_found: "Not sent: this room is not open to you any more.",
};

const newId = () =>
  crypto.randomUUID?.() ?? // only in secure contexts; a plain http address in a local network is none
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

export class Outbox extends EventTarget {
  #connection;
  #rooms;
  #prefix;
  #posts = []; // { id, room, text, created_at, state: pending | sent | failed, note, offset, tries }
  #underway = new Map(); // room → { id, at }
  #waits = new Map(); // room → timer

  constructor(connection, me, rooms) {
    super();
    this.#connection = connection;
    this.#rooms = rooms;
    this.#prefix = `harbour.post.${me.id}.`;
    this.#takeUp(Infinity);
    connection.addEventListener("open", () => {
      this.#underway.clear();
      for (const room of this.#waits.keys()) this.#wait(room, 0);
      this.#sendAll();
    });
    setInterval(() => {
      this.#takeUp(Date.now() - AGAIN);
      this.#sendAll();
    }, AGAIN / 3);
    addEventListener("storage", ({ key, newValue }) => key?.startsWith(this.#prefix) && !newValue && this.#doneElsewhere(key.slice(this.#prefix.length)));
  }

  of = (room) => this.#posts.filter((post) => post.room === room);

  add(room, text) {
    const post = { id: newId(), room, text, created_at: new Date().toISOString(), state: "pending", note: null, tries: 0 };
    this.#posts.push(post);
    remember(this.#prefix + post.id, JSON.stringify(post));
    this.#send(room);
    this.#changed(room);
  }

  /** By hand: at once, whatever we were waiting for. */
  sendNow(id) {
    const post = this.#find(id);
    if (!post) return;
    Object.assign(post, { state: "pending", note: null });
    this.#wait(post.room, 0);
    this.#connection.retryNow();
    this.#send(post.room);
    this.#changed(post.room);
  }

  discard(id) {
    this.#drop(this.#find(id));
  }

  /** The ack: stored for good. The row stays until its own event brings the server's rendering. */
  acknowledged({ id, offset }) {
    const post = this.#find(id);
    if (!post) return;
    remember(this.#prefix + id, null);
    Object.assign(post, { state: "sent", note: null, offset });
    this.#settled(post);
    const room = this.#rooms.get(post.room);
    if (room) this.settle(room);
  }

  /** What the room's events have passed already, and was no news, had been stored by an earlier attempt. */
  settle({ slug, last }) {
    for (const post of this.of(slug)) if (post.offset <= last) this.#drop(post);
  }

  /** Our own message came back, by event or in a page: it stands in the timeline now. */
  confirmed(id) {
    const post = this.#find(id);
    if (!post) return;
    this.#drop(post);
  }

  /** Whether the error was about one of our posts. */
  refused({ id, code, detail, retry_after }) {
    const post = this.#find(id);
    if (!post) return false;
    this.#underway.delete(post.room);
    if (code === "rate_limited") {
      post.note = "Not sent yet. That was fast; it will go out in a moment.";
      this.#wait(post.room, (retry_after ?? 1) * 1000);
    } else if (code === "unavailable") {
      post.note = "Not sent yet. The server is busy; it will be tried again.";
      this.#wait(post.room, Math.random() * Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** post.tries++));
    } else if (code !== "unauthenticated") {
      Object.assign(post, { state: "failed", note: REFUSALS[code] ?? `Not sent. ${detail}` });
      this.#send(post.room);
    }
    this.#changed(post.room);
    return true;
  }

  /** The sentence under a post that has not arrived, or null. What holds for all that wait is said once, under the last. */
  note(post) {
    if (post.state !== "pending" || post.note) return post.note;
    const waiting = this.of(post.room).filter((other) => other.state === "pending");
    if (this.#connection.isOpen || post !== waiting.at(-1)) return null;
    return `Not sent yet. ${waiting.length > 1 ? "They" : "It"} will go out when the connection returns.`;
  }

  /**
   * What is kept and was written before `moment`: here, before a reload; or in another tab, which has had its time and
   * may have been closed. Whoever can sends it.
   */
  #takeUp(moment) {
    for (const key of keysWith(this.#prefix)) {
      const kept = !this.#find(key.slice(this.#prefix.length)) && recall(key);
      if (!kept) continue; // known; or another tab has just had its ack
      const { id, room, text, created_at } = JSON.parse(kept);
      if (Date.parse(created_at) > moment) continue;
      this.#posts.push({ id, room, text, created_at, state: "pending", note: null, tries: 0 });
      this.#changed(room);
    }
    this.#posts.sort((a, b) => (a.created_at < b.created_at ? -1 : 1));
  }

  /** Another tab has had the ack, or it was discarded there. */
  #doneElsewhere(id) {
    const post = this.#find(id);
    if (post && post.state !== "sent") this.#drop(post);
  }

  #find = (id) => this.#posts.find((post) => post.id === id);

  #sendAll() {
    for (const room of new Set(this.#posts.map((post) => post.room))) this.#send(room);
  }

  #send(room) {
    const underway = this.#underway.get(room);
    if (this.#waits.has(room) || (underway && Date.now() - underway.at < AGAIN)) return;
    const post = this.#posts.find((candidate) => candidate.room === room && candidate.state === "pending");
    if (!post) return;
    const { id, text } = post;
    if (this.#connection.send({ type: "post", room, id, text }, { answered: true })) this.#underway.set(room, { id, at: Date.now() });
  }

  #settled(post) {
    if (this.#underway.get(post.room)?.id === post.id) this.#underway.delete(post.room);
    this.#send(post.room);
    this.#changed(post.room);
  }

  #drop(post) {
    if (!post) return;
    remember(this.#prefix + post.id, null);
    this.#posts = this.#posts.filter((other) => other !== post);
    this.#settled(post);
  }

  #wait(room, delay) {
    clearTimeout(this.#waits.get(room));
    this.#waits.delete(room);
    if (delay <= 0) return;
    this.#waits.set(room, setTimeout(() => {
      this.#waits.delete(room);
      this.#send(room);
    }, delay));
  }

  #changed(room) {
    this.dispatchEvent(new CustomEvent("change", { detail: room }));
  }
}
