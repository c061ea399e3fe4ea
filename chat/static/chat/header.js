// The open room's name, who speaks in it, how many are online, and the ways in and out.

import { arrange, byId, h, onceAFrame, plural } from "harbour/dom";
import { picture } from "harbour/people";
import { sign } from "harbour/sign";

const FACES = 3;

export class Header {
  #words = byId("room-words");
  #people = byId("room-people");
  #join = byId("room-join");
  #more = byId("room-more");
  #menu = byId("room-menu");
  #about = byId("room-about");
  #members = byId("room-members");
  #leave = byId("room-leave");
  #title = h("h1", {});
  #description = h("p", {});
  #presence;
  #room = null;
  #faces = "";

  constructor(rooms, presence, { onJoin, onLeave, onMembers }) {
    arrange(this.#words, [this.#title, this.#description]);
    this.#presence = presence;
    rooms.addEventListener("change", () => this.draw());
    presence.addEventListener("change", () => this.draw());
    this.#join.addEventListener("click", () => onJoin(this.#room.slug));
    this.#menu.addEventListener("beforetoggle", () => {
      this.#menu.style.top = `${this.#more.getBoundingClientRect().bottom + 6}px`; // a banner may stand above it
    });
    this.#members.addEventListener("click", () => {
      this.#menu.hidePopover();
      onMembers(this.#room);
    });
    this.#leave.addEventListener("click", () => {
      this.#menu.hidePopover();
      onLeave(this.#room.slug);
    });
  }

  show(room) {
    this.#room = room;
    if (this.#menu.matches(":popover-open")) this.#menu.hidePopover();
    this.draw();
  }

  draw = onceAFrame(() => {
    const room = this.#room;
    this.#join.hidden = !room || room.member;
    this.#leave.hidden = !room?.member;
    this.#members.hidden = !room?.member;
    this.#members.textContent = room?.private ? "Members and invitations" : "Members";
    this.#more.hidden = !room;
    this.#title.classList.toggle("nameless", !room);
    this.#description.textContent = room?.description ?? "";
    this.#title.replaceChildren(...(room ? [sign(room), h("bdi", {}, room.name)] : ["Harbour"]));
    this.#about.textContent = room ? `${room.description ? `${room.description} · ` : ""}${plural(room.members, "member", "members")}` : "";
    this.#drawPeople(room);
  });

  /** The last few who spoke, and how many are online; how many there are, where nobody is or it is not known yet. */
  #drawPeople(room) {
    const online = room ? this.#presence.online(room.slug) : 0;
    const lately = new Map();
    for (const { author } of room?.messages.slice(-60).reverse() ?? []) if (lately.size < FACES) lately.set(author.id, author);
    const faces = room ? `${[...lately.keys()]} ${room.members} ${online}` : "";
    if (faces === this.#faces) return;
    this.#faces = faces;
    this.#people.replaceChildren(...(room ? [h("span", { class: "faces", "aria-hidden": "true" }, ...[...lately.values()].map(picture)), online ? h("span", { class: "online", "data-testid": "online" }, String(online), h("span", { class: "online-word" }, " online")) : h("span", { class: "count" }, plural(room.members, "member", "members"))] : []));
  }
}
