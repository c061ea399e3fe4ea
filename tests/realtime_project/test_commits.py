"""Group commit, on a real database."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from django.db import IntegrityError, InternalError, OperationalError, connection, transaction

from realtime_project import history
from realtime_project.commits import Commits, Unavailable
from realtime_project.models import TopicHead

pytestmark = pytest.mark.django_db(transaction=True)


def names(items: list[str]) -> list[int]:
    """A set-wise function that writes: each item a topic head, its primary key the result."""
    lists.append(list(items))
    return [head.pk for head in TopicHead.objects.bulk_create(TopicHead(name=item) for item in items)]


lists: list[list[str]] = []


@pytest.fixture(autouse=True)
def _forget_lists() -> None:
    lists.clear()


async def write_all(commits: Commits, function: Callable[[list[Any]], Any], items: list[Any]) -> list[Any]:
    return await asyncio.gather(*(commits.write(function, item) for item in items), return_exceptions=True)


def stored() -> set[str]:
    return set(TopicHead.objects.values_list("name", flat=True))


async def test_what_waits_is_one_list_in_the_order_it_came() -> None:
    commits = Commits(256)
    results = await write_all(commits, names, ["a", "b", "c"])
    assert lists == [["a", "b", "c"]]
    assert len(set(results)) == 3
    assert (commits.lists, commits.items, commits.waiting) == (1, 3, 0)


async def test_while_one_list_commits_the_next_gathers() -> None:
    commits = Commits(256)
    first = commits.write(names, "a")
    await asyncio.sleep(0)  # it is under way
    rest = [commits.write(names, name) for name in "bcd"]
    await asyncio.gather(first, *rest)
    assert lists == [["a"], ["b", "c", "d"]]


async def test_lists_are_bounded_and_functions_take_turns() -> None:
    def others(items: list[str]) -> list[int]:
        return names([f"other {item}" for item in items])

    commits = Commits(2)
    await asyncio.gather(
        write_all(commits, names, ["a", "b", "c", "d", "e"]), write_all(commits, others, ["x", "y", "z"])
    )
    assert lists == [["a", "b"], ["other x", "other y"], ["c", "d"], ["other z"], ["e"]]


async def test_what_waits_is_bounded() -> None:
    commits = Commits(10, waiting=3)
    results = await write_all(commits, names, ["a", "b", "c", "d"])
    assert isinstance(results[3], Unavailable)
    assert [type(result) for result in results[:3]] == [int, int, int]
    assert await commits.write(names, "d")


async def test_an_item_that_fails_on_its_data_fails_alone() -> None:
    await asyncio.to_thread(TopicHead.objects.create, name="taken")
    commits = Commits(256)
    results = await write_all(commits, names, ["a", "taken", "b"])
    assert isinstance(results[1], IntegrityError)
    assert await asyncio.to_thread(stored) == {"a", "b", "taken"}


class ReadOnly(Exception):
    """As the driver says that this PostgreSQL takes no writes any more: another one does."""

    sqlstate = "25006"


@pytest.mark.parametrize("error", [OperationalError("the server closed the connection"), InternalError("read-only")])
async def test_a_database_that_is_away_fails_the_list_once_and_whole(error: Exception) -> None:
    error.__cause__ = ReadOnly() if isinstance(error, InternalError) else None
    calls = 0

    def away(items: list[str]) -> list[int]:
        nonlocal calls
        calls += 1
        names(items)
        raise error

    results = await write_all(Commits(256), away, ["a", "b", "c"])
    assert [type(result) for result in results] == [Unavailable] * 3
    assert calls == 1
    assert await asyncio.to_thread(stored) == set()


class Met(Exception):
    """As the driver says that PostgreSQL has ended this transaction, because two waited for each other."""

    sqlstate = "40P01"


async def test_a_list_that_meets_another_is_written_one_by_one_and_nothing_is_lost() -> None:
    tries: list[list[str]] = []

    def meets(items: list[str]) -> list[int]:
        tries.append(items)
        done = names(items)
        if len(items) > 1 or tries.count(items) < 3:
            raise OperationalError("deadlock detected") from Met()
        return done

    results = await write_all(Commits(256), meets, ["a", "b", "c"])
    assert [type(result) for result in results] == [int] * 3
    assert tries == [["a", "b", "c"], *([each] for each in "abc" for _ in range(3))]
    assert await asyncio.to_thread(stored) == {"a", "b", "c"}


async def test_an_item_that_meets_others_for_ever_is_given_up() -> None:
    def meets(items: list[str]) -> list[int]:
        raise OperationalError("deadlock detected") from Met()

    [result] = await write_all(Commits(256), meets, ["a"])
    assert isinstance(result, Unavailable)


async def test_a_function_that_forgets_a_result_writes_nothing() -> None:
    def forgets(items: list[str]) -> list[int]:
        return names(items)[:-1]

    results = await write_all(Commits(256), forgets, ["a", "b"])
    assert all("gave 0 results for 1 items" in str(result) for result in results)
    assert await asyncio.to_thread(stored) == set()


async def test_who_stops_waiting_disturbs_nobody() -> None:
    commits = Commits(256)
    first, second = commits.write(names, "a"), commits.write(names, "b")
    first.cancel()
    assert await second
    assert await asyncio.to_thread(stored) == {"a", "b"}  # it was on its way


async def test_every_list_is_one_transaction_on_a_thread_of_its_own() -> None:
    def look(items: list[int]) -> list[tuple[bool, bool]]:
        return [(connection.in_atomic_block, transaction.get_autocommit())] * len(items)

    assert set(await write_all(Commits(256), look, [1, 2, 3])) == {(True, False)}


async def test_durable_publishes_are_numbered_in_the_order_they_were_asked_for() -> None:
    assert await write_all(Commits(64), history.publish, [("t", str(n)) for n in range(200)]) == list(range(1, 201))


async def test_a_function_that_fails_in_any_way_stops_nothing() -> None:
    def stops(items: list[str]) -> list[int]:
        return [next(iter([])) for _ in items] or next(iter(()))

    commits = Commits(256)
    [failed] = await write_all(commits, stops, ["a"])
    assert "StopIteration" in str(failed)
    assert await commits.write(names, "b")
