"""Stored actors: what a client finds when it comes back, and who else does not."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.acted.reading import ACTED, logged
from tests.helpers import Server, Socket, connect, guest, run, running

ROWS = """
from actors.models import ActorSession
rows = ActorSession.objects.order_by("started_at")
print(json.dumps([[row.endpoint, row.state, row.timers, row.owner != "", row.token] for row in rows]))
"""


@asynccontextmanager
async def session(server: Server, token: str | None = None, cookie: str | None = None, path: str = "ws/acted/kept/"):
    """A client that means to return: the socket, its greeting and the actor's first word."""
    offered = ["session", *([f"session.{token}"] if token else [])]
    async with connect(server.ws(path), cookie, subprotocols=offered) as socket:
        assert socket.subprotocol == "session"
        greeting = await socket.recv_json()
        assert greeting["type"] == "session"
        yield socket, greeting


async def count(socket: Socket, times: int = 1) -> int:
    for _ in range(times):
        await socket.send("add")
        answer = await socket.recv()
    return int(answer)


async def rows(server: Server) -> list:
    return await asyncio.to_thread(server.python, ROWS)


FORGET = """
import time
from actors.models import ActorSession
from realtime_project.models import TopicEvent
for _ in range(200):  # what the last test's clients did by leaving is still being written
    if not ActorSession.objects.exclude(owner="").exists():
        break
    time.sleep(0.05)
else:
    raise TimeoutError("somebody still has a session")
ActorSession.objects.all().delete()
TopicEvent.objects.filter(topic__name="acted.log").delete()
"""


@pytest.fixture(scope="module")
def kept(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(Server(tmp_path_factory.mktemp("kept"), template, **ACTED), servers) as shared:
        yield shared


@pytest.fixture
def own(kept: Server) -> Server:
    """A server that these tests may kill, if they start it again. Nobody has a session there, and nothing happened."""
    kept.python(FORGET)
    return kept


async def test_a_client_finds_its_state_again(own: Server) -> None:
    async with session(own) as (socket, greeting):
        assert greeting["resumed"] is False
        assert await socket.recv() == "resumed False at 0"
        assert await count(socket, 3) == 3
    async with session(own, greeting["token"]) as (socket, again):
        assert again == {"type": "session", "token": greeting["token"], "resumed": True}
        assert await socket.recv() == "resumed True at 3"
        assert await count(socket) == 4, "the state leads to the client that has come back"


async def test_also_after_the_server_was_killed(own: Server) -> None:
    async with session(own) as (socket, greeting):
        await socket.recv()
        await count(socket, 5)
        own.kill()
    own.start()
    async with session(own, greeting["token"]) as (socket, _):
        assert await socket.recv() == "resumed True at 5"


async def test_the_token_is_nowhere_to_be_read(own: Server) -> None:
    async with session(own) as (socket, greeting):
        await socket.recv()
        token = greeting["token"]
        assert len(token) > 40
        everything = (
            "from actors.models import ActorSession\nfrom realtime_project.models import Connection\n"
            "print(json.dumps(str([list(model.objects.values()) for model in (ActorSession, Connection)])))"
        )
        assert token not in await asyncio.to_thread(own.python, everything)
    async with session(own, token) as (socket, _):
        await asyncio.sleep(1.2)  # a batch of the registry
        kept = await asyncio.to_thread(
            own.python,
            "from realtime_project.models import Connection\nprint(json.dumps(str(list(Connection.objects.values()))))",
        )
        assert token not in kept
    assert token not in own.log()


async def test_whoever_does_not_mean_to_return_leaves_nothing(own: Server) -> None:
    async with connect(own.ws("ws/acted/kept/")) as socket:
        assert await socket.recv() == "resumed False at 0", "no greeting for those who did not ask"
        assert await count(socket) == 1
        assert len(await rows(own)) == 1
    await settled(own, lambda found: found == [])


async def test_done_ends_the_session_for_good(own: Server) -> None:
    async with session(own) as (socket, greeting):
        await socket.recv()
        await socket.send("done")
        assert await socket.closed() == (1000, "")
    assert await rows(own) == []
    async with session(own, greeting["token"]) as (socket, again):
        assert again["resumed"] is False
        assert again["token"] != greeting["token"]


STOP = """
from realtime_project import control, registry
found = registry.actors().filter(client_port={port})
print(json.dumps([row.pk for row in found if control.stop(row.pk)]))
"""
AGAIN = "from realtime_project import control\nprint(json.dumps(control.stop({id!r})))"


async def stop(server: Server, socket: Socket) -> str:
    """Stops a client's actor from another process, as soon as it is known there; the connection's id."""
    async with asyncio.timeout(20):
        while True:
            if found := await asyncio.to_thread(server.python, STOP.format(port=socket.local_address[1])):
                return str(found[0])
            await asyncio.sleep(0.1)


async def stopped(server: Server, id: str) -> None:
    """To stop it again is no mistake and does nothing, as soon as the registry knows that it has gone."""
    async with asyncio.timeout(20):
        while await asyncio.to_thread(server.python, AGAIN.format(id=id)) is not False:
            await asyncio.sleep(0.1)


async def test_z72_a_stored_actor_is_stopped_for_good_and_takes_leave_once(own: Server) -> None:
    async with session(own) as (socket, greeting):
        await socket.recv()
        await count(socket, 2)
        await socket.send_json({"type": "Alarm", "seconds": 600, "word": "never"})
        assert await socket.recv() == "set"
        id = await stop(own, socket)
        assert await socket.closed() == (1000, "")
    await settled(own, lambda found: found == [])
    assert await logged(own) == ["left at 2 with 1000"]
    await stopped(own, id)
    async with session(own, greeting["token"]) as (socket, again):
        assert again["resumed"] is False, "nobody can come back to it"


async def test_two_connections_claim_one_session_and_the_later_wins(own: Server) -> None:
    async with session(own) as (first, greeting):
        await first.recv()
        await count(first, 2)
        async with session(own, greeting["token"]) as (second, _):
            assert await second.recv() == "resumed True at 2"
            assert (await first.closed())[0] == 4409
            assert await count(second) == 3
    await settled(own, lambda found: not found[0][3])
    assert await logged(own) == ["left at 3 with 1000"], (
        "the former actor is not the session's any more: it takes leave of nobody"
    )


async def test_of_many_that_claim_one_session_at_the_same_moment_one_has_it(own: Server) -> None:
    """As when a browser restores its tabs. The others are told, though they do nothing."""
    async with session(own) as (socket, greeting):
        await socket.recv()
        await count(socket, 2)
    offered = ["session", f"session.{greeting['token']}"]
    async with AsyncExitStack() as stack:
        claims = (stack.enter_async_context(connect(own.ws("ws/acted/kept/"), subprotocols=offered)) for _ in range(12))
        sockets = await asyncio.gather(*claims)
        ends = [asyncio.create_task(socket.closed(60)) for socket in sockets]
        async with asyncio.timeout(20):
            while sum(end.done() for end in ends) < 11:
                await asyncio.sleep(0.05)
        codes = [end.result()[0] for end in ends if end.done()]
        assert codes == [4409] * 11
        [(_, end)] = [(socket, end) for socket, end in zip(sockets, ends, strict=True) if not end.done()]
        end.cancel()
    [[_, state, *_]] = await rows(own)
    assert json.loads(state)["count"] == 2


async def test_what_the_former_connection_still_wants_to_save_is_refused(own: Server) -> None:
    """Also in the moment before it is told."""
    async with session(own) as (first, greeting):
        await first.recv()
        await count(first)
        async with session(own, greeting["token"]) as (second, _):
            await second.recv()
            with suppress(ConnectionClosed):  # it may have been told
                for _ in range(50):
                    await first.send("add")
            assert await count(second) == 2
            assert (await first.closed())[0] == 4409
    [[_, state, *_]] = await rows(own)
    assert json.loads(state)["count"] == 2


async def test_a_session_is_bound_to_its_user_and_its_endpoint(own: Server) -> None:
    ann, eve = guest(own, "Ann-s"), guest(own, "Eve-s")
    async with session(own, cookie=ann) as (socket, greeting):
        await socket.recv()
        await count(socket, 2)
    token = greeting["token"]
    for cookie in (eve, None):
        async with session(own, token, cookie) as (socket, other):
            assert other["resumed"] is False
            assert await socket.recv() == "resumed False at 0"
    for path in ("ws/names/", "ws/acted/kept/too/"):
        async with session(own, token, ann, path=path) as (socket, other):
            assert other["resumed"] is False
    async with session(own, token, ann) as (socket, _):
        assert await socket.recv() == "resumed True at 2"


@pytest.mark.parametrize("token", ["x", "0" * 43, "session.x", "a" * 5_000])
async def test_a_token_that_opens_nothing_begins_a_session(own: Server, token: str) -> None:
    async with session(own, token) as (_, greeting):
        assert greeting["resumed"] is False
        assert greeting["token"] != token


async def test_a_session_belongs_to_the_address_it_began_at(own: Server) -> None:
    """Of an endpoint whose path has parts, as rooms have: what was one's own in one room says nothing of another."""
    kitchen, cellar = "ws/acted/kept/in/kitchen/", "ws/acted/kept/in/cellar/"
    async with session(own, path=kitchen) as (socket, greeting):
        await socket.recv()
        await count(socket, 3)
    async with session(own, greeting["token"], path=cellar) as (socket, other):
        assert other["resumed"] is False
        assert await socket.recv() == "resumed False at 0"
    async with session(own, greeting["token"], path=f"{kitchen}?since=3") as (socket, _):
        assert await socket.recv() == "resumed True at 3"


async def test_every_guess_is_a_session_of_ones_own(own: Server) -> None:
    """What a client offers besides: several tokens, half a token, its hash as a thief of the database reads it."""
    async with session(own) as (socket, greeting):
        await socket.recv()
        await count(socket, 4)
    token = greeting["token"]
    [[*_, digest]] = await rows(own)
    for guess in (digest, token[:-1], token.swapcase(), f"{token}.", f"x.{token}"):
        async with session(own, guess) as (_, greeting):
            assert greeting["resumed"] is False
    async with connect(own.ws("ws/acted/kept/"), subprotocols=["session", "session.x", f"session.{token}"]) as socket:
        assert (await socket.recv_json())["resumed"] is False, "the first token counts"
    async with connect(own.ws(f"ws/acted/kept/?token={token}&session={token}"), subprotocols=["session"]) as socket:
        assert (await socket.recv_json())["resumed"] is False, "a token in an address opens nothing"
    async with connect(own.ws("ws/acted/kept/"), subprotocols=[f"session.{token}"]) as socket:
        assert socket.subprotocol is None, "a token alone is no offer, and never said back"
        assert await socket.recv() == "resumed False at 0"
    async with session(own, token) as (socket, _):
        assert await socket.recv() == "resumed True at 4"


LEAVE = 5  # sessions that an address may leave behind


@pytest.fixture
def small(start_server) -> Server:
    return start_server(**ACTED, SESSIONS_PER_ADDRESS=LEAVE)


async def test_an_address_leaves_so_many_sessions_behind_and_no_more(small: Server) -> None:
    """The oldest go. Those that somebody has stay, and so do those of people who have a name."""
    ann = guest(small, "Ann-few")
    async with session(small) as (first, _), session(small, cookie=ann) as (anns, hers):
        await first.recv()
        await anns.recv()
        tokens = []
        for number in range(3 * LEAVE):
            async with session(small) as (socket, greeting):
                await socket.recv()
                await count(socket, number + 1)
                tokens.append(greeting["token"])
        await settled(small, lambda found: sum(row[3] for row in found) == 2)
        assert len(await rows(small)) == LEAVE + 1
        assert await count(first) == 1, "who is here keeps it"
        async with session(small, tokens[-1]) as (socket, again):
            assert again["resumed"] is True
            assert await socket.recv() == f"resumed True at {3 * LEAVE}"
        async with session(small, tokens[0]) as (socket, again):
            assert again["resumed"] is False
    async with session(small, hers["token"], ann) as (_, again):
        assert again["resumed"] is True


# timers ---------------------------------------------------------------------------------------------------------
async def test_a_timer_runs_out_while_its_client_is_away(own: Server) -> None:
    async with session(own) as (socket, greeting):
        await socket.recv()
        await socket.send_json({"type": "Alarm", "seconds": 1.5, "word": "tea"})
        assert await socket.recv() == "set"
    await settled(own, lambda found: json.loads(found[0][1])["count"] == 100 and not found[0][3])
    assert await logged(own) == ["left at 0 with 1000", "rang tea"]
    async with session(own, greeting["token"]) as (socket, _):
        assert await socket.recv() == "resumed True at 100"


async def test_a_timer_runs_out_after_a_restart(own: Server) -> None:
    async with session(own) as (socket, _):
        await socket.recv()
        await socket.send_json({"type": "Alarm", "seconds": 1.5, "word": "late"})
        assert await socket.recv() == "set"
        own.kill()
    own.start()
    await settled(own, lambda found: json.loads(found[0][1])["count"] == 100 and not found[0][3])
    assert await logged(own) == ["rang late"]


async def test_a_client_that_returns_hears_its_timer(own: Server) -> None:
    async with session(own) as (socket, greeting):
        await socket.recv()
        await socket.send_json({"type": "Alarm", "seconds": 2, "word": "soon"})
        assert await socket.recv() == "set"
    async with session(own, greeting["token"]) as (socket, _):
        assert await socket.recv() == "resumed True at 0"
        assert await socket.recv() == "rang soon"
    assert (await logged(own)).count("rang soon") == 1


async def test_a_wait_for_silence_that_was_ended_is_not_stored_any_more(own: Server) -> None:
    """Or it would run out after a restart, though its client had spoken."""
    async with session(own) as (socket, _):
        await socket.recv()
        await socket.send("silence")
        assert await socket.recv() == "hush"
        [[_, _, timers, *_]] = await rows(own)
        assert [timer[0] for timer in json.loads(timers)] == ["event"]
        await socket.send("hello")
        assert await socket.recv() == "hello"
        [[_, _, timers, *_]] = await rows(own)
        assert json.loads(timers) == []


async def test_two_servers_share_sessions(own: Server, start_server) -> None:
    first, second = own, start_server(database=own.database, **ACTED)
    async with session(first) as (here, greeting):
        await here.recv()
        await count(here, 2)
        async with session(second, greeting["token"]) as (there, _):
            assert await there.recv() == "resumed True at 2"
            assert (await here.closed(timeout=5))[0] == 4409
            assert await count(there) == 3


# the database fails ---------------------------------------------------------------------------------------------
async def test_five_kills_lose_nothing_that_was_answered(own: Server) -> None:
    """Whatever the client was answered is stored; what it was not may be, but once."""
    async with session(own) as (socket, greeting):
        await socket.recv()
        answered = await count(socket)
    token = greeting["token"]
    for _ in range(5):
        async with session(own, token) as (socket, again):
            assert again["resumed"]
            found = int((await socket.recv()).rpartition(" ")[2])
            assert found >= answered
            answered = found
            sent = found
            deadline = time.monotonic() + 0.5
            while time.monotonic() < deadline:
                answered = await count(socket)
                sent += 1
                assert answered == sent
            await socket.send("add")
            own.kill()
        own.start()
    async with session(own, token) as (socket, _):
        assert int((await socket.recv()).rpartition(" ")[2]) in (answered, answered + 1)


async def settled(server: Server, fits, timeout: float = 15) -> None:
    deadline = time.monotonic() + timeout
    while not fits(found := await rows(server)):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)


async def checked(server: Server) -> str:
    done = await asyncio.to_thread(run, ["manage.py", "check", "--database", "default"], server.environment)
    assert done.returncode == 0
    return done.stdout + done.stderr


# reading what other code has written --------------------------------------------------------------------------------
async def test_check_lists_what_todays_code_cannot_read(own: Server) -> None:
    async with session(own) as (socket, greeting):
        await socket.recv()
        await count(socket, 2)
    assert "no issues" in await checked(own)
    spoil = "from actors.models import ActorSession\nActorSession.objects.update({})"
    await asyncio.to_thread(own.python, spoil.format('state=\'{"state": "Gone"}\''))
    told = await checked(own)
    assert "actors.W001" in told
    assert "/ws/acted/kept/: 1 stored state cannot be read" in told
    assert "Gone" in told
    async with session(own, greeting["token"]) as (socket, again):
        assert again["resumed"] is False, "a client is not turned away for it"
        assert await socket.recv() == "resumed False at 0"
    await asyncio.to_thread(own.python, spoil.format('state=\'{"state": "Counter", "count": 9}\''))
    async with session(own, greeting["token"]) as (socket, _):
        assert await socket.recv() == "resumed True at 9", "what could not be read was kept"


async def test_a_session_that_cannot_be_read_is_left_to_the_code_that_can(own: Server) -> None:
    """Of a version to come, as while servers are replaced one by one: nobody touches it, its timer waits, and who has
    been given another session instead is not the former one's owner.
    """
    change = "from actors.models import ActorSession\nActorSession.objects.filter(version={}).update(version={})"
    async with session(own) as (socket, greeting):
        await socket.recv()
        await count(socket, 3)
        await socket.send_json({"type": "Alarm", "seconds": 2, "word": "later"})
        assert await socket.recv() == "set"
        await asyncio.to_thread(own.python, change.format(1, 9))
        own.kill()  # or it would save it as its own
    own.start()
    async with session(own, greeting["token"]) as (first, other):
        assert other["resumed"] is False
        assert await first.recv() == "resumed False at 0"
        async with session(own, greeting["token"]) as (second, another):
            assert another["resumed"] is False
            assert await second.recv() == "resumed False at 0"
            assert await count(first) == 1, "nobody has taken up its session"
    await asyncio.sleep(3.5)  # time for it to run out, and to look for timers
    assert "rang later" not in await logged(own)
    assert "version 9; this is version 1" in await checked(own)
    assert "cannot be read" in own.log()
    await asyncio.to_thread(own.python, change.format(9, 1))
    await settled(own, lambda found: any(json.loads(row[1])["count"] == 103 for row in found))
    async with session(own, greeting["token"]) as (socket, _):
        assert await socket.recv() == "resumed True at 103"


OLD = """
from actors.models import ActorSession
ActorSession.objects.filter(endpoint="/ws/acted/newer/").update(version=1, state={state!r})
"""


async def test_an_upcaster_brings_a_former_state_to_todays_shape(own: Server) -> None:
    """For a client that returns, and for a timer that runs out while it is away. One that fails loses nothing."""
    path = "ws/acted/newer/"
    async with session(own, path=path) as (socket, greeting):
        assert await socket.recv() == "resumed False at 0"
    await settled(own, lambda found: not found[0][3])
    former = '{"state":"Counter","topic_out":"@out","count":7}'
    await asyncio.to_thread(own.python, OLD.format(state=former))
    assert "no issues" in await checked(own)
    async with session(own, greeting["token"], path=path) as (socket, _):
        assert await socket.recv() == "resumed True at 7"
        await socket.send("alarm")
        assert await socket.recv() == "set"
        own.kill()
    await asyncio.to_thread(own.python, OLD.format(state='{"state":"Counter"}'))
    assert "KeyError" in await checked(own)
    own.start()
    async with session(own, greeting["token"], path=path) as (socket, again):
        assert again["resumed"] is False, "its upcaster fails: begun anew, and the former one kept"
    await asyncio.to_thread(own.python, OLD.format(state=former).replace("filter(", "filter(version=1, ") + LATE)
    await settled(own, lambda found: any('"total":107' in row[1] for row in found))
    async with session(own, greeting["token"], path=path) as (socket, _):
        assert await socket.recv() == "resumed True at 107"


LATE = """
from django.utils import timezone
ActorSession.objects.filter(version=1).update(due_at=timezone.now())
"""


async def test_old_sessions_are_forgotten_by_command(own: Server) -> None:
    async with session(own) as (socket, _), session(own):
        await socket.recv()
        await socket.close()
        await settled(own, lambda found: [each[3] for each in found] == [False, True])
        age = (
            "from django.utils import timezone\nfrom datetime import timedelta\n"
            "from actors.models import ActorSession\n"
        )
        await asyncio.to_thread(
            own.python, f"{age}ActorSession.objects.update(saved_at=timezone.now() - timedelta(days=8))"
        )
        assert "Deleted 0 sessions" in await asyncio.to_thread(own.manage, "forget", "9")
        assert "Deleted 1 sessions" in await asyncio.to_thread(own.manage, "forget", "7")
        assert len(await rows(own)) == 1, "that of a client who is here stays"
    with pytest.raises(AssertionError, match="must be 1 or more"):
        await asyncio.to_thread(own.manage, "forget", "0")
