"""python-socketio: what one client emits is emitted to all, or back to it."""

import socketio

server = socketio.AsyncServer(async_mode="asgi", transports=["websocket"], logger=False, engineio_logger=False)
application = socketio.ASGIApp(server)


@server.event  # type: ignore[untyped-decorator]
async def message(client: str, text: str) -> None:
    await server.emit("message", text)


@server.event  # type: ignore[untyped-decorator]
async def echo(client: str, text: str) -> None:
    await server.emit("echo", text, to=client)
