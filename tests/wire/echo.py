"""A raw ASGI echo under the project's server: no Channels, no pages, no database. `python -m tests.wire.echo PORT`."""

import sys
from typing import Any


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


if __name__ == "__main__":
    from realtime_project.server import Server

    Server(application=echo, endpoints=[f"tcp:port={sys.argv[1]}:interface=127.0.0.1"]).run()
