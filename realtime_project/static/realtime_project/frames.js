// Frames in words: a row of the log, bytes as hexadecimal digits, and what close codes mean.

import { h, plural } from "harbour/dom";

const LONGEST_TEXT = 4_000; // characters of a frame that are shown
const LONGEST_BYTES = 512; // bytes of a frame that are shown
const WAYS = { sent: ["↑", "Sent"], received: ["↓", "Received"], note: ["·", ""] };

// RFC 6455 section 7.4.1, the IANA registry, and the codes of this project.
const MEANINGS = {
  1000: "done",
  1001: "going away",
  1002: "a breach of the protocol",
  1003: "a kind of data that is not taken",
  1005: "no code was given",
  1006: "lost, without a goodbye",
  1007: "text that is not UTF-8",
  1008: "against the server’s policy",
  1009: "a message that is too large",
  1011: "the server failed",
  1012: "the server restarts",
  1013: "try again later",
  4401: "not logged in",
  4403: "not allowed",
  4404: "there is no such thing",
  4408: "silent for too long",
  4409: "taken over by another connection",
  4410: "closed by staff",
  4429: "too many messages",
};

/** What a close says. Browsers do not tell a page why a handshake was refused. */
export function closeText(code, reason, wasOpen) {
  if (!wasOpen) return `Not connected: refused, or the server is away (${code})`;
  const meaning = MEANINGS[code] ? `, ${MEANINGS[code]}` : "";
  return `Closed: ${code}${meaning}${reason && reason !== MEANINGS[code] ? ` (${reason})` : ""}`;
}

/** "00 ff2a" → bytes; null where this is not hexadecimal digits in pairs. */
export function bytesOf(text) {
  const digits = text.replace(/\s/g, "");
  if (digits.length % 2 || /[^0-9a-f]/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16)).buffer;
}

const hexOf = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(" ");

function shown(data) {
  if (typeof data !== "string") {
    const more = data.byteLength - LONGEST_BYTES;
    const text = hexOf(new Uint8Array(data, 0, Math.min(data.byteLength, LONGEST_BYTES)));
    return more > 0 ? `${text} … ${plural(more, "more byte", "more bytes")}` : text;
  }
  const more = data.length - LONGEST_TEXT;
  return more > 0 ? `${data.slice(0, LONGEST_TEXT)} … ${plural(more, "more character", "more characters")}` : data;
}

function kindOf(data) {
  const isText = typeof data === "string";
  const size = isText ? new TextEncoder().encode(data).length : data.byteLength;
  return `${isText ? "text" : "binary"}, ${plural(size, "byte", "bytes")}`;
}

const two = (number) => String(number).padStart(2, "0");
const timeOf = (at) =>
  `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${String(at.getMilliseconds()).padStart(3, "0")}`;

/** A row of the log: `what` is sent, received or note; `data` a string or an ArrayBuffer. */
export function rowOf({ what, data, at }) {
  const [arrow, word] = WAYS[what];
  const isNote = what === "note";
  const content = shown(data);
  return h(
    "li",
    { class: "frame", "data-what": what, "data-kind": isNote ? "note" : typeof data === "string" ? "text" : "binary" },
    h("span", { class: "arrow", "aria-hidden": "true" }, arrow),
    word && h("span", { class: "visually-hidden" }, word),
    isNote || content ? h("span", { class: "content" }, content) : h("span", { class: "content empty" }, "empty"),
    h(
      "span",
      { class: "about" },
      isNote ? null : h("span", {}, kindOf(data)),
      h("time", { datetime: at.toISOString() }, timeOf(at)),
    ),
  );
}
