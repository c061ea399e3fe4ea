// Where one writes. Enter sends, Shift-Enter is a new line, and Enter that ends an input method's composition is
// neither. What is begun in a room waits there as a draft. Nothing longer than the server takes leaves here.
// A message is edited here as well: the draft steps aside meanwhile; Escape gives it back.

import { byId, isComposing, plural } from "harbour/dom";
import { written } from "harbour/sign";
import { recall, remember } from "harbour/storage";

const LONGEST = 4_000; // characters, as the server counts them: code points
const COUNT_FROM = 3_600; // characters: from here on one is told how many are left
const TALLEST = 0.4; // of the window's height

export class Composer extends EventTarget {
  #form = byId("composer");
  #text = byId("composer-text");
  #label = byId("composer-label");
  #counter = byId("composer-counter");
  #editing = byId("composer-editing");
  #draftKey = null;
  #drafts = new Map(); // key → text, as begun in this page: storage may be full, forbidden, or another tab's
  #room = null;
  #me;
  editing = null; // the message that is being edited

  constructor(me) {
    super();
    this.#me = me;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("keydown", (event) => {
      const composing = isComposing(event);
      if (event.key === "Escape" && this.editing && !composing) {
        event.preventDefault();
        return this.cancel();
      }
      if (event.key === "ArrowUp" && !this.#text.value && !this.editing && !composing) {
        event.preventDefault();
        return this.dispatchEvent(new Event("editlast"));
      }
      if (event.key !== "Enter" || event.shiftKey || composing) return;
      event.preventDefault();
      this.#send();
    });
    this.#text.addEventListener("input", () => {
      if (!this.editing) this.#keep(this.#text.value);
      this.#changed();
      if (this.#text.value.trim() && !this.editing) this.dispatchEvent(new Event("typed"));
    });
    // The keyboard of a phone stays where it is.
    this.#form.querySelector(".send").addEventListener("pointerdown", (event) => event.preventDefault());
    this.#form.addEventListener("click", (event) => event.target === this.#form && this.focus());
    byId("composer-cancel").addEventListener("click", () => this.cancel());
    addEventListener("resize", () => this.#fit());
  }

  open(room) {
    this.#room = room;
    if (this.editing) this.#edits(null);
    this.#draftKey = `harbour.draft.${this.#me.id}.${room.slug}`;
    this.#label.textContent = `Message to ${room.name}`;
    this.#text.placeholder = `Message ${written(room)}`;
    this.#text.value = this.#drafts.get(this.#draftKey) ?? recall(this.#draftKey) ?? "";
    this.#changed();
  }

  /** Takes a message up, with the text it has now (or the one that was not saved). */
  edit(message, text = message.text) {
    this.#edits(message);
    this.#text.value = text;
    this.#changed();
    this.focus();
    this.#text.setSelectionRange(text.length, text.length);
  }

  /** Gives the draft back. */
  cancel() {
    if (!this.editing) return;
    this.open(this.#room);
    this.focus();
  }

  #edits(message) {
    this.editing = message;
    this.#editing.hidden = !message;
    this.#form.classList.toggle("is-editing", Boolean(message));
    if (message) this.#label.textContent = "Edit your message";
    const send = this.#form.querySelector(".send");
    send.ariaLabel = send.title = message ? "Save" : "Send";
    send.querySelector("use").setAttribute("href", message ? "#icon-check" : "#icon-send");
    this.dispatchEvent(new Event("editing"));
  }

  #keep(draft) {
    this.#drafts.set(this.#draftKey, draft);
    remember(this.#draftKey, draft);
  }

  focus() {
    this.#text.focus({ preventScroll: true });
  }

  #send() {
    const text = this.#text.value.replace(/^(\s*\n)+|\s+$/gu, ""); // what is indented stays so
    if ([...text].length > LONGEST) return this.focus();
    if (this.editing) {
      const message = this.editing;
      this.cancel();
      return this.dispatchEvent(new CustomEvent("edited", { detail: { message, text } }));
    }
    if (!text) return this.focus();
    this.#text.value = "";
    this.#keep("");
    this.#changed();
    this.focus();
    this.dispatchEvent(new CustomEvent("send", { detail: text }));
  }

  #changed() {
    this.#fit();
    const length = [...this.#text.value.trim()].length;
    const left = LONGEST - length;
    this.#form.classList.toggle("is-empty", length === 0);
    this.#form.classList.toggle("is-too-long", left < 0);
    this.#counter.textContent = length < COUNT_FROM ? "" : left < 0 ? `${plural(-left, "character", "characters")} too long` : `${left} left`;
    this.#text.setAttribute("aria-invalid", String(left < 0));
  }

  /** As tall as its text, up to a part of the window. The form keeps its size meanwhile: measuring moves no timeline. */
  #fit() {
    this.#form.style.minHeight = `${this.#form.offsetHeight}px`;
    this.#text.style.height = "auto";
    this.#text.style.height = `${Math.min(this.#text.scrollHeight, innerHeight * TALLEST)}px`;
    this.#form.style.minHeight = "";
  }
}
