"""ws/dashboard/: rows H37 to H39 of the checklist, and who may watch."""

import asyncio
import json
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator
from django.contrib.auth import get_user_model
from websockets.exceptions import InvalidStatus

from admin_panel import consumers
from admin_panel.consumers import Dashboard, DashboardConsumer
from realtime_project.connections import door
from realtime_project.metrics import COUNTED, CURRENT
from tests.helpers import Server, Socket, connect, guest

from .people import person

DASHBOARD = "ws/dashboard/"


async def pushes(socket: Socket, seconds: float) -> list[Any]:
    found = []
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        try:
            found.append(await socket.recv_json(timeout=left))
        except AssertionError:
            break
    return found


async def test_h37_a_silent_watcher_is_pushed_to_every_second(server: Server) -> None:
    _, cookie = await asyncio.to_thread(person, server, True)
    async with connect(server.ws(DASHBOARD), cookie, origin=server.url) as socket:
        found = await pushes(socket, 3.5)
    assert len(found) >= 3
    assert all(one["time"] < other["time"] for one, other in pairwise(found))
    assert all({"requests", "errors", "latency_p99"} <= push["totals"].keys() for push in found)
    assert ["history" in push for push in found] == [True, *(False for _ in found[1:])]


async def test_h39_one_leaving_does_not_disturb_another(server: Server) -> None:
    _, cookie = await asyncio.to_thread(person, server, True)
    async with connect(server.ws(DASHBOARD), cookie, origin=server.url) as stays:
        async with connect(server.ws(DASHBOARD), cookie, origin=server.url) as leaves:
            await leaves.recv_json()
        async with connect(server.ws(DASHBOARD), cookie, origin=server.url) as breaks:
            await breaks.recv_json()
            breaks.transport.abort()
        assert len(await pushes(stays, 3.5)) >= 3
        await stays.send("x" * 1_000)  # ignored
        assert len(await pushes(stays, 2.5)) >= 2


async def test_anonymous_guests_and_ordinary_people_are_refused(server: Server) -> None:
    _, ordinary = await asyncio.to_thread(person, server, False)
    for cookie in (None, await asyncio.to_thread(guest, server), ordinary, "sessionid=forged"):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(server.ws(DASHBOARD), cookie, origin=server.url):
                pass
        assert refused.value.response.status_code == 403


CHANGE = """
from django.contrib.auth import get_user_model
get_user_model().objects.filter(username={name!r}).update({change})
"""


@pytest.mark.parametrize(("change", "codes"), [("is_staff=False", {4403}), ("is_active=False", {4403, 4401})])
async def test_who_is_demoted_while_watching_sees_no_more(server: Server, change: str, codes: set[int]) -> None:
    name, cookie = await asyncio.to_thread(person, server, True)
    _, other = await asyncio.to_thread(person, server, True)
    async with (
        connect(server.ws(DASHBOARD), cookie, origin=server.url) as demoted,
        connect(server.ws(DASHBOARD), other, origin=server.url) as stays,
    ):
        await demoted.recv_json()
        await asyncio.to_thread(server.python, CHANGE.format(name=name, change=change))
        code, _ = await demoted.closed(timeout=4)
        assert code in codes
        assert len(await pushes(stays, 2.5)) >= 2
    with pytest.raises(InvalidStatus) as refused:
        async with connect(server.ws(DASHBOARD), cookie, origin=server.url):
            pass
    assert refused.value.response.status_code == 403


# In process -----------------------------------------------------------------------------------------------------


def communicator(user: Any) -> WebsocketCommunicator:
    watching = WebsocketCommunicator(door(DashboardConsumer.as_asgi(), "/ws/dashboard/"), "/ws/dashboard/")
    watching.scope["user"] = user
    return watching


@pytest.fixture
def staff(transactional_db: None) -> Any:
    return get_user_model().objects.create_user("ann", is_staff=True)


async def test_h38_where_nothing_has_happened_everything_is_zero(staff: Any) -> None:
    watching = communicator(staff)
    assert (await watching.connect())[0]
    push = json.loads(await watching.receive_from())
    await watching.disconnect()
    assert push["servers"] == push["history"] == []
    numbers = {**dict.fromkeys((*CURRENT, *COUNTED), 0), "rates": dict.fromkeys(COUNTED, 0)}
    assert push["totals"] == {"servers": 0, **numbers}
    assert push["database"]["ok"] is True


async def test_h39_no_task_is_left_and_nothing_is_asked_while_nobody_watches(
    staff: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = consumers._ask

    def counted(users: set[Any]) -> Any:
        asked.append(len(users))
        return ask(users)

    monkeypatch.setattr(consumers, "_ask", counted)
    tasks = asyncio.all_tasks()
    watching = [communicator(staff) for _ in range(3)]
    for each in watching:
        assert (await each.connect())[0]
    for each in watching:
        await each.receive_from()
    for each in watching:
        await each.receive_from(timeout=3)
        await each.receive_from(timeout=3)
    assert len(asked) <= 3, "the picture is taken once for all of them"
    for each in watching:
        await each.disconnect()
    before = len(asked)
    assert Dashboard.here is not None and not Dashboard.here.watchers
    await asyncio.sleep(1.5)
    assert len(asked) == before
    assert asyncio.all_tasks() == tasks


async def test_a_database_that_does_not_answer_is_said_so(staff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    release = asyncio.Event()
    loop = asyncio.get_running_loop()
    ask = consumers._ask

    def slow(users: set[Any]) -> Any:
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
        return ask(users)

    monkeypatch.setattr(consumers, "_ask", slow)
    watching = communicator(staff)
    assert (await watching.connect())[0]
    assert json.loads(await watching.receive_from())["database"]["ok"] is True
    for _ in range(2):
        push = json.loads(await watching.receive_from(timeout=4))
        assert push["database"] == {"ok": False, "latency_ms": None}
    release.set()
    push = json.loads(await watching.receive_from(timeout=4))
    assert push["database"]["ok"] is True
    await watching.disconnect()


async def test_what_was_asked_for_those_who_have_left_is_not_shown_to_the_next(
    staff: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking, release = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    ask, asked = consumers._ask, []

    def slow(users: set[Any]) -> Any:
        asked.append(users)
        loop.call_soon_threadsafe(asking.set)
        asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
        return ask(users)

    monkeypatch.setattr(consumers, "_ask", slow)
    left = communicator(staff)
    assert (await left.connect())[0]
    await asyncio.wait_for(asking.wait(), 10)
    await left.disconnect()
    release.set()
    watching = communicator(staff)
    assert (await watching.connect())[0]
    assert "history" in json.loads(await watching.receive_from())
    assert json.loads(await watching.receive_from(timeout=4))["database"]["ok"] is True
    assert asked == [{staff.pk}, {staff.pk}]
    await watching.disconnect()


async def test_a_failing_database_is_said_so_too(staff: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(users: set[Any]) -> Any:
        raise OSError("away")

    monkeypatch.setattr(consumers, "_ask", fails)
    watching = communicator(staff)
    assert (await watching.connect())[0]
    await watching.receive_from()
    assert json.loads(await watching.receive_from(timeout=3))["database"]["ok"] is False
    assert json.loads(await watching.receive_from(timeout=3))["database"]["ok"] is False
    await watching.disconnect()


async def test_what_a_server_logs_is_no_traceback_for_a_watcher(start_server: Callable[..., Server]) -> None:
    """A server of its own, watched while it leaves: 1012, and nothing in the log (which the fixture reads)."""
    server = start_server()
    _, cookie = await asyncio.to_thread(person, server, True)
    async with connect(server.ws(DASHBOARD), cookie, origin=server.url) as socket:
        await socket.recv_json()
        stopped = asyncio.to_thread(server.stop)
        code, _ = await asyncio.gather(socket.closed(), stopped)
    assert code[0] == 1012
