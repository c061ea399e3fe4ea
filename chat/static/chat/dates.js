// Days and times as people say them, in the reader's own time zone. English words throughout, with the reader's own
// order of day and month where their English has one.

const locale = navigator.language?.startsWith("en") ? navigator.language : "en-GB";
const time = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long" });
const dayAndYear = new Intl.DateTimeFormat(locale, { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const whole = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "short" });

export const timeOf = (moment) => time.format(moment);
export const fullOf = (moment) => whole.format(moment);

/** The time without "AM" or "PM", for the narrow column beside a line. */
export const shortTimeOf = (moment) =>
  time
    .formatToParts(moment)
    .filter((part) => part.type !== "dayPeriod")
    .map((part) => part.value)
    .join("")
    .trim();

/** A key for the local day: the same for all moments of it. */
export const dayKey = (moment) => `${moment.getFullYear()}-${moment.getMonth() + 1}-${moment.getDate()}`;

export function dayName(moment, now = new Date()) {
  const yesterday = new Date(now.getFullYear(), now.getMonth(), now.getDate() - 1);
  if (dayKey(moment) === dayKey(now)) return "Today";
  if (dayKey(moment) === dayKey(yesterday)) return "Yesterday";
  return (moment.getFullYear() === now.getFullYear() ? day : dayAndYear).format(moment);
}

/** Calls `work` shortly after every local midnight: "Today" has become "Yesterday". */
export function everyMidnight(work) {
  const now = new Date();
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1, 0, 0, 1);
  setTimeout(() => {
    work();
    everyMidnight(work);
  }, midnight - now);
}
