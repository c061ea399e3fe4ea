// What makes this window one player: the token of its session, which the tab keeps. Two windows are two players, and a
// window that is loaded again is who it was. Where storage is forbidden the token lives as long as the page.

const KEY = "harbour.quiz";

let token = recall();

function recall() {
  try {
    return sessionStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** What the socket offers: the wish to return later, and the proof of having been here. */
export const subprotocols = () => (token ? ["session", `session.${token}`] : ["session"]);

/** Keeps the token for the next time; whether there was one before. */
export function keep(fresh) {
  const hadOne = token !== null;
  token = fresh;
  try {
    sessionStorage.setItem(KEY, fresh);
  } catch {
    // Kept above.
  }
  return hadOne;
}

/** The code in the page's own address: an invitation, or the game one is in. */
export const invitation = () => new URLSearchParams(location.search).get("game")?.trim().toUpperCase() ?? "";

export function linkTo(code) {
  const url = new URL(location.href);
  url.search = code ? `?game=${encodeURIComponent(code)}` : "";
  url.hash = "";
  return url.href;
}
