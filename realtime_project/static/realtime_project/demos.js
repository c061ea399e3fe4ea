// The page of demonstrations: each form opens connections, side by side beneath it.

import { byId } from "harbour/dom";
import { Connection } from "harbour/demos/connection";

const MOST = 20; // connections on the page
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/; // a subprotocol's name: RFC 6455 section 4.1, RFC 7230 section 3.2.6

const main = byId("demos");
const base = new URL(main.dataset.home, location.href);
let opened = 0;

class Mistake extends Error {}

/** The socket's URL for an address of this server, such as /ws/feed/?since=0. */
function urlOf(address) {
  let url;
  try {
    url = new URL(address.replace(/^\/+/, ""), base);
  } catch {
    throw new Mistake("This is no address.");
  }
  if (url.origin !== base.origin) throw new Mistake("Only addresses on this server can be tried here.");
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  return url;
}

function subprotocolsOf(text) {
  const names = text.split(",").map((name) => name.trim()).filter(Boolean);
  const wrong = names.find((name) => !TOKEN.test(name));
  if (wrong) throw new Mistake(`“${wrong}” cannot be a subprotocol: no spaces, and no signs but !#$%&'*+-.^_\`|~`);
  return [...new Set(names)];
}

function connect(demo, { address, subprotocols }) {
  if (main.querySelectorAll(".connection").length >= MOST) {
    throw new Mistake(`There are ${MOST} connections already. Remove one first.`);
  }
  const connection = new Connection({
    number: ++opened,
    url: urlOf(address.value.trim()),
    subprotocols: subprotocolsOf(subprotocols?.value ?? ""),
    samples: demo.querySelector(".samples").content.cloneNode(true),
    forms: [...(demo.querySelector(".forms")?.content.children ?? [])],
    removed: () => demo.querySelector(".opening button").focus(),
  });
  demo.querySelector(".connections").append(connection.element);
  connection.open();
  connection.focus();
}

for (const demo of main.querySelectorAll(".demo")) {
  const form = demo.querySelector(".opening");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const mistake = form.querySelector(".mistake");
    mistake.textContent = "";
    try {
      connect(demo, form.elements);
    } catch (error) {
      if (!(error instanceof Mistake)) throw error;
      mistake.textContent = error.message;
    }
  });
}
