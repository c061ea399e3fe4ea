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

/** `entry`: { message, first, state: pending | sent | failed, note }; `first` of its group carries name and picture. */
export function fill(row, { message, first, state, note }, { onSendNow, onDiscard }) {
  if (row.contains(document.activeElement) && row !== document.activeElement) row.focus({ preventScroll: true });
  const moment = new Date(message.created_at);
  const time = (text, extra = {}) => h("time", { datetime: message.created_at, title: fullOf(moment), ...extra }, text);
  row.classList.toggle("first", first);
  row.dataset.state = state;
  row.dataset.offset = message.offset ?? "";
  row.dataset.clientId = message.client_id;
  const said = message.html === undefined ? h("div", { class: "said typed" }, message.text) : h("div", { class: "said" }, ...rendered(message.html));
  row.replaceChildren(
    first ? picture(message.author) : time(shortTimeOf(moment), { class: "aside", "aria-hidden": "true" }),
    h("div", { class: "body" },
      h("div", { class: first ? "byline" : "visually-hidden" },
        h("bdi", { class: "name" }, message.author.name), " ", time(timeOf(moment)), first ? null : ": "),
      said,
      note && h("p", { class: "note" }, note, " ",
        h("button", { type: "button", onclick: () => onSendNow(message.client_id) }, "Send now"),
        state === "failed" && h("button", { type: "button", onclick: () => onDiscard(message.client_id) }, "Discard")),
    ),
  );
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
