// Brings pages of messages into rooms: the newest one, and older ones before what is held. One request a room and
// direction at a time; asking again while one is under way gives the same promise.

import { getMessages } from "harbour/api";

export class History {
  #rooms;
  #underway = new Map(); // "slug newest" or "slug older" → promise
  #failed = new Set(); // slugs whose older page failed: asked again only by hand, or when the connection is back

  constructor(rooms) {
    this.#rooms = rooms;
  }

  /** Replaces what is held with the newest page. */
  newest(room) {
    const { life } = room;
    return this.#once(`${room.slug} newest ${life}`, async () => {
      this.#rooms.pageAsked(room);
      try {
        const page = await getMessages(room.slug);
        if (room.life === life) this.#rooms.pageArrived(room, page);
      } catch (error) {
        if (room.life === life) this.#rooms.pageFailed(room);
        if (error.status === 404) this.#rooms.forget(room.slug);
      }
    });
  }

  older(room) {
    const oldest = room.messages[0];
    if (!room.more || !oldest || this.#failed.has(room.slug)) return;
    return this.#once(`${room.slug} older`, async () => {
      this.#rooms.olderAsked(room);
      try {
        const page = await getMessages(room.slug, oldest.offset);
        if (room.messages[0]?.id === oldest.id) this.#rooms.olderArrived(room, page); // else: replaced meanwhile
      } catch {
        this.#failed.add(room.slug);
        this.#rooms.changed(room.slug);
      }
    });
  }

  olderFailed = (room) => this.#failed.has(room.slug);

  retry(room) {
    this.#failed.delete(room.slug);
    return room.pages === "ready" ? this.older(room) : this.newest(room);
  }

  #once(key, work) {
    if (!this.#underway.has(key)) this.#underway.set(key, work().finally(() => this.#underway.delete(key)));
    return this.#underway.get(key);
  }
}
