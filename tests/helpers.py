"""The clients that talk to a real server in a process of its own.

Nothing here imports the application: what a test learns, it learns from outside, over sockets, HTTP and the database.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from types import TracebackType
from typing import Any, Self

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import ConnectionClosed

# Servers are started where the benchmarks start them too; tests find them here.
from benchmarks.processes import PATIENCE as PATIENCE
from benchmarks.processes import PROJECT as PROJECT
from benchmarks.processes import TEMPLATE as TEMPLATE
from benchmarks.processes import Server as Server
from benchmarks.processes import browser as browser
from benchmarks.processes import environment as environment
from benchmarks.processes import free_port as free_port
from benchmarks.processes import make_template as make_template
from benchmarks.processes import run as run

TRACEBACK = "Traceback (most recent call last)"

Frame = dict[str, Any]


@contextmanager
def running(server: Server, servers: list[Server]) -> Iterator[Server]:
    """Started, entered among those whose logs are watched, and stopped in the end."""
    servers.append(server)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def metric(server: Server, name: str) -> float:
    """A number of the server's /metrics that stands there once."""
    with browser(server.url) as asking:
        lines = asking.get("/metrics").text.splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
    return float(value)


# WebSockets -----------------------------------------------------------------------------------------------------


class Socket:
    """A client's connection. What is not here is the `websockets` library's own: send, recv, ping, close_code, …"""

    def __init__(self, connection: ClientConnection):
        self.connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    async def recv(self, timeout: float = PATIENCE) -> str | bytes:
        try:
            return await asyncio.wait_for(self.connection.recv(), timeout)
        except TimeoutError:
            raise AssertionError(f"nothing came within {timeout} s") from None

    async def send_json(self, content: object) -> None:
        await self.connection.send(json.dumps(content))

    async def recv_json(self, timeout: float = PATIENCE) -> Any:
        return json.loads(await self.recv(timeout))

    async def silent(self, seconds: float = 0.3) -> None:
        """Asserts that nothing comes for so long, and that the connection stays open."""
        try:
            came = await asyncio.wait_for(self.connection.recv(), seconds)
        except TimeoutError:
            return
        raise AssertionError(f"expected silence, got {came!r}")

    async def closed(self, timeout: float = PATIENCE) -> tuple[int | None, str | None]:
        """Waits for the end; the code and the reason, skipping whatever came before it."""
        async with asyncio.timeout(timeout):
            try:
                while True:
                    await self.connection.recv()
            except ConnectionClosed:
                await self.connection.wait_closed()
        return self.connection.close_code, self.connection.close_reason


@asynccontextmanager
async def connect(url: str, cookie: str | None = None, **options: Any) -> AsyncIterator[Socket]:
    """A connection that is always closed. `options` go to websockets' connect: origin, subprotocols, max_size, …"""
    headers = dict(options.pop("additional_headers", {}))
    if cookie:
        headers["Cookie"] = cookie
    defaults = {"proxy": None, "open_timeout": PATIENCE, "close_timeout": 2, "max_size": None}
    async with websocket(url, additional_headers=headers, **(defaults | options)) as connection:
        yield Socket(connection)


# People ---------------------------------------------------------------------------------------------------------


def guest(server: Server, name: str | None = None) -> str:
    """Enters as a guest over HTTP; the Cookie header that a browser would then send."""
    with browser(server.url) as person:
        person.get("/accounts/guest/").raise_for_status()
        submit(person, "/accounts/guest/", name=name or unique("guest"))
        return "; ".join(f"{name}={value}" for name, value in person.cookies.items())


def create_room(server: Server, cookie: str, name: str | None = None, **form: str) -> str:
    """Opens a room as the person with this cookie; its slug. With `is_private="on"` for members only."""
    with browser(server.url, cookies=cookies(cookie)) as person:
        return submit(person, "/rooms/", name=name or unique("room"), **form).strip("/").rpartition("/")[2]


def submit(person: httpx.Client, path: str, **form: str) -> str:
    """Posts a form as its page would, and returns where that leads."""
    answer = person.post(path, data={**form, "csrfmiddlewaretoken": person.cookies["csrftoken"]})
    assert answer.is_redirect, f"{path} refused {form}: {answer.status_code}\n{answer.text}"
    return answer.headers["Location"]


def cookies(header: str) -> dict[str, str]:
    """A Cookie header → its names and values."""
    return dict(pair.split("=", 1) for pair in header.split("; "))


def unique(word: str) -> str:
    """A name that no other test uses."""
    return f"{word}-{uuid.uuid4().hex[:8]}"


class Refused(Exception):
    """A command was answered with an error; `reply` is all of it."""

    def __init__(self, reply: Frame):
        super().__init__(f"{reply.get('code')}: {reply.get('detail')}")
        self.reply = reply
        self.code = reply.get("code")


def is_event(frame: Frame, room: str) -> bool:
    """Whether this is an entry of the room's log; an ack has an offset too."""
    return frame["type"] != "ack" and frame.get("room") == room and "offset" in frame


class ChatClient:
    """One person on `ws/chat/`. Every frame that came is in `frames`, in order; waiting looks there first."""

    def __init__(self, server: Server, cookie: str, **options: Any):
        self._connecting = connect(server.ws("ws/chat/"), cookie, max_queue=None, **options)
        self.frames: list[Frame] = []
        self._came = asyncio.Condition()
        self._ended = False
        self._bases: dict[str, int] = {}  # room → the offset after which the first event is due

    async def __aenter__(self) -> Self:
        self.socket = await self._connecting.__aenter__()
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._connecting.__aexit__(kind, error, trace)
        await self._reader

    async def _read(self) -> None:
        try:
            async for frame in self.socket.connection:
                async with self._came:
                    self.frames.append(json.loads(frame))
                    self._came.notify_all()
        except ConnectionClosed:
            pass
        finally:
            async with self._came:
                self._ended = True
                self._came.notify_all()

    async def send(self, **command: Any) -> None:
        await self.socket.send_json(command)

    async def frame(self, fits: Callable[[Frame], object], timeout: float = PATIENCE, after: int = 0) -> Frame:
        """The first frame that fits, already here (but for the first `after`) or still to come."""
        seen = after
        try:
            async with asyncio.timeout(timeout), self._came:
                while True:
                    for frame in self.frames[seen:]:
                        if fits(frame):
                            return frame
                    seen = len(self.frames)
                    assert not self._ended, f"closed with {self.socket.close_code}; last: {self.frames[-3:]}"
                    await self._came.wait()
        except TimeoutError:
            raise AssertionError(f"not within {timeout} s; {seen} frames came, last: {self.frames[-3:]}") from None

    async def command(self, timeout: float = PATIENCE, **command: Any) -> Frame:
        """Sends a command and returns its reply, or raises Refused."""
        command.setdefault("id", unique("c"))
        known = len(self.frames)
        await self.send(**command)
        reply = await self.frame(lambda frame: frame.get("id") == command["id"], timeout, after=known)
        if reply["type"] == "error":
            raise Refused(reply)
        return reply

    async def subscribe(self, room: str, since: int | None = None, epoch: str | None = None) -> Frame:
        reply = await self.command(type="subscribe", room=room, since=since, epoch=epoch)
        self._bases[room] = since if since is not None and reply["recovered"] else reply["head"]
        return reply

    async def post(self, room: str, text: str, id: str | None = None, timeout: float = PATIENCE) -> Frame:
        """Posts and waits for the ack."""
        return await self.command(type="post", room=room, id=id or unique("c"), text=text, timeout=timeout)

    def events(self, room: str) -> list[Frame]:
        """What came with an offset, in the order it came."""
        return [frame for frame in self.frames if is_event(frame, room)]

    def texts(self, room: str) -> list[str]:
        return [event["message"]["text"] for event in self.events(room) if event["type"] == "message.created"]

    async def heard(self, room: str, offset: int, timeout: float = PATIENCE) -> None:
        """Waits for the event with this offset."""
        await self.frame(lambda frame: is_event(frame, room) and frame["offset"] == offset, timeout)

    def since(self, room: str) -> int:
        """The last offset held: what this client would resume with."""
        return max([self._bases[room], *(event["offset"] for event in self.events(room))])

    def assert_whole(self, room: str) -> None:
        """Every event since the subscription came once, in order, without a hole."""
        offsets = [event["offset"] for event in self.events(room)]
        first = self._bases[room] + 1
        assert offsets == list(range(first, first + len(offsets))), f"from {first}: {offsets}"
