// A list that renews itself: the same page is fetched again and its rows are written into those here. Not while rows are
// ticked or the page is out of sight, and one request at a time. Who may see it no more sees it no more.

import { renew, write } from "./rows.js";

const EVERY = 700; // ms: with the servers' beat of a second, what comes and goes is seen within two
const SHARE = 7; // ... but no more than a seventh of the time is spent on it,
const LONGEST = 4_000; // ms: unless it would then be old
const AROUND = "thead th, .action-counter, .actions .all, .actions .question"; // the rows, and may change with them

const lists = ["changelist-form", "panel-live"].map((id) => document.getElementById(id)).filter(Boolean);
const note = document.createElement("p");

const isBusy = () => document.hidden || document.querySelector(".action-select:checked");
const tableOf = (list) => list.querySelector("#result_list, .panel-table");
const partsOf = (list) => [...list.querySelectorAll(AROUND)];
const isTheme = (table) => table.id === "result_list"; // which has a body for each row
const rowsOf = (table) => [...(isTheme(table) ? table.tBodies : table.tBodies[0].rows)];

const { Actions } = window;
/** What counts the ticks knows the boxes and the bodies that it finds: let it find those that are still to come as well. */
window.Actions = () => {
  const parent = document.querySelector(".result-list-wrapper");
  const table = document.getElementById("result_list");
  const boxes = document.getElementsByClassName("action-select"); // always as many as there are
  boxes.forEach = Array.prototype.forEach;
  Object.defineProperty(table, "tBodies", { value: [table], configurable: true });
  Actions(boxes, { parent });
  delete table.tBodies;
};

/** Rows are written into rows; an empty list, which has no table, is another form. */
function show(list, fresh) {
  if (!fresh) return;
  const [before, after] = [list, fresh].map(tableOf);
  if (!before && !after) return;
  const [parts, freshParts] = [list, fresh].map(partsOf);
  if (before && after && parts.length === freshParts.length) {
    parts.forEach((part, index) => write(part, freshParts[index]));
    renew(isTheme(before) ? before : before.tBodies[0], rowsOf(before), rowsOf(after));
  } else {
    list.innerHTML = fresh.innerHTML;
    if (list.querySelector(".action-select")) window.Actions();
  }
}

/** Fetch and show; false when there is nothing more to be seen. */
async function look() {
  try {
    const answer = await fetch(location.href, { redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 403) {
      for (const list of lists) list.replaceChildren();
      note.textContent = "You may not see this any more.";
      return false;
    }
    if (!answer.ok) throw new Error(String(answer.status));
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!isBusy()) for (const list of lists) show(list, page.getElementById(list.id));
    note.textContent = "";
  } catch {
    note.textContent = "This list could not be renewed: what it shows may be old.";
  }
  return true;
}

async function go() {
  const began = performance.now();
  if (isBusy() || (await look())) setTimeout(go, Math.min(LONGEST, Math.max(EVERY, SHARE * (performance.now() - began))));
}

if (lists.length) {
  note.className = "panel-note is-stale";
  note.setAttribute("role", "status");
  lists[0].before(note);
  setTimeout(go, EVERY);
}
