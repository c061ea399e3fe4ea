"""The chat connection's words: commands typed and validated, replies and events as the text that goes out.

One JSON object a text frame. Pure: it knows neither the database nor the socket.
"""

from typing import Annotated, Any, Literal

import msgspec

MAX_TEXT = 4_000  # characters of one message
MAX_ID = 64  # characters of a client's id

Slug = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern=r"^[^\0]*$")]  # what a database takes
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=2**62)]

Number = Annotated[int, msgspec.Meta(ge=1, le=2**62)]  # of a message

Change = Literal["added", "removed"]
MEMBER = '{"type":"member.'  # how such an event begins: `type` is encoded first
Code = Literal["invalid_message", "not_found", "rate_limited", "too_long", "unauthenticated", "unavailable"]


class Command(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    id: Id | None = None


class Subscribe(Command, frozen=True, kw_only=True, tag="subscribe"):
    room: Slug
    since: Offset | None = None
    epoch: str | None = None


class Unsubscribe(Command, frozen=True, kw_only=True, tag="unsubscribe"):
    room: Slug


class PostMessage(Command, frozen=True, kw_only=True, tag="post"):
    id: Id  # makes a retry safe
    room: Slug
    text: str


class Edit(Command, frozen=True, kw_only=True, tag="edit"):
    message: Number
    text: str


class Delete(Command, frozen=True, kw_only=True, tag="delete"):
    message: Number


class React(Command, frozen=True, kw_only=True, tag="react"):
    message: Number
    emoji: str
    on: bool


class Typing(Command, frozen=True, kw_only=True, tag="typing"):
    room: Slug


class Read(Command, frozen=True, kw_only=True, tag="read"):
    room: Slug
    offset: Offset


Commands = Subscribe | Unsubscribe | PostMessage | Edit | Delete | React | Typing | Read

_commands = msgspec.json.Decoder(Commands)
_anything = msgspec.json.Decoder()
_encode = msgspec.json.Encoder().encode


class Invalid(Exception):
    """What came is no command. `id` is the client's, where it could be read."""

    def __init__(self, detail: str, id: Any = None) -> None:
        super().__init__(detail)
        self.id = id


def decode(text: str) -> Commands:
    """A frame's text → its command. Raises Invalid."""
    try:
        command: Commands = _commands.decode(text)
        return command
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise Invalid(str(error), _id(text)) from None


def _id(text: str) -> Any:
    """The id of a command that is otherwise wrong, so that the client knows which one."""
    try:
        id = _anything.decode(text)["id"]
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError, LookupError, TypeError):
        return None
    return id if isinstance(id, str | int) and len(str(id)) <= MAX_ID else None


def encode(**fields: Any) -> str:
    """One JSON object, `type` first as it is given."""
    return _encode(fields).decode()


def subscribed(id: str | None, room: str, head: int, epoch: str, recovered: bool) -> str:
    return encode(type="subscribed", **_with(id), room=room, head=head, epoch=epoch, recovered=recovered)


def ack(id: str | None, room: str, offset: int, message: int) -> str:
    return encode(type="ack", **_with(id), room=room, offset=offset, message=message)


def error(id: Any, code: Code, detail: str, **more: Any) -> str:
    return encode(type="error", **_with(id), code=code, detail=detail, **more)


def message_created(room: str, offset: int, message: dict[str, Any]) -> str:
    return encode(type="message.created", room=room, offset=offset, message=message)


def message_edited(room: str, offset: int, message: dict[str, Any]) -> str:
    return encode(type="message.edited", room=room, offset=offset, message=message)


def message_deleted(room: str, offset: int, message: int) -> str:
    return encode(type="message.deleted", room=room, offset=offset, message={"id": message})


def message_reacted(
    room: str, offset: int, message: int, user: dict[str, Any], emoji: str, on: bool, reactions: list[dict[str, Any]]
) -> str:
    """`reactions`: all of the message's, afterwards."""
    fields = {"message": {"id": message}, "user": user, "emoji": emoji, "on": on, "reactions": reactions}
    return encode(type="message.reacted", room=room, offset=offset, **fields)


def member_changed(change: Change, room: str, offset: int, user: dict[str, Any]) -> str:
    return encode(type=f"member.{change}", room=room, offset=offset, user=user)


def membership(event: str | bytes) -> tuple[Change, int] | None:
    """What an event of a room's log changes in its members, and whose membership that is; None for any other event."""
    if not isinstance(event, str) or not event.startswith(MEMBER):
        return None
    decoded = _anything.decode(event)
    return decoded["type"].removeprefix("member."), decoded["user"]["id"]


def typing(room: str, user: dict[str, Any]) -> str:
    return encode(type="typing", room=room, user=user)


def read(room: str, user: int, offset: int) -> str:
    return encode(type="read", room=room, user=user, offset=offset)


def presence(
    room: str, online: int, came: list[dict[str, Any]], went: list[dict[str, Any]], *, all: bool, more: bool
) -> str:
    """online: how many are; all: `came` is all of them; more: `came` and `went` leave some out."""
    marks = {name: True for name, holds in (("all", all), ("more", more)) if holds}
    return encode(type="presence", room=room, online=online, **marks, came=came, went=went)


def announcement(text: str) -> str:
    return encode(type="announcement", text=text)


def _with(id: Any) -> dict[str, Any]:
    return {} if id is None else {"id": id}
