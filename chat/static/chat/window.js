// Which of a room's messages stand in the page: a contiguous run of them, named by the offsets of its ends, so that
// it stays where it is when messages are added at either side. Pure: no DOM.

const MOST = 300; // rows in the page
const STEP = 60; // rows more at an end that comes near
const FIRST = 100; // rows when a room is opened

export class Window {
  #from = 0;
  #to = Infinity; // Infinity: follows the end

  get followsEnd() {
    return this.#to === Infinity;
  }

  /** The newest messages, and from a few before `line` on when that is further up. */
  open(messages, line = messages.length) {
    this.#place(messages, Math.min(messages.length - FIRST, line - STEP), messages.length);
  }

  toEnd(messages) {
    this.#place(messages, messages.length - FIRST, messages.length);
  }

  up(messages) {
    const { start, end } = this.bounds(messages);
    this.#place(messages, start - STEP, Math.min(end, Math.max(start - STEP, 0) + MOST));
  }

  down(messages) {
    const { start, end } = this.bounds(messages);
    const more = Math.min(end + STEP, messages.length);
    this.#place(messages, Math.max(start, more - MOST), more);
  }

  /** After messages were added at the end: keeps within bounds, at the top when the reader is at the end, else below. */
  settle(messages, atEnd) {
    const { start, end } = this.bounds(messages);
    if (!this.followsEnd || end - start <= MOST) return;
    if (atEnd) this.#place(messages, end - MOST + STEP, end);
    else this.#place(messages, start, start + MOST);
  }

  /** As indexes: `start` is inside, `end` is not. */
  bounds(messages) {
    return { start: below(messages, this.#from), end: this.followsEnd ? messages.length : below(messages, this.#to + 1) };
  }

  #place(messages, start, end) {
    this.#from = messages[Math.max(start, 0)]?.offset ?? 0;
    this.#to = end >= messages.length ? Infinity : messages[end - 1].offset;
  }
}

/** How many messages have an offset less than `offset`. */
function below(messages, offset) {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle].offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
