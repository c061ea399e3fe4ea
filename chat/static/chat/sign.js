// What stands before a room's name: a number sign, or a lock where only members know of the room.

import { byId, h } from "harbour/dom";

export const sign = (room) => (room.private ? byId("private-sign").content.firstElementChild.cloneNode(true) : h("span", { class: "hash", "aria-hidden": "true" }, "#"));

/** The same in plain text, for titles and placeholders. */
export const written = (room) => (room.private ? room.name : `#${room.name}`);
