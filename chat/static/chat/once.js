// A form that is under way is not sent again by a second click: the browser would drop the first answer, and with it
// what that had brought, such as the session of somebody who has just come in.

const PATIENCE = 8_000; // ms after which somebody who stopped the page from loading may try again

const sent = new WeakMap(); // form → when, ms

document.addEventListener("submit", (event) => {
  if (event.defaultPrevented || event.target.method === "dialog") return; // it goes nowhere
  if (Date.now() - (sent.get(event.target) ?? -Infinity) < PATIENCE) event.preventDefault();
  else sent.set(event.target, Date.now());
});
// Back on a page that the browser has kept.
addEventListener("pageshow", () => {
  for (const form of document.forms) sent.delete(form);
});
