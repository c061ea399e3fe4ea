"""ASGI applications that do what the client asks for, and a diary in which another client reads how they fared.

ws/scripted/<name>/?[…]: sends the messages of a JSON list, one by one, then receives until the client has gone.
ws/diary/<name>/: waits for that application's end, and sends its diary as JSON.
"""

import asyncio
import json
from collections import defaultdict
from typing import Any
from urllib.parse import unquote

from channels.generic.websocket import AsyncJsonWebsocketConsumer, AsyncWebsocketConsumer, WebsocketConsumer

from realtime_project.consumers import Consumer
from realtime_project.topics import Topic

ENDED = {"type": "ended"}

diaries: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)


async def scripted(scope: Any, receive: Any, send: Any) -> None:
    diary = diaries[scope["url_route"]["kwargs"]["name"]]
    try:
        for step in json.loads(unquote(scope["query_string"].decode())):
            match step:
                case {"type": "raise"}:
                    raise RuntimeError("a secret of the application")
                case {"type": "sleep", "seconds": seconds}:
                    await asyncio.sleep(seconds)
                case {"type": "receive"}:
                    diary.append(readable(await receive()))
                case message:
                    await send(encoded(message))
        while not diary or diary[-1]["type"] != "websocket.disconnect":
            diary.append(readable(await receive()))
    except Exception as error:
        diary.append({"type": "error", "error": type(error).__name__, "detail": str(error)})
        raise
    finally:
        diary.append(ENDED)


def encoded(message: dict[str, Any]) -> dict[str, Any]:
    """What JSON cannot say: the bytes of a message."""
    message = {**message}
    for name in ("bytes", "body"):
        if message.get(name) is not None:
            message[name] = message[name].encode()
    if "headers" in message:
        message["headers"] = [(name.encode(), value.encode()) for name, value in message["headers"]]
    return message


def readable(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value.decode("latin1") if isinstance(value, bytes) else value for name, value in message.items()}


async def diary(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    name = scope["url_route"]["kwargs"]["name"]
    while ENDED not in diaries[name]:
        await asyncio.sleep(0.005)
    await send({"type": "websocket.send", "text": json.dumps(diaries.pop(name))})


class FailingConsumer(Consumer):
    """A consumer of this project's whose handlers raise; what it must give back, it gives back in disconnect."""

    async def connect(self) -> None:
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        raise RuntimeError("a secret of the consumer")

    async def disconnect(self, code: int) -> None:
        diaries[self.scope["url_route"]["kwargs"]["name"]] += [{"type": "disconnect", "code": code}, ENDED]


def left(consumer: Any, code: int) -> None:
    diaries[consumer.scope["url_route"]["kwargs"]["name"]] += [{"type": "disconnect", "code": code}, ENDED]


class FailingJsonConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """The same by Channels alone, which forgets disconnect when a handler raises. `null` is no failure."""

    async def receive_json(self, content: Any, **_: Any) -> None:
        if content == "by the layer":
            await self.channel_layer.send(self.channel_name, {"type": "fail"})
        elif content is not None:
            await self.fail(content)

    async def fail(self, event: Any) -> None:
        raise RuntimeError("a secret of the consumer")

    async def disconnect(self, code: int) -> None:
        left(self, code)


class FailingTwiceConsumer(FailingJsonConsumer):
    async def disconnect(self, code: int) -> None:
        left(self, code)
        raise RuntimeError("a secret of its disconnect")


class FailingSyncConsumer(WebsocketConsumer):  # type: ignore[misc]
    """On a thread."""

    def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data != "null":
            raise RuntimeError("a secret of the consumer")

    def disconnect(self, code: int) -> None:
        left(self, code)


class SmallConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """An echo with a limit of its own."""

    max_size = 1_000  # bytes

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data=text_data, bytes_data=bytes_data)


class PrivateConsumer(Consumer):
    """Tells its client the names of its private topics, then what it handles; publishes where it is asked to."""

    async def connect(self) -> None:
        self.receive_private()
        await self.accept()
        await self.send(json.dumps({"out": self.connection.topic_out.name, "in": self.connection.topic_in.name}))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data is None:
            await self.send(bytes_data=b"handled " + (bytes_data or b""))
        elif text_data == "fail":
            raise RuntimeError("asked to fail")
        elif text_data.startswith("{"):
            asked = json.loads(text_data)
            topic = Topic(asked["topic"])
            if asked["how"] == "async":
                await topic.publish(asked["content"])
            else:
                await asyncio.to_thread(topic.publish_sync, asked["content"].encode())
        else:
            await self.send(text_data=f"handled {text_data}")
