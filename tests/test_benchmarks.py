"""The benchmarks' tools work: generators count what servers really send, and the report says what was counted.

No figure is judged here.
"""

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from threading import Timer
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import echo, fanout, posts, recording, report, servers, stretches, watched
from benchmarks.__main__ import MODES, generate
from benchmarks.chart import Bar, Panel, chart, short
from benchmarks.client import BrokenOff, Connection, Poller, buffer, frame, packet
from benchmarks.contestants import (
    DAPHNE_RAW,
    NODE_WS,
    OURS,
    OURS_ACTOR,
    OURS_HELD,
    OURS_RAW,
    OURS_STORED,
    PLAIN,
    ZEF,
    Contestant,
)
from benchmarks.fanout import Crowd, Measurement, Mode
from benchmarks.generator import Figures
from benchmarks.results import Results, Target, median_of, times
from tests.helpers import Server, guest, unique

SHORT: dict[str, Any] = {"warm_up": 0.1, "seconds": 0.2}
SHORT_MODES = [asdict(Mode("4", 4)), asdict(Mode("bursts", 10, bursts=True))]


class Kept(Connection):
    """Keeps what arrives."""

    def __init__(self, path: str, socketio: bool = False) -> None:
        super().__init__(path, socketio=socketio)
        self.got: list[bytes] = []
        self.sent: list[bytes] = []

    def arrived(self, payload: memoryview) -> None:
        self.got.append(bytes(payload))

    def send(self, data: bytes) -> None:
        self.sent.append(data)


@pytest.fixture
def contestant(tmp_path: Path) -> Any:
    """Starts a contestant that needs nothing installed."""
    started: list[Server] = []

    def start(who: Contestant) -> Server:
        started.append(who.server(tmp_path, tmp_path))
        return started[-1].start()

    yield start
    for server in started:
        server.stop()
        assert "Traceback" not in server.log()


# The client -----------------------------------------------------------------------------------------------------


def test_the_client_reads_frames_of_every_size_however_they_are_cut() -> None:
    contents = [b"", b"x", b"x" * 125, b"x" * 126, b"x" * 65_535, b"x" * 65_536]
    stream = b"".join(map(frame, contents))
    for cut in (1, 2, 3, 5, 127, 4096, len(stream)):
        client = Kept("/")
        client._upgraded = True
        for start in range(0, len(stream), cut):
            piece = stream[start : start + cut]
            buffer[: len(piece)] = piece
            client.take(buffer[: len(piece)])
        assert client.got == contents, f"in pieces of {cut} bytes"


def test_the_client_enters_socketio_and_answers_its_pings() -> None:
    client = Kept("/", socketio=True)
    with closing(Poller()) as poller:
        client._upgraded, client._poller, poller.opening = True, poller, 1
        for message in (b'0{"sid":"x"}', b'40{"sid":"y"}', b"2", packet("message", "hi")):
            client.take(memoryview(frame(message)))
    assert [data[-2:] for data in client.sent] == [b"40", b"\x003"]
    assert client.got == [b'42["message","hi"]']
    assert poller.opening == 0


def test_the_client_says_why_it_may_not_enter(server: Server) -> None:
    with closing(Poller()) as poller, pytest.raises(BrokenOff, match=r"HTTP/1\.1 4"):
        poller.open(server.port, [Connection("/accounts/guest/")])


# Fan-out --------------------------------------------------------------------------------------------------------


def test_fan_out_against_plain_channels(contestant: Callable[[Contestant], Server]) -> None:
    plain = contestant(PLAIN)
    told = {"path": PLAIN.broadcast, "readers": 3, "modes": SHORT_MODES, **SHORT}
    figures = generate("fanout", plain.log, ports=[plain.port], servers=[plain.pid], **told)
    assert set(figures) == {"opening", "4", "bursts"}
    assert figures["4"]["rate"] > 0 < figures["bursts"]["rate"]


def test_fan_out_reaches_every_reader(server: Server) -> None:
    figures = fanout.measure([server.port], [server.pid], "/ws/broadcast/", SHORT_MODES, readers=3, **SHORT)
    for mode in ("4", "bursts"):
        assert figures[mode]["rate"] > 0
        assert figures[mode]["lost"] == 0
        assert figures[mode]["generator"] >= 0
        assert figures[mode]["server"] >= 0


class Still(Crowd):
    """Publishes to nobody."""

    def publish(self, count: int) -> None:
        self.published += count
        self.having += [0] * count


def received(crowd: Crowd, number: int, count: int) -> None:
    for _ in range(count):
        crowd.readers[number].arrived(memoryview(crowd.expected)[4:])


def test_the_next_message_is_published_when_all_have_the_first() -> None:
    crowd = Still("/", 2, socketio=False)
    crowd.begin(Mode("2", 2))
    received(crowd, 0, 2)
    assert (crowd.published, crowd.complete) == (2, 0)
    received(crowd, 1, 1)
    assert (crowd.published, crowd.complete, crowd.delivered) == (3, 1, 3)


def test_the_next_burst_is_published_when_all_have_the_last() -> None:
    crowd = Still("/", 2, socketio=False)
    crowd.begin(Mode("bursts", 3, bursts=True))
    received(crowd, 0, 3)
    received(crowd, 1, 2)
    assert (crowd.published, crowd.complete) == (3, 2)
    received(crowd, 1, 1)
    assert (crowd.published, crowd.complete) == (6, 3)


def test_what_never_comes_is_lost_and_what_comes_twice_is_an_error() -> None:
    crowd = Still("/", 2, socketio=False)
    crowd.begin(Mode("bursts", 4, bursts=True))
    received(crowd, 0, 3)
    received(crowd, 1, 1)
    crowd.give_up()
    assert (crowd.lost, crowd.complete, crowd.published) == (4, 4, 8)
    with pytest.raises(ValueError, match="more messages"):
        received(crowd, 0, 5)


def test_a_server_that_drops_messages_is_measured_to_the_end(
    contestant: Callable[[Contestant], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The echo sends to one reader only: every message is lost for the other."""
    monkeypatch.setattr(fanout, "SILENCE", 0.2)
    monkeypatch.setattr(fanout, "SILENCES", 1)
    raw = contestant(DAPHNE_RAW)
    figures = fanout.measure([raw.port], [raw.pid], "/echo", [asdict(Mode("1", 1))], readers=2, **SHORT)
    assert figures["1"]["lost"] == 0.5


def test_a_lost_connection_ends_the_measurement(start_server: Callable[[], Server]) -> None:
    doomed, crowd = start_server(), Crowd("/ws/broadcast/", 2, socketio=False)
    with closing(Poller()) as poller:
        poller.open(doomed.port, crowd.readers)
        killing = Timer(0.3, doomed.kill)
        killing.start()
        with pytest.raises(BrokenOff, match=r"hung up|reset|[Bb]roken pipe"):
            Measurement(poller, crowd, [doomed.pid]).run(Mode("1", 1), warm_up=5, seconds=1)
        killing.join()


# Echo and posts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", [PLAIN, DAPHNE_RAW, OURS_RAW], ids=lambda who: who.name)
def test_echoes_are_counted(who: Contestant, contestant: Callable[[Contestant], Server]) -> None:
    running = contestant(who)
    assert who.echo
    assert echo.measure(running.port, running.pid, who.echo, connections=2, **SHORT)["rate"] > 0


def test_our_echo_is_counted_with_its_prefix(server: Server) -> None:
    assert OURS.echo
    assert echo.measure(server.port, server.pid, OURS.echo, OURS.prefix, connections=2, **SHORT)["rate"] > 0


@pytest.mark.parametrize("who", [OURS_ACTOR, OURS_STORED], ids=lambda who: who.name)
def test_actors_are_counted(who: Contestant, template: Path, tmp_path: Path) -> None:
    running = who.server(tmp_path, template).start()
    try:
        assert who.echo
        assert echo.measure(running.port, running.pid, who.echo, connections=2, **SHORT)["rate"] > 0
    finally:
        running.stop()
    assert "Traceback" not in running.log()


def test_watchers_are_counted_beside_the_same_readers(start_server: Callable[..., Server]) -> None:
    busy = start_server()
    told: dict[str, Any] = {"path": "/ws/broadcast/", "cookie": servers.employ(busy), "readers": 3, "watchers": 2}
    figures = watched.measure(busy.port, busy.pid, **told, pairs=2, warm_up=0.1, seconds=1.2)
    without, beside = figures[watched.WITHOUT], figures[watched.WITH]
    assert [len(without), len(beside)] == [2, 2]
    assert all(each["rate"] > 0 and not each["lost"] for each in (*without, *beside))
    assert all(each["pictures"] >= 2 and each["asked"] > 0 for each in beside), "the first at once, then one a second"
    assert not any("pictures" in each for each in without)


def test_the_loops_stretches_are_those_of_each_mode(tmp_path: Path, template: Path) -> None:
    server = OURS_HELD.server(tmp_path, template)
    server.start()
    try:
        told: dict[str, Any] = {"path": OURS_HELD.broadcast, "modes": SHORT_MODES, "readers": 3}
        found = stretches.measure(server.port, server.pid, **told, seconds=0.5)
    finally:
        server.stop()
    assert list(found) == [mode["name"] for mode in SHORT_MODES]
    for figures in found.values():
        assert figures["stretches"] > 100
        assert 0 < figures["p999"] <= figures["longest"]
        assert 0 < figures["most"] <= 1.1 * figures["longest"]


def test_posts_are_counted_as_the_database_counts_them(start_server: Callable[..., Server]) -> None:
    busy = start_server(WEBSOCKET_RATE=0)
    figures = posts.measure(busy.port, busy.pid, guest(busy, unique("poster")), in_flight=4, **SHORT)
    stored = busy.python(
        "from chat.models import Message; print(Message.objects.filter(client_id__startswith='c-').count())"
    )
    assert stored == figures["acknowledged"] > 0


def test_recorded_transitions_are_counted() -> None:
    found = generate("recording", lambda: "", turns=1, seconds=0.2)
    assert set(found) == {recording.FAST, recording.PACED}
    for figures in found.values():
        assert figures["without"] > 0 < figures["recorded"]
        assert 0 < figures["written"] <= figures["taken"]
    assert found[recording.PACED]["written"] == found[recording.PACED]["taken"], "every step is kept"


# The report -----------------------------------------------------------------------------------------------------


def figures(rate: float, **more: float) -> Figures:
    return {"rate": rate, "generator": 0.5, "server": 1.0, "cost": 1 / rate, "lost": 0.0, **more}


@pytest.fixture
def results() -> Results:
    """Ours is ten times as fast as everybody, and Zef loses a quarter."""
    made = Results()
    for readers in (100, 1_000, 5_000):
        for mode in ("opening", *(mode.name for mode in MODES)):
            made.fanout[readers, mode] = {
                OURS.name: [figures(1_000, bytes=20_000)] * 3,
                NODE_WS.name: [figures(100, bytes=10_000)] * 3,
                ZEF.name: [figures(100, bytes=10_000, lost=0.25)] * 3,
            }
    made.echo = {OURS_RAW.name: [figures(50)] * 3, DAPHNE_RAW.name: [figures(25)] * 3}
    made.posts = {name: {"lists": [figures(60)], "lists of one": [figures(10)]} for name in ("SQLite", "PostgreSQL")}
    made.servers = {"64 in flight": {"one server": [figures(400_000)], "two servers": [figures(300_000)]}}
    made.commands = [{"a burst": 1.004, "a message": 0.02, "bursts": 500}]
    made.watched = {
        watched.WITHOUT: [figures(100_000)] * 3,
        watched.WITH: [figures(rate, pictures=5, asked=1.5) for rate in (98_000, 99_000, 20_000)],
    }
    made.snapshots = [{"median": 2.5, "longest": 30.0, "connections": 5_000}]
    made.stretches = {
        "4 in flight": [
            {**figures(400_000), "stretches": 1_500, "p999": 6.2, "longest": 12.5, "most": most} for most in (7, 8)
        ]
    }
    made.recorded = {
        recording.FAST: [{"without": 10, "recorded": 12, "written": 500, "taken": 10_000}] * 3,
        recording.PACED: [{"without": 10, "recorded": 14, "written": 1_000, "taken": 1_000}] * 3,
    }
    made.failures = {PLAIN.name: "it did not start"}
    return made


def test_ratios_are_medians_of_the_rounds_that_measured_both() -> None:
    rounds = {"ours": [figures(rate) for rate in (30, 50, 1)], "theirs": [figures(10)] * 3}
    assert times(rounds, "ours", "theirs") == 3
    assert times(rounds, "ours", "nobody") is None
    assert median_of(rounds["ours"])["rate"] == 30


def test_targets_are_judged_by_what_was_measured(results: Results) -> None:
    rows = report.verdicts(results).splitlines()[2:]
    judged = {row.split("|")[1].strip(): row.split("|")[-2].strip() for row in rows}
    assert judged["1,000 readers, 4 in flight: times ws"] == "holds"
    assert judged["1,000 readers, bursts of 100: times ws"] == "**missed**"
    assert judged["Echo, raw ASGI: times Daphne"] == "**missed**"
    assert judged["Memory of one of 5,000 connections"] == "holds"
    assert judged["Two servers, 64 in flight: deliveries a second"] == "holds"
    assert judged["Processor time a delivery, 64 in flight: two servers, times one"] == "**missed**"
    assert judged["Redis commands for a topic and a turn of the loop"] == "holds"
    assert judged["Posts on PostgreSQL: lists, times lists of one"] == "holds"
    assert judged["5,000 readers, 4 in flight: what three dashboards take of the deliveries"] == "holds"
    assert judged["Processor time a delivery meanwhile: times that without"] == "holds"
    assert judged["A snapshot of 5,000 connections"] == "holds"
    assert judged["A transition that is recorded, as fast as it goes: times one that is not"] == "holds"
    assert judged["A transition that is recorded, at 800 a second: times one that is not"] == "**missed**"
    assert not any("plain Channels" in what for what in judged), "nobody measured that"


def test_an_aim_is_no_promise() -> None:
    assert Target("speed", 2, 1.5, aim=True).row() == "| speed | at least 2.00 × (an aim) | 1.50 × | not reached |"


def test_the_page_says_what_was_measured(results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    monkeypatch.setattr(report, "PICTURE", tmp_path / "picture.svg")
    report.write(results, report.circumstances(peers=False), rounds=3, minutes=1)
    page = (tmp_path / "page.md").read_text()
    assert f"| {ZEF.name} | 100 | 10.0 × | 100 | 10.0 × | 100 | 10.0 × | 25% |" in page
    assert "| this project | 20.0 | 1,000 |" in page
    assert f"{PLAIN.name} could not be measured: it did not start" in page
    assert "1.00 PUBLISH commands" in page
    assert f"| {watched.WITH} | 98,000 | 0.980 × | 10.204 | 1.020 × |" in page
    assert "took 2.5 ms, and 30.0 at the longest" in page
    assert "| 4 in flight | 400,000 | 1,500 | 6.2 ms | 12.5 ms | 8.0 ms |" in page
    assert "| as fast as it goes | 10.0 | 12.0 | 1.20 × | 5% |" in page
    assert "had 3 rounds" in page
    for table in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, f"columns differ:\n{table}"
    assert ElementTree.fromstring((tmp_path / "picture.svg").read_text()).tag.endswith("svg")


def test_a_chart_has_a_bar_for_everybody() -> None:
    drawn = ElementTree.fromstring(chart([Panel("A & B", [Bar("x", 10, True), Bar("y", 5, False)])], "both"))
    bars = [node for node in drawn.iter() if node.get("class") in ("bar", "ours")]
    assert float(bars[0].get("width", 0)) == 2 * float(bars[1].get("width", 0))
    assert [short(value) for value in (7, 2_540, 254_000, 13_400_000)] == ["7", "2.5 k", "254 k", "13 M"]
