// Puts the parts together: who listens to whom, and which room is open. No other module knows this many of the others.

import { getRooms, joinRoom, leaveRoom } from "harbour/api";
import { announce } from "harbour/announcement";
import { Banner } from "harbour/banner";
import { Changes } from "harbour/changes";
import { Composer } from "harbour/composer";
import { Connection } from "harbour/connection";
import { openDialog, setUpDialogs } from "harbour/dialogs";
import { byId, h, onceAFrame } from "harbour/dom";
import { closeDrawer, openDrawer, showUnread } from "harbour/drawer";
import { Finder } from "harbour/finder";
import { Header } from "harbour/header";
import { History } from "harbour/history";
import { Members } from "harbour/members";
import { Outbox } from "harbour/outbox";
import { picture } from "harbour/people";
import { Presence } from "harbour/presence";
import { Reading } from "harbour/reading";
import { Rooms } from "harbour/rooms";
import { Sidebar } from "harbour/sidebar";
import { written } from "harbour/sign";
import { Subscriptions } from "harbour/subscriptions";
import { Timeline } from "harbour/timeline";
import { Tools } from "harbour/tools";
import { Typing } from "harbour/typing";
import { homeUrl, roomUrl, slugOf, socketUrl } from "harbour/urls";
import { followKeyboard } from "harbour/viewport";

const boot = JSON.parse(byId("boot").textContent);
const { me } = boot;

const rooms = new Rooms(me, boot.rooms);
const connection = new Connection(socketUrl(me));
const subscriptions = new Subscriptions(connection, rooms);
const outbox = new Outbox(connection, me, rooms);
const changes = new Changes(connection, me);
const history = new History(rooms);
const typing = new Typing(connection, me);
const reading = new Reading(connection, rooms);
const presence = new Presence();

const composer = new Composer(me);
const timeline = new Timeline(byId("timeline"), {
  rooms, outbox, changes, history, onWrite: () => composer.focus(),
  onReact: (message, emoji) => toggle(message, emoji),
  onEdit: (message) => composer.edit(message, changes.shown(message).text),
});
const members = new Members(presence);
const header = new Header(rooms, presence, { onJoin: (slug) => join(slug), onLeave: (slug) => leave(slug), onMembers: (room) => members.open(room) });
const sidebar = new Sidebar(rooms, { onJoin: (slug) => join(slug) });
new Finder(rooms, { onChoose: (slug) => go(slug) });
new Banner(byId("banner"), connection);

let open = null; // the slug in the address, whether there is such a room or not
let typed = 0; // how often something was typed

// Which room ------------------------------------------------------------------------------------------------------

/** Shows what the address says, without asking the server for a page. */
function show(slug) {
  open = slug;
  const room = rooms.get(slug);
  byId("timeline").hidden = !room;
  byId("below").hidden = !room;
  follow();
  if (timeline.room && timeline.room !== room) rooms.trim(timeline.room);
  if (room) {
    room.line = room.unread ? room.read : null;
    composer.open(room);
  }
  timeline.show(room);
  header.show(room);
  sidebar.show(slug);
  if (room && room.pages !== "ready") history.newest(room);
  drawAround();
  if (room && matchMedia("(hover: hover)").matches) composer.focus(); // on a phone it would raise the keyboard
}

function go(slug) {
  const url = slug ? roomUrl(slug) : homeUrl;
  if (url !== location.pathname) window.history.pushState(null, "", url);
  closeDrawer();
  if (slug !== open) show(slug);
  else composer.focus();
}

function follow() {
  const joined = rooms.joined.map((room) => room.slug);
  subscriptions.follow(rooms.get(open) ? [open, ...joined] : joined);
}

addEventListener("popstate", () => {
  const slug = slugOf(location.pathname);
  if (slug !== open) show(slug); // or it was a jump within the page
});
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-route]");
  if (!link || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  event.preventDefault();
  go(slugOf(link.pathname));
});

const join = (slug) => change(joinRoom, slug, slug);
const leave = (slug) => change(leaveRoom, slug, null);

/** Joins or leaves, and goes where one then is: but moves nobody who has gone elsewhere meanwhile, or has begun to write. */
async function change(action, slug, destination) {
  const [from, before] = [open, typed];
  try {
    await action(slug);
  } catch {
    return notice("That did not work, and nothing was changed. Try again in a moment.");
  }
  await refresh().catch(() => membersChanged(me));
  if (open === from && typed === before) go(destination);
}

let noticed = 0;

function notice(sentence) {
  clearTimeout(noticed);
  byId("notice").textContent = sentence;
  noticed = setTimeout(() => (byId("notice").textContent = ""), 6_000); // ms, to read one sentence twice
}

const STALE = 60_000; // ms after which the list of rooms is asked for again when the page is looked at
let refreshed = Date.now();

async function refresh() {
  const answer = await getRooms();
  if (answer.me !== me.id) return location.reload(); // the browser has changed hands: this page is somebody else's
  rooms.update(answer.rooms);
  refreshed = Date.now();
}

// Rooms that others open, or that one joins elsewhere, are announced to nobody who is not in them.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && Date.now() - refreshed > STALE) membersChanged(me);
});

// What comes in ---------------------------------------------------------------------------------------------------

const ANSWERS = {
  subscribed: (message) => subscriptions.subscribed(message),
  ack: (message) => outbox.acknowledged(message) || changes.acknowledged(message),
  error: (message) => subscriptions.refused(message) || changes.refused(message) || outbox.refused(message),
  typing: (message) => typing.heard(message),
  presence: (message) => presence.heard(message),
  announcement: ({ text }) => announce(text),
  read: (message) => message.user === me.id && rooms.get(message.room) && rooms.markRead(rooms.get(message.room), message.offset),
};

// What else a durable event means, once it has been applied.
const CONSEQUENCES = {
  "message.created"({ room, message }) {
    typing.stopped(room, message.author.id);
    if (message.author.id === me.id) outbox.confirmed(message.client_id);
  },
  "message.deleted"({ message }) {
    if (composer.editing?.id !== message.id) return;
    composer.cancel();
    notice("The message you were editing has been deleted.");
  },
  "member.added"({ room, user }) {
    membersChanged(user);
    members.changed(room);
  },
  "member.removed"({ room, user }) {
    membersChanged(user);
    if (user.id === me.id) members.left(room);
    else members.changed(room);
    if (user.id === me.id) subscriptions.resume(room); // it ended with the membership; who still looks may still read
  },
};

connection.addEventListener("message", ({ detail: message }) => {
  if (typeof message.offset !== "number" || message.type in ANSWERS) return ANSWERS[message.type]?.(message);
  const outcome = rooms.apply(message);
  if (outcome === "gap") subscriptions.resume(message.room);
  if (outcome === "applied") CONSEQUENCES[message.type]?.(message);
});

let refreshing = null;

/**
 * Numbers of members may be late, and every open page hears of the same change: so not all of them ask at once. That
 * we are in or out ourselves may not be late. What is due soon is never put off.
 */
function membersChanged(user) {
  const wait = user?.id === me.id ? 0 : 5_000 + Math.random() * 25_000;
  const due = Date.now() + wait;
  if (refreshing && refreshing.due <= due) return;
  clearTimeout(refreshing?.timer);
  const timer = setTimeout(() => {
    refreshing = null;
    refresh().catch(() => {});
  }, wait);
  refreshing = { timer, due };
}

subscriptions.addEventListener("lost", ({ detail: room }) => {
  if (room.slug === open) history.newest(room); // another one asks when it is opened
  reading.forget(room.slug);
  membersChanged(me); // what is unread has to be counted anew
});

connection.addEventListener("open", () => {
  const room = rooms.get(open);
  if (room && (room.pages === "failed" || history.olderFailed(room))) history.retry(room);
});
// If the session has ended, the question leads to the log-in by itself; if it is somebody else's, to their page.
connection.addEventListener("refused", () => refresh().catch(() => {}));
connection.question = () => subscriptions.question(rooms.get(open) ? open : undefined);

// Changing what has been said ------------------------------------------------------------------------------------

const mine = (message) => message.author.id === me.id;
const stored = (id) => rooms.get(open)?.messages.find((message) => String(message.id) === String(id)) ?? null;

new Tools(byId("timeline"), {
  find(row) {
    const message = row.dataset.message && stored(row.dataset.message);
    return message && !message.deleted ? changes.shown(message) : null;
  },
  mayEdit: mine,
  mayDelete: (message) => mine(message) || me.may_delete,
  onReact: (message, emoji) => toggle(message, emoji),
  onEdit: (message) => composer.edit(message),
  onDelete: (message) => askToDelete(message),
});

function toggle(message, emoji) {
  const before = stored(message.id);
  if (!before) return;
  const isOn = changes.shown(before).reactions?.some((reaction) => reaction.emoji === emoji && reaction.mine);
  changes.react(open, before, emoji, !isOn);
}

let doomed = null; // the message that the dialog asks about

function askToDelete(message) {
  doomed = { room: open, message };
  byId("delete-message-text").textContent = message.text;
  openDialog("delete-message");
}

byId("delete-message-yes").addEventListener("click", () => {
  byId("delete-message").close();
  changes.delete(doomed.room, doomed.message);
  composer.focus();
});

composer.addEventListener("edited", ({ detail: { message, text } }) => {
  const before = stored(message.id);
  if (!before || before.deleted) return notice("That message has been deleted meanwhile.");
  if (!text) askToDelete(before);
  else if (text !== changes.shown(before).text) changes.edit(open, before, text);
});
composer.addEventListener("editlast", () => {
  const last = rooms.get(open)?.messages.findLast((message) => mine(message) && !message.deleted);
  if (!last) return;
  timeline.toEnd();
  composer.edit(changes.shown(last));
});
composer.addEventListener("editing", () => timeline.markEdited(composer.editing?.id ?? null));
changes.addEventListener("change", ({ detail: slug }) => {
  if (rooms.get(slug)) changes.settle(rooms.get(slug));
  if (slug === open) timeline.draw();
});
changes.addEventListener("refused", ({ detail: sentence }) => notice(sentence));

// What is seen ----------------------------------------------------------------------------------------------------

const isSeen = (room) => room.slug === open && room.pages === "ready" && !document.hidden && timeline.atEnd;
rooms.isBeingRead = isSeen;
rooms.isReadAbove = (room) => room.slug === open && !timeline.atEnd;

function look() {
  const room = rooms.get(open);
  if (room && isSeen(room)) reading.seen(room);
  drawPills();
}

function drawPills() {
  const room = rooms.get(open);
  const away = room?.pages === "ready" && !timeline.atEnd;
  const pill = byId("new-pill");
  pill.hidden = !(away && room.unread > 0);
  if (!pill.hidden) pill.textContent = `${room.unread} new`;
  byId("latest").hidden = !(away && pill.hidden && timeline.farFromEnd);
}

const drawAround = onceAFrame(() => {
  const room = rooms.get(open);
  const unread = rooms.unread;
  document.title = `${unread ? `(${unread}) ` : ""}${room ? `${written(room)} · ` : ""}Harbour`;
  showUnread(unread - (room?.member ? room.unread : 0));
  byId("typing").textContent = room ? typing.sentence(room.slug) : "";
  drawNowhere(room);
  look();
});

/** In place of a room: what to do next. */
function drawNowhere(room) {
  const nowhere = byId("nowhere");
  const kind = room ? "" : open ? "gone" : rooms.joined.length ? "choose" : "first";
  nowhere.hidden = !kind;
  if (nowhere.dataset.kind === kind) return;
  nowhere.dataset.kind = kind;
  const choose = h("button", { class: "button primary for-narrow", type: "button", onclick: openDrawer }, "Show the rooms");
  const find = h("button", { class: "button", type: "button", onclick: () => openDialog("finder").dispatchEvent(new Event("opened")) }, "Find a room");
  const create = h("button", { class: "button", type: "button", onclick: () => openDialog("new-room") }, "Open a new room");
  const say = (title, sentence, ...buttons) => [document.querySelector(".brand .mark").cloneNode(true), h("h2", {}, title), h("p", {}, sentence), h("div", { class: "buttons" }, ...buttons)];
  const states = {
    choose: () => say(`Good to see you, ${me.name}`, "Choose a room to see what has been said.", choose, find),
    first: () => say(`Welcome, ${me.name}`, "You are in no room yet: join one, or open your own.", choose, find, create),
    gone: () => say("There is no such room", "It may have been closed, or is not open to you. Your other rooms are as you left them.", choose, find),
  };
  nowhere.replaceChildren(...(states[kind]?.() ?? []));
}

rooms.addEventListener("change", ({ detail: slug }) => {
  follow();
  if (rooms.get(slug)) changes.settle(rooms.get(slug));
  if (slug === open || slug === null) {
    const room = rooms.get(open);
    if (room !== timeline.room) show(open);
    timeline.draw();
  }
  drawAround();
});
rooms.addEventListener("uncertain", () => membersChanged());
rooms.addEventListener("page", ({ detail: room }) => {
  for (const { author, client_id } of room.messages) if (author.id === me.id) outbox.confirmed(client_id);
  outbox.settle(room);
});
outbox.addEventListener("change", ({ detail: slug }) => slug === open && timeline.draw());
connection.addEventListener("state", () => timeline.draw());
typing.addEventListener("change", drawAround);
timeline.addEventListener("move", look);
document.addEventListener("visibilitychange", look);

composer.addEventListener("typed", () => {
  typed += 1;
  typing.typed(open);
});
composer.addEventListener("send", ({ detail: text }) => {
  const room = rooms.get(open);
  room.line = null; // who answers has caught up
  outbox.add(open, text);
  typing.sent(open);
  timeline.toEnd();
});
byId("new-pill").addEventListener("click", () => leavePill());
byId("latest").addEventListener("click", () => leavePill());

/** To the end; the pill goes, so focus moves to where one would go on. */
function leavePill() {
  timeline.toEnd();
  composer.focus();
}

// -----------------------------------------------------------------------------------------------------------------

byId("me-picture").append(picture(me));
setUpDialogs();
followKeyboard();
show(boot.room ?? slugOf(location.pathname));
connection.start();
