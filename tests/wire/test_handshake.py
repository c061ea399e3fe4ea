"""The opening handshake, RFC 6455 section 4.2: what is not one is refused with the status that says why."""

import asyncio
import signal
import time
from contextlib import AsyncExitStack, suppress

import pytest

from tests.helpers import Server, unique
from tests.wire import frames
from tests.wire.client import Everywhere, Target, accepted_key, new_key, together, wire
from tests.wire.client import handshake as request_for
from tests.wire.frames import Message, Opcode
from tests.wire.limits import HASTE

PATIENT = 4  # seconds more than HASTE that a busy machine may take


@pytest.mark.parametrize("version", ["0", "7", "8", "12", "14", "130", "x"])
async def test_h55_a_wrong_version_is_told_the_right_one(echo: Everywhere, version: str) -> None:
    for target in echo.targets.values():
        answer = await target.shake(target.handshake(sec_websocket_version=version))
        assert answer.status == 426
        assert answer.headers["sec-websocket-version"] == "13"


async def test_no_version_is_refused(echo: Everywhere) -> None:
    for target in echo.targets.values():
        answer = await target.shake(target.handshake(sec_websocket_version=None))
        assert answer.status in (400, 426)


@pytest.mark.parametrize("length", [0, 1, 15, 17, 32])
async def test_h55_a_key_that_is_not_16_bytes_is_refused(echo: Everywhere, length: int) -> None:
    key = "".join(["QUFB" * (length // 3), {0: "", 1: "QQ==", 2: "QUE="}[length % 3]])
    for target in echo.targets.values():
        assert (await target.shake(target.handshake(sec_websocket_key=key))).status == 400


@pytest.mark.parametrize("key", [None, "", "not base64!", "x" * 24, "%%%%%%%%%%%%%%%%%%%%%%=="])
async def test_h55_a_missing_or_invalid_key_is_refused(echo: Everywhere, key: str | None) -> None:
    for target in echo.targets.values():
        assert (await target.shake(target.handshake(sec_websocket_key=key))).status == 400


async def test_h55_two_keys_are_refused(echo: Everywhere) -> None:
    for target in echo.targets.values():
        doubled = target.handshake(sec_websocket_key=f"{new_key()}\r\nSec-WebSocket-Key: {new_key()}")
        assert (await target.shake(doubled)).status == 400


async def test_a_handshake_without_a_host_is_refused(echo: Everywhere) -> None:
    for target in echo.targets.values():
        assert (await target.shake(target.handshake(host=None))).status == 400


@pytest.mark.parametrize(
    ("upgrade", "connection"),
    [
        ("websocket", "Upgrade"),
        ("WebSocket", "upgrade"),
        ("WEBSOCKET", "keep-alive, Upgrade"),
        ("websocket", "Upgrade,keep-alive"),
    ],
)
async def test_h55_names_and_lists_are_read_as_http_says(echo: Everywhere, upgrade: str, connection: str) -> None:
    for target in echo.targets.values():
        key = new_key()
        answer = await target.shake(
            target.handshake(upgrade=upgrade, connection=connection, sec_websocket_key=key, x_empty="")
        )
        assert answer.status == 101
        assert answer.headers["sec-websocket-accept"] == accepted_key(key)
        assert answer.headers["upgrade"].lower() == "websocket"
        assert answer.headers["connection"].lower() == "upgrade"


async def test_h55_an_upgrade_over_http_1_0_is_refused(mounted_echo: Target) -> None:
    answer = await mounted_echo.shake(request_for(mounted_echo.port, mounted_echo.path, "HTTP/1.0"))
    assert answer.status in (400, 426, 505)


async def test_pages_are_served_over_http_1_0(application: Server) -> None:
    page = Target(application.port, "/accounts/guest/")
    assert (await page.shake(b"GET /accounts/guest/ HTTP/1.0\r\nHost: localhost\r\n\r\n")).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"upgrade": None, "connection": None, "sec_websocket_key": None, "sec_websocket_version": None},
        {"upgrade": None, "connection": "keep-alive"},
        {"upgrade": "h2c", "connection": "Upgrade", "sec_websocket_key": None, "sec_websocket_version": None},
    ],
    ids=["a browser's GET", "no Upgrade", "another Upgrade"],
)
@pytest.mark.parametrize("path", ["/ws/polite/", "/ws/asgi/echo/", "/ws/chat/", "/ws/rooms/some/"])
async def test_z67_h55_a_plain_get_on_a_websocket_path_is_told_to_upgrade(
    application: Server, path: str, headers: dict[str, str | None]
) -> None:
    answer = await Target(application.port, path).shake(request_for(application.port, path, **headers))  # type: ignore[arg-type]
    assert answer.status == 426
    assert answer.headers["upgrade"].lower() == "websocket"


async def test_every_426_names_the_protocol_to_upgrade_to(application: Server) -> None:
    """RFC 9110 section 15.5.22, and 7.8: who sends Upgrade names it in Connection."""
    for changed in ({"upgrade": None}, {"sec_websocket_version": "8"}):
        target = Target(application.port, "/ws/polite/")
        answer = await target.shake(target.handshake(**changed))
        assert answer.status == 426
        assert answer.headers.get("upgrade", "").lower() == "websocket", changed
        assert "upgrade" in answer.headers.get("connection", "").lower(), changed


async def test_z67_an_unknown_path_is_refused_and_logged_in_one_line(application: Server) -> None:
    path = f"/ws/{unique('nowhere')}/"
    answer = await Target(application.port, path).shake()
    assert answer.status == 404
    deadline = time.monotonic() + 5
    while path not in application.log():
        assert time.monotonic() < deadline, "nothing was logged"
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)  # for a second line, that there must not be
    assert len([line for line in application.log().splitlines() if path in line]) == 1


async def test_z67_a_path_of_the_pages_is_no_websocket(application: Server) -> None:
    assert (await Target(application.port, "/accounts/guest/").shake()).status == 404


# Subprotocols ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("json", "json"),
        ("graphql-ws, json", "graphql-ws"),
        ("json,graphql-ws", "graphql-ws"),
        ("other , json", "json"),
        ("json\r\nSec-WebSocket-Protocol: graphql-ws", "graphql-ws"),
        ("other", None),
        (None, None),
    ],
)
async def test_h10_the_subprotocol_that_was_accepted_is_echoed(
    application: Server, offered: str | None, chosen: str | None
) -> None:
    target = Target(application.port, "/ws/subprotocols/")
    answer = await target.shake(target.handshake(sec_websocket_protocol=offered))
    assert answer.status == 101
    assert answer.headers.get("sec-websocket-protocol") == chosen


async def test_h10_one_that_was_never_offered_is_not_echoed(echo: Everywhere) -> None:
    for target in echo.targets.values():
        answer = await target.shake(target.handshake(sec_websocket_protocol="unheard-of"))
        assert answer.status == 101
        assert "sec-websocket-protocol" not in answer.headers


async def test_an_extension_that_nobody_knows_is_not_agreed_to(echo: Everywhere) -> None:
    for target in echo.targets.values():
        answer = await target.shake(target.handshake(sec_websocket_extensions="x-unheard-of; level=9"))
        assert answer.status == 101
        assert "sec-websocket-extensions" not in answer.headers


@pytest.mark.parametrize("size", [5, 100_000])
async def test_what_a_hasty_client_sends_with_its_handshake_is_not_lost(echo: Everywhere, size: int) -> None:
    """It must wait for the answer, RFC 6455 section 4.1; but TCP does not tell a server whether it did."""
    for target in echo.targets.values():
        async with wire(target.port) as connection:
            await connection.send(target.handshake() + frames.binary(b"x" * size))
            assert (await connection.response()).status == 101
            assert await connection.receive() == Message(Opcode.BINARY, b"x" * size)
            await connection.bye()


@pytest.mark.parametrize("body", [{"content_length": "10"}, {"transfer_encoding": "chunked"}], ids=str)
async def test_a_handshake_with_a_body_is_refused(echo: Everywhere, body: dict[str, str]) -> None:
    """Where it would end and the frames begin, two readers of the same bytes might not agree."""
    for target in echo.targets.values():
        async with wire(target.port) as connection:
            await connection.send(target.handshake(**body) + b"a" * 10 + frames.text("in"))
            assert (await connection.reader.read()).startswith(b"HTTP/1.1 400 ")


# Segments and time ----------------------------------------------------------------------------------------------


async def test_a_handshake_may_be_split_anywhere(echo: Everywhere) -> None:
    async def split(target: Target, request: bytes, at: int) -> None:
        async with wire(target.port) as connection:
            await connection.send_pieces([request[:at], request[at:]])
            assert (await connection.response()).status == 101
            await connection.send(frames.text("in"))
            assert await connection.receive() == Message(Opcode.TEXT, b"in")

    request = {name: target.handshake() for name, target in echo.targets.items()}
    await together(
        {
            f"{name}, split at {at}": split(target, request[name], at)
            for name, target in echo.targets.items()
            for at in range(1, len(request[name]))
        }
    )


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
async def test_a_handshake_may_come_in_small_pieces(echo: Everywhere, piece: int) -> None:
    for target in echo.targets.values():
        assert (await target.shake(piece=piece)).status == 101


@pytest.mark.parametrize("begun", [b"", b"GET ", b"GET /ws/polite/ HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nX"])
async def test_a_handshake_that_stops_halfway_is_cut(hasty: Server, begun: bytes) -> None:
    async with wire(hasty.port) as connection:
        started = time.monotonic()
        await connection.send(begun)
        await cut_off(connection)
        assert HASTE * 0.8 < time.monotonic() - started < HASTE + PATIENT


async def test_a_handshake_that_crawls_is_cut_although_it_goes_on(hasty: Server) -> None:
    """A byte now and then must not buy more time."""
    async with wire(hasty.port) as connection:
        started = time.monotonic()

        async def crawl() -> None:
            await connection.send(b"GET /ws/polite/ HTTP/1.1\r\nX-Long: ")
            while True:
                await asyncio.sleep(0.1)
                await connection.send(b"x")

        crawling = asyncio.create_task(crawl())
        await cut_off(connection)
        crawling.cancel()
        await asyncio.wait([crawling])
        assert time.monotonic() - started < HASTE + PATIENT


async def test_who_waits_to_be_read_by_a_server_that_is_behind_is_not_late(hasty: Server) -> None:
    """It has more clients than it sees to in a turn of the loop, and for a while no turns."""
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire(hasty.port)) for _ in range(200)]
        silent = await stack.enter_async_context(wire(hasty.port))
        async with wire(hasty.port) as last:  # whose answer says that all of them are in
            await last.send(request)
            assert (await last.response()).status == 200
        hasty.signal(signal.SIGSTOP)
        try:
            for client in clients:
                await client.send(request)
            await asyncio.sleep(HASTE * 1.5)
        finally:
            hasty.signal(signal.SIGCONT)
        answers = await asyncio.gather(*(client.response() for client in clients), return_exceptions=True)
        assert [getattr(answer, "status", answer) for answer in answers] == [200] * len(clients)
        await cut_off(silent)


async def test_a_body_may_come_slowly_but_not_crawl(hasty: Server) -> None:
    request = b"POST /accounts/login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000\r\n\r\n"
    async with wire(hasty.port) as connection:
        await connection.send(request)
        for _ in range(10):
            await asyncio.sleep(HASTE * 0.25)
            await connection.send(b"x" * 1_000)
        assert (await connection.response()).status == 403  # it had no token
    async with wire(hasty.port) as connection:
        started = time.monotonic()
        await connection.send(request)
        with suppress(ConnectionError):
            for _ in range(100):
                await asyncio.sleep(0.1)
                await connection.send(b"x")
        await cut_off(connection)
        assert time.monotonic() - started < HASTE + PATIENT


async def test_a_handshake_that_is_slow_but_in_time_is_served(hasty: Server) -> None:
    target = Target(hasty.port, "/ws/polite/")
    request = target.handshake()
    async with wire(hasty.port) as connection:
        await connection.send(request[:50])
        await asyncio.sleep(HASTE * 0.4)
        await connection.send(request[50:])
        assert (await connection.response()).status == 101


async def cut_off(connection) -> None:
    """Whether with a 408, in good order or by a reset: the connection ends."""
    try:
        async with asyncio.timeout(HASTE + PATIENT):
            rest = await connection.reader.read()
    except ConnectionError:
        return
    assert not rest or rest.startswith(b"HTTP/1.1 4"), rest
