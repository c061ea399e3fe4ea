// Where the reader is in the timeline, and that they stay there: what is added or removed above moves nothing that
// they see; at the end, the end is kept in sight, also when the page itself grows or shrinks.
// (The browser's own scroll anchoring is switched off in chat.css: Safari has none, and two would fight.)

const NEAR_END = 32; // px from the end that still count as being there

export class Scroll {
  atEnd = true;

  #element;
  #known = 0; // px: the element's height when it was last told to have changed

  constructor(element, onMove) {
    this.#element = element;
    element.addEventListener("scroll", () => {
      // What takes room away in the same frame (a banner) moves nobody from the end: the observer is told after this.
      this.atEnd = this.below - Math.max(0, this.#known - this.height) <= NEAR_END;
      onMove();
    }, { passive: true });
    const resized = new ResizeObserver(() => {
      this.#known = this.height;
      if (this.atEnd) this.toEnd();
    });
    resized.observe(element);
    resized.observe(element.firstElementChild);
  }

  get above() {
    return this.#element.scrollTop;
  }

  get below() {
    return this.#element.scrollHeight - this.#element.clientHeight - this.#element.scrollTop;
  }

  get height() {
    return this.#element.clientHeight;
  }

  toEnd() {
    this.#element.scrollTop = this.#element.scrollHeight;
    this.atEnd = true;
  }

  /** Brings `node` near the top, where something unread begins. */
  toTopOf(node) {
    this.#element.scrollTop += this.#top(node) - 64;
    this.atEnd = this.below <= NEAR_END;
  }

  isAbove = (node) => this.#top(node) < 0;

  /**
   * Notes where the rows in sight are, before anything about them changes. What it returns, called afterwards, puts the
   * first of them that is still there back to where it was on the screen.
   */
  hold(rows) {
    if (this.atEnd) return () => this.toEnd();
    const places = new Map();
    const [first, ...others] = rows;
    for (const row of others) {
      const top = this.#top(row);
      if (top + row.offsetHeight > 0) places.set(row, top);
      if (top > this.height) break;
    }
    // Last, because it may lose its day and its name when there are rows above it again: then it is less tall.
    if (first) places.set(first, this.#top(first));
    return () => {
      for (const [row, top] of places) {
        if (!row.isConnected) continue;
        const moved = this.#top(row) - top;
        if (moved) this.#element.scrollTop += moved;
        return;
      }
    };
  }

  #top = (node) => node.getBoundingClientRect().top - this.#element.getBoundingClientRect().top;
}
