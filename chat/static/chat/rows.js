// What a single row of the timeline looks like. Rows are made once and filled again only when what they show has
// changed; a post that waits and the message it becomes are the same row.

import { fullOf, shortTimeOf, timeOf } from "harbour/dates";
import { h } from "harbour/dom";
import { picture } from "harbour/people";
import { written } from "harbour/sign";

/**
 * THE one place where markup becomes elements. `html` is written by the server alone (chat/text.py renders and
 * sanitises it); nothing a person typed may come here by another way. A parsed document runs no scripts and loads
 * nothing while it is taken apart, and the page's content policy stands behind it.
 */
function rendered(html) {
  const { body } = new DOMParser().parseFromString(html, "text/html");
  return [...body.childNodes];
}

export const messageRow = () => h("li", { class: "message", "data-testid": "message", tabindex: -1 });

/**
 * `entry`: { message, first, state: pending | sent | failed, note, actions }; `first` of its group carries name and
 * picture; `actions`: [label, what to do] for the buttons after the note. The tools, where they stand here, stay.
 */
export function fill(row, { message, first, state, note, actions = [] }, { onReact }) {
  const restoreFocus = focusWithin(row);
  const moment = new Date(message.created_at);
  const time = (text, extra = {}) => h("time", { datetime: message.created_at, title: fullOf(moment), ...extra }, text);
  row.classList.toggle("first", first);
  row.dataset.state = state;
  row.dataset.offset = message.offset ?? "";
  row.dataset.clientId = message.client_id;
  row.dataset.message = message.id ?? "";
  row.classList.toggle("is-deleted", Boolean(message.deleted));
  row.classList.toggle("is-changing", Boolean(message.changing));
  const said = saidOf(message);
  const tools = message.deleted ? null : row.querySelector(".tools");
  row.replaceChildren(
    first ? picture(message.author) : time(shortTimeOf(moment), { class: "aside", "aria-hidden": "true" }),
    h("div", { class: "body" },
      h("div", { class: first ? "byline" : "visually-hidden" },
        h("bdi", { class: "name" }, message.author.name), " ", time(timeOf(moment)), first ? null : ": "),
      said,
      reactionsOf(message, onReact),
      note && h("p", { class: "note" }, note, " ", ...actions.map(([label, act]) => h("button", { type: "button", onclick: act }, label))),
    ),
    ...(tools ? [tools] : []),
  );
  restoreFocus();
}

function saidOf(message) {
  if (message.deleted) return h("div", { class: "said gone" }, "Message deleted");
  const said = message.html === undefined ? h("div", { class: "said typed" }, message.text) : h("div", { class: "said" }, ...rendered(message.html));
  if (message.edited_at) {
    const when = message.edited_at === true ? null : `Edited ${fullOf(new Date(message.edited_at))}`;
    const place = said.lastElementChild?.tagName === "P" ? said.lastElementChild : said;
    place.append(" ", h("span", { class: "edited", title: when }, "(edited)"));
  }
  return said;
}

function reactionsOf(message, onReact) {
  if (!message.reactions?.length) return null;
  return h("div", { class: "reactions", role: "group", "aria-label": "Reactions" },
    ...message.reactions.map(({ emoji, count, mine }) =>
      h("button", { type: "button", class: mine ? "reaction mine" : "reaction", "data-testid": "reaction", "data-emoji": emoji, "aria-pressed": String(Boolean(mine)), onclick: () => onReact(message, emoji) },
        h("span", { class: "emoji" }, emoji), " ", h("span", { class: "count" }, String(count)))));
}

/** Where the focus is within a row; what it returns puts it back there once the row has been filled again. */
function focusWithin(row) {
  const focused = document.activeElement;
  if (focused === row || !row.contains(focused)) return () => {};
  const reaction = focused.closest(".reaction")?.dataset.emoji;
  return () => {
    const again = focused.isConnected ? focused : [...row.querySelectorAll(".reaction")].find((button) => button.dataset.emoji === reaction);
    (again ?? row).focus({ preventScroll: true });
  };
}

export const dayRow = () => h("li", { class: "day" });
export const lineRow = () => h("li", { class: "new-line" }, h("span", {}, "New since you left"));

/** Stands where messages will be. The widths are fixed, so that nothing flickers between two looks. */
export function skeletonRow(groups) {
  const group = (lines) =>
    h("div", { class: "skeleton-group" }, h("span", { class: "skeleton-picture" }),
      h("div", {}, ...lines.map((width) => h("span", { class: `skeleton-line w${width}` }))));
  return h("li", { class: "skeleton", "aria-label": "Loading messages" }, ...groups.map(group));
}

export const failedRow = (sentence, onRetry) =>
  h("li", { class: "failed" }, h("p", {}, sentence), h("button", { class: "button small", type: "button", onclick: onRetry }, "Try again"));

export const beginningRow = (room) =>
  h("li", { class: "beginning" },
    h("h3", {}, "This is where ", h("bdi", {}, written(room)), " begins"),
    h("p", {}, room.description || "Nobody has said yet what it is about."));

export const emptyRow = (room, onWrite) =>
  h("li", { class: "empty" },
    h("h3", {}, "It is quiet in ", h("bdi", {}, written(room))),
    h("p", {}, room.description ? `${room.description}. Somebody has to speak first.` : "Somebody has to speak first."),
    h("button", { class: "button primary", type: "button", onclick: onWrite }, "Write the first message"));
