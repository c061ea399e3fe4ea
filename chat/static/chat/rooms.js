// What is known of every room. State only: nothing here draws or sends.
// Events are applied once and in order: at or below `last` they are known, beyond `last + 1` something is missing.
//
// A room:  slug name description member members       as the server lists it
//          last epoch life                            the offset all events up to which are applied, its log's epoch,
//                                                     and how often we had to start over
//          read unread line                           the read mark; what others said beyond it; where "New" stands
//          messages more pages                        a contiguous run, oldest first; whether older exist;
//                                                     pages: none | loading | ready | failed
//          heldOlder                                  the same for a page of older messages
//          private mine                               seen by its members alone; made by me
//          counted held                               the offset up to which `unread` counts; events that came in
//                                                     while a page was under way (they may be newer than it), or null

const byName = (a, b) => a.name.localeCompare(b.name);

const MOST = 2_000; // messages held of a room while it only grows at its end
const KEPT = 1_000; // of these, when it has become too many or one goes elsewhere

export class Rooms extends EventTarget {
  isBeingRead = () => false; // (room) → is its end before somebody's eyes at this moment
  isReadAbove = () => false; // (room) → is somebody looking at its older messages

  #rooms = new Map();

  constructor(me, list) {
    super();
    this.me = me;
    this.update(list);
  }

  get = (slug) => this.#rooms.get(slug) ?? null;
  get all() { return [...this.#rooms.values()].sort(byName); }
  get joined() { return this.all.filter((room) => room.member); }
  get others() { return this.all.filter((room) => !room.member); }
  get unread() { return this.joined.reduce((sum, room) => sum + room.unread, 0); }

  /** The server's list, at the start and again later: it knows names and members, we know what we have applied. */
  update(list) {
    const listed = new Set(list.map((fresh) => fresh.slug)); // one's own rooms always; others only up to a number
    for (const room of this.joined) if (!listed.has(room.slug)) this.#rooms.delete(room.slug);
    for (const fresh of list) {
      const { slug, name, description, member, members, head, mine } = fresh;
      const read = fresh.read ?? 0;
      const unread = fresh.unread ?? 0;
      let room = this.get(slug);
      if (!room) {
        room = { slug, life: 0, last: head, epoch: null, read, unread, line: unread ? read : null, counted: head };
        Object.assign(room, { messages: [], more: true, pages: "none", held: null, heldOlder: null });
        this.#rooms.set(slug, room);
      } else if (head >= room.counted && read >= room.read) {
        Object.assign(room, { read, unread, counted: head });
      }
      Object.assign(room, { name, description, member, members, mine, private: fresh.private });
    }
    this.changed(null);
  }

  forget(slug) {
    if (this.#rooms.delete(slug)) this.changed(slug);
  }

  /** → "applied" | "known" | "gap" */
  apply(event) {
    const room = this.get(event.room);
    if (!room || event.offset <= room.last) return "known";
    if (event.offset > room.last + 1) return "gap";
    room.last = event.offset;
    COUNTS[event.type]?.(this, room, event);
    room.held?.push(event);
    room.heldOlder?.push(event);
    if (room.messages.length || room.pages === "ready") WRITES[event.type]?.(room, event, this.me);
    if (room.messages.length > MOST && !this.isReadAbove(room)) this.trim(room);
    this.changed(room.slug);
    return "applied";
  }

  /** The newest page has been asked for: what arrives until it is here may be missing from it. */
  pageAsked(room) {
    room.held = [];
    room.pages = room.pages === "ready" ? "ready" : "loading";
    this.changed(room.slug);
  }

  pageArrived(room, page) {
    const held = room.held ?? [];
    Object.assign(room, { messages: page.messages, more: page.more, pages: "ready", held: null, epoch: page.epoch });
    for (const event of held) if (event.offset > page.offset) WRITES[event.type]?.(room, event, this.me);
    room.last = Math.max(room.last, page.offset);
    this.dispatchEvent(new CustomEvent("page", { detail: room }));
    this.changed(room.slug);
  }

  pageFailed(room) {
    room.held = null;
    if (room.pages !== "ready") room.pages = "failed";
    this.changed(room.slug);
  }

  /** Older messages have been asked for: what happens to them meanwhile may be missing from their page. */
  olderAsked(room) {
    room.heldOlder = [];
  }

  olderArrived(room, page) {
    const oldest = room.messages[0]?.offset ?? Infinity;
    room.messages = [...page.messages.filter((message) => message.offset < oldest), ...room.messages];
    room.more = page.more;
    for (const event of room.heldOlder ?? []) if (event.offset > page.offset) WRITES[event.type]?.(room, event, this.me);
    room.heldOlder = null;
    this.changed(room.slug);
  }

  /** Lets go of the oldest messages; they can be asked for again. */
  trim(room) {
    if (room.messages.length <= KEPT) return;
    room.messages = room.messages.slice(-KEPT);
    room.more = true;
  }

  /** Another life of the log, or too far behind it: what we hold is worth nothing, the page has to be asked for. */
  restarted(room, { head, epoch }) {
    const life = room.life + 1; // a page that was asked for before belongs to the former one
    const isOther = room.epoch ? epoch !== room.epoch : head < room.last;
    if (isOther) Object.assign(room, { read: 0, counted: 0 }); // its offsets mean something else: the list says anew
    Object.assign(room, { life, last: head, epoch, messages: [], more: true, pages: "none", held: null, heldOlder: null });
    this.changed(room.slug);
  }

  /** Everything up to `offset` has been seen, here or in another tab. */
  markRead(room, offset = room.last) {
    if (offset <= room.read && room.unread === 0) return;
    room.read = Math.max(room.read, offset);
    room.unread = room.read >= room.last ? 0 : Math.min(room.unread, this.#beyond(room));
    this.changed(room.slug);
  }

  #beyond(room) {
    if (room.pages !== "ready") return room.unread;
    return room.messages.filter((message) => message.offset > room.read && !message.deleted && message.author.id !== this.me.id).length;
  }

  changed(slug) {
    this.dispatchEvent(new CustomEvent("change", { detail: slug }));
  }
}

// What a durable event does to the numbers: once. Types that are not listed still count as seen: offsets have no holes.
const COUNTS = {
  "message.created"(rooms, room, { offset, message }) {
    if (offset <= room.counted) return;
    room.counted = offset;
    if (message.author.id === rooms.me.id || rooms.isBeingRead(room)) return;
    if (room.unread === 0) room.line = room.read;
    room.unread += 1;
  },
  "message.deleted"(rooms, room, { offset, message }) {
    if (offset <= room.counted) return;
    room.counted = offset;
    const gone = room.messages.find(({ id }) => id === message.id);
    if (!gone && room.unread) rooms.dispatchEvent(new Event("uncertain")); // nobody here knows whether it was counted
    if (gone && !gone.deleted && gone.offset > room.read && gone.author.id !== rooms.me.id) room.unread = Math.max(0, room.unread - 1);
  },
};

/** Replaces a message that is held; others are none of our business. */
function change(room, id, work) {
  const index = room.messages.findLastIndex((message) => message.id === id);
  if (index !== -1) room.messages[index] = { ...room.messages[index], ...work(room.messages[index]) };
}

// What a durable event does to the messages held: idempotently, since a page and its events overlap. Rows are drawn
// anew when their message is another object, so an edit replaces the object.
const WRITES = {
  "message.created"(room, { offset, message }) {
    const { messages } = room;
    let place = messages.length;
    while (place > 0 && messages[place - 1].offset > offset) place -= 1;
    if (messages[place - 1]?.offset !== offset) messages.splice(place, 0, { ...message, offset });
  },
  "message.edited"(room, { message }) {
    change(room, message.id, () => message);
  },
  "message.deleted"(room, { message }) {
    change(room, message.id, () => ({ text: "", html: "", deleted: true, reactions: [] }));
  },
  "message.reacted"(room, { message, user, emoji, on, reactions }, me) {
    change(room, message.id, (before) => {
      const mine = new Set((before.reactions ?? []).filter((reaction) => reaction.mine).map((reaction) => reaction.emoji));
      if (user.id === me.id) mine[on ? "add" : "delete"](emoji);
      return { reactions: reactions.map((reaction) => ({ ...reaction, mine: mine.has(reaction.emoji) })) };
    });
  },
};
