"""What the registry writes with each beat: of those that changed, and of nobody else. The clock is the test's."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models.functions import Now
from django.utils import timezone

from realtime_project import registry as module
from realtime_project.crowd import PART
from realtime_project.models import Connection
from realtime_project.models import Server as ServerRow
from realtime_project.registry import COUNTERS, Registry


class Client:
    """A connection, as far as the registry looks at it."""

    def __init__(self, **fields: Any) -> None:
        vars(self).update(fields)


class Books:
    """A registry whose beats the test gives, a second each."""

    def __init__(self) -> None:
        self.now, self.beat = 1_000.0, 0
        self.written: list[list[str]] = []  # with each beat, the ids of those whose rows changed
        self.registry = Registry()
        self.registry._row = ServerRow(id=self.registry.server_id, host="", pid=1, version="")

    def client(self, number: int, **more: Any) -> Any:
        fields: dict[str, Any] = dict.fromkeys(("messages_in", "messages_out", "bytes_in", "bytes_out", "unsent"), 0)
        fields |= dict.fromkeys(("client_port", "origin", "user", "subprotocol", "actor"))
        fields |= {"endpoint": "/ws/", "path": "/ws/", "mode": "topic", "client_ip": "", "connected_at": timezone.now()}
        made: Any = Client(id=f"c{number}", channel_id=number, **(fields | more))
        self.registry.opened(made)
        return made

    async def beats(self, count: int = COUNTERS) -> list[str]:
        """The ids that were written, in order."""
        self.written = [[] for _ in range(count)]
        for self.number in range(count):
            self.now += 1
            self.beat += 1
            await self.registry._write(self.beat)
        return [id for ids in self.written for id in ids]


@pytest.fixture
def books(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Books:
    made = Books()
    update = module._update

    def noted(changes: Any) -> None:
        made.written[made.number] += [change[-1] for change in changes]
        update(changes)

    monkeypatch.setattr(module, "monotonic", lambda: made.now)
    monkeypatch.setattr(module, "_update", noted)
    return made


async def rates(id: str) -> tuple[float, float]:
    found = await Connection.objects.aget(pk=id)
    return found.rate_in, found.rate_out


async def test_rates_are_those_of_the_last_five_seconds_and_fall_to_zero_once(books: Books) -> None:
    busy, idle = books.client(0), books.client(1)
    assert await books.beats() == [], "the rows are new: there is nothing to change"
    busy.messages_in, busy.messages_out, busy.bytes_in = 50, 25, 500
    assert await books.beats() == [busy.id]
    assert await rates(busy.id) == (10.0, 5.0)
    found = await Connection.objects.aget(pk=busy.id)
    assert (found.messages_in, found.messages_out, found.bytes_in) == (50, 25, 500)
    busy.messages_in += 5
    assert await books.beats() == [busy.id]
    assert await rates(busy.id) == (1.0, 0.0)
    assert await books.beats() == [busy.id], "once more, to say that nothing comes"
    assert await rates(busy.id) == (0.0, 0.0)
    assert await books.beats(20) == []
    idle.messages_in = 10
    assert await books.beats() == [idle.id]
    assert await rates(idle.id) == (2.0, 0.0), "of the last five seconds, however long it was silent before"


async def test_what_waits_for_a_slow_reader_is_written_while_it_waits(books: Books) -> None:
    slow, late = books.client(3), books.client(4, unsent=9)
    await books.beats()
    assert (await Connection.objects.aget(pk=late.id)).unsent == 9, "what is new is written whole"
    slow.unsent = 70_000
    assert await books.beats() == [slow.id]
    assert (await Connection.objects.aget(pk=slow.id)).unsent == 70_000
    assert await books.beats() == []
    slow.unsent = 0
    assert await books.beats() == [slow.id]
    assert (await Connection.objects.aget(pk=slow.id)).unsent == 0


async def test_each_beat_looks_at_a_fifth_so_that_no_beat_is_long(books: Books) -> None:
    many = [books.client(number) for number in range(2 * COUNTERS * PART)]
    await books.beats(1)
    for each in many:
        each.messages_out = 7
    assert sorted(await books.beats()) == sorted(each.id for each in many)
    assert [len(ids) for ids in books.written] == [2 * PART] * COUNTERS
    assert await Connection.objects.filter(messages_out=7).acount() == len(many)


async def test_a_batch_that_fails_is_made_up_for(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = books.client(0)
    await books.beats()
    busy.messages_in = 100
    with monkeypatch.context() as broken:
        broken.setattr(module, "_update", lambda changes: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await books.beats()
    assert await rates(busy.id) == (0.0, 0.0)
    await books.beats()
    assert (await Connection.objects.aget(pk=busy.id)).messages_in == 100


async def test_a_state_is_written_when_it_is_another_object(books: Books) -> None:
    state: list[str] = []
    actor = SimpleNamespace(state=state, session="s1", last_message_at=1_764_000_000.0)
    one = books.client(0, mode="actor", actor=actor)
    await books.beats()
    assert await books.beats() == []
    actor.state, actor.last_message_at = ["new\0"], 1_764_000_060.0
    assert await books.beats() == [one.id]
    found = await Connection.objects.aget(pk=one.id)
    assert (found.state, found.session) == (r"['new\x00']", "s1")
    assert found.last_message_at and found.last_message_at.timestamp() == 1_764_000_060.0


async def test_who_comes_and_goes_is_written_with_the_next_beat(books: Books) -> None:
    books.client(0)
    one = books.client(1)
    await books.beats(1)
    assert await Connection.objects.acount() == 2
    books.registry.closed(one)
    one.messages_in = 5
    books.client(2)
    await books.beats(1)
    assert [found.id async for found in Connection.objects.order_by("channel_id")] == ["c0", "c2"]


async def test_who_came_and_went_between_two_beats_is_not_written(books: Books) -> None:
    one = books.client(0)
    books.registry.closed(one)
    await books.beats(1)
    assert await Connection.objects.acount() == 0
    assert not books.registry.crowd
    assert books.registry.endpoints["/ws/"] == 0


async def test_who_was_written_though_the_database_seemed_to_fail_goes_with_the_others(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the answer to a commit is lost: its rows are there, and this process does not know."""
    save = module._save

    def saved_and_lost(*everything: Any) -> None:
        save(*everything)
        raise ConnectionError("the answer is lost")

    await books.beats(1)
    went, stays = books.client(0), books.client(1)
    with monkeypatch.context() as broken:
        broken.setattr(module, "_save", saved_and_lost)
        with pytest.raises(ConnectionError):
            await books.beats(1)
    assert await Connection.objects.acount() == 2
    books.registry.closed(went)
    await books.beats(1)
    assert [found.id async for found in Connection.objects.all()] == [stays.id]


async def test_a_server_that_was_thought_dead_writes_everybody_again(books: Books) -> None:
    for number in range(2 * PART):
        books.client(number)
    await books.beats(1)
    await ServerRow.objects.all().adelete()
    assert await Connection.objects.acount() == 0
    books.client(2 * PART)
    await books.beats(1)
    assert await Connection.objects.acount() == 2 * PART + 1


async def test_so_it_does_where_that_fails_at_first(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own row is there again, but nobody's else: it must not take that for all."""
    for number in range(3):
        books.client(number)
    await books.beats(1)
    await ServerRow.objects.all().adelete()
    with monkeypatch.context() as broken:
        broken.setattr(module, "_save_connections", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await books.beats(1)
    assert (await ServerRow.objects.acount(), await Connection.objects.acount()) == (1, 0)
    await books.beats(1)
    assert await Connection.objects.acount() == 3


async def test_however_many_go_while_the_database_is_away_little_is_kept_of_them_and_none_stays(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNTOLD", 3)
    went, stays = [books.client(number) for number in range(8)], books.client(8)
    await books.beats(1)
    with monkeypatch.context() as broken:
        broken.setattr(module, "_save", lambda *_: 1 / 0)
        for one in went:
            with pytest.raises(ZeroDivisionError):
                await books.beats(1)
            books.registry.closed(one)
        assert len(books.registry._went) == 4
    await books.beats(2)
    assert [found.id async for found in Connection.objects.all()] == [stays.id]
    assert not books.registry._went


async def test_nobody_is_thought_dead_by_who_could_not_write_until_now(
    books: Books, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """After an outage of the database every lease has run out, of those too who are about to renew theirs."""
    settings.SERVER_LEASE = 10
    now, beats, is_away = 0.0, 0, False

    async def write(beat: int) -> None:
        nonlocal beats
        beats += 1
        if is_away:
            raise OperationalError("away")

    async def is_there_after(seconds: float) -> bool:
        nonlocal now
        now, some = now + seconds, beats + 3
        while beats < some:
            await asyncio.sleep(0.01)
        return await ServerRow.objects.filter(pk="other").aexists()

    monkeypatch.setattr(module, "monotonic", lambda: now)
    monkeypatch.setattr(module, "BEAT", 0.01)
    monkeypatch.setattr(books.registry, "_write", write)
    await ServerRow.objects.acreate(id="other", host="", pid=2, version="", seen_at=Now() - timedelta(hours=1))
    beating = asyncio.create_task(books.registry._beat())
    try:
        assert await is_there_after(9)
        is_away = True
        assert await is_there_after(9)
        is_away = False
        assert await is_there_after(9)
        assert not await is_there_after(2)
    finally:
        beating.cancel()
