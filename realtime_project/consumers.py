"""The lean base of this project's consumers: one task, one message at a time, no channel of its own.

Channels gives every consumer a channel, a task pair and a thread hop a message; the hub makes all three unnecessary.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import Any, ClassVar

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from .commits import Unavailable
from .connections import FAILED, TOO_BIG, Connection
from .feeds import Content
from .figures import counters, posts
from .topics import PublishError, Topic, hub

logger = logging.getLogger(__name__)

LATER = 1013  # close code
WAITING = 1_000  # messages that wait for the layer before a sender's next frame is read
POSTED = 1_000  # messages through topic_in that may wait for their consumer


class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """A WebSocket consumer behind the door. `connection` is what the hub writes to.

    `disconnect(code)` runs exactly once, also when a handler raises: the door sees to it.
    """

    mode: ClassVar[str] = "consumer"  # what the registry shows
    max_size: ClassVar[int | None] = None  # bytes of one message, where it is less than WEBSOCKET_MAX_MESSAGE_SIZE
    channel_layer = channel_name = None
    connection: Connection
    _posted: deque[Content] | None = None  # came through topic_in, and waits
    _handling: asyncio.Task[None] | None = None

    @classmethod
    def samples(cls, **arguments: Any) -> list[str]:
        """Messages worth sending to an endpoint that was made with these arguments, for who tries it out."""
        return []

    @classmethod
    def types(cls, **arguments: Any) -> list[type]:
        """The structs that clients' JSON is read as, where such an endpoint declares them."""
        return []

    @classmethod
    def pace(cls, **arguments: Any) -> tuple[float, float]:
        """Messages a second that one client of such an endpoint may send, and how many at once; 0, 0: no limit."""
        return 0, 0

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        self.scope, self.base_send = scope, send
        self.connection = scope["connection"]
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        finally:
            if self._handling:
                self._handling.cancel()

    async def dispatch(self, message: dict[str, Any]) -> None:
        await getattr(self, HANDLERS[message["type"]])(message)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        await self.disconnect(message["code"])
        raise StopConsumer

    # what others send as if the client had ---------------------------------------------------------------------
    def receive_private(self) -> None:
        """Handle what comes through the connection's topic_in as if the client had sent it: by receive()."""
        self.connection.on_private(self._post)

    def _post(self, content: Content) -> None:
        if self._posted is None:
            self._posted = deque()
        if len(self._posted) >= POSTED:
            counters.drops += 1
            logger.warning("connection %s: %d messages of others wait, one is dropped", self.connection.id, POSTED)
            return
        self._posted.append(content)
        if self._handling is None:
            self._handling = asyncio.create_task(self._handle_posted(self._posted))

    async def _handle_posted(self, posted: deque[Content]) -> None:
        try:
            while posted and not self.connection.closed:
                content = posted.popleft()
                if isinstance(content, str):
                    await self.receive(text_data=content)
                else:
                    await self.receive(bytes_data=content)
        except Exception:
            logger.exception("connection %s: a message of others failed", self.connection.id)
            self.connection.close_soon(FAILED, "internal error")
        finally:
            self._handling = None

    # ----------------------------------------------------------------------------------------------------------
    async def push(self, topic: Topic, content: Content) -> None:
        """Publish what the client sent. Waits only where too much waits already, so that its next frame waits too."""
        try:
            if topic.history:
                began = perf_counter()
                await topic.publish(content)
                posts.add(perf_counter() - began)
                return
            sent = topic.publish_nowait(content)
            if hub().waiting > WAITING:
                await asyncio.shield(sent)
        except PublishError:
            pass  # the hub has logged it; a plain topic promises no more while the layer is away
        except Unavailable:
            self.connection.close_soon(LATER, "try again later")  # what cannot be kept must not look as if it were
        except ValueError as error:
            self.connection.close_soon(TOO_BIG, str(error))


HANDLERS = {f"websocket.{event}": f"websocket_{event}" for event in ("connect", "receive", "disconnect")}
