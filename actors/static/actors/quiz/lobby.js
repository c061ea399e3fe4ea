// Before the first question: the code to share, who is here, and the host's button.

import { arrange, h, plural } from "harbour/dom";
import { linkTo } from "harbour/quiz/seat";
import { face } from "harbour/quiz/standings";

const COPIED = 2_000; // ms for which the button says so

export class Lobby {
  isFor = (view) => view.phase === "lobby";

  #people = h("ul", { class: "people", "data-testid": "people" });
  #count = h("h2", {});
  #waiting = h("p", { class: "lead" });
  #begin;
  #guests = new Map(); // seat → element

  constructor({ order, announce }, view) {
    this.#begin = h("button", { class: "button primary large", type: "button", onclick: () => order({ type: "Begin" }) }, "Begin");
    const link = linkTo(view.code);
    const copy = h("button", { class: "button", type: "button" }, icon("link"), h("span", {}, "Copy the link"));
    const address = h("input", { class: "address", readonly: true, value: link, "aria-label": "Link to this game" });
    copy.addEventListener("click", async () => {
      const done = await copied(link, address);
      copy.lastChild.textContent = done ? "Copied" : "Now press Ctrl C";
      announce(copy.lastChild.textContent);
      setTimeout(() => (copy.lastChild.textContent = "Copy the link"), COPIED);
    });
    const letters = [...view.code].map((letter) => h("span", { "aria-hidden": "true" }, letter));
    this.element = h(
      "div",
      { class: "lobby" },
      h("h1", { tabindex: -1 }, "Waiting for the others"),
      h("p", { class: "lead" }, "Give them this code, or send them the link."),
      h("p", { class: "code" }, h("span", { class: "visually-hidden" }, `The code is ${[...view.code].join(" ")}`), ...letters),
      h("div", { class: "sharing" }, address, copy),
      h("section", { class: "here", "aria-labelledby": "here" }, this.#count, this.#people),
      h("div", { class: "beginning" }, this.#begin, this.#waiting),
    );
    this.#count.id = "here";
  }

  show(view) {
    const { players, you, rounds } = view;
    this.#count.textContent = here(players);
    const people = [...players].sort((one, other) => one.seat - other.seat).map((player) => {
      const element = this.#guests.get(player.seat) ?? h("li", { class: "guest" }, face(player), h("bdi", {}, player.name), h("small", {}));
      const roles = [player.seat === you.seat && "you", player.name === view.host && "host", player.away && "away"].filter(Boolean);
      element.classList.toggle("away", player.away);
      element.lastChild.textContent = roles.join(", ");
      element.lastChild.hidden = !roles.length;
      this.#guests.set(player.seat, element);
      return element;
    });
    arrange(this.#people, people);
    this.#begin.hidden = !you.host;
    const alone = players.every((player) => player.away || player.seat === you.seat);
    if (you.host) this.#waiting.textContent = alone ? "You can begin alone, or wait until somebody has come." : `${plural(rounds, "question", "questions")}. Begin when everybody is here.`;
    else this.#waiting.textContent = `${view.host} begins when everybody is here.`;
  }

  /** Who has come or gone since, for those who do not see the list. */
  news(before, { players }) {
    const others = (all, known) => all.filter(({ seat }) => known.every((each) => each.seat !== seat)).map(({ name }) => name);
    const came = others(players, before.players);
    const gone = others(before.players, players);
    const said = [came.length && `${listed(came)} ${came.length === 1 ? "has" : "have"} come.`, gone.length && `${listed(gone)} ${gone.length === 1 ? "has" : "have"} left.`].filter(Boolean);
    return said.length ? [...said, `${here(players)}.`].join(" ") : "";
  }

  summary(view) {
    return `You are in game ${[...view.code].join(" ")}. ${here(view.players)}.`;
  }
}

const here = (players) => plural(players.filter((player) => !player.away).length, "player is here", "players are here");
const listed = (names) => new Intl.ListFormat("en").format(names);

async function copied(text, field) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    field.focus(); // not allowed, or not a secure address: the reader copies it
    field.select();
    return false;
  }
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}
