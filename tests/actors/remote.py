"""Servers elsewhere, for outbound clients to connect to: small ones that do what ours never would. And what is asked of
a client while it runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import Any

from websockets import Headers
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from actors.clients import ClientError, WebSocketClient
from tests.helpers import PATIENCE, Server


class Remote:
    """What a server elsewhere has seen."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.received: list[str | bytes] = []
        self.sockets: list[ServerConnection] = []
        self.closes: list[tuple[int | None, str | None]] = []

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"


@asynccontextmanager
async def remote(
    answer: Callable[[Request], Response | None] | None = None,
    talk: Callable[[ServerConnection], Awaitable[None]] | None = None,
    port: int = 0,
    **options: Any,
) -> AsyncIterator[Remote]:
    """A server that takes what it is sent. answer: instead of the handshake; talk: instead of taking."""
    seen = Remote()

    def first(connection: ServerConnection, request: Request) -> Response | None:
        seen.requests.append(request)
        return answer(request) if answer else None

    async def speak(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            if talk:
                await talk(connection)
            async for content in connection:
                seen.received.append(content)

    async def take(connection: ServerConnection) -> None:
        seen.sockets.append(connection)
        talking = asyncio.create_task(speak(connection))
        await connection.wait_closed()
        talking.cancel()  # whatever it waits for
        with suppress(asyncio.CancelledError):
            await talking
        seen.closes.append((connection.close_code, connection.close_reason))

    async with serve(take, "127.0.0.1", port, process_request=first, compression=None, **options) as running:
        seen.port = next(iter(running.sockets)).getsockname()[1]
        yield seen


def status(code: int, **headers: str) -> Callable[[Request], Response]:
    """An answer to the handshake."""

    def answer(request: Request) -> Response:
        return Response(code, HTTPStatus(code).phrase, Headers(headers))

    return answer


async def until(condition: Callable[[], Any], timeout: float = PATIENCE) -> None:
    """Looks again and again, from outside."""
    async with asyncio.timeout(timeout):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running(client: WebSocketClient) -> AsyncIterator[WebSocketClient]:
    """A client that is stopped in the end, of which nothing may be left."""
    before = asyncio.all_tasks()
    client.start()
    try:
        yield client
    finally:
        with suppress(ClientError):  # stopped by the test itself
            await client.stop()
        await until(lambda: not {task for task in asyncio.all_tasks() - before if is_ours(task)})


def is_ours(task: asyncio.Task[Any]) -> bool:
    """Whether a task is one of an outbound client, by the file that it is in."""
    file = getattr(task.get_coro(), "cr_code").co_filename  # noqa: B009  # which only coroutines have
    return any(str(file).endswith(f"actors/{name}.py") for name in ("clients", "links", "streams", "outbound"))


def make(server: Server, url: str, **fields: Any) -> int:
    """A row in a server's database: its key."""
    fields = {"name": "bridge", "url": url, "is_wanted": True, **fields}
    made = server.python(
        f"from actors.models import OutboundClient\nprint(json.dumps(OutboundClient.objects.create(**{fields!r}).pk))"
    )
    assert isinstance(made, int)
    return made
