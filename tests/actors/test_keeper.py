"""Whose sessions the keeper takes, and when: those that nobody has, and what was not left properly."""

import asyncio
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from actors import keeper, runtime, sessions
from actors.models import ActorSession
from realtime_project import database
from realtime_project.models import Server as ServerRow
from realtime_project.private import SERVER

pytestmark = pytest.mark.django_db(transaction=True)


def session(
    name: str,
    *,
    server: str = SERVER,
    token: str | None = None,
    due: bool = False,
    owned: bool = True,
    endpoint: str = "/ws/",
    version: int = 1,
) -> None:
    now = timezone.now()
    ActorSession.objects.create(
        id=name,
        endpoint=endpoint,
        version=version,
        state="{}",
        owner=f"owner of {name}" if owned else "",
        server=server,
        started_at=now,
        saved_at=now,
        token=token,
        due_at=now - timedelta(seconds=1) if due else None,
    )


def test_timers_run_out_here_for_sessions_that_nobody_has_and_that_can_be_read() -> None:
    ServerRow.objects.create(id="alive", host="", pid=1, version="", seen_at=timezone.now() + timedelta(hours=1))
    session("left", due=True, owned=False, server="")
    session("of the dead", due=True, server="dead")
    session("of the living", due=True, server="alive")
    session("not due", owned=False, server="")
    session("of another endpoint", due=True, owned=False, server="", endpoint="/ws/gone/")
    session("of a version to come", due=True, owned=False, server="", version=3)
    session("of a former version", due=True, owned=False, server="", version=2)

    def take(owner: str) -> set[str]:
        with transaction.atomic():
            return {opened.session.id for opened in sessions.due(owner, "alive", 100, {"/ws/": 2, "/ws/other/": 9})}

    assert take("keeper") == {"left", "of the dead", "of a former version"}
    assert take("another") == set(), "each once"
    assert ActorSession.objects.get(pk="of the living").owner == "owner of of the living"
    assert ActorSession.objects.get(pk="of a version to come").due_at is not None


def test_a_server_that_is_too_busy_to_report_takes_nothing_from_its_own_actors() -> None:
    session("played here", due=True, server="busy")
    session("left here", due=True, owned=False, server="busy")

    def take(server: str) -> set[str]:
        with transaction.atomic():
            return {opened.session.id for opened in sessions.due("keeper", server, 100, {"/ws/": 1})}

    assert take("busy") == {"left here"}
    assert take("another") == {"played here", "left here"}, "its lease has ended"


def test_what_could_not_be_played_is_tried_again_and_what_could_not_be_read_is_as_it_was() -> None:
    for name in ("put aside", "given back"):
        session(name, due=True)
    before = ActorSession.objects.get(pk="given back").due_at
    sessions.put_aside(sessions.session_of(ActorSession.objects.get(pk="put aside")))
    sessions.give_back(sessions.session_of(ActorSession.objects.get(pk="given back")))
    assert owned() == set()
    aside = ActorSession.objects.get(pk="put aside").due_at
    assert aside
    assert timedelta(minutes=50) < aside - timezone.now() <= timedelta(hours=1)
    assert ActorSession.objects.get(pk="given back").due_at == before


async def test_where_many_timers_run_out_at_once_nobody_waits_for_the_next_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = [keeper.MOST, keeper.MOST, 3, 0]
    looks: list[int] = []

    async def look(known: object) -> int:
        looks.append(taken[len(looks)])
        return looks[-1]

    async def sleep(seconds: float) -> None:
        if looks:
            raise asyncio.CancelledError

    monkeypatch.setattr(keeper, "look", look)
    monkeypatch.setattr("actors.keeper.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await keeper.keep()
    assert looks == [keeper.MOST, keeper.MOST, 3]


def owned() -> set[str]:
    return set(ActorSession.objects.exclude(owner="").values_list("pk", flat=True))


def kept() -> set[str]:
    return set(ActorSession.objects.values_list("pk", flat=True))


async def test_an_actor_that_could_not_leave_is_found_missing_twice_and_its_session_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def begin() -> None:
        session("due", due=True)
        session("awaited", token="of it")
        session("useless")
        session("here")
        session("elsewhere", server="another")

    await database.run(begin)
    monkeypatch.setitem(runtime.actors, "owner of here", None)
    suspects = await keeper.tidy(set())
    assert suspects == {"owner of due", "owner of awaited", "owner of useless"}
    assert await database.run(owned) == {"due", "awaited", "useless", "here", "elsewhere"}, "they may be about to begin"
    assert await keeper.tidy(suspects) == set()
    assert await database.run(owned) == {"here", "elsewhere"}
    assert await database.run(kept) == {"due", "awaited", "here", "elsewhere"}, "nobody can come back to one"
