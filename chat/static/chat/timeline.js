// The open room's messages as rows. Drawing is state → rows: `draw` works out which rows there should be and changes
// only what differs, so it may be called at any time and any number of times. At most some 300 rows exist (window.js);
// nothing it does moves what the reader looks at (scroll.js).

import { dayKey, dayName, everyMidnight } from "harbour/dates";
import { arrange, onceAFrame } from "harbour/dom";
import { beginningRow, dayRow, emptyRow, failedRow, fill, lineRow, messageRow, skeletonRow } from "harbour/rows";
import { Scroll } from "harbour/scroll";
import { Window } from "harbour/window";

const TOGETHER = 5 * 60_000; // ms: one author's messages within this of each other form a group
const NEAR = 1_200; // px to an end of the rows at which more are drawn or loaded

export class Timeline extends EventTarget {
  room = null;

  #element;
  #list;
  #rooms;
  #outbox;
  #history;
  #changes;
  #onWrite;
  #handlers;
  #scroll;
  #window = new Window();
  #rows = new Map(); // key → { row, shown }
  #opened = false; // the room's first page has been placed
  #drawn = 0; // the highest offset drawn so far: what is above it has just arrived

  constructor(element, { rooms, outbox, changes, history, onWrite, onReact, onEdit }) {
    super();
    this.#element = element;
    this.#list = element.firstElementChild;
    this.#rooms = rooms;
    this.#outbox = outbox;
    this.#history = history;
    this.#changes = changes;
    this.#onWrite = onWrite;
    this.#handlers = { onReact, onEdit };
    this.#scroll = new Scroll(element, onceAFrame(() => this.#moved()));
    element.addEventListener("keydown", (event) => this.#walk(event));
    everyMidnight(() => this.draw());
  }

  draw = onceAFrame(() => this.#draw());

  get atEnd() {
    return this.#scroll.atEnd && this.#window.followsEnd;
  }

  get farFromEnd() {
    return !this.#window.followsEnd || this.#scroll.below > 1.5 * this.#scroll.height;
  }

  show(room) {
    this.room = room;
    this.#opened = false;
    this.#rows.clear();
    this.#list.replaceChildren();
    this.#draw();
  }

  toEnd() {
    if (!this.room) return;
    if (!this.#window.followsEnd) this.#window.toEnd(this.room.messages);
    this.#scroll.atEnd = true;
    this.#draw();
  }

  #draw() {
    const { room } = this;
    if (!room) return;
    const opening = !this.#opened && room.pages === "ready";
    const line = this.#lineIndex();
    if (opening) {
      this.#window.open(room.messages, line ?? undefined);
      this.#scroll.atEnd = true;
      this.#drawn = Infinity;
    }
    this.#window.settle(room.messages, this.#scroll.atEnd);
    // A screen reader is told what people say, not what is fetched or drawn again.
    this.#element.setAttribute("aria-busy", String(!this.#opened || !this.atEnd));
    const putBack = this.#scroll.hold(this.#list.querySelectorAll(".message"));
    const wanted = this.#wanted(line);
    const focused = this.#list.contains(document.activeElement) ? document.activeElement : null;
    arrange(this.#list, wanted);
    putBack();
    if (focused && !focused.isConnected) this.#element.focus({ preventScroll: true });
    const kept = new Set(wanted);
    for (const [key, { row }] of this.#rows) if (!kept.has(row)) this.#rows.delete(key);
    this.#drawn = room.messages.at(-1)?.offset ?? 0;
    if (opening) {
      this.#opened = true;
      const mark = this.#rows.get("line")?.row;
      if (mark && this.#scroll.isAbove(mark)) this.#scroll.toTopOf(mark);
    }
    this.#moved();
  }

  /** The rows there should be, in order; known ones are reused. */
  #wanted(line) {
    const { room } = this;
    const rows = [];
    const posts = this.#outbox.of(room.slug);
    if (room.pages !== "ready") {
      if (room.pages === "failed") rows.push(this.#failed("The messages could not be loaded. What you write is kept and will be sent."));
      else rows.push(this.#row("skeleton", () => skeletonRow([[80, 60], [40], [90, 70, 30], [60]])));
    } else if (room.more) {
      const retry = this.#history.olderFailed(room);
      if (retry) rows.push(this.#failed("Older messages could not be loaded."));
      else rows.push(this.#row("older", () => skeletonRow([[70, 40], [90]])));
    } else if (room.messages.length || posts.length) {
      rows.push(this.#row(`beginning ${room.name} ${room.description}`, () => beginningRow(room)));
    } else {
      rows.push(this.#row(`empty ${room.name} ${room.description}`, () => emptyRow(room, this.#onWrite)));
    }
    if (room.pages === "ready") {
      const { start, end } = this.#window.bounds(room.messages);
      for (let index = start; index < end; index += 1) {
        const message = room.messages[index];
        const note = this.#changes.note(message);
        this.#append(rows, this.#changes.shown(message), room.messages[index - 1], {
          state: note?.state ?? "sent",
          note: note?.text ?? null,
          actions: note?.state === "failed" ? [["Edit again", () => this.#handlers.onEdit(message)], ["Discard", () => this.#changes.discard(message)]] : [],
          line: index === line,
        });
      }
    }
    if (room.pages !== "ready" || this.#window.followsEnd) {
      let previous = room.messages.at(-1);
      for (const post of posts) {
        const actions = [["Send now", () => this.#outbox.sendNow(post.id)]];
        if (post.state === "failed") actions.push(["Discard", () => this.#outbox.discard(post.id)]);
        this.#append(rows, this.#asMessage(post), previous, { state: post.state, note: this.#outbox.note(post), actions, line: false });
        previous = this.#asMessage(post);
      }
    }
    return rows;
  }

  #append(rows, message, previous, { state, note, actions, line }) {
    const moment = new Date(message.created_at);
    const before = previous && new Date(previous.created_at);
    const newDay = !before || dayKey(moment) !== dayKey(before);
    if (newDay) {
      const day = this.#row(`day ${dayKey(moment)}${message.offset ? "" : " of what waits"}`, dayRow);
      const name = dayName(moment);
      if (day.textContent !== name) day.textContent = name;
      rows.push(day);
    }
    if (line) rows.push(this.#row("line", lineRow));
    const first = newDay || line || previous.author.id !== message.author.id || moment - before > TOGETHER;
    const key = keyOf(message);
    const row = this.#row(key, messageRow);
    const shown = this.#rows.get(key);
    if (shown.message !== message || shown.first !== first || shown.state !== state || shown.note !== note) {
      const arrived = !shown.message && (message.offset ?? Infinity) > this.#drawn;
      row.classList.toggle("arrived", arrived || row.classList.contains("arrived"));
      Object.assign(shown, { message, first, state, note, actions });
      fill(row, shown, this.#handlers);
    }
    rows.push(row);
  }

  #row(key, make) {
    if (!this.#rows.has(key)) this.#rows.set(key, { row: make() });
    return this.#rows.get(key).row;
  }

  /** Marks the message that is being edited; null: none is. */
  markEdited(id) {
    for (const row of this.#list.querySelectorAll(".message")) row.classList.toggle("is-being-edited", id !== null && row.dataset.message === String(id));
  }

  #failed(sentence) {
    return this.#row(sentence, () => failedRow(sentence, () => this.#history.retry(this.room)));
  }

  #posts = new WeakMap();

  /** A post in the shape of a message: the same object each time, so that its row is not filled again. */
  #asMessage(post) {
    if (!this.#posts.has(post)) {
      const { id, text, created_at } = post;
      this.#posts.set(post, { author: this.#rooms.me, text, created_at, client_id: id });
    }
    return this.#posts.get(post);
  }

  /** The index of the first message that was new when the reader came, or null. */
  #lineIndex() {
    const { messages, line, more } = this.room;
    if (line === null) return null;
    const index = messages.findIndex((message) => message.offset > line && message.author.id !== this.#rooms.me.id);
    if (index === -1 || (index === 0 && more)) return null; // it began before what is held
    return index;
  }

  /** After every movement: draw or load more at an end that has come near; let go of what is far. */
  #moved() {
    const { room } = this;
    if (!room) return;
    if (this.#opened) {
      const { start, end } = this.#window.bounds(room.messages);
      if (this.#scroll.above < NEAR && start > 0) {
        this.#window.up(room.messages);
        this.draw();
      } else if (this.#scroll.below < NEAR && end < room.messages.length) {
        this.#window.down(room.messages);
        this.draw();
      } else if (this.#scroll.above < NEAR && room.more) {
        this.#history.older(room)?.then(() => {
          if (room !== this.room) return;
          this.#window.up(room.messages);
          this.draw();
        });
      }
    }
    this.dispatchEvent(new Event("move"));
  }

  /** Up and down from message to message, Home and End to the ends of what is held. */
  #walk(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("button, a")) return;
    if (event.key === "End") {
      event.preventDefault();
      return this.toEnd();
    }
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!step) return;
    const rows = [...this.#list.querySelectorAll(".message")];
    const here = rows.indexOf(document.activeElement.closest(".message"));
    const next = here === -1 ? rows.at(-1) : rows[here + step];
    if (!next) return;
    event.preventDefault();
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }
}

/** The same for a post and for the message it becomes; messages from elsewhere may lack a client's id. */
const keyOf = (message) => `m ${message.author.id} ${message.client_id || `at ${message.offset}`}`;
