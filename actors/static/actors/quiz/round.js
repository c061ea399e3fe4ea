// One question, from its being asked to its answer: the choices, the countdown, who has answered, and then what was right.

import { arrange, h, plural } from "harbour/dom";
import { Clock } from "harbour/quiz/clock";
import { icon } from "harbour/quiz/lobby";
import { Standings, face } from "harbour/quiz/standings";

const WARNING = 5; // seconds left, from which the countdown is in another colour
const FACES = 24; // players, of whom each has a face; of more the number is told

export class Round {
  #number;
  #view = null;
  #send;
  #announce;
  #sent = null; // the choice that was made and of which the server knows nothing yet
  #isNewSocket = false;
  #hasStandings = false;
  #hasWarned = false;

  #progress = h("p", { class: "progress" });
  #seconds = h("span", { class: "seconds", "aria-hidden": "true" });
  #ring = ring(this.#seconds);
  #next = h("span", { "aria-hidden": "true" });
  #clock = new Clock((seconds, part) => this.#count(seconds, part));
  #question = h("h1", { class: "question", tabindex: -1 });
  #choices = h("ol", { class: "answers" });
  #buttons = [];
  #verdict = h("p", { class: "verdict", "data-testid": "verdict" });
  #faces = h("ul", { class: "faces", "aria-label": "Who has answered" });
  #crowd = h("p", { class: "answered" });
  #standings = new Standings();
  #ranking = h("section", { class: "ranking", "aria-labelledby": "ranking", hidden: true }, h("h2", { id: "ranking" }, "Standings"), this.#standings.element);

  constructor({ send, announce }, view) {
    this.#number = view.round;
    this.#send = send;
    this.#announce = announce;
    this.#question.textContent = view.question.text;
    this.#buttons = view.question.choices.map((text, index) => {
      const button = h(
        "button",
        { class: "answer", type: "button", "aria-pressed": "false", "data-testid": "choice", onclick: () => this.choose(index) },
        h("span", { class: "bar" }),
        h("span", { class: "key", "aria-hidden": "true" }, `${index + 1}`),
        h("span", { class: "text" }, text),
        h("span", { class: "result" }),
      );
      return button;
    });
    this.#choices.append(...this.#buttons.map((button) => h("li", {}, button)));
    this.element = h(
      "div",
      { class: "round" },
      h("div", { class: "round-head" }, this.#progress, h("div", { class: "until" }, this.#next, this.#ring)),
      this.#question,
      this.#choices,
      h("div", { class: "round-foot" }, this.#verdict, this.#faces, this.#crowd),
      this.#ranking,
    );
  }

  isFor = (view) => ["question", "reveal"].includes(view.phase) && view.round === this.#number;

  show(view) {
    const wasRevealed = this.#view?.phase === "reveal";
    this.#view = view;
    const isOpen = view.phase === "question";
    if (!isOpen || view.you.answer !== null) this.#sent = null;
    else if (this.#sent !== null && this.#isNewSocket) this.#give();
    this.#isNewSocket = false;
    this.#progress.textContent = `Question ${view.round} of ${view.rounds}`;
    this.element.dataset.phase = view.phase;
    this.#clock.set(view.remaining, view.length);
    this.#paint();
    this.#next.textContent = isOpen ? "" : view.last ? "The podium" : "Next question";
    if (isOpen) return;
    this.#ranking.hidden = false;
    if (!this.#hasStandings) {
      // First as they stood before this question, so that one sees who overtakes whom.
      const before = view.players.map((player) => ({ ...player, points: player.points - player.gain }));
      before.sort((one, other) => other.points - one.points || one.seat - other.seat);
      this.#standings.show(before, view.you);
      this.#hasStandings = true;
    }
    this.#standings.show(view.players, view.you);
    if (!wasRevealed) this.#announce(`${this.#said()} ${this.#standing()}`);
  }

  /** The answer with this number, from 0: by a click or a key. */
  choose(index) {
    const view = this.#view;
    if (view?.phase !== "question" || this.#choice() !== null || this.#clock.isOver || !this.#buttons[index]) return;
    this.#sent = index;
    this.#give();
    this.#paint();
    this.#announce(`You chose ${view.question.choices[index]}.`);
  }

  #give() {
    this.#send({ type: "Answer", step: this.#view.step, choice: this.#sent });
  }

  /** What was sent on the former socket may be lost: the first view says whether it is. */
  reconnected() {
    this.#isNewSocket = true;
  }

  refuse() {
    this.#sent = null;
    this.#paint();
    return false; // the sentence is still to be shown
  }

  stop() {
    this.#clock.stop();
  }

  summary(view) {
    if (view.phase !== "question") return "";
    const choices = view.question.choices.map((text, index) => `${index + 1}: ${text}.`).join(" ");
    return `Question ${view.round} of ${view.rounds}, ${plural(Math.ceil(view.remaining / 1000), "second", "seconds")}. ${view.question.text} ${choices}`;
  }

  #choice() {
    return this.#view.you.answer ?? this.#sent;
  }

  #paint() {
    const { phase, right, counts, players, you } = this.#view;
    const mine = this.#choice();
    const isOpen = phase === "question" && mine === null && !this.#clock.isOver;
    const most = Math.max(1, ...(counts ?? []));
    this.#buttons.forEach((button, index) => {
      const isMine = index === mine;
      const isRight = phase === "reveal" && index === right;
      button.setAttribute("aria-pressed", isMine);
      button.setAttribute("aria-disabled", !isOpen);
      button.dataset.is = isRight ? "right" : phase === "reveal" && isMine ? "wrong" : isMine ? "mine" : isOpen ? "open" : "other";
      if (phase !== "reveal") return;
      button.querySelector(".bar").style.setProperty("--part", counts[index] / most);
      const said = [isRight && "Right answer", isMine && "yours", plural(counts[index], "answer", "answers")].filter(Boolean).join(", ");
      button.querySelector(".result").replaceChildren(
        h("span", { class: "visually-hidden" }, said),
        h("span", { class: "count", "aria-hidden": "true" }, `${counts[index]}`),
        isRight ? icon("check") : isMine ? icon("close") : "",
      );
    });
    this.#verdict.textContent = this.#said();
    this.#verdict.dataset.is = phase === "reveal" ? (mine === right ? "right" : "wrong") : "";
    const hasAnswered = (player) => player.answered || (player.seat === you.seat && mine !== null);
    const isCrowd = players.length > FACES;
    this.#faces.hidden = isCrowd || phase === "reveal";
    arrange(this.#faces, this.#faces.hidden ? [] : players.toSorted((one, other) => one.seat - other.seat).map((player) => this.#face(player, hasAnswered(player))));
    this.#crowd.hidden = !isCrowd || phase === "reveal";
    this.#crowd.textContent = this.#crowd.hidden ? "" : `${players.filter(hasAnswered).length} of ${players.length} have answered`;
  }

  #known = new Map(); // seat → element

  #face(player, answered) {
    const element = this.#known.get(player.seat) ?? h("li", { class: "face", title: player.name }, face(player), h("span", { class: "visually-hidden" }));
    element.classList.toggle("has-answered", answered);
    element.lastChild.textContent = `${player.name}${answered ? " has answered" : player.away ? " is away" : ""}`;
    element.hidden = player.away && !answered;
    this.#known.set(player.seat, element);
    return element;
  }

  #said() {
    const { phase, right, question, players, you } = this.#view;
    const mine = this.#choice();
    if (phase === "question") {
      if (mine === null) return this.#clock.isOver ? "Time is up." : "";
      if (this.#sent !== null || you.pending) return "Your answer is on its way.";
      const left = players.filter((player) => !player.answered && !player.away).length;
      return left ? `Answered. Waiting for ${left === 1 ? "one more player" : `${left} more players`}.` : "Answered.";
    }
    const gain = players.find((player) => player.seat === you.seat).gain;
    if (mine === right) return `Right! ${gain.toLocaleString("en")} points for you.`;
    return mine === null ? `No answer from you. It is ${question.choices[right]}.` : `Not this time. It is ${question.choices[right]}.`;
  }

  #standing() {
    const { players, you } = this.#view;
    const me = players.find((player) => player.seat === you.seat);
    return `You have ${plural(me.points, "point", "points")} and place ${me.place} of ${players.length}.`;
  }

  #count(seconds, part) {
    const isOpen = this.#view?.phase === "question";
    this.#seconds.textContent = seconds;
    this.#ring.style.setProperty("--left", Math.max(0, Math.min(1, part)));
    this.#ring.dataset.is = !isOpen ? "calm" : seconds <= WARNING ? "soon" : "";
    this.#ring.setAttribute("aria-label", isOpen ? `${plural(seconds, "second", "seconds")} left` : `${this.#view?.last ? "The podium" : "The next question"} in ${plural(seconds, "second", "seconds")}`);
    if (isOpen && seconds === WARNING && this.#view.length > 2_000 * WARNING && this.#choice() === null && !this.#hasWarned) {
      this.#hasWarned = true;
      this.#announce(`${WARNING} seconds left.`);
    }
    if (!seconds && this.#view) this.#paint();
  }
}

/** A circle that empties itself around the seconds. */
function ring(seconds) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 64 64");
  svg.setAttribute("aria-hidden", "true");
  for (const name of ["ring-ground", "ring-left"]) {
    const circle = document.createElementNS("http://www.w3.org/2000/svg", "circle");
    for (const [key, value] of Object.entries({ class: name, cx: 32, cy: 32, r: 28, pathLength: 100 })) circle.setAttribute(key, value);
    svg.append(circle);
  }
  return h("div", { class: "ring", role: "timer", "data-testid": "ring" }, svg, seconds);
}
