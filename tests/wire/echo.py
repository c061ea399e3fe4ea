"""A raw ASGI echo under the project's server: no Django, no database. `python -m tests.wire.echo ENDPOINT …`."""

import sys
from typing import Any

from realtime_project.limits import Limits
from realtime_project.server import Server
from tests.wire.limits import LIMIT


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b"only WebSockets here"})
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            kind = "text" if message.get("text") is not None else "bytes"
            await send({"type": "websocket.send", kind: message[kind]})


def serve(endpoints: list[str]) -> None:
    Server(application=echo, endpoints=endpoints, limits=Limits(max_message=LIMIT)).run()


if __name__ == "__main__":
    serve(sys.argv[1:])
