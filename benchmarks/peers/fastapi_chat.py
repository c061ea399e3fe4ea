"""FastAPI, as its page on WebSockets has it: a manager that holds the sockets and loops over them."""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

application = FastAPI()


class Manager:
    def __init__(self) -> None:
        self.present: list[WebSocket] = []

    async def connect(self, socket: WebSocket) -> None:
        await socket.accept()
        self.present.append(socket)

    async def broadcast(self, text: str) -> None:
        for socket in self.present:
            await socket.send_text(text)


manager = Manager()


@application.websocket("/broadcast")
async def broadcast(socket: WebSocket) -> None:
    await manager.connect(socket)
    try:
        while True:
            await manager.broadcast(await socket.receive_text())
    except WebSocketDisconnect:
        manager.present.remove(socket)


@application.websocket("/echo")
async def echo(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_text(await socket.receive_text())
    except WebSocketDisconnect:
        pass
