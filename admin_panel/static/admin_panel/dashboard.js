// The dashboard: numbers, charts and servers, from the pictures that come over ws/dashboard/ once a second.

import { Listener } from "./socket.js";
import { charts } from "./charts.js";
import { ago, bytes, element, number } from "./panel.js";
import { renew } from "./rows.js";

const KEPT = 300_000; // ms of points

const root = document.getElementById("dashboard");
const state = root.querySelector(".panel-state");
const trouble = document.getElementById("trouble");
const pause = document.getElementById("pause");

const ms = (value) => [number(value), "ms"];
const rate = (value) => [number(value), "/s"];
const trend = (value) => (value ? "is-bad" : "");
const silentOf = ({ servers }) => servers.filter((server) => server.stale).length;

/** How many servers report, and how many do not. */
function serving(picture) {
  const silent = silentOf(picture);
  return [number(picture.servers.length - silent), silent ? `and ${silent} silent` : ""];
}

// [title, what it says, its class]; `now` is the totals, `picture` all of it. Rows of four: who is there and what passes,
// how fast, what goes wrong, and what it takes. The grid has two, four or eight columns, so none stands alone.
const NUMBERS = [
  ["Clients", (now) => [number(now.connections)]],
  ["Opened · closed", (now) => [`${number(now.rates.opened)} · ${number(now.rates.closed)}`, "/s"]],
  ["Messages in", (now) => rate(now.rates.messages_in)],
  ["Deliveries out", (now) => rate(now.rates.messages_out)],
  ["Post, p50 · p99", (now) => [`${number(now.latency_p50)} · ${number(now.latency_p99)}`, "ms"]],
  ["Loop lag, p50 · p99", (now) => [`${number(now.lag_p50)} · ${number(now.lag_p99)}`, "ms"]],
  ["HTTP requests", (now) => rate(now.rates.requests)],
  ["Database", (now, { database }) => (database.ok ? ms(database.latency_ms) : ["away"]), (now, { database }) => (database.ok ? "" : "is-bad")],
  ["Errors", (now) => rate(now.rates.errors), (now) => trend(now.rates.errors)],
  ["Drops", (now) => rate(now.rates.drops), (now) => trend(now.rates.drops)],
  ["Rate limited", (now) => rate(now.rates.rate_limited), (now) => trend(now.rates.rate_limited)],
  ["Slow readers", (now) => rate(now.rates.slow_readers), (now) => trend(now.rates.slow_readers)],
  ["Servers", (now, picture) => serving(picture), (now, picture) => trend(silentOf(picture) || !picture.servers.length)],
  ["Channel layer", (now, { layer }) => [layer.ok ? "answers" : "away"], (now, { layer }) => (layer.ok ? "" : "is-bad")],
  ["CPU", (now) => [number(now.cpu), "%"]],
  ["Memory", (now) => bytes(now.memory).split(" ")],
];

const tiles = NUMBERS.map(([title]) => {
  const value = element("dd", {}, "–");
  const tile = element("div", { class: "panel-number" }, element("dt", {}, title), value);
  document.getElementById("numbers").append(tile);
  return { tile, value };
});

const drawn = charts(document.getElementById("charts"));
let points = [];
let latest = null;
let range = 300;
let isPaused = false;

/** A point of the history, or a picture's totals: the numbers at a moment, in ms since 1970. */
function pointOf(time, current, rates) {
  return { ...current, ...rates, time: Date.parse(time) };
}

function take(picture) {
  latest = picture;
  if (picture.history) points = picture.history.map((point) => pointOf(point.time, point, {}));
  const { totals, time } = picture;
  points.push(pointOf(time, totals, totals.rates));
  points = points.filter((point) => point.time > Date.parse(time) - KEPT);
  if (!isPaused) draw();
}

function draw() {
  if (!latest) return;
  const { totals, time } = latest;
  NUMBERS.forEach(([, say, kind], index) => {
    const [words, unit] = say(totals, latest);
    tiles[index].value.replaceChildren(words, ...(unit ? [" ", element("small", {}, unit)] : []));
    tiles[index].tile.className = `panel-number ${kind?.(totals, latest) ?? ""}`;
  });
  drawn.show(points, Date.parse(time), range * 1000);
  drawServers();
  const silent = silentOf(latest);
  trouble.textContent = !latest.database.ok
    ? "The database does not answer: this is what the servers said last."
    : !latest.servers.length
      ? "No server reports. This picture is empty until one does."
      : silent
        ? `${silent === 1 ? "One server has" : `${silent} servers have`} stopped reporting: what is shown of it is old, and the totals are without it.`
        : "";
}

const TAGS = { ok: ["is-good", "serves"], draining: ["is-warn", "drains"], stale: ["is-bad", "silent"] };

function rowOf(server, now) {
  const [kind, words] = TAGS[server.stale ? "stale" : server.draining ? "draining" : "ok"];
  const name = `${server.host || "–"}:${server.port ?? "–"} · ${server.pid}`;
  const link = root.dataset.servers ? element("a", { href: `${root.dataset.servers}${server.id}/change/` }, name) : name;
  const cells = [
    number(server.connections), number(server.rates.messages_in), number(server.rates.messages_out),
    `${number(server.latency_p99)} ms`, `${number(server.lag_p99)} ms`, `${number(server.cpu)} %`, bytes(server.memory), number(server.errors),
  ];
  return element(
    "tr", { "data-key": server.id },
    element("td", {}, link),
    element("td", {}, element("span", { class: `panel-tag ${kind}` }, server.stale ? `${words} for ${ago(now - Date.parse(server.seen_at))}` : words)),
    ...cells.map((cell) => element("td", { class: "is-number" }, cell)),
    element("td", {}, server.version),
    element("td", {}, ago(now - Date.parse(server.started_at))),
  );
}

function drawServers() {
  const home = document.getElementById("servers");
  renew(home, [...home.rows], latest.servers.map((server) => rowOf(server, Date.parse(latest.time))));
}

// how the connection stands --------------------------------------------------------------------------------------
const listener = new Listener(`${root.dataset.home}ws/dashboard/`);

const STATES = {
  connecting: () => "Connecting…",
  open: () => (isPaused ? "Paused. The numbers go on coming." : "Live"),
  stale: () => "Nothing has come for some seconds: this is old.",
  waiting: () => `Connection lost: this is old. Trying again in ${Math.max(1, Math.ceil((listener.retryAt - Date.now()) / 1000))} s…`,
  refused: () => "You may not see this any more.",
};

function sayState() {
  root.dataset.state = listener.state;
  const words = STATES[listener.state]();
  if (state.textContent !== words) state.textContent = words;
  if (listener.state === "refused") forget();
}

/** Who may not see it any more does not keep what was there. */
function forget() {
  latest = null;
  points = [];
  root.querySelector(".panel-head").replaceChildren(state);
  root.replaceChildren(root.querySelector(".panel-head"));
}

listener.addEventListener("message", ({ detail }) => take(detail));
listener.addEventListener("state", sayState);

pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  pause.textContent = isPaused ? "Go on" : "Pause";
  sayState();
  if (!isPaused) draw();
});

for (const button of root.querySelectorAll("[data-range]")) {
  button.addEventListener("click", () => {
    range = Number(button.dataset.range);
    for (const each of root.querySelectorAll("[data-range]")) each.setAttribute("aria-pressed", String(each === button));
    if (!isPaused) draw();
    else drawn.show(points, Date.parse(latest.time), range * 1000);
  });
}
sayState();
