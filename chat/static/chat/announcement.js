// What those who look after this place tell everybody: it stands above the room until it is put away.

import { byId, h } from "harbour/dom";

export function announce(text) {
  const element = byId("announcement");
  const put = h("button", { type: "button", onclick: () => gone(element) }, "Got it");
  element.replaceChildren(h("p", { dir: "auto" }, text), put);
}

function gone(element) {
  element.replaceChildren();
  element.closest("main").focus(); // whose button has gone goes on from there
}
