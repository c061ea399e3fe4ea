// The one set of tools for messages: it stands in the row that the pointer, the focus or a finger is at.

import { h } from "harbour/dom";

const QUICK = [
  ["👍", "Thumbs up"],
  ["❤️", "Heart"],
  ["😂", "Laughing"],
  ["🎉", "Celebrate"],
  ["👀", "Looking"],
];

const SVG = "http://www.w3.org/2000/svg";

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  svg.firstChild.setAttribute("href", `#icon-${name}`);
  return svg;
}

export class Tools {
  #element;
  #find;
  #own;

  /** find: row → its message as shown, or null; mayEdit, mayDelete: (message) → boolean. */
  constructor(timeline, { find, mayEdit, mayDelete, onReact, onEdit, onDelete }) {
    this.#find = find;
    const act = (work) => () => {
      const message = this.#message;
      if (message) work(message);
      if (work === onEdit) this.#element.remove(); // the composer has it now
    };
    const button = (label, content, work, attributes = {}) =>
      h("button", { type: "button", class: "tool", "aria-label": label, title: label, onclick: act(work), ...attributes }, content);
    const edit = button("Edit", icon("edit"), onEdit, { "data-testid": "edit" });
    const remove = button("Delete", icon("delete"), onDelete, { "data-testid": "delete" });
    this.#own = (message) => {
      edit.hidden = !mayEdit(message);
      remove.hidden = !mayDelete(message);
    };
    this.#element = h("div", { class: "tools", role: "toolbar", "aria-label": "Message", "aria-live": "off", "data-testid": "tools" },
      ...QUICK.map(([emoji, label]) => button(`React: ${label}`, emoji, (message) => onReact(message, emoji), { "data-emoji": emoji })),
      edit, remove);
    // Pointer events, for the mouse events that follow a tap are made up: also that of leaving again.
    const hovering = (work) => ({ pointerType, target }) => pointerType === "touch" || this.#busy || work(target);
    timeline.addEventListener("pointerover", hovering((target) => this.#standIn(target.closest(".message"))));
    timeline.addEventListener("pointerleave", hovering(() => this.#element.remove()));
    document.addEventListener("pointerdown", ({ target }) => timeline.contains(target) || this.#busy || this.#element.remove());
    timeline.addEventListener("focusin", ({ target }) => this.#standIn(target.closest(".message")));
    timeline.addEventListener("click", ({ target }) => target.closest("button, a") || this.#standIn(target.closest(".message")));
    this.#element.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** Somebody is in them with the keyboard: they stay where they are. */
  get #busy() {
    return this.#element.contains(document.activeElement) && document.activeElement.matches(":focus-visible");
  }

  get #message() {
    const row = this.#element.closest(".message");
    return row && this.#find(row);
  }

  #standIn(row) {
    if (!row) return this.#busy || this.#element.remove();
    const message = this.#find(row);
    if (!message) return this.#element.remove();
    this.#own(message);
    for (const tool of this.#element.querySelectorAll("[data-emoji]")) {
      tool.setAttribute("aria-pressed", String(Boolean(message.reactions?.find(({ emoji }) => emoji === tool.dataset.emoji)?.mine)));
    }
    if (this.#element.parentNode !== row) row.append(this.#element);
  }

  /** As in every toolbar: left and right; Escape goes back to the message. */
  #walk(event) {
    const tools = [...this.#element.querySelectorAll("button:not([hidden])")];
    const here = tools.indexOf(document.activeElement);
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) tools[(here + step + tools.length) % tools.length].focus();
    else if (event.key === "Escape") this.#element.closest(".message").focus({ preventScroll: true });
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
