// How many members of each followed room are online. The first frame after a subscription tells of all of them, the
// others of who came and went, and each says how many there are now: nothing is counted here.

export class Presence extends EventTarget {
  #counts = new Map(); // slug → number

  online(slug) {
    return this.#counts.get(slug) ?? 0;
  }

  heard(frame) {
    this.#counts.set(frame.room, frame.online);
    this.dispatchEvent(new CustomEvent("change", { detail: frame }));
  }
}
