// How an outbound client goes, renewed: the page is fetched again and its state is put in the place of the one here. What
// is being written in the form stays.

(() => {
  const EVERY = 2_000; // ms
  const PART = "outbound-state";
  let asking = false;

  async function renew(note) {
    if (asking || document.hidden) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 403) {
        document.getElementById(PART).replaceChildren();
        note.textContent = "You may not see this any more.";
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const [before, after] = [document, page].map((each) => each.getElementById(PART));
      if (after && after.innerHTML !== before.innerHTML) before.innerHTML = after.innerHTML;
      note.textContent = "";
    } catch {
      note.textContent = "This could not be renewed: what it shows may be old.";
    } finally {
      asking = false;
    }
  }

  addEventListener("DOMContentLoaded", () => {
    if (!document.getElementById(PART)) return;
    const note = document.getElementById("outbound-note");
    setInterval(() => renew(note), EVERY);
  });
})();
