// The rooms at the side: one's own with what is unread, and below them the others with a way in. Rows are kept and
// changed in place, so that focus stays where it is.

import { arrange, byId, h, onceAFrame } from "harbour/dom";
import { sign } from "harbour/sign";
import { roomUrl } from "harbour/urls";

export class Sidebar {
  #element = byId("room-lists");
  #rooms;
  #onJoin;
  #current = null;
  #rows = new Map();

  constructor(rooms, { onJoin }) {
    this.#rooms = rooms;
    this.#onJoin = onJoin;
    this.#section = {
      joined: section("Rooms", "joined"),
      others: section("More rooms", "others"),
      none: h("p", { class: "sidebar-empty" }, "You are in no room yet. Join one, or open your own with the plus above."),
    };
    rooms.addEventListener("change", () => this.draw());
    this.draw();
  }

  #section;

  show(slug) {
    this.#current = slug;
    this.draw();
  }

  draw = onceAFrame(() => {
    const { joined, others, none } = this.#section;
    arrange(joined.list, this.#rooms.joined.map((room) => this.#row(room)));
    arrange(others.list, this.#rooms.others.map((room) => this.#row(room)));
    arrange(this.#element, [...(this.#rooms.joined.length ? joined.nodes : [none]), ...(this.#rooms.others.length ? others.nodes : [])]);
    for (const slug of this.#rows.keys()) if (!this.#rooms.get(slug)) this.#rows.delete(slug);
  });

  #row(room) {
    let row = this.#rows.get(room.slug);
    if (!row) {
      row = makeRow(room, () => this.#onJoin(room.slug));
      this.#rows.set(room.slug, row);
    }
    const current = room.slug === this.#current;
    const unread = room.member ? room.unread : 0;
    if (row.name.textContent !== room.name) row.name.textContent = room.name;
    row.link.title = room.description;
    row.link.classList.toggle("has-unread", unread > 0);
    if (current) row.link.setAttribute("aria-current", "page");
    else row.link.removeAttribute("aria-current");
    row.unread.hidden = unread === 0;
    row.count.textContent = unread > 999 ? "999+" : String(unread);
    row.join.hidden = room.member;
    row.join.setAttribute("aria-label", `Join ${room.name}`);
    return row.item;
  }
}

function section(title, id) {
  const list = h("ul", { "aria-labelledby": id });
  return { list, nodes: [h("h2", { id }, title), list] };
}

function makeRow(room, onJoin) {
  const name = h("bdi", { class: "room-name" });
  const count = h("span", {});
  const unread = h("span", { class: "unread", "data-testid": "unread", hidden: true }, count, h("span", { class: "visually-hidden" }, " unread"));
  const link = h("a", { href: roomUrl(room.slug), "data-route": true, "data-testid": "room-link", "data-slug": room.slug }, sign(room), name, unread);
  const join = h("button", { class: "join", type: "button", onclick: onJoin, hidden: true }, "Join");
  return { item: h("li", {}, link, join), link, name, unread, count, join };
}
