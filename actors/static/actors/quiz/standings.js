// Who stands where: a list that moves its rows to their new places.

import { arrange, h } from "harbour/dom";
import { picture } from "harbour/people";

export const face = (player) => picture({ id: player.seat, name: player.name });

export class Standings {
  element = h("ol", { class: "standings", "data-testid": "standings" });
  #rows = new Map(); // seat → row

  show(players, you) {
    const before = new Map([...this.#rows].map(([seat, row]) => [seat, row.getBoundingClientRect().top]));
    const rows = players.map((player) => this.#row(player, player.seat === you.seat));
    this.#rows = new Map(players.map((player, index) => [player.seat, rows[index]]));
    arrange(this.element, rows);
    for (const [seat, row] of this.#rows) {
      const moved = before.get(seat) - row.getBoundingClientRect().top;
      if (moved) row.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], { duration: still() ? 0 : 450, easing: "ease-out" });
    }
  }

  #row(player, isYou) {
    const row = this.#rows.get(player.seat) ?? h("li", { class: "standing" });
    row.classList.toggle("mine", isYou);
    row.replaceChildren(
      h("span", { class: "place" }, h("span", { class: "visually-hidden" }, "Place "), `${player.place}`),
      face(player),
      h("span", { class: "who" }, h("bdi", {}, player.name), isYou && h("small", {}, "you")),
      player.gain ? h("span", { class: "gain" }, `+${player.gain.toLocaleString("en")}`) : "",
      h("span", { class: "points" }, player.points.toLocaleString("en"), h("span", { class: "visually-hidden" }, " points")),
    );
    return row;
  }
}

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
