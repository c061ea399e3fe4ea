// A list that renews itself: the same page is fetched again and its rows are put in the place of those here. Not while
// rows are ticked or the page is out of sight, and one request at a time.

(() => {
  const EVERY = 2_000; // ms
  const rows = () => document.getElementById("result_list");
  const note = document.createElement("p");
  let asking = false;

  const isBusy = (table) => document.hidden || asking || table.querySelector(".action-select:checked");

  async function renew() {
    const table = rows();
    if (!table || isBusy(table)) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Requested-With": "fetch" }, redirect: "error" });
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById("result_list");
      asking = false;
      if (!fresh || isBusy(table)) return;
      if (fresh.innerHTML !== table.dataset.shown) {
        table.dataset.shown = fresh.innerHTML;
        const focused = document.activeElement?.closest("#result_list a")?.href;
        table.innerHTML = fresh.innerHTML;
        if (focused) [...table.querySelectorAll("a")].find((link) => link.href === focused)?.focus();
      }
      note.textContent = "";
    } catch {
      note.textContent = "This list could not be renewed: what it shows may be old.";
    } finally {
      asking = false;
    }
  }

  addEventListener("DOMContentLoaded", () => {
    if (!rows()) return;
    note.className = "panel-note is-stale";
    note.setAttribute("role", "status");
    document.getElementById("changelist-form").before(note);
    setInterval(renew, EVERY);
  });
})();
