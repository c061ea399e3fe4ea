"""Outbound clients over real sockets: to our own server, and to servers that do what ours never would."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from actors import clients, links
from actors.addresses import Allowed, target_of
from actors.clients import ClientError, WebSocketClient, pause_before
from actors.effects import Close, Publish, StartClient, StopClient
from actors.links import Waiting
from actors.messages import Message, ServerConnected, ServerDisconnected
from actors.rules import Rules
from actors.states import Done, State
from realtime_project import history
from realtime_project.hub import Hub
from realtime_project.topics import Topic, generate_uid, hub
from tests.actors import inside
from tests.actors.remote import remote, running, status, until
from tests.certificates import DAY, certificate
from tests.helpers import Server, connect, free_port, unique

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
async def _house(fresh_hub: Hub, settings: Any) -> None:
    """This machine may be connected to, and the hub ends with the test."""
    settings.OUTBOUND_ALLOW = [ip_network("127.0.0.0/8")]


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attempts follow one another quickly."""
    monkeypatch.setattr(clients, "FIRST", 0.02)
    monkeypatch.setattr(clients, "LONGEST", 0.05)


def topic(history: bool = False) -> Topic:
    return Topic(generate_uid(), history=history)


async def connected(client: WebSocketClient) -> None:
    await until(lambda: client.status == "connected")


class Heard:
    """What a topic publishes from now on."""

    def __init__(self, topic: Topic) -> None:
        self.contents: list[str | bytes] = []
        self._topic = topic

    async def __aenter__(self) -> list[str | bytes]:
        self._task = asyncio.create_task(self._listen(ready := asyncio.Event()))
        await ready.wait()
        return self.contents

    async def _listen(self, ready: asyncio.Event) -> None:
        async with self._topic.subscribe() as events:
            ready.set()
            async for event in events:
                self.contents.append(event.content)

    async def __aexit__(self, *error: object) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


# between topics -------------------------------------------------------------------------------------------------
async def test_z56_z58_text_and_binary_pass_both_ways(server: Server) -> None:
    inbox, outbox = topic(), topic()
    client = WebSocketClient(server.ws("ws/broadcast/"), in_stream_into=[inbox], out_stream_from=[outbox])
    mark = unique("mark")
    async with connect(server.ws("ws/broadcast/")) as other, Heard(inbox) as heard, running(client):
        await connected(client)
        for content in (f"{mark} out", f"{mark} ”".encode(), ""):
            await outbox.publish(content)
        assert [await other.recv(), await other.recv(), await other.recv()] == [f"{mark} out", f"{mark} ”".encode(), ""]
        await other.send(f"{mark} in")
        await other.send(b"\x00" + mark.encode())
        await until(lambda: len(heard) == 5)
        assert heard[3:] == [f"{mark} in", b"\x00" + mark.encode()]
    counted = client.counts
    assert (counted.messages_out, counted.messages_in, counted.gaps, counted.dropped) == (3, 5, 0, 0)
    assert counted.unconfirmed == 0
    assert counted.bytes_out == len(f"{mark} out") + len(f"{mark} ”".encode())


async def test_durable_topics_at_both_ends_are_stored_and_resumed(server: Server, hasty: None) -> None:
    inbox, outbox = topic(history=True), topic(history=True)
    await outbox.publish("before it was there")
    seen: list[str | bytes] = []

    async def hang_up_after_three(socket: ServerConnection) -> None:
        await socket.send(f"hello {len(running_remote.sockets)}")
        async for content in socket:
            seen.append(content)
            if len(seen) == 3:
                socket.transport.abort()

    async with remote(talk=hang_up_after_three) as running_remote:
        client = WebSocketClient(running_remote.url, in_stream_into=[inbox], out_stream_from=[outbox])
        async with running(client):
            await connected(client)
            for number in range(3):
                await outbox.publish(str(number))
            await until(lambda: client.status != "connected")
            await outbox.publish("while it was away")
            await until(lambda: "while it was away" in seen)
            await until(lambda: client.cursors[outbox.name][0] == 5)
            assert client.counts.unconfirmed == client.counts.dropped == 0
    # What was sent and never confirmed is sent again: perhaps twice, never not at all, and in order.
    assert seen[:3] == ["0", "1", "2"]
    assert seen[-1] == "while it was away"
    assert list(dict.fromkeys(seen)) == ["0", "1", "2", "while it was away"]
    _, stored = await asyncio.to_thread(history.page, inbox.name, 0, None, 10)
    assert [event.content for event in stored] == ["hello 1", "hello 2"]


async def test_a_thousand_events_of_a_log_go_out_in_order_although_little_may_wait(server: Server) -> None:
    outbox = topic(history=True)
    async with remote() as there:
        client = WebSocketClient(there.url, out_stream_from=[outbox], max_waiting=5)
        async with running(client):
            await connected(client)
            for start in range(0, 1_000, 100):
                await asyncio.gather(*(outbox.publish(str(number)) for number in range(start, start + 100)))
            await until(lambda: len(there.received) == 1_000)
        assert sorted(map(int, there.received)) == list(range(1_000))
        _, stored = await asyncio.to_thread(history.page, outbox.name, 0, None, 1_000)
        assert there.received == [event.content for event in stored]
        assert client.counts.dropped == 0


async def test_what_was_trimmed_before_it_was_sent_is_counted() -> None:
    outbox = topic(history=True)
    for number in range(5):
        await outbox.publish(str(number))
    epoch, _ = await asyncio.to_thread(history.page, outbox.name, 0, None, 1)
    assert await asyncio.to_thread(history.trim, timedelta(0), 3) == 3
    async with remote() as there:
        client = WebSocketClient(there.url, out_stream_from=[outbox], cursors={outbox.name: (1, epoch)})
        async with running(client):
            await until(lambda: there.received == ["3", "4"])
            assert (client.counts.dropped, client.counts.gaps) == (2, 1), "offsets 2 and 3"


async def test_many_that_come_at_once_are_stored_in_order() -> None:
    inbox = topic(history=True)
    operated: list[Any] = []
    inbox.on_publish(lambda content: operated.append(content))

    async def burst(socket: ServerConnection) -> None:
        for number in range(1_500):
            await socket.send(str(number))

    async with remote(talk=burst) as there:
        client = WebSocketClient(there.url, in_stream_into=[inbox])
        async with running(client):
            await until(lambda: len(operated) == 1_500)
    stored: list[Any] = []
    while len(stored) < 1_500:
        _, page = await asyncio.to_thread(history.page, inbox.name, len(stored), None, 1_000)
        stored += [event.content for event in page]
    assert stored == operated == [str(number) for number in range(1_500)]
    inbox.operations.clear()


async def test_what_waits_for_a_connection_goes_out_first_and_what_has_no_room_is_counted(hasty: None) -> None:
    outbox, port = topic(), free_port()
    client = WebSocketClient(f"ws://127.0.0.1:{port}/", out_stream_from=[outbox], max_waiting=5, max_size=100)
    async with running(client):
        await until(lambda: client.status == "waiting")
        for number in range(8):
            await outbox.publish(str(number))
        await until(lambda: client.counts.dropped == 3)
        assert client.counts.gaps == 1
        async with remote(port=port) as there:
            await until(lambda: len(there.received) == 5)
            for content in ("next", "x" * 101, "last"):
                await outbox.publish(content)
            await until(lambda: "last" in there.received)
            assert there.received == ["0", "1", "2", "3", "4", "next", "last"]
        assert (client.counts.dropped, client.counts.gaps) == (4, 2)


def deaf_until(broken: asyncio.Event) -> Callable[[ServerConnection], Any]:
    """For a server that accepts a connection and reads nothing of it. It is heard again where it has broken once."""

    async def deaf(socket: ServerConnection) -> None:
        if not broken.is_set():
            socket.transport.pause_reading()
            await broken.wait()
            socket.transport.abort()

    return deaf


async def test_what_was_sent_into_a_connection_that_broke_is_counted(hasty: None) -> None:
    outbox, broken = topic(), asyncio.Event()
    async with remote(talk=deaf_until(broken)) as there:
        client = WebSocketClient(there.url, out_stream_from=[outbox])
        async with running(client):
            await connected(client)
            await until(lambda: there.sockets)
            for number in range(10):
                await outbox.publish(str(number))
            await until(lambda: client.counts.messages_out == 10)
            broken.set()
            await until(lambda: client.counts.unconfirmed)
            assert (client.counts.unconfirmed, client.counts.gaps) == (10, 1)
            assert client.last_error == "the connection broke"


async def test_what_meets_the_break_is_sent_and_unconfirmed(hasty: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message is counted once, also the one whose sending finds that the connection is over."""
    outbox = topic()
    send, breaks = ClientConnection.send, [True]

    async def sent(socket: ClientConnection, content: Any) -> None:
        if content == "2" and breaks and breaks.pop():
            socket.transport.abort()
            await socket.wait_closed()
        await send(socket, content)

    monkeypatch.setattr(ClientConnection, "send", sent)
    async with remote() as there, running(WebSocketClient(there.url, out_stream_from=[outbox])) as client:
        await until(lambda: there.sockets)
        for number in range(5):
            await outbox.publish(str(number))
        await until(lambda: there.received[-1:] == ["4"])
        assert "2" not in there.received
        assert client.counts.messages_out + client.counts.dropped == 5
        assert client.counts.unconfirmed >= 1


async def test_a_message_that_is_too_large_ends_the_connection_with_1009() -> None:
    inbox = topic()

    async def shout(socket: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await socket.send("x" * 1_001)
            await socket.recv()

    async with remote(talk=shout) as there:
        client = WebSocketClient(there.url, in_stream_into=[inbox], max_size=1_000)
        async with Heard(inbox) as heard, running(client):
            await until(lambda: there.closes)
            assert there.closes[0][0] == 1009
            await until(lambda: client.status == "waiting")
            assert client.last_error.startswith("we closed with 1009")
            assert heard == []


# the other end reads no more ------------------------------------------------------------------------------------
MANY, LARGE = 15, b"x" * 900_000  # more than the system takes for a connection that nobody reads


async def filled(client: WebSocketClient, outbox: Topic) -> None:
    """Publish until nothing leaves any more."""
    await connected(client)
    for number in range(MANY):
        await outbox.publish(b"%d " % number + LARGE)
    await until(lambda: client.counts.messages_out)
    sent = 0
    while client.counts.messages_out > sent:
        sent = client.counts.messages_out
        await asyncio.sleep(0.1)
    assert sent < MANY


async def test_a_server_that_reads_no_more_is_lost_and_tried_again(
    hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, broken = topic(), asyncio.Event()
    monkeypatch.setattr(links, "STALLED", 1.0)
    async with remote(talk=deaf_until(broken)) as there:
        client = WebSocketClient(there.url, out_stream_from=[outbox])
        async with running(client):
            await filled(client, outbox)
            await until(lambda: client.status != "connected")
            broken.set()
            await until(lambda: there.received[-1:] == [b"%d " % (MANY - 1) + LARGE])
            counted = client.counts
            assert counted.reconnects >= 1
            assert client.last_error == "the connection broke"
            assert (counted.messages_out, counted.dropped) == (MANY, 0)
            assert counted.unconfirmed == MANY - len(there.received)


@pytest.mark.parametrize("how", ["stopped", "cancelled"])
async def test_a_client_ends_although_the_other_end_reads_no_more(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox, broken = topic(), asyncio.Event()
    for module in (clients, links):
        monkeypatch.setattr(module, "FAREWELL", 0.1)
    monkeypatch.setattr(links, "CLOSING", 0.1)
    async with remote(talk=deaf_until(broken)) as there:
        client = WebSocketClient(there.url, out_stream_from=[outbox])
        task = asyncio.create_task(client.run())
        await filled(client, outbox)
        async with asyncio.timeout(10):
            if how == "stopped":
                await client.stop()
            else:
                task.cancel()
            await asyncio.wait([task])
        assert client.status == "stopped"
        assert client.counts.messages_out == client.counts.unconfirmed
        assert client.counts.unconfirmed + client.counts.dropped == MANY
        broken.set()


async def opened(url: str) -> ClientConnection:
    target, allowed = target_of(url), Allowed([ip_network("127.0.0.0/8")])
    return await links.open_socket(target, allowed, headers={}, subprotocols=[], trust=None, max_size=1_000)


async def test_the_keepalive_notices_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is to be sent, as when answers to its pings have filled the way."""
    broken = asyncio.Event()
    monkeypatch.setattr(links, "PING", 0.1)
    monkeypatch.setattr(links, "STALLED", 0.2)
    async with remote(talk=deaf_until(broken)) as there:
        socket = await opened(there.url)
        await until(lambda: there.sockets)
        socket.transport.write(MANY * LARGE)
        async with asyncio.timeout(10):
            await socket.wait_closed()
        broken.set()


async def test_as_long_as_something_leaves_it_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    broken, waiting = asyncio.Event(), [9, 7, 7, 2, 2, 2]  # bytes, before and after each wait
    monkeypatch.setattr(links, "STALLED", 0.02)
    async with remote(talk=deaf_until(broken)) as there:
        socket = await opened(there.url)
        await until(lambda: there.sockets)
        socket.transport.write(MANY * LARGE)
        monkeypatch.setattr(socket.transport, "get_write_buffer_size", lambda: waiting.pop(0))
        with pytest.raises(TimeoutError):
            await socket.drain()
        assert waiting == []
        socket.transport.abort()
        broken.set()


# how it ends ----------------------------------------------------------------------------------------------------
async def test_z59_stop_closes_and_later_publishes_send_nothing_and_a_second_stop_is_an_error() -> None:
    outbox = topic()
    async with remote() as there:
        client = WebSocketClient(there.url, out_stream_from=[outbox])
        with pytest.raises(ClientError, match="does not run"):
            await client.stop()
        async with running(client):
            await connected(client)
            with pytest.raises(ClientError, match="runs already"):
                client.start()
            await outbox.publish("just before")
            await until(lambda: client.counts.messages_out)
            await client.stop(4001, "enough")
            assert (client.status, client.connected_at) == ("stopped", None)
            await until(lambda: there.closes)
            assert there.closes == [(4001, "enough")]
            assert there.received == ["just before"]
            with pytest.raises(ClientError, match="does not run"):
                await client.stop()
            await outbox.publish("too late")
            await asyncio.sleep(0.05)
            assert there.received == ["just before"]
            assert hub().feeds.get(outbox.name) is None or not hub().feeds[outbox.name].members
        async with running(client):  # it can begin again
            await connected(client)
            assert client.counts.messages_out == 1


async def test_who_awaits_it_and_is_cancelled_leaves_nothing_behind() -> None:
    async with remote() as there:
        client = WebSocketClient(there.url, out_stream_from=[topic()])
        task = asyncio.create_task(client.run())
        await connected(client)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: there.closes)
        assert there.closes[0][0] == 1001
        assert client.status == "stopped"


@pytest.mark.parametrize("moment", ["resolving", "connecting", "waiting"])
async def test_z59_a_stop_comes_through_at_any_moment(moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    never = asyncio.Event()

    async def hang(*_: Any, **__: Any) -> Any:
        await never.wait()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    silent = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = free_port() if moment == "waiting" else silent.sockets[0].getsockname()[1]
    if moment == "resolving":
        monkeypatch.setattr(links, "addresses_of", hang)
    client = WebSocketClient(f"ws://127.0.0.1:{port}/", out_stream_from=[topic()])
    async with running(client):
        await until(lambda: client.status == ("waiting" if moment == "waiting" else "connecting"))
        await asyncio.sleep(0.02)
        async with asyncio.timeout(1):
            await client.stop()
        assert client.status == "stopped"
    never.set()
    silent.close()
    await silent.wait_closed()


# what does not come about ---------------------------------------------------------------------------------------
async def test_z60_nobody_listens_and_it_is_tried_again_until_somebody_does(hasty: None) -> None:
    port, inbox = free_port(), topic()
    client = WebSocketClient(f"ws://127.0.0.1:{port}/", in_stream_into=[inbox])
    async with running(client):
        await until(lambda: client.status == "waiting")
        assert "refused" in client.last_error.lower() or "Connect call failed" in client.last_error
        assert client.next_attempt_at is not None
        async with remote(port=port):
            await connected(client)
            assert client.counts.reconnects == 0
            assert client.next_attempt_at is None


async def test_z60_a_path_that_is_not_there_is_a_refusal(server: Server) -> None:
    client = WebSocketClient(server.ws("ws/nowhere/?token=geheim"), in_stream_into=[topic()])
    async with running(client):
        await until(lambda: client.status == "refused")
        assert client.last_error == "the server refused the handshake with HTTP 404"
        assert client.next_attempt_at is not None
        assert "geheim" not in repr(client)


@pytest.mark.parametrize(("code", "is_refused"), [(401, True), (403, True), (410, True), (429, False), (503, False)])
async def test_z60_what_a_server_refuses_for_now_is_tried_soon(code: int, is_refused: bool) -> None:
    async with remote(answer=status(code)) as there:
        client = WebSocketClient(there.url, in_stream_into=[topic()])
        async with running(client):
            await until(lambda: client.status in ("waiting", "refused"))
            assert (client.status == "refused") is is_refused


async def test_z60_pauses_grow_and_differ() -> None:
    assert [pause_before(attempt, False, lambda: 1.0) for attempt in range(9)] == [0.5, 1, 2, 4, 8, 16, 32, 60, 60]
    assert pause_before(10_000, False, lambda: 0.0) == 30
    assert pause_before(0, True, lambda: 0.0) == 150
    assert len({pause_before(3, False) for _ in range(20)}) > 10


async def test_a_server_that_hangs_up_at_once_is_not_asked_faster_and_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[int] = []

    def counted(attempt: int, refused: bool) -> float:
        attempts.append(attempt)
        return 0.001

    async def hang_up(socket: ServerConnection) -> None:
        await socket.close(1013)

    monkeypatch.setattr(clients, "pause_before", counted)
    async with remote(talk=hang_up) as there, running(WebSocketClient(there.url, in_stream_into=[topic()])):
        await until(lambda: len(attempts) >= 5)
    assert attempts[:5] == [0, 1, 2, 3, 4]


# where it may lead ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("host", [*inside.NAMES, *inside.NUMBERS])
async def test_ssrf_an_inside_address_is_refused_however_it_is_written(host: str, settings: Any) -> None:
    settings.OUTBOUND_ALLOW = []
    async with remote() as there:
        client = WebSocketClient(f"ws://{host}:{there.port}/", out_stream_from=[topic()])
        async with running(client):
            await until(lambda: client.status == "refused")
            assert "OUTBOUND_ALLOW does not name it" in client.last_error
        assert there.requests == []


@pytest.mark.parametrize("host", inside.NOWHERE)
async def test_ssrf_what_may_be_an_inside_address_elsewhere_is_not_connected_to(host: str, settings: Any) -> None:
    settings.OUTBOUND_ALLOW = []
    async with remote() as there:
        client = WebSocketClient(f"ws://{host}:{there.port}/", out_stream_from=[topic()])
        async with running(client):
            await until(lambda: client.last_error)
            assert client.status in ("waiting", "refused")
        assert there.requests == []


async def test_ssrf_a_name_is_resolved_once_and_its_address_is_pinned(
    settings: Any, monkeypatch: pytest.MonkeyPatch, hasty: None
) -> None:
    """A name that leads elsewhere a moment later leads nowhere: each connection goes to the address that was judged."""
    asked: list[str] = []
    loop = asyncio.get_running_loop()
    answers = iter(["127.0.0.1", "10.0.0.1", "127.0.0.1"])

    async def rebinding(host: str, port: int, **_: Any) -> Any:
        asked.append(host)
        return [(2, 1, 6, "", (next(answers), port))]

    monkeypatch.setattr(loop, "getaddrinfo", rebinding)
    async with remote() as there:
        client = WebSocketClient(f"ws://rebinding.example:{there.port}/", out_stream_from=[topic()])
        async with running(client):
            await connected(client)
            assert asked == ["rebinding.example"]
            assert there.requests[0].headers["Host"] == f"rebinding.example:{there.port}"
            there.sockets[0].transport.abort()
            await until(lambda: client.status == "refused")  # what it leads to now is judged anew
            assert client.last_error.startswith("rebinding.example leads to 10.0.0.1, a private address")
            assert len(asked) == 2


async def test_ssrf_a_name_with_one_inside_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    async def mixed(host: str, port: int, **_: Any) -> Any:
        return [(2, 1, 6, "", ("93.184.216.34", port)), (10, 1, 6, "", ("fd00::7", port, 0, 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", mixed)
    client = WebSocketClient("ws://mixed.example/", out_stream_from=[topic()])
    async with running(client):
        await until(lambda: client.status == "refused")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_ssrf_no_redirect_is_followed(code: int) -> None:
    async with remote() as inside, remote(answer=status(code, Location=inside.url)) as outside:
        client = WebSocketClient(outside.url, out_stream_from=[topic()])
        async with running(client):
            await until(lambda: client.status == "refused")
            assert client.last_error.endswith("it sends us elsewhere, where we do not go")
        assert (len(outside.requests), len(inside.requests)) == (1, 0)


async def test_ssrf_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with remote() as there, remote() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        client = WebSocketClient(there.url, out_stream_from=[topic()])
        async with running(client):
            await connected(client)
        assert (len(there.requests), len(proxy.requests)) == (1, 0)


# TLS ------------------------------------------------------------------------------------------------------------
async def test_z57_a_trusted_certificate_is_enough_and_nothing_less(
    start_server: Callable[..., Server], tmp_path: Path, settings: Any
) -> None:
    pem, port = certificate(tmp_path), free_port()
    server = start_server("-e", f"ssl:port={port}:interface=127.0.0.1:privateKey={pem}:certKey={pem}")
    assert server.running()
    trust = ssl.create_default_context(cafile=pem)
    inbox, outbox = topic(), topic()
    streams: dict[str, Any] = {"in_stream_into": [inbox], "out_stream_from": [outbox]}
    client = WebSocketClient(f"wss://127.0.0.1:{port}/ws/broadcast/", trust=trust, **streams)
    async with Heard(inbox) as heard, running(client):
        await connected(client)
        await outbox.publish("safely")
        await until(lambda: heard == ["safely"])
    untrusting: list[tuple[str, dict[str, Any]]] = [
        (f"wss://127.0.0.1:{port}/ws/broadcast/", {}),  # nobody vouches for it
        (f"wss://localhost:{port}/ws/broadcast/", {"trust": trust}),  # somebody does, for another name
    ]
    for url, told in untrusting:
        if told:
            streams = {"out_stream_from": [outbox]}
            settings.OUTBOUND_ALLOW = [ip_network("127.0.0.0/8"), "localhost"]
        untrusted = WebSocketClient(url, **streams, **told)
        async with running(untrusted):
            await until(lambda untrusted=untrusted: untrusted.status == "refused")  # type: ignore[misc]
            assert untrusted.last_error.startswith("the certificate cannot be trusted")


@pytest.mark.parametrize(("lasts", "said"), [(1, ""), (-1, "expired")], ids=["valid", "expired"])
async def test_z57_a_certificate_that_has_expired_is_refused(lasts: int, said: str, tmp_path: Path) -> None:
    pem = certificate(tmp_path, lasts * DAY)
    there_trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there_trust.load_cert_chain(pem)
    async with remote(ssl=there_trust) as there:
        url, trust = there.url.replace("ws:", "wss:"), ssl.create_default_context(cafile=pem)
        client = WebSocketClient(url, out_stream_from=[topic()], trust=trust)
        async with running(client):
            await until(lambda: client.status in ("connected", "refused"))
            assert client.status == ("refused" if said else "connected")
            assert said in client.last_error
        assert len(there.requests) == (0 if said else 1), "not a word is said before"


async def test_z57_the_authorities_of_ssl_cert_file_are_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hasty: None
) -> None:
    pem = certificate(tmp_path)
    there_trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    there_trust.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    links.system_trust.cache_clear()
    try:
        async with remote(ssl=there_trust) as there:
            client = WebSocketClient(there.url.replace("ws:", "wss:"), out_stream_from=[topic()])
            async with running(client):
                await connected(client)
    finally:
        links.system_trust.cache_clear()


def test_z57_no_certificate_is_excused() -> None:
    for weaken in ("check_hostname", "verify_mode"):
        trust = ssl.create_default_context()
        trust.check_hostname = False
        if weaken == "verify_mode":
            trust.verify_mode = ssl.CERT_NONE
        with pytest.raises(ValueError, match="certificates are checked"):
            WebSocketClient("wss://example.org/", in_stream_into=[Topic("tests.inbox")], trust=trust)


# an actor -------------------------------------------------------------------------------------------------------
class Guest(State, frozen=True):
    seen: tuple[str, ...] = ()


class Inside(State, frozen=True):
    topic_out: Topic


class Price(Message, frozen=True):
    amount: int


told: list[Any] = []
rules = Rules()


@rules.on(ServerConnected, Guest)
def enter(message: ServerConnected, state: Guest) -> Any:
    told.append(message)
    return [Publish(message.topic_out, "hello")], Inside(message.topic_out)


@rules.on("close", Inside)
def hang_up(message: str, state: Inside) -> Any:
    return [Publish(state.topic_out, "bye"), Close(4000, "tired")], state


@rules.on("finish", Inside)
def finish(message: str, state: Inside) -> Any:
    return [Publish(state.topic_out, "the end")], Done()


@rules.on(str | bytes | Price, Inside)
def note(message: Any, state: Inside) -> Any:
    told.append(message)
    return [], state


@rules.on(ServerDisconnected, object)
def leave(message: ServerDisconnected, state: Any) -> Any:
    told.append(message)
    return [], state


async def test_z61_it_drives_an_actor_that_is_told_server_connected_first(hasty: None) -> None:
    told.clear()
    orders: asyncio.Queue[str | bytes] = asyncio.Queue()

    async def command(socket: ServerConnection) -> None:
        there.received.append(await socket.recv())
        while True:
            await socket.send(await orders.get())

    async with remote(talk=command) as there:
        url = f"{there.url}prices?token=geheim"
        client = WebSocketClient(url, initial_state=Guest(), rules=rules, messages=[Price], subprotocols=["json"])
        async with running(client):
            for content in ("hi", b"\x00", '{"type":"Price","amount":7}', '{"type":"Price","amount":"much"}', "after"):
                orders.put_nowait(content)
            await until(lambda: "after" in told)
            first, *rest = told
            assert isinstance(first, ServerConnected)
            assert first.url == f"{there.url}prices?token=…"
            assert (first.address, first.time.tzinfo is not None) == ("127.0.0.1", True)
            assert rest == ["hi", b"\x00", Price(7), "after"], "what is no message is dropped"
            assert client.counts.dropped == 1
            await first.topic_out.publish("from anywhere")
            await first.topic_in.publish("told by others")
            await until(lambda: told[-1] == "told by others")
            orders.put_nowait("close")
            await until(lambda: isinstance(told[-1], ServerDisconnected))
            assert (told[-1].code, told[-1].reason) == (4000, "tired")
            await until(lambda: isinstance(told[-1], ServerConnected))  # another connection has another actor
            assert told[-1].connection != first.connection
            orders.put_nowait("finish")
            await until(lambda: client.status == "stopped")
            assert [code for code, _ in there.closes] == [4000, 1000]
            assert sum(isinstance(each, ServerDisconnected) for each in told) == 1, "one that is done is told no more"


async def test_z61_the_last_message_comes_once_when_the_client_is_stopped() -> None:
    told.clear()
    async with remote() as there:
        client = WebSocketClient(there.url, initial_state=Guest(), rules=rules)
        async with running(client):
            await until(lambda: there.received == ["hello"])
        assert [type(each) for each in told] == [ServerConnected, ServerDisconnected]
        assert told[-1].code == 1000


# what cannot work -----------------------------------------------------------------------------------------------
inbox, history_topic = Topic("tests.clients.in"), Topic("tests.clients.log", history=True)
MISTAKES: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("nothing", {}, ValueError, "nothing could ever pass"),
    ("a topic", {"in_stream_into": inbox}, TypeError, "is a list of topics"),
    ("a name", {"out_stream_from": ["inbox"]}, TypeError, "is a list of topics"),
    ("a circle", {"in_stream_into": [inbox], "out_stream_from": [inbox]}, ValueError, "sent back"),
    ("both", {"in_stream_into": [inbox], "initial_state": Guest(), "rules": rules}, TypeError, "not both"),
    ("no rules", {"initial_state": Guest()}, TypeError, "needs initial_state= and rules="),
    ("size", {"in_stream_into": [inbox], "max_size": 0}, ValueError, "max_size"),
    ("waiting", {"in_stream_into": [inbox], "max_waiting": True}, ValueError, "max_waiting"),
    ("subprotocols", {"in_stream_into": [inbox], "subprotocols": "json"}, TypeError, "subprotocols"),
    ("header", {"in_stream_into": [inbox], "headers": {"X\r\n": "a"}}, ValueError, "no name of a header"),
    ("value", {"in_stream_into": [inbox], "headers": {"X": "a\r\nHost: b"}}, ValueError, "control characters"),
    ("host", {"in_stream_into": [inbox], "headers": {"Host": "b"}}, ValueError, "belongs to the handshake"),
    ("headers", {"in_stream_into": [inbox], "headers": [("A", "b")]}, TypeError, "headers are a dict"),
]


@pytest.mark.parametrize(("name", "arguments", "error", "why"), MISTAKES, ids=[mistake[0] for mistake in MISTAKES])
def test_what_cannot_work_fails_when_it_is_built(
    name: str, arguments: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        WebSocketClient("wss://example.org/", **arguments)


def test_the_effects_are_checked_when_they_are_made_and_show_no_secret() -> None:
    wanted = StartClient("feed", "wss://example.org/?token=geheim", [inbox], headers={"Authorization": "geheim"})
    assert "geheim" not in repr(wanted)
    with pytest.raises(ValueError, match="scheme"):
        StartClient("feed", "http://example.org/", [inbox])
    with pytest.raises(ValueError, match="nothing could ever pass"):
        StartClient("feed", "wss://example.org/")
    assert StopClient("feed") == StopClient("feed")


async def test_headers_and_subprotocols_are_sent(hasty: None) -> None:
    async with remote(subprotocols=["json"]) as there:
        url = there.url.replace("://", "://ann:pw@")
        client = WebSocketClient(url, in_stream_into=[topic()], headers={"X-Key": "k"}, subprotocols=["xml", "json"])
        async with running(client):
            await connected(client)
        sent = there.requests[0].headers
        assert (sent["X-Key"], sent["Sec-WebSocket-Protocol"]) == ("k", "xml, json")
        assert sent["Authorization"] == "Basic YW5uOnB3"
        assert "Sec-WebSocket-Extensions" not in sent


def test_what_waits_is_bounded_in_messages_and_bytes() -> None:
    waiting = Waiting(most=3, most_bytes=10, most_size=8)
    assert [waiting.put(content) for content in ("123456789", "12345678", "1", "1", "1")] == [
        False, True, True, True, False,
    ]  # fmt: skip
    waiting.take()
    assert waiting.put(b"12345678")
    assert not waiting.put("1"), "ten bytes wait"
    assert waiting.discard(lambda item: item.content == "1") == 2
    assert (len(waiting), waiting.bytes) == (1, 8)
