// Who is in the open room and who of them is online, and the links that lead into it. Asked for anew each time it is
// opened, and whenever somebody joins or leaves meanwhile; the dots follow what presence is told.

import { endInvitation, getMembers, invite, removeMember } from "harbour/api";
import { openDialog } from "harbour/dialogs";
import { byId, h, plural } from "harbour/dom";
import { picture } from "harbour/people";

const day = new Intl.DateTimeFormat("en", { day: "numeric", month: "long" });

export class Members {
  #dialog = byId("members");
  #list = byId("member-list");
  #links = byId("links");
  #made = byId("invite-made");
  #link = byId("invite-link");
  #notice = byId("members-notice");
  #room = null;
  #madeId = null;
  #presence;
  #count = 0;
  #heard = null; // what presence was told while the list was under way, which may be older

  constructor(presence) {
    this.#presence = presence;
    presence.addEventListener("change", ({ detail: frame }) => this.#moved(frame));
    byId("invite-make").addEventListener("click", () => this.#invite());
    byId("invite-copy").addEventListener("click", () => this.#copy());
    this.#link.addEventListener("focus", () => this.#link.select());
  }

  open(room) {
    this.#room = room;
    byId("members-title").textContent = `Members of ${room.name}`;
    byId("members-lead").textContent = "";
    this.#count = 0;
    byId("invite").hidden = !room.private;
    this.#made.hidden = true;
    this.#notice.textContent = "";
    this.#list.replaceChildren();
    this.#links.replaceChildren();
    byId("links-box").hidden = true;
    byId("links-box").open = false;
    openDialog("members");
    this.#load();
  }

  /** Somebody came or went. */
  changed(slug) {
    if (this.#dialog.open && this.#room.slug === slug) this.#load();
  }

  /** The room is no longer there to look at. */
  left(slug) {
    if (this.#room?.slug === slug) this.#dialog.close();
  }

  async #load() {
    const room = this.#room;
    const heard = (this.#heard = []);
    try {
      const { members, count, invitations } = await getMembers(room.slug);
      if (room !== this.#room || heard !== this.#heard) return; // another answer is on its way
      this.#heard = null;
      this.#count = count;
      this.#sum();
      const wasInside = this.#list.contains(document.activeElement) || this.#links.contains(document.activeElement);
      this.#list.replaceChildren(...members.map((member) => this.#member(member)));
      for (const frame of heard) this.#mark(frame);
      if (wasInside) this.#list.focus(); // the button that was pressed has gone
      this.#links.replaceChildren(...invitations.map((invitation) => this.#invitation(invitation)));
      byId("links-box").hidden = invitations.length === 0;
      byId("links-count").textContent = `${plural(invitations.length, "link is", "links are")} good now`;
      if (!invitations.some(({ id }) => id === this.#madeId)) this.#made.hidden = true;
    } catch {
      if (heard === this.#heard) this.#heard = null;
      this.#say("The members could not be loaded. Close this and try again in a moment.");
    }
  }

  /** A presence frame. One that does not name everybody is a reason to ask. */
  #moved(frame) {
    if (!this.#dialog.open || this.#room.slug !== frame.room) return;
    this.#sum();
    if (frame.more) this.#load();
    else if (this.#heard) this.#heard.push(frame);
    else this.#mark(frame);
  }

  #mark({ all, came, went }) {
    const marks = [...went.map(({ id }) => [id, false]), ...came.map(({ id }) => [id, true])];
    if (all) marks.unshift(...[...this.#list.children].map((row) => [row.dataset.person, false]));
    const online = new Map(marks.map(([id, is]) => [String(id), is]));
    for (const row of this.#list.children) {
      const is = online.get(row.dataset.person);
      if (is !== undefined && row.classList.contains("is-online") !== is) show(row, is);
    }
  }

  #sum() {
    const online = this.#presence.online(this.#room.slug);
    byId("members-lead").textContent = this.#count ? `${plural(this.#count, "person is", "people are")} in this room${online ? `, ${online} online` : ""}.` : "";
  }

  #member(person) {
    const remove = () => this.#do(() => removeMember(this.#room.slug, person.id));
    const row = h("li", { "data-testid": "member", "data-person": person.id }, h("span", { class: "seen" }, picture(person)),
      h("bdi", { class: "member-name" }, person.name), h("span", { class: "visually-hidden presence" }),
      person.made_it && h("span", { class: "made-it" }, "made this room"),
      person.removable && asking("Remove", `Remove ${person.name}`, "Yes, remove", remove));
    show(row, person.online);
    return row;
  }

  #invitation({ id, by, expires_at, endable }) {
    return h("li", {}, h("span", {}, "By ", h("bdi", {}, by), `, until ${day.format(new Date(expires_at))}`),
      endable && asking("End", `End the link by ${by}`, "Yes, end it", () => this.#do(() => endInvitation(this.#room.slug, id))));
  }

  #invite() {
    return this.#do(async () => {
      const { id, url } = await invite(this.#room.slug);
      this.#madeId = id;
      this.#link.value = url;
      this.#made.hidden = false;
      this.#link.focus();
    });
  }

  async #copy() {
    this.#link.select();
    try {
      await navigator.clipboard.writeText(this.#link.value);
      this.#say("The link is copied. It is shown only now.");
    } catch {
      this.#say("The link is selected: copy it with the keyboard or the menu.");
    }
  }

  async #do(work) {
    this.#say("");
    try {
      await work();
      await this.#load();
    } catch (error) {
      this.#say(error.detail || error.message);
    }
  }

  #say(sentence) {
    this.#notice.textContent = sentence;
  }
}

/** A dot for who sees it, a word for who hears it. */
function show(row, isOnline) {
  row.classList.toggle("is-online", isOnline);
  row.querySelector(".presence").textContent = isOnline ? "online" : "";
}

/** A button that wants to be pressed twice, because what it does cannot be undone here. */
function asking(label, name, sure, work) {
  const button = h("button", { class: "button quiet small", type: "button", "aria-label": name }, label);
  const calm = () => {
    button.textContent = label;
    button.setAttribute("aria-label", name);
    button.classList.remove("is-sure");
  };
  button.addEventListener("blur", calm);
  button.addEventListener("click", () => {
    if (button.classList.contains("is-sure")) return work();
    button.textContent = sure;
    button.setAttribute("aria-label", `${sure}: ${name}`);
    button.classList.add("is-sure");
  });
  return button;
}
