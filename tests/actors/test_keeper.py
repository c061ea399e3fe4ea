"""What was not left properly: the sessions of actors that are gone from a server that goes on."""

from datetime import timedelta

import pytest
from django.utils import timezone

from actors import keeper, runtime
from actors.models import ActorSession
from realtime_project import database
from realtime_project.private import SERVER

pytestmark = pytest.mark.django_db(transaction=True)


def session(name: str, *, server: str = SERVER, token: str | None = None, due: bool = False) -> None:
    now = timezone.now()
    ActorSession.objects.create(
        id=name,
        endpoint="/ws/",
        version=1,
        state="{}",
        owner=f"owner of {name}",
        server=server,
        started_at=now,
        saved_at=now,
        token=token,
        due_at=now - timedelta(seconds=1) if due else None,
    )


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
