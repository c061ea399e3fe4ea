"""The benchmarks' tools work: generators count what servers really send. No figure is judged here."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import fanout, posts
from benchmarks.__main__ import generate
from benchmarks.client import Connection, masked
from benchmarks.generator import BrokenOff, unbroken
from benchmarks.report import Comparison
from benchmarks.servers import PlainServer
from tests.helpers import Server, guest, unique

SHORT: dict[str, Any] = {"warm_up": 0.1, "seconds": 0.3, "rounds": 2}


class Echoes(Connection):
    """Keeps what arrives."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.got: list[bytes] = []

    def arrived(self, payload: memoryview) -> None:
        self.got.append(bytes(payload))


async def test_the_client_reads_frames_of_every_size_however_they_are_cut() -> None:
    contents = [b"", b"x", b"x" * 125, b"x" * 126, b"x" * 65_535, b"x" * 65_536]
    stream = b"".join(map(as_a_server_sends, contents))
    for cut in (1, 2, 3, 5, 127, 4096, len(stream)):
        client = Echoes("/")
        client._open = True
        for start in range(0, len(stream), cut):
            piece = stream[start : start + cut]
            client.get_buffer(-1)[: len(piece)] = piece
            client.buffer_updated(len(piece))
        assert client.got == contents, f"in pieces of {cut} bytes"


def as_a_server_sends(content: bytes) -> bytes:
    """The client's frame without its mask: the bit, and the four bytes before the content."""
    frame = masked(content)
    return bytes([frame[0], frame[1] & 0x7F]) + frame[2 : len(frame) - len(content) - 4] + content


async def test_the_client_says_why_it_may_not_enter(server: Server) -> None:
    with pytest.raises(ConnectionError, match=r"HTTP/1\.1 4"):
        await Echoes("/accounts/guest/").open(server.port)
    await asyncio.sleep(0)  # closing takes a turn of the loop


def test_fan_out_against_plain_channels(tmp_path: Path) -> None:
    plain = PlainServer(tmp_path)
    plain.start()
    try:
        figures = generate("fanout", plain, path="/ws/broadcast/", readers=3, **SHORT)
    finally:
        plain.stop()
    assert figures["rate"] > 0
    assert "Traceback" not in plain.log()


async def test_fan_out_reaches_every_reader(server: Server) -> None:
    figures = await unbroken(fanout.measure(server.port, server.pid, "/ws/broadcast/", readers=3, **SHORT))
    assert figures["rate"] > 0
    assert figures["generator"] >= 0
    assert figures["server"] >= 0


async def test_posts_are_counted_as_the_database_counts_them(start_server: Callable[..., Server]) -> None:
    busy = start_server(WEBSOCKET_RATE=0)
    cookie = guest(busy, unique("poster"))
    measuring = posts.measure(busy.port, busy.pid, cookie, in_flight=4, seconds=0.3, warm_up=0.1)
    figures = await unbroken(measuring)
    stored = busy.python(
        "from chat.models import Message; print(Message.objects.filter(client_id__startswith='c-').count())"
    )
    assert stored == figures["acknowledged"] > 0


def test_a_comparison_takes_the_median_of_its_pairs() -> None:
    busy = {"generator": 0.1, "server": 1.0}
    comparison = Comparison("Title", "ours", "theirs", target=2)
    comparison.pairs += [({"rate": rate, **busy}, {"rate": 10, **busy}) for rate in (30, 50, 1)]
    assert (*comparison.rates, comparison.times) == (30, 10, 3)
    assert comparison.verdict() == "ours 30/s, theirs 10/s: 3.0 times as many (target 2, reached)"
    assert comparison.table().count("\n") == 5


async def test_a_lost_connection_ends_the_measurement(start_server: Callable[[], Server]) -> None:
    doomed = start_server()
    measuring = asyncio.create_task(
        unbroken(fanout.measure(doomed.port, doomed.pid, "/ws/broadcast/", readers=2, warm_up=5))
    )
    await asyncio.sleep(1)
    doomed.kill()
    with pytest.raises(BrokenOff, match=r"hung up|reset|[Bb]roken pipe"):
        await measuring
