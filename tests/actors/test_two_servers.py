"""Actors on two servers, PostgreSQL and Redis: sessions move, timers run out once, names and private topics meet."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from tests.acted.reading import ACTED, logged
from tests.actors.test_examples import ASK
from tests.actors.test_quiz import LONG, QUICK, standings, three
from tests.actors.test_sessions import AGAIN, count, rows, session, settled, stop, stopped
from tests.helpers import Server, connect, unique


@pytest.fixture(scope="module")
def acting(
    postgres: Postgres, redis: Redis, servers: list[Server], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("acting"), postgres, [redis], "acting", 2, **ACTED)
    servers.extend(cluster.servers)
    cluster.start()
    yield cluster
    cluster.stop()


async def test_a_session_moves_to_another_server(acting: Cluster) -> None:
    one, two = acting.servers
    async with session(one) as (here, greeting):
        assert await here.recv() == "resumed False at 0"
        assert await count(here, 3) == 3
        async with session(two, greeting["token"]) as (there, again):
            assert again["resumed"] is True
            assert await there.recv() == "resumed True at 3"
            assert (await here.closed(timeout=5))[0] == 4409
            assert await count(there, 2) == 5


async def test_z72_an_actor_of_another_server_is_stopped(acting: Cluster) -> None:
    here, there = acting.servers
    async with session(there) as (socket, greeting), connect(there.ws("ws/acted/")) as other:
        await socket.recv()
        await other.recv()
        before = (await logged(here)).count("left at 7 with 1000")
        await count(socket, 7)
        id = await stop(here, socket)
        assert await socket.closed() == (1000, "")
        assert await asyncio.to_thread(here.python, AGAIN.format(id="nobody")) is False
        await other.ping()
        assert other.close_code is None
    async with asyncio.timeout(20):
        while (await logged(here)).count("left at 7 with 1000") == before:
            await asyncio.sleep(0.1)
    async with session(there, greeting["token"]) as (socket, again):
        assert again["resumed"] is False
    await stopped(here, id)
    assert (await logged(here)).count("left at 7 with 1000") == before + 1


async def test_a_timer_runs_out_in_one_of_the_servers(acting: Cluster) -> None:
    word = unique("word")
    async with session(acting.servers[0]) as (socket, greeting):
        await socket.recv()
        await socket.send_json({"type": "Alarm", "seconds": 0.5, "word": word})
        assert await socket.recv() == "set"
    await settled(acting.servers[1], lambda found: any(json.loads(row[1])["count"] == 100 for row in found))
    await asyncio.sleep(2.5)  # time for another server to do it too
    assert (await logged(acting.servers[1])).count(f"rang {word}") == 1
    async with session(acting.servers[1], greeting["token"]) as (socket, _):
        assert await socket.recv() == "resumed True at 100"


async def test_z66_who_has_left_is_a_member_of_no_group(acting: Cluster, redis: Redis) -> None:
    """As Redis tells it: what the two servers are subscribed to is what it was before anybody came."""

    async def groups(fits: Callable[[set[str]], bool]) -> set[str]:
        async with asyncio.timeout(20):
            while not fits(found := redis.channels()):
                await asyncio.sleep(0.1)
        return found

    async def visit(number: int, joined: asyncio.Barrier, leaving: asyncio.Event) -> None:
        async with connect(acting.servers[number % 2].ws("ws/acted/")) as socket:
            await socket.recv()
            for word in ("subscribe", "later"):
                await socket.send(word)
            assert await socket.recv() == "subscribed"
            await joined.wait()
            await leaving.wait()

    await asyncio.sleep(1)  # what other tests joined has been left
    before = await groups(bool)
    joined, leaving = asyncio.Barrier(41), asyncio.Event()
    visits = [asyncio.create_task(visit(number, joined, leaving)) for number in range(40)]
    await joined.wait()
    assert len(await groups(lambda found: bool(found - before)) - before) == 1, "a group a topic, not a client"
    leaving.set()
    await asyncio.gather(*visits)
    await groups(lambda found: found <= before)


BREAK = """
from django.db import connection
connection.cursor().execute('''
    create function break_off() returns trigger language plpgsql
        as $$ begin perform pg_terminate_backend(pg_backend_pid()); return null; end $$;
    create constraint trigger break_off after insert on actors_storeentry deferrable initially deferred
        for each row when (new.key = 'break-off') execute function break_off();
''')
"""


async def test_what_may_have_been_committed_is_not_written_twice(acting: Cluster) -> None:
    """The database is lost while it commits: the client is told to try again later, and the actor does not."""
    server = acting.servers[0]
    await asyncio.to_thread(server.python, BREAK)
    async with connect(server.ws("ws/acted/")) as socket:
        await socket.recv()
        before = len(server.log())
        await socket.send("spread break-off")
        assert await socket.closed() == (1013, "try again later")
    assert server.log()[before:].count("writes failed, the database is unavailable") == 1


SPREAD = """
from actors.store import Store
print(json.dumps(Store("acted.diary").get_many_sync({keys!r})))
"""


@pytest.mark.parametrize("is_crossed", [False, True])
async def test_actors_that_write_to_the_same_rows_lose_nothing(acting: Cluster, is_crossed: bool) -> None:
    """On two servers at once. Each to one row, and lists of them in any order; or each to two, which may cross."""
    keys = [unique("row") for _ in range(4)]
    times, people = 15, 8
    before = [len(server.log()) for server in acting.servers]

    async def visit(number: int) -> None:
        async with connect(acting.servers[number % 2].ws("ws/acted/")) as socket:
            await socket.recv()
            for turn in range(times):
                first = keys[(number + turn) % 4]
                second = keys[(number + turn + (1 if number % 2 else 3)) % 4]
                await socket.send(f"spread {first} {second}" if is_crossed else f"spread {first}")
            for _ in range(times):
                assert await socket.recv(60) == "spread"

    await asyncio.gather(*(visit(number) for number in range(people)))
    found = await asyncio.to_thread(acting.servers[0].python, SPREAD.format(keys=keys))
    assert sum(found.values()) == times * people * (1 + is_crossed)
    logs = [server.log()[start:] for server, start in zip(acting.servers, before, strict=True)]
    assert not any("the database is unavailable" in log for log in logs)
    assert is_crossed or not any("met others" in log for log in logs), "one order for all"


async def test_many_actors_save_at_once(acting: Cluster) -> None:
    """Set-wise: each keeps its own."""

    async def visit(number: int) -> tuple[str, int]:
        async with session(acting.servers[number % 2]) as (socket, greeting):
            await socket.recv()
            assert await count(socket, number + 1) == number + 1
            return greeting["token"], number + 1

    for token, reached in await asyncio.gather(*(visit(number) for number in range(20))):
        async with session(acting.servers[reached % 2], token) as (socket, _):
            assert await socket.recv() == f"resumed True at {reached}"


async def test_z24_z25_one_client_is_reached_from_the_other_server(acting: Cluster) -> None:
    one, two = acting.servers
    async with connect(one.ws("ws/acted/")) as ann, connect(two.ws("ws/acted/post/")) as postman:
        told = await ann.recv_json()
        await postman.send_json([told["topic_out"], "from afar"])
        await postman.send_json([told["topic_in"], "add"])
        assert [await ann.recv(), await ann.recv()] == ["from afar", "1"]


async def test_z43_a_subscription_hears_the_other_server(acting: Cluster) -> None:
    one, two = acting.servers
    async with connect(one.ws("ws/acted/")) as ann, connect(two.ws("ws/acted/news/")) as reporter:
        await ann.recv()
        await ann.send("subscribe")
        assert await ann.recv() == "subscribed"
        await asyncio.sleep(0.2)  # Redis does not confirm a subscription before it is answered
        await reporter.send("rain")
        assert await ann.recv() == "rain"


async def test_z64_names_are_one_room_and_a_name_is_one_persons(acting: Cluster) -> None:
    one, two = acting.servers
    async with connect(one.ws("ws/names/")) as ann, connect(two.ws("ws/names/")) as bob:
        assert await ann.recv() == await bob.recv() == ASK
        await ann.send("ann")
        await ann.send("ready")
        assert await ann.recv() == "[ann]: ready"
        await bob.send("Ann")
        assert "is taken" in str(await bob.recv())
        await bob.send("bob")
        assert await ann.recv() == "* bob joined"
        await asyncio.sleep(0.2)
        await ann.send("hello")
        assert await ann.recv() == await bob.recv() == "[ann]: hello"


async def test_players_of_the_quiz_at_two_servers_play_one_game(acting: Cluster) -> None:
    async with three(acting.servers, LONG) as players:
        for _ in range(2):
            shown = await asyncio.gather(*(player.sees("question") for player in players))
            answers = (player.send("Answer", step=shown[0]["step"], choice=0) for player in players)
            await asyncio.gather(*answers)
            seen = await asyncio.gather(*(player.sees("reveal") for player in players))
            assert [view["counts"][0] for view in seen] == [3, 3, 3]
            assert len({view["version"] for view in seen}) == 1
        final = await asyncio.gather(*(player.sees("podium") for player in players))
        assert standings(final[0]) == standings(final[1]) == standings(final[2])


async def test_of_many_timers_at_two_servers_one_moves_the_quiz_on(acting: Cluster) -> None:
    """Every change has a version: one that happened twice would show."""
    async with three(acting.servers, QUICK) as players:
        first = await players[1].sees("question")
        final = await asyncio.gather(*(player.sees("podium") for player in players))
        assert [view["version"] - first["version"] for view in final] == [4, 4, 4]
        assert [view["step"] - first["step"] for view in final] == [4, 4, 4]


@pytest.mark.logs_errors
async def test_an_outage_of_the_database_is_waited_for(
    postgres_data: Path, redis: Redis, servers: list[Server], tmp_path: Path
) -> None:
    """For longer than one attempt waits; the client notices nothing but the time."""
    own = Postgres(postgres_data)
    own.start()
    cluster = Cluster(tmp_path, own, [redis], "acting_away", 1, **ACTED)
    servers.extend(cluster.servers)
    [server] = cluster.servers
    try:
        cluster.start()
        async with session(server) as (socket, greeting):
            await socket.recv()
            assert await count(socket, 2) == 2
            await asyncio.to_thread(own.stop)
            await socket.send("add")
            await socket.silent(7)  # longer than one attempt waits for a connection
            await asyncio.to_thread(own.start)
            assert await socket.recv(30) == "3"
            assert await count(socket) == 4
        async with session(server, greeting["token"]) as (socket, again):
            assert again["resumed"] is True
            assert await socket.recv() == "resumed True at 4"
    finally:
        cluster.stop()
        own.remove()


async def test_a_killed_servers_sessions_are_taken_up_elsewhere(
    postgres: Postgres, redis: Redis, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, postgres, [redis], "acting_killed", 2, **ACTED)
    cluster.start()
    try:
        one, two = cluster.servers
        async with session(one) as (socket, greeting):
            await socket.recv()
            await socket.send_json({"type": "Alarm", "seconds": 1.5, "word": "x"})
            assert await socket.recv() == "set"
            assert await count(socket, 2) == 2
            one.kill()
        await settled(two, lambda found: json.loads(found[0][1])["count"] == 102)
        async with session(two, greeting["token"]) as (socket, _):
            assert await socket.recv() == "resumed True at 102"
        assert len(await rows(two)) == 1
    finally:
        cluster.stop()
