// What has been read: a room is read while its end is before the reader's eyes. The server is told at most once a
// second, and only about rooms one has joined.

const TELL = 1_000; // ms

export class Reading {
  #connection;
  #rooms;
  #told = new Map(); // slug → offset
  #due = new Map(); // slug → timer

  constructor(connection, rooms) {
    this.#connection = connection;
    this.#rooms = rooms;
    connection.addEventListener("open", () => {
      for (const [slug, offset] of this.#told) this.#tell(slug, offset); // the last one may have been lost with the socket
    });
  }

  seen(room) {
    const told = this.#told.get(room.slug) ?? room.read;
    this.#rooms.markRead(room);
    if (!room.member || room.last <= told) return;
    if (this.#due.has(room.slug)) return;
    this.#tell(room.slug, room.last);
    this.#due.set(room.slug, setTimeout(() => {
      this.#due.delete(room.slug);
      const now = this.#rooms.get(room.slug);
      if (now && now.read > this.#told.get(now.slug)) this.#tell(now.slug, now.read);
    }, TELL));
  }

  /** What was told of a room's former log, or before a gap, says nothing any more. */
  forget(slug) {
    this.#told.delete(slug);
  }

  #tell(slug, offset) {
    this.#told.set(slug, offset);
    this.#connection.send({ type: "read", room: slug, offset });
  }
}
