"""The body of an HTTP request: exactly HTTP_MAX_BODY passes, one byte more is 413, and is not waited for.

Whatever application it was for: the bare server's counts what comes, the project's wants a token.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.helpers import Server
from tests.wire.client import Target, Wire, wire
from tests.wire.limits import BODY
from tests.wire.test_floods import GROWTH, MIB, offer, resident, warmed

LENGTH = "Content-Length: {}"
CHUNKED = "Transfer-Encoding: chunked"


def head(*lines: str, path: str = "/accounts/login/") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunks(size: int, each: int = 65_536) -> bytes:
    return b"".join(chunk(b"x" * min(each, size - at)) for at in range(0, size, each))


@pytest.fixture(params=["bare", "application"])
def port(request: pytest.FixtureRequest, raw: Target, application: Server) -> int:
    return {"bare": raw.port, "application": application.port}[request.param]


@asynccontextmanager
async def refused(port: int, request: bytes) -> AsyncIterator[Wire]:
    """The request is answered with 413, although its client waits for more and says nothing."""
    async with wire(port) as connection:
        await connection.send(request)
        answer = await connection.response()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        yield connection


async def test_a_body_of_exactly_the_limit_passes_and_so_does_what_follows(raw: Target) -> None:
    for request in (head(LENGTH.format(BODY)) + b"x" * BODY, head(CHUNKED) + chunks(BODY) + chunk(b"")):
        async with wire(raw.port) as connection:
            await connection.send(request * 2)
            for _ in range(2):
                answer = await connection.response()
                assert answer.body.endswith(b"; %d bytes came" % BODY), answer


async def test_a_body_of_the_limit_reaches_the_project(application: Server) -> None:
    async with wire(application.port) as connection:
        await connection.send(head(LENGTH.format(BODY)) + b"x" * BODY)
        assert (await connection.response()).status == 403  # it had no token


async def test_a_length_beyond_the_limit_is_refused_at_once(port: int) -> None:
    for size in (BODY + 1, 1 << 40):
        async with refused(port, head(LENGTH.format(size))) as connection:
            await connection.ended()


async def test_a_client_that_asks_first_is_not_told_to_continue(port: int) -> None:
    async with refused(port, head(LENGTH.format(BODY + 1), "Expect: 100-continue")) as connection:
        await connection.ended()
    async with wire(port) as connection:
        await connection.send(head(LENGTH.format(BODY), "Expect: 100-continue"))
        assert await connection.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_chunks_are_refused_at_the_first_byte_too_many(port: int) -> None:
    for each in (1_000, 65_536, BODY + 1):
        async with refused(port, head(CHUNKED) + chunks(BODY + 1, each)) as connection:
            await connection.ended()


async def test_what_comes_behind_a_refused_body_is_no_request(raw: Target) -> None:
    behind = chunk(b"") + head(LENGTH.format(0))
    async with refused(raw.port, head(CHUNKED) + chunks(BODY + 1) + behind) as connection:
        await connection.send(head(LENGTH.format(0)))
        await connection.ended()


@pytest.mark.parametrize("request_head", [head(LENGTH.format(1 << 40)), head(CHUNKED)], ids=["length", "chunked"])
async def test_who_sends_on_reads_why_costs_little_and_is_cut(fresh: Server, request_head: bytes) -> None:
    await warmed(fresh)
    before = resident(fresh)
    async with wire(fresh.port) as connection:
        await connection.send(request_head)
        flood = asyncio.create_task(offer(connection, chunks(4 * MIB), 100_000))
        assert (await connection.response()).status == 413
        await asyncio.wait_for(flood, 20)
        grown = resident(fresh) - before
    assert grown < GROWTH, f"the server grew by {grown / MIB:.1f} MiB"


async def test_forms_are_left_to_the_application(raw: Target) -> None:
    """The server would read them in its loop, where ten mebibytes of names take seconds, and refuse what it cannot."""
    async with wire(raw.port) as connection:
        await connection.send(head(LENGTH.format(5), "Content-Type: multipart/form-data") + b"parts")
        assert (await connection.response()).body.endswith(b"; 5 bytes came")
