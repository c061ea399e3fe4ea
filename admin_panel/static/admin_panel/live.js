// A list that renews itself: the same page is fetched again and its rows are put in the place of those here. Not while
// rows are ticked or the page is out of sight, and one request at a time. Who may see it no more sees it no more.

(() => {
  const EVERY = 700; // ms: with the servers' beat of a second, what comes and goes is seen within two
  const SHARE = 7; // ... but no more than a seventh of the time is spent on it,
  const LONGEST = 4_000; // ms: unless it would then be old
  const LISTS = ["changelist-form", "panel-live"];
  const TABLE = "#result_list, .panel-table";
  const note = document.createElement("p");
  const shown = new Map();
  let lists = [];

  const isBusy = () => document.hidden || document.querySelector(".action-select:checked");

  /** Rows take the place of rows; an empty list, which has no table, is another form. */
  function show(list, fresh) {
    if (!fresh || fresh.innerHTML === shown.get(list)) return;
    shown.set(list, fresh.innerHTML);
    const [before, after] = [list, fresh].map((each) => each.querySelector(TABLE));
    if (!before && !after) return;
    const focused = list.contains(document.activeElement) ? document.activeElement.href : null;
    if (before && after) before.innerHTML = after.innerHTML;
    else list.innerHTML = fresh.innerHTML;
    if (focused) [...list.querySelectorAll("a")].find((link) => link.href === focused)?.focus();
  }

  /** Fetch and show; false when there is nothing more to be seen. */
  async function renew() {
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
    if (isBusy() || (await renew())) setTimeout(go, Math.min(LONGEST, Math.max(EVERY, SHARE * (performance.now() - began))));
  }

  addEventListener("DOMContentLoaded", () => {
    lists = LISTS.map((id) => document.getElementById(id)).filter(Boolean);
    if (!lists.length) return;
    note.className = "panel-note is-stale";
    note.setAttribute("role", "status");
    lists[0].before(note);
    setTimeout(go, EVERY);
  });
})();
