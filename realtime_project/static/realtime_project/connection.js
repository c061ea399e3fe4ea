// One connection: its socket, the frames that passed, and what one sends next.

import { byId, isComposing, onceAFrame } from "harbour/dom";
import { bytesOf, closeText, rowOf } from "harbour/demos/frames";
import { written } from "harbour/demos/typed";

const MOST = 200; // frames shown; a fast endpoint must not fill the page
const LARGEST_FILE = 32 * 1024 * 1024; // bytes: more than a server takes by default, so that its refusal can be seen
const DONE = 1000;
const AT_THE_END = 24; // px: so near to the end of the log one is reading along

export class Connection {
  element = byId("connection").content.firstElementChild.cloneNode(true);

  #url;
  #subprotocols;
  #removed;
  #forms;
  #socket = null;
  #wasOpen = false;
  #waiting = []; // rows for the next frame of the screen
  #gone = 0; // frames no longer shown
  #draw = onceAFrame(() => this.#drawNow());

  #state = this.element.querySelector(".state");
  #toggle = this.element.querySelector("[data-does=toggle]");
  #log = this.element.querySelector(".frames");
  #form = this.element.querySelector(".sending");
  #mistake = this.element.querySelector(".mistake");

  /**
   * `samples`: a fragment of buttons. `forms`: those of the declared types, each of which has a button there. `removed`
   * is called when the connection has left the page.
   */
  constructor({ number, url, subprotocols, samples, forms = [], removed }) {
    this.#url = url;
    this.#subprotocols = subprotocols;
    this.#removed = removed;
    this.#forms = forms;
    const name = `Connection ${number}`;
    const title = this.element.querySelector("h3");
    title.id = `connection-${number}`;
    title.textContent = name;
    this.element.setAttribute("aria-labelledby", title.id);
    this.#log.setAttribute("aria-label", `Frames of connection ${number}`);
    this.#content.setAttribute("aria-label", `Message on connection ${number}`);
    this.#mistake.id = `sending-mistake-${number}`;
    this.#content.setAttribute("aria-describedby", this.#mistake.id);
    this.element.querySelector("[data-does=remove]").setAttribute("aria-label", `Remove connection ${number}`);
    this.element.querySelector(".suggested").append(samples);
    this.#listen();
  }

  get #content() {
    return this.#form.elements.content;
  }

  get #filled() {
    return this.#form.querySelector(".filled");
  }

  focus() {
    this.element.scrollIntoView({ block: "nearest" });
    this.#content.focus({ preventScroll: true });
  }

  open() {
    const socket = new WebSocket(this.#url, this.#subprotocols);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#wasOpen = false;
    this.#show("connecting", "Connecting…");
    socket.addEventListener("open", () => {
      this.#wasOpen = true;
      const chosen = socket.protocol ? `, speaking ${socket.protocol}` : "";
      this.#add("note", `Connected to ${this.#url.pathname}${this.#url.search}${chosen}`);
      this.#show("open", "Open");
    });
    socket.addEventListener("message", ({ data }) => this.#add("received", data));
    socket.addEventListener("close", ({ code, reason }) => {
      const said = closeText(code, reason, this.#wasOpen);
      this.#add("note", said);
      this.#show("closed", `Closed, ${code}`);
    });
  }

  #show(state, words) {
    this.element.dataset.state = state;
    this.#state.textContent = words;
    this.#toggle.textContent = state === "closed" ? "Connect again" : "Disconnect";
  }

  #listen() {
    this.#toggle.addEventListener("click", () => this.#toggled());
    this.element.querySelector("[data-does=remove]").addEventListener("click", () => this.#remove());
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#sendTyped();
    });
    this.#content.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || isComposing(event)) return;
      event.preventDefault();
      this.#sendTyped();
    });
    this.#form.addEventListener("click", ({ target }) => {
      if (!target.matches(".sample")) return;
      this.#form.elements.kind.value = "text";
      if (target.dataset.form) return this.#fill(target);
      this.#fill(null);
      this.#content.value = target.textContent;
      this.#content.focus();
    });
    this.#filled.addEventListener("input", () => this.#write());
    const file = this.#form.querySelector("[type=file]");
    file.addEventListener("change", async () => {
      const [chosen] = file.files;
      file.value = ""; // so that the same one can be chosen again
      if (chosen) await this.#sendFile(chosen);
    });
  }

  /** Show the form that a button stands for, or put it away; none for null. */
  #fill(button) {
    const isShown = button?.getAttribute("aria-pressed") === "true";
    for (const each of this.#form.querySelectorAll("[data-form]")) {
      each.setAttribute("aria-pressed", String(each === button && !isShown));
    }
    this.#filled.replaceChildren(...(button && !isShown ? [this.#forms[button.dataset.form].cloneNode(true)] : []));
    this.#complain("");
    if (!this.#filled.firstElementChild) return;
    this.#write();
    (this.#filled.querySelector("[data-name]") ?? this.#content).focus();
  }

  /** What the form says becomes what is sent next. It may be changed there, until the form is. */
  #write() {
    const form = this.#filled.firstElementChild;
    if (form) this.#content.value = written(form).text ?? "";
  }

  #toggled() {
    if (this.#socket.readyState === WebSocket.CLOSED) this.open();
    else this.#socket.close(DONE);
  }

  #remove() {
    this.#socket.close(DONE);
    this.element.remove();
    this.#removed();
  }

  #sendTyped() {
    const text = this.#content.value;
    const isBinary = this.#form.elements.kind.value === "binary";
    const data = isBinary ? bytesOf(text) : text;
    const form = text ? null : this.#filled.firstElementChild;
    if (form && written(form).mistake) {
      this.#complain(written(form).mistake);
    } else if (data === null) {
      this.#complain("Write each byte as two hexadecimal digits, such as 00 ff 2a.");
    } else if (this.#send(data)) {
      this.#content.value = "";
      this.#write();
    }
    if (!form) this.#content.focus();
  }

  async #sendFile(file) {
    if (file.size > LARGEST_FILE) {
      this.#complain(`“${file.name}” has more than 32 MiB.`);
      return;
    }
    try {
      this.#send(await file.arrayBuffer());
    } catch {
      this.#complain(`“${file.name}” could not be read.`);
    }
  }

  #send(data) {
    const isOpen = this.#socket.readyState === WebSocket.OPEN;
    this.#complain(isOpen ? "" : "This connection is not open. What you wrote is still here.");
    if (!isOpen) return false;
    this.#socket.send(data);
    this.#add("sent", data);
    return true;
  }

  #complain(mistake) {
    this.#mistake.textContent = mistake;
    this.#content.setAttribute("aria-invalid", String(Boolean(mistake)));
  }

  /** `what`: sent, received or note; `data`: a string or an ArrayBuffer. */
  #add(what, data) {
    if (this.#waiting.push({ what, data, at: new Date() }) > MOST) {
      this.#waiting.shift();
      this.#gone += 1;
    }
    this.#draw();
  }

  #drawNow() {
    const list = this.#log.querySelector("ol");
    const { scrollHeight, scrollTop, clientHeight } = this.#log;
    const readsAlong = scrollHeight - scrollTop - clientHeight < AT_THE_END;
    list.append(...this.#waiting.map(rowOf));
    this.#waiting = [];
    while (list.childElementCount > MOST) {
      list.firstElementChild.remove();
      this.#gone += 1;
    }
    const gone = this.#log.querySelector(".gone");
    gone.hidden = !this.#gone;
    gone.textContent = `${this.#gone.toLocaleString("en")} earlier are no longer shown.`;
    if (readsAlong) this.#log.scrollTop = this.#log.scrollHeight;
  }
}
