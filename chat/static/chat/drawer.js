// On a narrow screen the rooms are a drawer behind a button. While it is open the room behind it cannot be reached;
// Escape, the shade, the cross and choosing a room close it, and focus returns to the button.

import { byId } from "harbour/dom";

const narrow = matchMedia("(max-width: 720px)"); // as in chat.css

const sidebar = byId("sidebar");
const room = byId("room");
const opener = byId("drawer-open");
const badge = byId("drawer-unread");

export function openDrawer() {
  if (!narrow.matches) return;
  set(true);
  sidebar.querySelector("[aria-current], .room-lists a, button")?.focus();
}

export function closeDrawer() {
  if (!document.body.classList.contains("drawer-is-open")) return;
  set(false);
  opener.focus();
}

export function showUnread(count) {
  badge.textContent = count > 99 ? "99+" : count || "";
  opener.setAttribute("aria-label", count ? `Rooms, ${count} unread` : "Rooms");
}

function set(open) {
  document.body.classList.toggle("drawer-is-open", open);
  opener.setAttribute("aria-expanded", String(open));
  room.inert = open;
}

opener.addEventListener("click", openDrawer);
byId("drawer-close").addEventListener("click", closeDrawer);
byId("drawer-shade").addEventListener("click", closeDrawer);
sidebar.addEventListener("keydown", (event) => event.key === "Escape" && closeDrawer());
narrow.addEventListener("change", () => set(false));
