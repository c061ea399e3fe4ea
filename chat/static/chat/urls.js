// Every address the page uses, from the one prefix the server gave it.

const app = document.getElementById("app");
const home = app.dataset.home;

export const homeUrl = home;
export const roomUrl = (slug) => `${home}rooms/${encodeURIComponent(slug)}/`;
export const joinUrl = (slug) => `${roomUrl(slug)}join/`;
export const leaveUrl = (slug) => `${roomUrl(slug)}leave/`;
export const roomsApi = `${home}api/rooms/`;
export const messagesApi = (slug) => `${home}api/rooms/${encodeURIComponent(slug)}/messages/`;
export const membersApi = (slug) => `${home}api/rooms/${encodeURIComponent(slug)}/members/`;
export const invitationsApi = (slug) => `${home}api/rooms/${encodeURIComponent(slug)}/invitations/`;

/** The slug in the page's own address, or null at home. */
export function slugOf(pathname) {
  const path = pathname.startsWith(home) ? pathname.slice(home.length) : "";
  const found = path.match(/^rooms\/([^/]+)\/$/);
  return found && decodeURIComponent(found[1]);
}

/** Says for whom the page was made: a browser that has changed hands meanwhile must not post as the new one. */
export const socketUrl = (me) => `${location.origin.replace(/^http/, "ws")}${home}ws/chat/?as=${me.id}`;

/** Where one gets a name; afterwards one is back here. */
export const entryUrl = () => `${app.dataset.guest}?next=${encodeURIComponent(location.pathname)}`;
