// The end of a phase, on this browser's own clock. The server says how many milliseconds are left, never a time: no two
// clocks agree. What the message took on its way is lost to the player, some milliseconds of it.

const TICK = 100; // ms

export class Clock {
  #endsAt = 0; // performance.now()
  #length = 1; // ms
  #ticking = 0;
  #shown = null;

  /** `show(seconds, part)`: whole seconds left, rounded up, and the part of the time that is left. */
  constructor(show) {
    this.#shown = show;
  }

  set(remaining, length) {
    this.#endsAt = performance.now() + remaining;
    this.#length = length;
    clearInterval(this.#ticking);
    this.#ticking = setInterval(() => this.#tick(), TICK);
    this.#tick();
  }

  stop() {
    clearInterval(this.#ticking);
  }

  get isOver() {
    return performance.now() >= this.#endsAt;
  }

  #tick() {
    const left = Math.max(0, this.#endsAt - performance.now());
    this.#shown(Math.ceil(left / 1000), left / this.#length);
    if (!left) this.stop();
  }
}
