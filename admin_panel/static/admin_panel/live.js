// A list that renews itself: the same page is fetched again and its rows are put in the place of those here. Not while
// rows are ticked or the page is out of sight, and one request at a time.

(() => {
  const EVERY = 2_000; // ms
  const TABLE = "#result_list";
  const note = document.createElement("p");
  let form = null;
  let asking = false;
  let shown = "";

  const isBusy = () => document.hidden || form.querySelector(".action-select:checked");

  /** Rows take the place of rows; an empty list, which has no table, is another form. */
  function show(fresh) {
    if (fresh.innerHTML === shown) return;
    shown = fresh.innerHTML;
    const [before, after] = [form, fresh].map((each) => each.querySelector(TABLE));
    if (!before && !after) return;
    const focused = document.activeElement?.closest(`${TABLE} a`)?.href;
    if (before && after) before.innerHTML = after.innerHTML;
    else form.innerHTML = fresh.innerHTML;
    if (focused) [...form.querySelectorAll(`${TABLE} a`)].find((link) => link.href === focused)?.focus();
  }

  async function renew() {
    if (asking || isBusy()) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!isBusy()) show(page.getElementById(form.id));
      note.textContent = "";
    } catch {
      note.textContent = "This list could not be renewed: what it shows may be old.";
    } finally {
      asking = false;
    }
  }

  addEventListener("DOMContentLoaded", () => {
    form = document.getElementById("changelist-form");
    if (!form) return;
    note.className = "panel-note is-stale";
    note.setAttribute("role", "status");
    form.before(note);
    setInterval(renew, EVERY);
  });
})();
