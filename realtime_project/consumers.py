"""The lean base of this project's consumers: one task, one message at a time, no channel of its own.

Channels gives every consumer a channel, a task pair and a thread hop a message; the hub makes all three unnecessary.
"""

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer

from .connections import Connection


class Consumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """A WebSocket consumer behind the door. `connection` is what the hub writes to.

    `disconnect(code)` runs exactly once for every connection whose `connect` began, also when a handler raises.
    """

    mode: ClassVar[str] = "consumer"  # what the registry shows
    max_size: ClassVar[int | None] = None  # bytes of one message, where it is less than WEBSOCKET_MAX_MESSAGE_SIZE
    channel_layer = channel_name = None
    connection: Connection

    async def __call__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Any) -> None:
        self.scope, self.base_send = scope, send
        self.connection = scope["connection"]
        try:
            while True:
                await self.dispatch(await receive())
        except StopConsumer:
            pass
        except BaseException:
            await self.disconnect(1011)
            raise

    async def dispatch(self, message: dict[str, Any]) -> None:
        await getattr(self, HANDLERS[message["type"]])(message)

    async def websocket_disconnect(self, message: dict[str, Any]) -> None:
        await self.disconnect(message["code"])
        raise StopConsumer


HANDLERS = {f"websocket.{event}": f"websocket_{event}" for event in ("connect", "receive", "disconnect")}
