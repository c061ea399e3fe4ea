"""The demonstration endpoints of topic mode and of raw ASGI. Anybody may use them: on in development only."""

from typing import Any

import msgspec

from realtime_project.consumers import Consumer
from realtime_project.feeds import Subscription
from realtime_project.topics import Topic, hub

from .protocol import encode, error

chat = Topic("demo.broadcast")
news = Topic("news", history=True)

ROOM = 100  # characters of a room's name
PREFERRED = ("graphql-ws", "json")


class Said(msgspec.Struct):
    """What a client of a demonstration room sends."""

    user: str = "anonymous"
    text: str = ""


class RoomConsumer(Consumer):
    """Rooms from the path: JSON {"user", "text"} in, a message to everyone in that room out."""

    mode = "topic"
    subscription: Subscription | None = None

    async def connect(self) -> None:
        name = self.scope["url_route"]["kwargs"].get("room", "default")[:ROOM]
        self.receive_private()
        self.room = Topic(f"demo.room:{name}")
        self.subscription = await hub().subscribe(self.room.name, self.connection)
        await self.accept()
        self.subscription.start()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data is None:
            self.connection.send_text(error(None, "invalid_message", "Send JSON in a text frame, not binary."))
            return
        try:
            said = msgspec.json.decode(text_data, type=Said)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as mistake:
            self.connection.send_text(error(None, "invalid_message", str(mistake)))
            return
        await self.push(self.room, encode(type="message", user=said.user, text=said.text))

    async def disconnect(self, code: int) -> None:
        if self.subscription:
            self.subscription.close()


class SubprotocolConsumer(Consumer):
    """Picks graphql-ws, else json, else none, whatever the order of the offer, and answers in that form."""

    async def connect(self) -> None:
        offered = self.scope["subprotocols"]
        self.chosen = next((name for name in PREFERRED if name in offered), None)
        await self.accept(self.chosen)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data is None:
            await self.send(bytes_data=bytes_data)
        elif self.chosen == "graphql-ws":
            await self.send(text_data=_graphql(text_data))
        elif self.chosen == "json":
            await self.send(text_data=encode(type="echo", text=text_data))
        else:
            await self.send(text_data=f"Echo: {text_data}")


def _graphql(text: str) -> str:
    """As much of graphql-ws as a handshake needs: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md"""
    try:
        message = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as mistake:
        return error(None, "invalid_message", str(mistake))
    answers = {"connection_init": "connection_ack", "ping": "pong"}
    kind = message.get("type")
    if isinstance(kind, str) and kind in answers:
        return encode(type=answers[kind])
    return encode(type="next", id=message.get("id"), payload={"data": message.get("payload")})


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """A raw ASGI application, as anybody would write it."""
    await send({"type": "websocket.accept"})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return
        if message["type"] == "websocket.receive":
            if message.get("text") is not None:
                await send({"type": "websocket.send", "text": f"Echo: {message['text']}"})
            else:
                await send({"type": "websocket.send", "bytes": message["bytes"]})
