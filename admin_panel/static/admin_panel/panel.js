// What the panel's modules share.

const two = (number) => String(number).padStart(2, "0");

/** The time of day of a moment in ms since 1970, with milliseconds. */
export function clock(at) {
  const time = new Date(at);
  return `${two(time.getHours())}:${two(time.getMinutes())}:${two(time.getSeconds())}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}

const plain = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 0.3, 12, 1,204, 12.3K */
export const number = (value) => (Math.abs(value ?? 0) >= 100_000 ? short : plain).format(value ?? 0);

/** Bytes as people say them: 12 MiB. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(value) / 10)) : 0;
  return `${number(value / 1024 ** power)} ${units[power]}`;
}

/** How long a number of ms is: 12 s, 5 min, 3 h, 4 d. */
export function ago(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  for (const [size, unit] of [[86_400, "d"], [3_600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}

/** An element with attributes and children; text stays text. */
export function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
