// The HTTP side of the server, as promises. A refusal is a `Refused` with the server's own code and sentence;
// 401 ends the page's session, whoever asked.

import { entryUrl, invitationsApi, joinUrl, leaveUrl, membersApi, messagesApi, roomsApi } from "harbour/urls";

const PATIENCE = 15_000; // ms for an answer
const PAGE = 50; // messages a page

class Refused extends Error {
  constructor(status, { code = "unavailable", detail = "The server did not answer." } = {}) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

async function get(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" }, credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE) });
  if (response.ok) return response.json();
  if (response.status === 401) location.assign(entryUrl());
  const { error } = await response.json().catch(() => ({}));
  throw new Refused(response.status, error);
}

/** A form's POST without leaving the page. The redirect it answers with is success; it need not be followed. */
async function post(url) {
  const body = new URLSearchParams({ csrfmiddlewaretoken: document.querySelector("[name=csrfmiddlewaretoken]").value });
  const response = await fetch(url, { method: "POST", body, credentials: "same-origin", redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
  if (response.type === "opaqueredirect") return null;
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(response.status, answer.error);
  return answer;
}

export const getRooms = () => get(roomsApi);
export const getMessages = (slug, before) => get(`${messagesApi(slug)}?limit=${PAGE}${before ? `&before=${before}` : ""}`);
export const joinRoom = (slug) => post(joinUrl(slug));
export const leaveRoom = (slug) => post(leaveUrl(slug));
export const getMembers = (slug) => get(membersApi(slug));
export const removeMember = (slug, id) => post(`${membersApi(slug)}${id}/remove/`);
export const invite = (slug) => post(invitationsApi(slug));
export const endInvitation = (slug, id) => post(`${invitationsApi(slug)}${id}/end/`);
