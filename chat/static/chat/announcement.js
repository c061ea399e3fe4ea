// What those who look after this place tell everybody: it stands above the room until it is put away.

import { byId, h } from "harbour/dom";

export function announce(text) {
  const element = byId("announcement");
  const put = h("button", { type: "button", onclick: () => element.replaceChildren() }, "Got it");
  element.replaceChildren(h("p", { dir: "auto" }, text), put);
}
