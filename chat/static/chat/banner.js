// One quiet sentence about the connection, when there is something to say. The countdown is for eyes only: read out
// every second it would be an alarm.

import { h, plural } from "harbour/dom";

const GRACE = 600; // ms without a connection before it is worth a sentence
const RELIEF = 1_800; // ms for which "Connected again" stands

const CHAT = {
  kept: "Your messages are kept.",
  first: "What you write is kept.",
  stopped: () => ["This connection was closed by somebody who looks after this place. What you write is kept.", "Connect again"],
};

export class Banner {
  #element;
  #connection;
  #words;
  #said = null;
  #lostAt = Date.now();
  #everOpen = false;
  #tick = 0;

  /** `words`: what is kept, what is before the first connection, and by a close code a sentence and a button. */
  constructor(element, connection, words = CHAT) {
    this.#element = element;
    this.#connection = connection;
    this.#words = words;
    connection.addEventListener("state", () => this.#changed());
    addEventListener("online", () => this.#say());
    addEventListener("offline", () => this.#say());
    this.#changed();
  }

  #changed() {
    clearTimeout(this.#tick);
    if (this.#connection.isOpen) {
      this.#everOpen = true;
      this.#lostAt = 0;
      if (!this.#said) return;
      this.#show("back", "Connected again.");
      this.#tick = setTimeout(() => this.#show(null), RELIEF);
      return;
    }
    this.#lostAt ||= Date.now();
    this.#say();
  }

  /** Says what holds now, and looks again while time is part of it. */
  #say() {
    const { state, retryAt } = this.#connection;
    if (state === "open") return;
    clearTimeout(this.#tick);
    const { kept, first, stopped } = this.#words;
    if (state === "stopped") {
      const [sentence, action] = stopped(this.#connection.code);
      return this.#show("stopped", sentence, "", action);
    }
    this.#tick = setTimeout(() => this.#say(), 250);
    if (Date.now() - this.#lostAt < GRACE) return;
    const seconds = Math.max(1, Math.ceil((retryAt - Date.now()) / 1000));
    const next = state === "waiting" ? `Trying again in ${plural(seconds, "second", "seconds")}…` : "Trying now…";
    if (!this.#everOpen && state === "connecting") this.#show("first", `Connecting… ${first}`);
    else if (!navigator.onLine) this.#show("offline", `You are offline. ${kept}`, next, "Try now");
    else this.#show("lost", `Connection lost. ${kept}`, next, "Try now");
  }

  #show(kind, sentence, countdown = "", action = null) {
    if (this.#said !== kind) {
      this.#said = kind;
      if (this.#element.contains(document.activeElement)) this.#element.closest("main")?.focus(); // its button goes
      this.#element.dataset.kind = kind ?? "";
      this.#element.replaceChildren(...(kind ? [h("p", {}, sentence, " ", h("span", { class: "countdown", "aria-hidden": "true" }))] : []));
      if (action) this.#element.append(h("button", { type: "button", onclick: () => this.#connection.retryNow() }, action));
    }
    const count = this.#element.querySelector(".countdown");
    if (count && count.textContent !== countdown) count.textContent = countdown;
  }
}
