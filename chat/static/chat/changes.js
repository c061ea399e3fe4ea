// What has been changed about messages and is not yet certain: edits, deletions, reactions. They show at once, are kept
// through reloads and lost connections, and are sent again until they are acknowledged: the server does each once.
// A later wish about the same thing takes the place of an earlier one.

import { recall, keysWith, remember } from "harbour/storage";

const AGAIN = 15_000; // ms without ack or error before a change is sent again
const RETRY = 2_000; // ms before a change that the server could not take is sent again

const newId = () => `change-${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;

const keyOf = ({ type, message, emoji = "" }) => `${message} ${type === "react" ? emoji : "text"}`;

export class Changes extends EventTarget {
  #connection;
  #prefix;
  #changes = new Map(); // key → { command, room, sent, offset, note }: offset, once acknowledged; note, once refused
  #shown = new Map(); // message id → { message, changes, result }

  constructor(connection, me) {
    super();
    this.#connection = connection;
    this.#prefix = `harbour.change.${me.id}.`;
    for (const name of keysWith(this.#prefix)) {
      const { command, room } = JSON.parse(recall(name));
      this.#changes.set(keyOf(command), { command, room, sent: 0, offset: null, note: null });
    }
    connection.addEventListener("open", () => {
      for (const change of this.#changes.values()) change.sent = 0;
      this.#sendAll();
    });
    setInterval(() => this.#sendAll(), AGAIN / 3);
  }

  edit = (room, message, text) => this.#want(room, { type: "edit", message: message.id, text });
  delete = (room, message) => this.#want(room, { type: "delete", message: message.id });
  react = (room, message, emoji, on) => this.#want(room, { type: "react", message: message.id, emoji, on });

  /** The message as it will be. The same object for the same changes, so that its row is not filled again. */
  shown(message) {
    const changes = message.id && !message.deleted ? [...this.#changes.values()].filter(({ command }) => command.message === message.id) : [];
    if (!changes.length) {
      this.#shown.delete(message.id);
      return message;
    }
    const known = this.#shown.get(message.id);
    if (known?.message === message && known.changes.length === changes.length && known.changes.every((change, index) => change === changes[index])) return known.result;
    const result = changes.reduce((before, change) => APPLIED[change.command.type](before, change.command), message);
    this.#shown.set(message.id, { message, changes, result });
    return result;
  }

  /** What has to be said under a message, or null: { text, state, command }. */
  note(message) {
    const change = this.#changes.get(`${message.id} text`);
    if (!change) return null;
    if (change.note) return { text: change.note, state: "failed", command: change.command };
    if (this.#connection.isOpen) return null;
    const what = change.command.type === "edit" ? "Not saved yet. The change" : "Not deleted yet. It";
    return { text: `${what} will go out when the connection returns.`, state: "pending", command: change.command };
  }

  discard(message) {
    this.#drop(`${message.id} text`);
  }

  /** The ack: what was asked for is so from this offset on. It shows as ours until that event is here. */
  acknowledged({ id, offset }) {
    const change = this.#find(id);
    if (!change) return;
    change.offset = offset;
    remember(this.#prefix + keyOf(change.command), null);
    this.dispatchEvent(new CustomEvent("change", { detail: change.room }));
  }

  /** Everything up to the room's `last` has been applied. */
  settle(room) {
    for (const [key, { room: slug, offset }] of this.#changes) {
      if (slug === room.slug && offset !== null && offset <= room.last) this.#changes.delete(key);
    }
  }

  /** Whether the error was about one of our changes. */
  refused({ id, code, detail, retry_after }) {
    const change = this.#find(id);
    if (!change) return false;
    if (code === "rate_limited" || code === "unavailable") {
      setTimeout(() => {
        change.sent = 0;
        this.#sendAll();
      }, retry_after ? retry_after * 1000 : RETRY);
    } else if (change.command.type === "edit" && code !== "not_found") {
      change.note = `Not saved. ${detail}`;
      this.#put({ ...change });
    } else if (code !== "unauthenticated") {
      this.#drop(keyOf(change.command));
      this.dispatchEvent(new CustomEvent("refused", { detail: REFUSALS[change.command.type] }));
    }
    return true;
  }

  #find = (id) => [...this.#changes.values()].find(({ command }) => command.id === id);

  #want(room, command) {
    this.#put({ command: { ...command, id: newId() }, room, sent: 0, offset: null, note: null });
    this.#sendAll();
  }

  #put(change) {
    const key = keyOf(change.command);
    this.#changes.delete(key); // to the end: what was wished last is sent last
    this.#changes.set(key, change);
    remember(this.#prefix + key, JSON.stringify({ command: change.command, room: change.room }));
    this.dispatchEvent(new CustomEvent("change", { detail: change.room }));
  }

  #drop(key) {
    const change = this.#changes.get(key);
    if (!change) return;
    this.#changes.delete(key);
    remember(this.#prefix + key, null);
    this.dispatchEvent(new CustomEvent("change", { detail: change.room }));
  }

  #sendAll() {
    for (const change of this.#changes.values()) {
      if (change.offset !== null || change.note || Date.now() - change.sent < AGAIN) continue;
      if (!this.#connection.send(change.command, { answered: true })) return;
      change.sent = Date.now();
    }
  }
}

const REFUSALS = {
  edit: "That message can no longer be edited.",
  delete: "That message could not be deleted.",
  react: "That reaction could not be added.",
};

// `html` is the server's alone: what is typed here stands as it was typed until the server has rendered it.
const APPLIED = {
  edit: (message, { text }) => (message.text === text ? message : { ...message, text, html: undefined, edited_at: message.edited_at ?? true, changing: true }),
  delete: (message) => ({ ...message, changing: true }),
  react(message, { emoji, on }) {
    const reactions = (message.reactions ?? []).map((reaction) => ({ ...reaction }));
    const known = reactions.find((reaction) => reaction.emoji === emoji);
    if (Boolean(known?.mine) === on) return message;
    if (!known) reactions.push({ emoji, count: 1, mine: true });
    else Object.assign(known, { mine: on, count: known.count + (on ? 1 : -1) });
    return { ...message, reactions: reactions.filter(({ count }) => count > 0) };
  },
};
