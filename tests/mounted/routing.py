"""ASGI applications as their authors wrote them: not one line knows this project."""

import asyncio
import gc
import json
import logging
from collections import Counter
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import path
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

from realtime_project.mounts import mount
from realtime_project.topics import Publish, Topic
from tests.mounted.scripted import (
    FailingConsumer,
    FailingJsonConsumer,
    FailingSyncConsumer,
    FailingTwiceConsumer,
    PrivateConsumer,
    SmallConsumer,
    diary,
    scripted,
)

logger = logging.getLogger(__name__)
fastapi = FastAPI()


@fastapi.websocket("/ws/{room}")
async def room_endpoint(websocket: WebSocket, room: str) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(f"Room {room}: {text}")


async def starlette_echo(websocket: Any) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        await websocket.send_text(text)


starlette = Starlette(routes=[WebSocketRoute("/ws", starlette_echo)])


async def polite_echo(scope: Any, receive: Any, send: Any) -> None:
    """Waits for connect before it accepts, and asks `'bytes' in message`."""
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if "bytes" in message:
            await send({"type": "websocket.send", "bytes": message["bytes"]})
        else:
            await send({"type": "websocket.send", "text": message["text"]})


async def tell_scope(scope: Any, receive: Any, send: Any) -> None:
    first = await receive()
    await send({"type": "websocket.accept"})
    told = {name: scope[name] for name in ("type", "path", "subprotocols", "client", "server")}
    told["first"] = first["type"]
    told["extensions"] = list(scope.get("extensions", {}))
    told["query_string"] = scope["query_string"].decode()
    told["are_bytes"] = all(isinstance(part, bytes) for header in scope["headers"] for part in header)
    told["headers"] = [[name.decode("latin1"), value.decode("latin1")] for name, value in scope["headers"]]
    await send({"type": "websocket.send", "text": json.dumps(told)})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def never_offered(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept", "subprotocol": next(iter(scope["subprotocols"]), None)})
    await receive()


async def eager(scope: Any, receive: Any, send: Any) -> None:
    """Sends as soon as it has accepted, then unprompted after 300 ms."""
    await send({"type": "websocket.accept"})
    for number in range(20):
        await send({"type": "websocket.send", "text": str(number)})
    await asyncio.sleep(0.3)
    await send({"type": "websocket.send", "text": "unprompted"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def busy(scope: Any, receive: Any, send: Any) -> None:
    """Accepts, and takes nothing."""
    await send({"type": "websocket.accept"})
    await asyncio.sleep(60)


async def slow(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if "text" in message:
            await asyncio.sleep(0.001)
            await send({"type": "websocket.send", "text": message["text"]})


async def parting(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        pass
    logger.warning("parted with %s", message["code"])


async def stubborn(scope: Any, receive: Any, send: Any) -> None:
    """Does not end when its client has gone."""
    await send({"type": "websocket.accept"})
    await asyncio.sleep(3600)


async def alive(scope: Any, receive: Any, send: Any) -> None:
    """How many objects of each class there are, whenever it is asked. The collector sleeps from then on."""
    gc.disable()
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        counted = Counter(type(thing).__name__ for thing in gc.get_objects())
        await send({"type": "websocket.send", "text": json.dumps(counted)})


class PlainConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """A consumer of Channels' own, with a channel and a group of the layer: it works beside ours."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("plain", self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if text_data == "fail":
            raise RuntimeError("asked to fail")
        await self.channel_layer.group_send("plain", {"type": "said", "text": text_data})

    async def said(self, event: dict[str, str]) -> None:
        await self.send(text_data=event["text"])


# from_clients → op → to_clients, without a worker
from_clients, to_clients = Topic("mounted.from_clients"), Topic("mounted.to_clients")


@from_clients.on_publish
def shout(content: str) -> list[Publish]:
    if content == "fail":
        raise RuntimeError("an operation that fails")
    return 42 if content == "nonsense" else [Publish(to_clients, content.upper())]  # type: ignore[return-value]


def topic_routes() -> list[Any]:
    from chat.consumers import TopicConsumer

    one, two = Topic("mounted.one"), Topic("mounted.two")
    log = Topic("mounted.log", history=True)
    rated = Topic("mounted.rated")
    return [
        path("ws/ops/", TopicConsumer.as_asgi(clients_subscribe_to=[to_clients], clients_push_into=[from_clients])),
        path("ws/push/", TopicConsumer.as_asgi(clients_push_into=[one])),
        path("ws/one/", TopicConsumer.as_asgi(clients_subscribe_to=[one])),
        path("ws/one/again/", TopicConsumer.as_asgi(clients_subscribe_to=[Topic("mounted.one")])),
        path("ws/two/", TopicConsumer.as_asgi(clients_subscribe_to=[two])),
        path("ws/both/", TopicConsumer.as_asgi(clients_subscribe_to=[one, two], clients_push_into=[one, two])),
        path("ws/log/", TopicConsumer.as_asgi(clients_subscribe_to=[log], clients_push_into=[log])),
        path("ws/rated/", TopicConsumer.as_asgi(clients_push_into=[rated], rate=2, burst=10)),
        path("ws/rated/heard/", TopicConsumer.as_asgi(clients_subscribe_to=[rated])),
        path("ws/unicode/", TopicConsumer.as_asgi(clients_subscribe_to=[UNICODE], clients_push_into=[UNICODE])),
    ]


UNICODE = Topic("🚀 Überraschung\n" + "長" * 180)

urlpatterns = [
    mount("ws/fastapi/", fastapi),
    mount("ws/starlette/", starlette),
    path("ws/polite/", polite_echo),  # type: ignore[arg-type]
    path("ws/scope/", tell_scope),  # type: ignore[arg-type]
    path("ws/offered/", never_offered),  # type: ignore[arg-type]
    path("ws/eager/", eager),  # type: ignore[arg-type]
    path("ws/busy/", busy),  # type: ignore[arg-type]
    path("ws/slow/", slow),  # type: ignore[arg-type]
    path("ws/parting/", parting),  # type: ignore[arg-type]
    path("ws/stubborn/", stubborn),  # type: ignore[arg-type]
    path("ws/alive/", alive),  # type: ignore[arg-type]
    path("ws/plain/", PlainConsumer.as_asgi()),
    path("ws/scripted/<name>/", scripted),  # type: ignore[arg-type]
    path("ws/diary/<name>/", diary),  # type: ignore[arg-type]
    path("ws/failing/<name>/", FailingConsumer.as_asgi()),
    path("ws/failing/json/<name>/", FailingJsonConsumer.as_asgi()),
    path("ws/failing/twice/<name>/", FailingTwiceConsumer.as_asgi()),
    path("ws/failing/sync/<name>/", FailingSyncConsumer.as_asgi()),
    path("ws/small/", SmallConsumer.as_asgi()),
    path("ws/private/", PrivateConsumer.as_asgi()),
    *topic_routes(),
]
