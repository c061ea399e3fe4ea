"""A raw ASGI application: a chat for all at /broadcast, an echo anywhere else."""

from collections.abc import Awaitable, Callable
from typing import Any

Send = Callable[[dict[str, Any]], Awaitable[None]]

present: set[Send] = set()


async def application(scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
    elif scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        if scope["path"] == "/broadcast":
            await broadcast(receive, send)
        else:
            await echo(receive, send)


async def echo(receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


async def broadcast(receive: Callable[[], Awaitable[dict[str, Any]]], send: Send) -> None:
    present.add(send)
    try:
        while (message := await receive())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.receive":
                for each in list(present):
                    await each({"type": "websocket.send", "text": message["text"]})
    finally:
        present.discard(send)
