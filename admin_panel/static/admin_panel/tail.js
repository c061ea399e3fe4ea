// The live frames of one client: asked for with a button, gone when the page is.

import { clock } from "./panel.js";

const MOST = 300; // frames shown
const WAYS = { in: ["↑", "from the client"], out: ["↓", "to the client"] };

const section = document.getElementById("tail");
const list = section.querySelector("ol");
const button = section.querySelector("button");
const state = section.querySelector(".panel-state");
let socket = null;

function say(words, kind = "") {
  state.textContent = words;
  section.dataset.state = kind;
  button.textContent = kind === "open" || kind === "connecting" ? "Stop" : "Watch";
}

function part(name, text, className) {
  const element = document.createElement(name);
  element.textContent = text;
  if (className) element.className = className;
  return element;
}

function row({ way, kind, size, text, at }) {
  const item = part("li", "", `is-${way}`);
  const [arrow, words] = WAYS[way];
  const sign = part("span", arrow, "panel-way");
  sign.title = words;
  item.append(part("time", clock(at)), sign, part("span", kind === "close" ? "close" : `${kind}, ${size} B`, "panel-kind"));
  item.append(part("code", text === "" ? "(empty)" : text));
  return item;
}

function add(...rows) {
  const readsAlong = list.scrollHeight - list.scrollTop - list.clientHeight < 24;
  list.append(...rows);
  while (list.childElementCount > MOST) list.firstElementChild.remove();
  if (readsAlong) list.scrollTop = list.scrollHeight;
}

function watch() {
  const url = new URL(`${section.dataset.home}ws/admin/tail/${section.dataset.socket}/`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  socket = new WebSocket(url);
  say("Connecting…", "connecting");
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(data);
    if (message.type === "watching") say("Watching", "open");
    if (message.type !== "frames") return;
    add(...message.frames.map(row));
    if (message.skipped) add(part("li", `${message.skipped} more were not shown: too many at once.`, "panel-skipped"));
  });
  socket.addEventListener("close", ({ code, reason }) => {
    socket = null;
    if (code === 4403) list.replaceChildren(); // who may not watch any more does not keep what was there
    const why = { 4403: "You may not watch.", 4404: "The client has left.", 1000: "Not watched" };
    say(why[code] ?? `Not watched: the connection was lost (${code}${reason ? `, ${reason}` : ""})`, "closed");
  });
}

button.addEventListener("click", () => (socket ? socket.close(1000) : watch()));
button.disabled = false; // from now on somebody listens
