// The way in: open a game, or join one by its code. An invitation in the address leaves only the name to be asked.

import { h, isComposing } from "harbour/dom";
import { invitation } from "harbour/quiz/seat";

const OF_CODE = ["no_game"]; // refusals that concern the code; the others concern the name, or nothing here

export class Entrance {
  isFor = (view) => view.type === "welcome";

  #send;
  #busy = false;
  #note = h("p", { class: "note", hidden: true });
  #name = h("input", { id: "name", name: "name", autocomplete: "nickname", maxlength: 24, required: true, "aria-describedby": "name-mistake", autocapitalize: "words", spellcheck: "false", enterkeyhint: "go" });
  #code = h("input", { id: "join-code", name: "code", class: "code-input", autocomplete: "off", maxlength: 4, autocapitalize: "characters", spellcheck: "false", placeholder: "KRTX", "aria-describedby": "code-mistake" });
  #mistakes = { name: mistake("name-mistake"), code: mistake("code-mistake") };
  #open = h("button", { class: "button primary", type: "submit", value: "open" }, "Open a game");
  #join = h("button", { class: "button primary", type: "submit", value: "join" }, "Join");

  /** `send(message)`: whether it went out. */
  constructor({ send }) {
    this.#send = send;
    const code = invitation();
    this.#code.value = code;
    const heading = h("h1", { tabindex: -1 }, "How much do you know?");
    const lead = h("p", { class: "lead" }, "A handful of questions against the clock. Who is right gets points, and who is quick gets more of them. Open this page in several windows to play against yourself.");
    const name = h("div", { class: "field" }, h("label", { for: "name" }, "Your name"), this.#name, this.#mistakes.name);
    const field = h("div", { class: "field" }, h("label", { for: "join-code" }, "Code of the game"), this.#code, this.#mistakes.code);
    const join = h("div", { class: "joining" }, field, this.#join);
    this.#open.classList.toggle("primary", !code);
    this.#join.classList.toggle("primary", Boolean(code));
    const or = h("p", { class: "or" }, h("span", {}, "or"));
    const form = h("form", { class: "card", novalidate: true, autocomplete: "off" }, name, ...(code ? [join, or, this.#open] : [this.#open, or, join]));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit((event.submitter ?? (code ? this.#join : this.#open)).value);
    });
    // Enter in a field is what the field is for, not whatever button stands first.
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || isComposing(event) || event.target.tagName !== "INPUT") return;
      event.preventDefault();
      this.#submit(event.target === this.#code || this.#code.value.trim() ? "join" : "open");
    });
    this.#code.addEventListener("input", () => this.#say("code", ""));
    this.#name.addEventListener("input", () => this.#say("name", ""));
    const why = h("p", { class: "why" }, "Every player is an actor on the server, kept with every step. Restart the server in mid-round: the clock goes on, and nobody loses a point.");
    this.element = h("div", { class: "entrance" }, this.#note, heading, lead, form, why);
  }

  start() {
    this.#name.focus();
  }

  show(view) {
    this.#wait(false);
    if (view.note) {
      this.#note.textContent = view.note;
      this.#note.hidden = false;
    }
  }

  /** True where the refusal has found its place here. */
  refuse({ code, detail }) {
    this.#wait(false);
    const field = OF_CODE.includes(code) ? "code" : "name";
    this.#say(field, detail);
    (field === "code" ? this.#code : this.#name).focus();
    return true;
  }

  #submit(what) {
    if (this.#busy) return;
    const name = this.#name.value.trim();
    const code = this.#code.value.trim().toUpperCase();
    this.#say("name", name ? "" : "Write the name that the others will see.");
    this.#say("code", what === "join" && !code ? "Write the four letters of the game’s code." : "");
    if (!name) this.#name.focus();
    else if (what === "join" && !code) this.#code.focus();
    else if (this.#send(what === "join" ? { type: "Join", code, name } : { type: "Open", name })) this.#wait(true);
    else this.#say("name", "There is no connection just now. Try again in a moment.");
  }

  #wait(busy) {
    this.#busy = busy;
    for (const button of [this.#open, this.#join]) button.setAttribute("aria-disabled", busy);
  }

  #say(field, text) {
    this.#mistakes[field].textContent = text;
    const input = field === "code" ? this.#code : this.#name;
    input.setAttribute("aria-invalid", String(Boolean(text)));
    input.closest(".field").classList.toggle("has-error", Boolean(text));
  }
}

const mistake = (id) => h("p", { class: "field-error mistake", id, role: "alert" });
