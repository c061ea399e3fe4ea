// Any room in a few keys: Ctrl K (or ⌘ K), some letters, Enter. A combobox over a list, as ARIA describes it: focus
// stays in the field, `aria-activedescendant` names the choice.

import { byId, h, isComposing } from "harbour/dom";
import { openDialog } from "harbour/dialogs";
import { sign } from "harbour/sign";

const apple = /Mac|iPhone|iPad/.test(navigator.platform);

/** Lower case, without accents: "Café" is found by "cafe". */
const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();

export class Finder {
  #dialog = byId("finder");
  #text = byId("finder-text");
  #list = byId("finder-list");
  #empty = byId("finder-empty");
  #create = byId("finder-create");
  #rooms;
  #onChoose;
  #found = [];
  #chosen = 0;

  constructor(rooms, { onChoose }) {
    this.#rooms = rooms;
    this.#onChoose = onChoose;
    if (apple) byId("finder-keys").textContent = "⌘ K";
    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      event.preventDefault();
      if (this.#dialog.open) this.#dialog.close();
      else if (!document.querySelector("dialog[open]")) this.#open();
    });
    this.#dialog.addEventListener("opened", () => this.#open());
    this.#text.addEventListener("input", () => this.#draw());
    this.#create.addEventListener("click", () => {
      this.#dialog.close();
      openDialog("new-room").querySelector("[name=name]").value = this.#text.value.trim();
    });
    this.#text.addEventListener("keydown", (event) => this.#key(event));
  }

  #open() {
    openDialog("finder");
    this.#text.value = "";
    this.#draw();
    this.#text.focus();
  }

  #draw() {
    const wanted = plain(this.#text.value.replace(/^#/, "").trim());
    const rank = (room) => (plain(room.name).startsWith(wanted) ? 0 : 1) + (room.member ? 0 : 2);
    this.#found = this.#rooms.all
      .filter((room) => plain(`${room.name} ${room.description}`).includes(wanted))
      .sort((a, b) => rank(a) - rank(b) || b.unread - a.unread);
    this.#list.replaceChildren(...this.#found.map((room, index) => this.#option(room, index)));
    this.#list.hidden = this.#found.length === 0;
    this.#empty.textContent = this.#found.length ? "" : "No room has that name.";
    this.#create.hidden = this.#found.length > 0;
    this.#choose(0);
  }

  #option(room, index) {
    return h("li", { id: `finder-${index}`, role: "option", onclick: () => this.#take(index), onpointermove: () => this.#choose(index) },
      sign(room),
      h("bdi", { class: "room-name" }, room.name),
      h("span", { class: "about" }, room.description),
      room.member
        ? room.unread > 0 && h("span", { class: "unread" }, String(room.unread))
        : h("span", { class: "outside" }, "not joined"));
  }

  #choose(index) {
    this.#list.children[this.#chosen]?.removeAttribute("aria-selected");
    this.#chosen = index;
    const option = this.#list.children[index];
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) this.#text.setAttribute("aria-activedescendant", option.id);
    else this.#text.removeAttribute("aria-activedescendant");
  }

  #key(event) {
    if (isComposing(event)) return;
    const count = this.#found.length;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === "Enter") {
      event.preventDefault();
      if (count) this.#take(this.#chosen);
      else this.#create.click();
    } else if (step && count) {
      event.preventDefault();
      this.#choose((this.#chosen + step + count) % count);
    }
  }

  #take(index) {
    this.#dialog.close();
    this.#onChoose(this.#found[index].slug);
  }
}
