"""A raw ASGI echo under the project's server: no Django, no database. `python -m tests.wire.echo ENDPOINT …`."""

import sys
from typing import Any

from realtime_project.limits import Limits
from realtime_project.server import Server
from tests.wire.limits import BODY, LIMIT


async def echo(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "websocket":
        size = 0
        while (message := await receive())["type"] == "http.request":
            size += len(message["body"])
            if not message["more_body"]:
                break
        body = b"only WebSockets here; %d bytes came" % size
        length = (b"content-length", b"%d" % len(body))
        await send({"type": "http.response.start", "status": 404, "headers": [length]})
        await send({"type": "http.response.body", "body": body})
        return
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            kind = "text" if message.get("text") is not None else "bytes"
            await send({"type": "websocket.send", kind: message[kind]})


def serve(endpoints: list[str]) -> None:
    Server(application=echo, endpoints=endpoints, limits=Limits(max_message=LIMIT, max_body=BODY)).run()


if __name__ == "__main__":
    serve(sys.argv[1:])
