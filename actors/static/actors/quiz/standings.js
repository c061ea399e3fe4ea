// Who stands where: a list that moves its rows to their new places. Of a crowd the first ones, and whoever looks.

import { arrange, h, plural } from "harbour/dom";
import { picture } from "harbour/people";

const ALL = 12; // players; of more than these ...
const FIRST = 10; // ... so many are shown, and one's own row with its neighbours

export const face = (player) => picture({ id: player.seat, name: player.name });

export class Standings {
  element = h("ol", { class: "standings", "data-testid": "standings" });
  #rows = new Map(); // seat → row

  show(players, you) {
    const before = new Map([...this.#rows].map(([seat, row]) => [seat, row.getBoundingClientRect().top]));
    const lines = [];
    const rows = new Map();
    let left = 0; // out since the last row
    const mine = players.findIndex((player) => player.seat === you.seat);
    for (const [index, player] of players.entries()) {
      if (players.length > ALL && index >= FIRST && Math.abs(index - mine) > 1) {
        left += 1;
        continue;
      }
      if (left) lines.push(leftOut(left));
      left = 0;
      rows.set(player.seat, this.#row(player, player.seat === you.seat));
      lines.push(rows.get(player.seat));
    }
    if (left) lines.push(leftOut(left));
    this.#rows = rows;
    arrange(this.element, lines);
    for (const [seat, row] of this.#rows) {
      const moved = before.get(seat) - row.getBoundingClientRect().top;
      if (moved) row.animate([{ transform: `translateY(${moved}px)` }, { transform: "none" }], { duration: still() ? 0 : 450, easing: "ease-out" });
    }
  }

  #row(player, isYou) {
    const row = this.#rows.get(player.seat) ?? h("li", { class: "standing" });
    row.classList.toggle("mine", isYou);
    row.classList.toggle("away", player.away);
    row.replaceChildren(
      h("span", { class: "place" }, h("span", { class: "visually-hidden" }, "Place "), `${player.place}`),
      face(player),
      h("span", { class: "who" }, h("bdi", {}, player.name), isYou && h("small", {}, "you"), player.away && h("small", {}, "away")),
      player.gain ? h("span", { class: "gain" }, `+${player.gain.toLocaleString("en")}`) : "",
      h("span", { class: "points" }, player.points.toLocaleString("en"), h("span", { class: "visually-hidden" }, " points")),
    );
    return row;
  }
}

const leftOut = (count) => h("li", { class: "left-out" }, `${plural(count, "more player", "more players")}`);

export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
