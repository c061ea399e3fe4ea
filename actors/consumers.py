"""ActorConsumer: a WebSocket on one side, an Actor on the other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, get_args

import msgspec
from channels.exceptions import StopConsumer
from django.http import QueryDict
from django.utils import timezone

from realtime_project import database
from realtime_project.commits import Unavailable, commits
from realtime_project.connections import deny
from realtime_project.consumers import Consumer
from realtime_project.feeds import Content
from realtime_project.identity import household

from . import recordings, runtime, sessions
from .machine import Machine, Timer
from .messages import ClientConnected, ClientDisconnected, Decoder, Invalid
from .recorder import Tape, recorder
from .rules import Rules
from .runtime import Actor, Kept, OnError
from .sessions import Opened
from .stored import Codec, Own, Unreadable, Unstorable

logger = logging.getLogger(__name__)

SESSION = "session"  # the subprotocol that a client offers if it means to return ...
PREFIX = "session."  # ... and with it, before its token, when it does


class Setup(NamedTuple):
    """What an endpoint's actors have in common."""

    initial_state: Any
    rules: Rules
    decoder: Decoder
    codec: Codec | None  # None: not stored
    on_error: OnError
    login_required: bool
    redact: frozenset[str] | None  # the fields that a recording leaves out; None: not recorded

    def tape(self, about: recordings.About, own: Own) -> Tape | None:
        """Where an actor is recorded, if it is."""
        return None if self.redact is None else Tape(recorder, about, own, self.redact)

    def first_state(self, connection: Any) -> Any:
        return self.initial_state(connection) if callable(self.initial_state) else self.initial_state


class ActorConsumer(Consumer):
    """An endpoint in actor mode: every connection has an actor of its own.

    initial_state: a state, or a function of the connection that gives one.
    rules: Rules, or a dict {(message pattern, state pattern): handler}.
    messages: the types that a client's JSON may have, see actors.messages.Message.
    persist: store state and timers; `states`: classes that can be stored although no rule names them.
    on_error: "keep" the socket when a handler fails, or "close" it with 1011.
    login_required: refuse the handshake of anonymous clients with 403.
    record: keep what every message came to, for staff to look at and to replay; `redact`: names of fields, of messages,
    states and effects, whose values are never kept, beside those that are marked actors.messages.Secret.
    """

    mode = "actor"
    actor: Actor | None = None

    def __init__(self, setup: Setup) -> None:
        super().__init__()
        self.setup = setup

    @classmethod
    def as_asgi(
        cls,
        *,
        initial_state: Any = None,
        rules: Rules | Mapping[tuple[Any, Any], Callable[..., Any]] | None = None,
        messages: Sequence[type] = (),
        states: Sequence[type] = (),
        persist: bool = False,
        on_error: OnError = "keep",
        login_required: bool = False,
        record: bool = False,
        redact: Sequence[str] = (),
    ) -> Any:
        """Checks its arguments at once: a mistake shows when the endpoint is declared."""
        if initial_state is None or rules is None:
            raise TypeError("an actor endpoint needs initial_state= and rules=")
        if isinstance(initial_state, type):
            name = initial_state.__name__
            raise TypeError(f"initial_state is a state or a function of the connection, not a class: {name}()")
        if not isinstance(rules, Rules):
            if not isinstance(rules, Mapping):
                raise TypeError(f"rules are Rules or a dict of them, not {rules!r:.200}")
            rules = Rules(rules)
        if not rules.rules:
            raise TypeError("rules are empty: nothing could ever happen")
        for name, types in {"messages": messages, "states": states}.items():
            if not isinstance(types, list | tuple):
                raise TypeError(f"{name} must be a list of classes, not {types!r:.200}")
        if on_error not in get_args(OnError):
            raise ValueError(f"on_error is one of {', '.join(get_args(OnError))}, not {on_error!r}")
        if isinstance(redact, str) or not all(isinstance(name, str) for name in redact):
            raise TypeError(f"redact is a list of fields' names, not {redact!r:.200}")
        if redact and not record:
            raise TypeError("redact= says what a recording leaves out: it needs record=True")
        decoder = Decoder(tuple(messages))
        codec = None
        if persist:
            first = () if callable(initial_state) else (type(initial_state),)
            codec = Codec(rules, (*first, *states, *rules.states()), decoder.messages)
        hidden = frozenset(redact) if record else None
        return super().as_asgi(setup=Setup(initial_state, rules, decoder, codec, on_error, login_required, hidden))

    @classmethod
    def types(cls, **arguments: Any) -> list[type]:
        return list(arguments["setup"].decoder.messages)

    # what the socket brings -----------------------------------------------------------------------------------
    async def connect(self) -> None:
        user = self.scope["user"]
        if self.setup.login_required and not user.is_authenticated:
            await deny(self.scope, self.base_send, 403, "Log in first.")
            raise StopConsumer
        connection = self.connection
        own = Own(connection.topic_in, connection.topic_out)
        offered = [name for name in self.scope["subprotocols"] if name != SESSION and not name.startswith(PREFIX)]
        state, timers, kept, opened = self.setup.first_state(connection), None, None, None
        if self.setup.codec:
            try:
                state, timers, kept, opened = await self._open(self.setup.codec, state, own)
            except (Unavailable, Unstorable) as error:
                logger.error("connection %s: no session: %s", connection.id, error)
                await deny(self.scope, self.base_send, 503, "Try again later.")
                raise StopConsumer from None
        await self.accept(SESSION if opened and opened.token else None)
        if opened and opened.token:
            greeting = {"type": "session", "token": opened.token, "resumed": opened.is_resumed}
            connection.send_text(msgspec.json.encode(greeting).decode())
        if opened and opened.is_lost:
            connection.close_soon(sessions.MOVED, "the session was taken up elsewhere")
            return
        machine = Machine(self.setup.rules, state, timers)
        about = recordings.About(
            id=connection.id,
            endpoint=connection.endpoint,
            session=kept.session.id if kept else None,
            server=connection.server_id,
            user=connection.user.pk if connection.user else None,
            begun_at=connection.connected_at,
        )
        tape = self.setup.tape(about, own)
        self.actor = actor = Actor(machine, own, connection, kept, self.setup.on_error, tape, self._farewell)
        connection.actor = actor
        connection.on_private(self._told)
        is_resumed = bool(opened and opened.is_resumed)
        await actor.begin(is_resumed)
        await actor.tell(
            ClientConnected(
                **self._client(),
                time=connection.connected_at,
                topic_in=own.topic_in,
                topic_out=own.topic_out,
                query=QueryDict(self.scope["query_string"]),
                subprotocols=tuple(offered),
                resumed=is_resumed,
            )
        )

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.actor is None:
            return
        if text_data is None:
            await self.actor.tell(bytes_data)
            return
        try:
            message = self.setup.decoder(text_data)
        except Invalid as error:
            self.connection.send_text(_refusal(str(error)))
        else:
            await self.actor.tell(message)

    async def disconnect(self, code: int) -> None:
        if self.actor:
            await self.actor.leave(self._farewell(code))

    # ----------------------------------------------------------------------------------------------------------
    def _told(self, content: Content) -> None:
        """What was published to topic_in: as if the client had sent it."""
        assert self.actor
        try:
            self.actor.tell_soon(content if isinstance(content, bytes) else self.setup.decoder(content))
        except Invalid as error:
            logger.warning("%s: what was published to it is no message: %s", self.actor, error)

    def _farewell(self, code: int) -> ClientDisconnected:
        return ClientDisconnected(**self._client(), time=timezone.now(), code=code)

    def _client(self) -> dict[str, Any]:
        connection = self.connection
        return {
            "connection": connection.id,
            "server": connection.server_id,
            "client_ip": connection.client_ip,
            "path": connection.path,
            "origin": connection.origin,
            "user": connection.user,
        }

    async def _open(self, codec: Codec, state: Any, own: Own) -> tuple[Any, dict[str, Timer] | None, Kept, Opened]:
        """Find the session whose token the client has brought, or begin one."""
        offered, connection = self.scope["subprotocols"], self.connection
        is_staying = SESSION in offered  # beside a token too: only what was offered can be agreed on
        brought = next((name[len(PREFIX) :] for name in offered if name.startswith(PREFIX)), None)
        user = getattr(connection.user, "pk", None)
        claim = sessions.Claim(
            owner=connection.id,
            server=connection.server_id,
            endpoint=connection.endpoint,
            user=user,
            token=brought if is_staying else None,
            fresh=sessions.new_token() if is_staying else None,
            version=codec.version,
            state=codec.encode(state, own),
            path=connection.path,
            holder=f"user {user}" if user else f"address {household(connection.client_ip) or ''}",
        )
        opened = await commits().write(sessions.open_all, claim)
        timers = None
        if opened.is_resumed:
            try:
                state = codec.decode(opened.state, opened.version, own)
                timers = codec.decode_timers(opened.timers, runtime.shift())
            except Unreadable as error:  # it is left as it is, for code that can read it
                logger.error("connection %s: session %s cannot be read: %s", connection.id, opened.session.id, error)
                await database.run(sessions.give_back, opened.session)
                opened = await commits().write(sessions.open_all, claim._replace(token=None))
        return state, timers, Kept(opened.session, codec, own), opened


def _refusal(detail: str) -> str:
    return msgspec.json.encode({"type": "error", "code": "invalid_message", "detail": detail}).decode()
