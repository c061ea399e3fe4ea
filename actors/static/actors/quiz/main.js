// Puts the parts together: what the server says the game is at stands on the stage. The server decides everything; the
// page only shows it, and keeps what was pressed until it has arrived.

import { Banner } from "harbour/banner";
import { Connection } from "harbour/connection";
import { byId, h } from "harbour/dom";
import { Entrance } from "harbour/quiz/entrance";
import { Lobby } from "harbour/quiz/lobby";
import { Podium } from "harbour/quiz/podium";
import { Round } from "harbour/quiz/round";
import { invitation, keep, linkTo, subprotocols } from "harbour/quiz/seat";

const SCREENS = { lobby: Lobby, question: Round, reveal: Round, podium: Podium };
const ELSEWHERE = 4409; // close code
const TOLD = 6_000; // ms for which a refusal stands

const stage = byId("stage");
const tools = byId("tools");
const socket = `${location.origin.replace(/^http/, "ws")}${stage.dataset.socket}`;
const connection = new Connection(socket, subprotocols);
connection.question = () => ({ type: "Ping" });

let screen = null;
let view = null; // the newest of the game one is in
let note = ""; // why one is in no game
const awaited = new Set(); // types of the orders whose answer has not come: another screen, or an error

new Banner(byId("banner"), connection, {
  kept: "Your seat and your points are kept.",
  first: "The tables are being set.",
  stopped: (code) =>
    code === ELSEWHERE
      ? ["You went on with this game in another window.", "Play here"]
      : ["This connection was closed by somebody who looks after this place.", "Connect again"],
});

// What the server says ---------------------------------------------------------------------------------------------

const heard = {
  session({ token, resumed }) {
    const hadOne = keep(token);
    note = hadOne && !resumed && invitation() ? "Your seat was given up, because nobody sat there for long." : "";
  },
  welcome(message) {
    view = null;
    if (message.note) address("");
    put({ ...message, note: message.note || note }, Entrance);
    note = "";
  },
  game(message) {
    const before = view?.code === message.code ? view : null;
    if (before && before.version > message.version) return;
    view = message;
    address(message.code);
    put(message, SCREENS[message.phase], before);
  },
  error(message) {
    awaited.clear();
    if (!screen?.refuse?.(message)) say(message.detail);
  },
};

connection.addEventListener("open", () => {
  awaited.clear(); // an order may be lost together with its socket
  screen?.reconnected?.();
});
connection.addEventListener("message", ({ detail }) => heard[detail.type]?.(detail));

/** Shows a message on the screen that it is for: the one that stands there, or a new one. `before`: the former view. */
function put(message, Screen, before = null) {
  const isNew = !screen?.isFor(message);
  if (isNew) {
    const hadFocus = stage.contains(document.activeElement);
    screen?.stop?.();
    awaited.clear();
    screen = new Screen({ send, order, announce }, message);
    stage.replaceChildren(screen.element);
    scrollTo(0, 0);
    if (screen.start && !view) screen.start();
    else if (hadFocus) screen.element.querySelector("[tabindex='-1']").focus({ preventScroll: true });
  }
  tools.hidden = !view;
  byId("code").textContent = view?.code ?? "";
  document.title = view ? `${titles[view.phase](view)} · Quiz · Harbour` : "Quiz · Harbour";
  screen.show(message);
  const isHostNow = before && message.you.host && !before.you.host;
  announce([isNew ? screen.summary?.(message) : before && screen.news?.(before, message), isHostNow && "You are the host now."].filter(Boolean).join(" "));
}

const titles = {
  lobby: ({ code }) => `Game ${code}`,
  question: ({ round, rounds }) => `Question ${round} of ${rounds}`,
  reveal: ({ round, rounds }) => `Question ${round} of ${rounds}`,
  podium: () => "The podium",
};

/** Puts a game's code into the page's address, if it is not there: Safari throws beyond 100 changes in ten seconds. */
function address(code) {
  const link = linkTo(code);
  if (link !== location.href) history.replaceState(null, "", link);
}

function send(message) {
  return connection.send(message, { answered: true });
}

/** Sends what is not kept until it can be sent, and says so where it cannot. A double click orders once. */
function order(message) {
  if (awaited.has(message.type)) return false;
  const isSent = send(message);
  if (isSent) awaited.add(message.type);
  else say("There is no connection just now. Try again in a moment.");
  return isSent;
}

/** For those who do not see the stage. */
function announce(text) {
  if (text) byId("announcer").textContent = text;
}

let telling = 0;

/** A refusal that has no place of its own, for a while. */
function say(text) {
  document.querySelector(".toast")?.remove();
  clearTimeout(telling);
  const toast = h("p", { class: "toast", role: "alert" }, text);
  document.body.append(toast);
  telling = setTimeout(() => toast.remove(), TOLD);
}

// What the reader does ---------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, dialog")) return;
  if (/^[1-9]$/.test(event.key)) screen?.choose?.(Number(event.key) - 1);
});

byId("leave").addEventListener("click", () => {
  if (view.phase === "question" || view.phase === "reveal") byId("leaving").showModal();
  else leave();
});
byId("leaving").addEventListener("close", ({ target }) => target.returnValue === "leave" && leave());

function leave() {
  if (order({ type: "Leave" })) address("");
}

connection.start();
