// Opens and closes the page's dialogs. `data-opens="id"` on a button opens one, `data-closes` within closes it, and so
// does a click beside it. A dialog with `data-open` came back from the server with something to correct.

import { byId } from "harbour/dom";

export function openDialog(id) {
  const dialog = byId(id);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

export function setUpDialogs() {
  for (const button of document.querySelectorAll("[data-opens]")) {
    button.addEventListener("click", () => openDialog(button.dataset.opens).dispatchEvent(new Event("opened")));
  }
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target.closest("[data-closes]") || (event.target === dialog && outside(dialog, event))) dialog.close();
    });
    if ("open" in dialog.dataset) {
      openDialog(dialog.id);
      dialog.querySelector("[aria-invalid]")?.focus();
    }
  }
  const leaves = byId("guest-leaves");
  if (leaves) {
    byId("logout").addEventListener("submit", (event) => {
      if (leaves.open) return; // asked and confirmed
      event.preventDefault();
      openDialog(leaves.id);
    });
  }
}

function outside(dialog, { clientX, clientY }) {
  const { left, right, top, bottom } = dialog.getBoundingClientRect();
  return clientX < left || clientX > right || clientY < top || clientY > bottom;
}
