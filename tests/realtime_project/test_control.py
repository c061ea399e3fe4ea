"""Orders to servers: row Z55 of the checklist, with Redis and without it, and what is told when a log-in ends."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser
from django.db import transaction
from django.db.models.functions import Now

from benchmarks.cluster import Cluster
from realtime_project import control, history, registry
from realtime_project.crowd import Crowd
from realtime_project.feeds import Event
from realtime_project.models import Server as ServerRow
from realtime_project.models import TopicEvent, TopicHead
from realtime_project.sessions import SessionStore
from tests.helpers import Server, Socket, connect, cookies, guest, running, submit, unique

ORDER = """
from realtime_project import control, registry
try:
    {order}
except (LookupError, ValueError) as error:
    print(json.dumps([type(error).__name__, str(error)]))
"""
ROWS = """
from realtime_project import registry
server = registry.servers().get(port={port})
print(json.dumps([server.id, list(registry.clients(server.id, {path!r}).values_list("id", "channel_id"))]))
"""


async def order(server: Server, order: str) -> Any:
    """Gives it from a process of its own; what was wrong with it, or None."""
    return await asyncio.to_thread(server.python, ORDER.format(order=order))


async def rows(server: Server, path: str, count: int) -> tuple[str, list[tuple[str, int]]]:
    """The server's id, and its clients' ids and channel ids, oldest first, as soon as there are so many."""
    async with asyncio.timeout(20):
        while True:
            id, found = await asyncio.to_thread(server.python, ROWS.format(port=server.port, path=path))
            if len(found) == count:
                return id, found
            await asyncio.sleep(0.1)


async def stays(*sockets: Socket) -> None:
    for socket in sockets:
        await socket.ping()
        assert socket.close_code is None


@pytest.fixture(scope="module")
def both(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Server]]:
    """Two servers on one database and without Redis, which do not look by themselves who is still logged in."""
    alone: dict[str, Any] = {"DJANGO_SETTINGS_MODULE": "tests.mounted.settings", "REVOCATION_LOOK": 3600}
    first = Server(tmp_path_factory.mktemp("first"), template, **alone)
    second = Server(tmp_path_factory.mktemp("second"), database=first.database, **alone)
    with running(first, servers), running(second, servers):
        yield [first, second]


async def closing_one(here: Server, there: Server) -> None:
    """Z55, ordered from the one server's machine at the other."""
    async with AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect(there.ws("ws/polite/"))) for _ in range(4)]
        others = [await stack.enter_async_context(connect(here.ws("ws/two/"))) for _ in range(2)]
        server, found = await rows(there, "/ws/polite/", 4)
        assert await order(here, f"control.close({found[0][0]!r}, 4321, 'zażółć')") is None
        assert await sockets[0].closed() == (4321, "zażółć")
        assert await order(here, f"control.close(({server!r}, {found[1][1]}))") is None
        assert await sockets[1].closed() == (4410, "closed by staff")
        for unknown in (found[0][0], "nobody", (server, 10_000), (server, found[0][1])):
            await rows(there, "/ws/polite/", 2)
            kind, said = await order(here, f"control.close({unknown!r})")
            assert (kind, repr(unknown) in said) == ("UnknownConnection", True)
        kind, said = await order(here, "control.close(('nowhere', 0))")
        assert (kind, "no live server has the id 'nowhere'" in said) == ("UnknownServer", True)
        for wrong in ("1005", "999", "5000", "4000, 'x' * 124"):
            kind, _ = await order(here, f"control.close({found[2][0]!r}, {wrong})")
            assert kind == "ValueError"
        await stays(*sockets[2:], *others)


async def test_z55_one_client_is_closed_with_code_and_reason_on_one_server(mounted: Server) -> None:
    await closing_one(mounted, mounted)


async def test_z55_on_two_servers_over_redis(pair: Cluster) -> None:
    await closing_one(*pair.servers)


async def test_z55_on_two_servers_without_redis(both: list[Server]) -> None:
    await closing_one(*both)


async def test_a_person_or_a_session_is_closed_on_every_server(both: list[Server]) -> None:
    here, there = both
    one, two = guest(here, first := unique("ann")), guest(here, unique("bob"))
    async with AsyncExitStack() as stack:
        ann, bob, nobody = [
            [await stack.enter_async_context(connect(server.ws("ws/polite/"), cookie)) for server in both]
            for cookie in (one, two, None)
        ]
        lookup = f"__import__('chat.models').models.User.objects.get(name={first!r})"
        assert await order(here, f"control.close_user({lookup}, reason='enough')") is None
        for socket in ann:
            assert await socket.closed() == (4410, "enough")
        await stays(*bob, *nobody)
        assert await order(there, f"control.close_session({cookies(two)['sessionid']!r}, 4401, 'over')") is None
        for socket in bob:
            assert await socket.closed() == (4401, "over")
        await stays(*nobody)
        kind, _ = await order(here, "control.close_user(None)")
        assert kind == "ValueError"
        await stays(*nobody)
    assert cookies(two)["sessionid"] not in here.log() + there.log()


async def test_a_server_is_told_to_drain_and_the_other_stays(both: list[Server]) -> None:
    here, there = both
    async with connect(here.ws("ws/polite/")) as stayed, connect(there.ws("ws/polite/")) as left:
        server, _ = await rows(there, "/ws/polite/", 1)
        assert await order(here, f"control.drain({server!r})") is None
        assert (await left.closed())[0] == 1012
        assert await asyncio.to_thread(there.wait) == 0
        await stays(stayed)
        kind, _ = await order(here, f"control.drain({server!r})")
        assert kind == "UnknownServer"
        there.start()  # another process, which nobody has told to leave
        await asyncio.sleep(3)
        assert there.running()
        async with connect(there.ws("ws/polite/")) as again:
            await stays(again)


async def test_what_ends_a_log_in_is_told_to_every_server_at_once(both: list[Server]) -> None:
    """Without the look that every server takes anyway."""
    here, there = both
    causes = {
        "deactivated": "user.is_active = False; user.save()",
        "password": "user.set_password('another one'); user.save(update_fields=['password'])",
    }
    names = {cause: unique("ann") for cause in (*causes, "logged out", "stays")}
    people = {cause: guest(here, name) for cause, name in names.items()}
    async with AsyncExitStack() as stack:
        sockets = {
            cause: [
                await stack.enter_async_context(connect(server.ws(path), cookie))
                for server in both
                for path in ("ws/chat/", "ws/polite/")
            ]
            for cause, cookie in people.items()
        }
        for cause, deed in causes.items():
            code = f"from chat.models import User\nuser = User.objects.get(name={names[cause]!r})\n{deed}"
            await asyncio.to_thread(there.python, code)
        with httpx.Client(base_url=here.url, cookies=cookies(people["logged out"]), trust_env=False) as browser:
            submit(browser, "/accounts/logout/")
        touch = f"from chat.models import User\nUser.objects.get(name={names['stays']!r}).save()"
        await asyncio.to_thread(there.python, touch)  # looked at, and still let in
        for cause in (*causes, "logged out"):
            for socket in sockets[cause]:
                assert (await socket.closed())[0] == 4401, cause
        await stays(*sockets["stays"])


# In process -----------------------------------------------------------------------------------------------------


@pytest.fixture
def server_row(db: None) -> ServerRow:
    row: ServerRow = ServerRow.objects.create(id="me", host="here", pid=1, version="1")
    return row


def orders(server: str = "me") -> list[dict[str, Any]]:
    return [json.loads(event.content) for event in history.page(f"control:{server}", 0, None, 99)[1]]


def test_an_order_belongs_to_the_callers_transaction(server_row: ServerRow) -> None:
    with transaction.atomic():
        control.drain("me")
        transaction.set_rollback(True)
    assert orders() == []
    control.drain("me")
    assert orders() == [{"type": "drain"}]


def test_old_orders_and_the_logs_of_servers_that_have_gone_are_dropped(server_row: ServerRow) -> None:
    ServerRow.objects.create(id="gone", host="there", pid=2, version="1")
    control.close_user(1)
    control.close_user(2)
    old = TopicEvent.objects.filter(topic__name="control:me", offset=1)
    old.update(created_at=Now() - timedelta(hours=2))
    with transaction.atomic():
        history.publish([("control-tower", "somebody else's")])
    ServerRow.objects.filter(pk="gone").delete()
    control.tidy()
    assert [order["user"] for order in orders()] == ["2"]
    assert orders("gone"), "it may come back: it was only thought dead"
    TopicEvent.objects.update(created_at=Now() - timedelta(hours=2))
    control.tidy()
    assert sorted(TopicHead.objects.values_list("name", flat=True)) == ["control-tower", "control:me"]
    assert TopicEvent.objects.count() == 1
    control.close_user(3)
    assert history.heads(["control:me"])[1] == {"control:me": 3}, "numbers are not given again"


def test_a_session_key_is_not_written_into_an_order(server_row: ServerRow) -> None:
    control.close_session("secret")
    assert "secret" not in json.dumps(orders())


@pytest.mark.parametrize("nobody", [None, AnonymousUser(), SimpleNamespace(pk=None)])
def test_nobody_in_particular_cannot_be_closed(server_row: ServerRow, nobody: Any) -> None:
    with pytest.raises(ValueError, match="nobody in particular"):
        control.close_user(nobody)
    assert orders() == []


@pytest.mark.django_db(transaction=True)
def test_what_is_told_of_people_and_sessions(caplog: pytest.LogCaptureFixture) -> None:
    ServerRow.objects.create(id="me", host="here", pid=1, version="1")
    user = get_user_model().objects.create_user("ann")
    assert orders() == []
    user.save(update_fields=["last_login"])
    assert orders() == []
    user.save(update_fields=["password"])
    user.save()
    assert orders() == [{"type": "look", "user": str(user.pk), "session": None}] * 2
    session = SessionStore()
    session.create()
    session.cycle_key()
    assert len(orders()) == 3
    session.flush()
    assert len(orders()) == 4
    TopicHead.objects.all().delete()
    ServerRow.objects.all().delete()
    session.create()
    session.flush()  # with no server to tell
    assert TopicHead.objects.count() == 0


class Ordered:
    """An open connection, as far as orders go."""

    def __init__(self, id: str, user: Any = None) -> None:
        self.id, self.user, self.proof = id, user, None
        self.closes: list[tuple[int, str]] = []

    def close_soon(self, code: int, reason: str = "") -> None:
        self.closes.append((code, reason))


async def test_an_order_that_cannot_be_read_costs_those_behind_it_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = Ordered("1", AnonymousUser()), Ordered("2", SimpleNamespace(pk=7))
    monkeypatch.setattr(registry.registry, "crowd", Crowd([one, other]))
    reader = object.__new__(control.Orders)
    reader._drain, reader._tasks = None, set()
    wrong: list[str | bytes] = ["", "null", "{}", '{"type":"dance"}', b"\xff", '{"type":"drain"}']
    close = '{"type":"close","code":4410,"reason":"r","user":"%s"}'
    reader.write(
        [*(Event(content) for content in wrong), Event(close % "None"), Event(close % "7"), Event('{"type":"look"}')]
    )
    await asyncio.gather(*reader._tasks)
    assert (one.closes, other.closes) == ([], [(4410, "r")])
    assert caplog.text.count("an order cannot be read") == 5
    assert "this server cannot drain" in caplog.text
