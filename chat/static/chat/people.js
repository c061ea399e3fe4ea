// A person's picture: their initials on a colour that is theirs, the same on every page and for everybody.

import { h } from "harbour/dom";

const TINTS = 12; // .tint-0 … .tint-11 in base.css

const graphemes = (text) =>
  "Segmenter" in Intl ? [...new Intl.Segmenter("en", { granularity: "grapheme" }).segment(text)].map((part) => part.segment) : [...text];

/** "Inês Duarte" → "ID", "ann" → "AN"; of a name of signs, the first two signs. */
function initials(name) {
  const words = name.match(/[\p{L}\p{N}][\p{L}\p{N}\p{M}]*/gu) ?? [name.trim()];
  if (words.length > 1) return (graphemes(words[0])[0] + graphemes(words.at(-1))[0]).toUpperCase();
  return graphemes(words[0]).slice(0, 2).join("").toUpperCase();
}

/** Decorative: the name always stands beside it as text. */
export const picture = (person) => h("span", { class: `picture tint-${person.id % TINTS}`, "aria-hidden": "true" }, initials(person.name));
