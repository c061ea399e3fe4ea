"""An outbound client between two of our own servers, of which the far one is killed again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.acted.reading import ACTED, left
from tests.actors.remote import make
from tests.helpers import PATIENCE, Server, Socket, connect

APART = 0.001  # seconds between two messages, so that every kill comes in the middle
BETWEEN = 100  # messages that arrive between a start and the next kill
HELD = 3  # messages that a server had read and not stored when it was killed: one waits, one is written, one is read
PLAIN, DURABLE = "acted.bridge", "acted.arrived"
ENDPOINTS = {PLAIN: "ws/acted/bridge/", DURABLE: "ws/acted/arrived/"}  # which push into these topics, on either server

ARRIVED = """
from realtime_project.models import TopicEvent
events = TopicEvent.objects.filter(topic__name="acted.arrived").order_by("offset")
print(json.dumps([int(bytes(content)) for content in events.values_list("content", flat=True)]))
"""
REPORT = """
from actors.outbound import conditions
names = "condition", "messages_out", "dropped", "unconfirmed", "gaps", "reconnects", "cursors"
print(json.dumps(conditions().values(*names).get()))
"""
STOP = """
from actors import outbound
from actors.models import OutboundClient
outbound.stop(OutboundClient.objects.get())
"""


async def becomes(server: Server, code: str, is_so: Callable[[Any], bool], timeout: float = 6 * PATIENCE) -> Any:
    """What the code prints on a server's database, as soon as it is so."""
    async with asyncio.timeout(timeout):
        while not is_so(found := await asyncio.to_thread(server.python, code)):
            await asyncio.sleep(0.1)
    return found


def at_least(number: int) -> Callable[[list[int]], bool]:
    return lambda arrived: len(arrived) >= number


async def send(source: Socket, numbers: range) -> None:
    for number in numbers:
        await source.send(str(number))
        await asyncio.sleep(APART)


async def tasks(server: Server) -> list[str]:
    """Those of outbound clients that run in it."""
    theirs = ("WebSocketClient.", "Link.", "Durable.", "Inward.")
    return [held for held in await left(server) if held.startswith(theirs)]


@pytest.mark.parametrize(
    ("topic", "messages", "kills"),
    [
        (PLAIN, 1_000, 1),
        pytest.param(PLAIN, 10_000, 3, marks=pytest.mark.soak),
        pytest.param(DURABLE, 10_000, 3, marks=pytest.mark.soak),
    ],
)
async def test_a_bridge_whose_far_end_is_killed(
    start_server: Callable[..., Server], topic: str, messages: int, kills: int
) -> None:
    near = start_server(OUTBOUND_ALLOW="127.0.0.1", SERVER_LEASE=20, **ACTED)  # nothing but kills ends a connection
    far = start_server(WEBSOCKET_MAX_QUEUE=1, **ACTED)
    await asyncio.to_thread(make, near, far.ws(ENDPOINTS[DURABLE]), out_stream_from=[topic])
    await becomes(near, REPORT, lambda row: row["condition"] == "connected")

    async with connect(near.ws(ENDPOINTS[topic])) as source:
        part = messages // (kills + 1)
        for number in range(kills):
            enough = BETWEEN + len(await asyncio.to_thread(far.python, ARRIVED))
            sending = asyncio.create_task(send(source, range(number * part, (number + 1) * part)))
            await becomes(far, ARRIVED, at_least(enough))
            await asyncio.to_thread(far.kill)
            await asyncio.to_thread(far.start)
            await sending
        await send(source, range(kills * part, messages))

    last = messages - 1
    arrived = await becomes(far, ARRIVED, lambda arrived: arrived[-1:] == [last])
    lost = messages - len(set(arrived))
    if topic == PLAIN:
        row = await becomes(near, REPORT, lambda row: row["messages_out"] + row["dropped"] == messages)
        assert arrived == sorted(set(arrived)), "in order, and each at most once"
        assert lost <= row["unconfirmed"] + row["dropped"] + kills * HELD
        assert 1 <= row["gaps"] <= kills, "what may be lost is told"
    else:
        row = await becomes(near, REPORT, lambda row: row["cursors"].get(topic, [0])[0] == messages)
        again = [at for at in range(1, len(arrived)) if arrived[at] <= arrived[at - 1]]
        assert len(again) <= kills, "only a kill makes it send again, what was not confirmed"
        assert all(arrived[at] in arrived[:at] for at in again)
        assert lost <= kills * HELD
        assert row["dropped"] == row["unconfirmed"] == row["gaps"] == 0
    assert row["reconnects"] == kills

    assert await tasks(near)
    await asyncio.to_thread(near.python, STOP)
    await becomes(near, REPORT, lambda row: row["condition"] == "stopped")
    assert not await tasks(near)
