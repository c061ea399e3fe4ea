"""What an actor can be told. Frames are `str` and `bytes`; everything else is a frozen struct."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

SECRET = "secret"  # in the `extra` of a field's Meta
Secret = msgspec.Meta(extra={SECRET: True})  # `password: Annotated[str, Secret]`: the recorder never keeps it


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="type"):
    """The base of what clients send as JSON: `class FetchRequest(Message, frozen=True): key: str`.

    Its `type` is the class's name: {"type": "FetchRequest", "key": "apples"}.
    """


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Who is at the other end."""

    connection: str  # the connection's id, as the registry and the log know it
    server: str
    client_ip: str
    path: str
    time: datetime  # of this message, aware
    origin: str | None = None  # None: not sent, so not a browser
    user: Any = None


class ClientConnected(Client, frozen=True, kw_only=True):
    """The first message. `resumed`: the state is one that this client left earlier."""

    topic_in: Any  # a Topic: what is published to it is told to this actor
    topic_out: Any  # a Topic: what is published to it is sent to this client
    query: Any = msgspec.field(default_factory=dict)  # of the address: a django.http.QueryDict
    subprotocols: tuple[str, ...] = ()  # as the client offered them
    resumed: bool = False


class ClientDisconnected(Client, frozen=True, kw_only=True):
    """The last message, exactly once, however the connection ended. `code`: 1006 where no close frame came."""

    code: int


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """The server that an outbound connection leads to."""

    connection: str  # the connection's id
    server: str  # this process
    url: str  # without its secrets
    address: str  # to which its host was resolved
    time: datetime  # of this message, aware


class ServerConnected(Remote, frozen=True, kw_only=True):
    """The first message of an outbound connection: we are in."""

    topic_in: Any  # a Topic: what is published to it is told to this actor
    topic_out: Any  # a Topic: what is published to it is sent to that server
    subprotocol: str | None = None  # which the server has picked


class ServerDisconnected(Remote, frozen=True, kw_only=True):
    """The last message of an outbound connection, exactly once. `code`: 1006 where no close frame came."""

    code: int
    reason: str = ""


class Timeout(msgspec.Struct, frozen=True):
    """A timer has run out: Schedule's by its name, or STATE or EVENT."""

    name: str


class CallFailed(msgspec.Struct, frozen=True):
    """A function that was called raised. `error` is its exception as text, for the log rather than for clients."""

    function: str
    error: str


def encode(message: msgspec.Struct) -> str:
    """A typed message → the text of its frame."""
    return msgspec.json.encode(message).decode()


class Invalid(Exception):
    """A frame that was meant as a typed message and is none."""


class Decoder:
    """Frames → messages, for one endpoint: JSON objects with a `type` arrive as the type of that name.

    messages: frozen structs with tags. Raises TypeError for anything else, at once.
    """

    def __init__(self, messages: tuple[type, ...]) -> None:
        for each in messages:
            config = getattr(each, "__struct_config__", None)
            if config is None or not config.frozen or config.tag is None or config.tag_field != "type":
                raise TypeError(
                    f"messages must hold frozen structs tagged with `type`, as subclasses of "
                    f"actors.messages.Message are, not {each!r}"
                )
        self.messages = messages
        self._decode = msgspec.json.Decoder(_union(messages)).decode if messages else None

    def __call__(self, text: str) -> Any:
        """The typed message, or the text itself where it is not meant as one. Raises Invalid."""
        if self._decode is None or not text.lstrip().startswith("{") or '"type"' not in text:
            return text
        try:
            return self._decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
            raise Invalid(str(error)) from None


def _union(types: tuple[type, ...]) -> Any:
    union: Any = types[0]
    for each in types[1:]:
        union |= each
    return union
