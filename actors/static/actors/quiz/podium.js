// The end: the first three on their steps beneath the bunting, and everybody in the list.

import { h, plural } from "harbour/dom";
import { Standings, face } from "harbour/quiz/standings";

const STEPS = [2, 1, 3]; // from the left
const FLAGS = 11;

export class Podium {
  isFor = (view) => view.phase === "podium";

  #again;
  #waiting = h("p", { class: "lead" });
  #heading = h("h1", { tabindex: -1 });
  #steps = h("ol", { class: "steps", "aria-hidden": "true" }); // the list says the same in words
  #standings = new Standings();

  constructor({ order }) {
    this.#again = h("button", { class: "button primary large", type: "button", onclick: () => order({ type: "Again" }) }, "Play again");
    const flags = Array.from({ length: FLAGS }, (_, index) => {
      const flag = h("span", { class: `flag tint-${(index * 5) % 12}` });
      flag.style.setProperty("--sag", Math.sqrt(1 - (index / (FLAGS - 1) - 0.5) ** 2 * 3.8)); // as the line hangs
      return flag;
    });
    const bunting = h("div", { class: "bunting", "aria-hidden": "true" }, ...flags);
    this.element = h("div", { class: "end" }, bunting, this.#heading, this.#steps, this.#standings.element, h("div", { class: "beginning" }, this.#again, this.#waiting));
  }

  show(view) {
    const { players, you } = view;
    this.#heading.textContent = headline(view);
    const three = players.slice(0, 3);
    this.#steps.replaceChildren(
      ...STEPS.filter((step) => three[step - 1]).map((step) => {
        const player = three[step - 1];
        return h(
          "li",
          { class: `step step-${player.place}` },
          face(player),
          h("bdi", {}, player.name),
          h("span", { class: "pedestal" }, h("b", {}, `${player.place}`), h("span", {}, player.points.toLocaleString("en"))),
        );
      }),
    );
    this.#standings.element.classList.toggle("visually-hidden", players.length <= three.length); // the steps say it all
    this.#standings.show(players.map((player) => ({ ...player, gain: 0 })), you);
    this.#again.hidden = !you.host;
    this.#waiting.textContent = you.host ? "The same players, other questions." : `${view.host} decides whether you play again.`;
  }

  summary(view) {
    const me = view.players.find((player) => player.seat === view.you.seat);
    return `The game is over. ${headline(view)} You have ${plural(me.points, "point", "points")} and place ${me.place} of ${view.players.length}.`;
  }
}

function headline({ players, you }) {
  const winners = players.filter((player) => player.place === 1);
  if (!winners[0].points) return "Nobody knew anything. Once more?";
  if (winners.length > 1) return `${winners.length} of you share the first place!`;
  return winners[0].seat === you.seat ? "You have won!" : `${winners[0].name} has won!`;
}
