"""The quiz over sockets: what a player's page is told, what cheats are told, and that nothing is lost with a server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from actors.quiz import table
from actors.quiz.game import PLAYERS, Format
from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from realtime_project import database
from realtime_project.models import TopicEvent, TopicHead
from tests.acted.reading import ACTED, game, right_answers
from tests.helpers import PATIENCE, Server, Socket, connect

LONG = "ws/acted/quiz/"  # two questions, and time enough to answer on a busy machine
QUICK = "ws/acted/quiz/quick/"  # two questions of two seconds

CROWDED = 6 * PATIENCE  # where a hundred clients have the machine to themselves

View = dict[str, Any]


class Player:
    """Somebody at a socket."""

    def __init__(self, socket: Socket, token: str):
        self.socket, self.token = socket, token

    async def send(self, type: str, **fields: Any) -> None:
        await self.socket.send_json({"type": type, **fields})

    async def hears(self, fits: Callable[[View], object], timeout: float = PATIENCE) -> View:
        """The next frame that fits."""
        async with asyncio.timeout(timeout):
            while not fits(frame := await self.socket.recv_json()):
                pass
        return frame

    async def sees(self, phase: str, timeout: float = PATIENCE) -> View:
        return await self.hears(lambda frame: frame.get("phase") == phase, timeout)

    async def refused(self) -> str:
        frame = await self.hears(lambda frame: frame["type"] == "error")
        assert frame["detail"]
        return frame["code"]


@asynccontextmanager
async def sits(server: Server, token: str | None = None, path: str = LONG) -> AsyncIterator[Player]:
    offered = ["session", *([f"session.{token}"] if token else [])]
    async with connect(server.ws(path), subprotocols=offered) as socket:
        greeting = await socket.recv_json()
        assert greeting["resumed"] is (token is not None)
        yield Player(socket, greeting["token"])


async def opens(player: Player, name: str = "ann") -> str:
    """Opens a game; its code."""
    await player.send("Open", name=name)
    return (await player.sees("lobby"))["code"]


async def joins(player: Player, code: str, name: str, timeout: float = PATIENCE) -> View:
    await player.send("Join", code=code, name=name)
    return await player.sees("lobby", timeout)


async def test_two_play_a_whole_game(acted: Server) -> None:
    async with sits(acted) as ann, sits(acted) as bob:
        code = await opens(ann)
        shown = await joins(bob, code.lower(), " bob ")
        assert [each["name"] for each in shown["players"]] == ["ann", "bob"]
        answers = right_answers(acted, code)
        await ann.send("Begin")
        for number, answer in enumerate(answers, 1):
            shown = await bob.sees("question")
            assert (shown["round"], shown["rounds"]) == (number, len(answers))
            assert "right" not in shown
            await ann.send("Answer", step=shown["step"], choice=answer)
            await bob.send("Answer", step=shown["step"], choice=(answer + 1) % 4)
            shown = await bob.sees("reveal")
            assert shown["right"] == answer
            assert sorted(shown["counts"]) == [0, 0, 1, 1]
        shown = await bob.sees("podium")
        assert [(each["name"], each["place"]) for each in shown["players"]] == [("ann", 1), ("bob", 2)]
        assert 500 * len(answers) < shown["players"][0]["points"] <= 1000 * len(answers)
        await ann.send("Again")
        assert (await bob.sees("lobby"))["players"][0]["points"] == 0
        await ann.send("Leave")
        assert (await bob.sees("lobby"))["you"]["host"] is True
        await bob.send("Leave")
        await bob.hears(lambda frame: frame["type"] == "welcome")
        await bob.send("Join", code=code, name="bob")
        assert await bob.refused() == "no_game"


async def test_cheats_are_refused_and_harm_nobody(acted: Server) -> None:
    async with sits(acted) as ann, sits(acted) as eve:
        code = await opens(ann)
        for name, why in (
            ("", "invalid_name"),
            ("e\x07ve", "invalid_name"),
            ("e" * 25, "invalid_name"),
            ("ANN", "name_taken"),
        ):
            await eve.send("Join", code=code, name=name)
            assert await eve.refused() == why
        for wrong in ("", "KRT", "AEIO", "'; DROP", "\x00\x00\x00\x00", "K" * 4000):
            await eve.send("Join", code=wrong, name="eve")
            assert await eve.refused() == "no_game"
        for message in ("Begin", "Again", "Leave"):
            await eve.send(message)
            assert await eve.refused() == "not_now"
        await joins(eve, code, "eve")
        await eve.send("Begin")
        assert await eve.refused() == "not_host"
        await eve.send("Answer", step=0, choice=0)
        assert await eve.refused() == "not_now"
        for forged in ({"type": "Change", "game": {}}, {"type": "Begin", "key": 5}, {"type": "Answer", "step": "1"}):
            await eve.socket.send_json(forged)
        codes = sorted([await eve.refused() for _ in range(3)])
        assert codes == ["invalid_message", "invalid_message", "not_host"]
        await eve.socket.send(b"\x00")
        assert await eve.refused() == "invalid_message"

        await ann.send("Begin")
        shown = await eve.sees("question")
        for choice in (4, -1, 2**70):
            await eve.send("Answer", step=shown["step"], choice=choice)
            assert await eve.refused() == "not_now"
        await eve.send("Answer", step=shown["step"], choice=0)
        await eve.send("Answer", step=shown["step"], choice=1)
        assert await eve.refused() == "answered"
        await ann.send("Answer", step=shown["step"], choice=3)
        shown = await eve.sees("reveal")
        assert shown["counts"] == [1, 0, 0, 1]
        await eve.send("Answer", step=shown["step"] - 1, choice=shown["right"])
        assert await eve.refused() == "too_late"


async def test_a_message_that_is_too_large_is_not_read(acted: Server) -> None:
    async with sits(acted) as eve:
        await eve.send("Open", name="e" * 5_000)
        assert (await eve.socket.closed())[0] == 1009


async def test_the_round_and_its_deadline_outlive_the_server(start_server: Callable[..., Server]) -> None:
    """Killed in mid-round: who had answered has answered, and the question ends when it would have."""
    server = start_server(**ACTED)
    loop = asyncio.get_running_loop()
    async with sits(server) as ann, sits(server) as bob:
        code = await opens(ann)
        await joins(bob, code, "bob")
        [answer, *_] = right_answers(server, code)
        await ann.send("Begin")
        shown = await bob.sees("question")
        ends_at = loop.time() + shown["remaining"] / 1000
        await ann.send("Answer", step=shown["step"], choice=answer)
        await bob.hears(lambda frame: frame.get("phase") == "question" and frame["players"][0]["answered"])
        server.kill()
    server.start()
    async with sits(server, ann.token) as ann, sits(server, bob.token) as bob:
        shown = await bob.sees("question")
        assert shown["question"]
        assert abs(loop.time() + shown["remaining"] / 1000 - ends_at) < 1
        assert (await ann.sees("question"))["you"] == {"seat": 0, "host": True, "answer": answer, "pending": False}
        await bob.send("Answer", step=shown["step"], choice=answer)
        shown = await ann.sees("reveal")
        assert shown["counts"][answer] == 2
        assert min(each["points"] for each in shown["players"]) > 500


async def test_who_stays_away_is_waited_for_no_longer_and_keeps_the_seat(acted: Server) -> None:
    async with sits(acted) as bob, sits(acted) as cy:
        async with sits(acted) as ann:
            code = await opens(ann)
            await joins(bob, code, "bob")
            await joins(cy, code, "cy")
        shown = await bob.hears(lambda frame: frame.get("type") == "game" and frame["you"]["host"])
        assert [(each["name"], each["away"]) for each in shown["players"]] == [
            ("ann", True), ("bob", False), ("cy", False),
        ]  # fmt: skip
        [answer, *_] = right_answers(acted, code)
        await bob.send("Begin")
        shown = await cy.sees("question")
        for player in (bob, cy):
            await player.send("Answer", step=shown["step"], choice=answer)
        await cy.sees("reveal")
        async with sits(acted, ann.token) as ann:
            shown = await ann.hears(lambda frame: frame.get("type") == "game" and not frame["players"][-1]["away"])
            assert (shown["you"]["host"], shown["you"]["seat"], shown["players"][-1]["name"]) == (True, 0, "ann")
            await bob.hears(lambda frame: frame.get("host") == "ann")


async def test_a_game_goes_on_to_its_end_while_everybody_is_away(acted: Server) -> None:
    async with sits(acted, path=QUICK) as ann:
        code = await opens(ann)
        await ann.send("Begin")
        await ann.sees("question")
    async with asyncio.timeout(20):
        while game(acted, code)["phase"] == "question":
            await asyncio.sleep(0.1)
    async with sits(acted, ann.token, QUICK) as ann:
        shown = await ann.hears(lambda frame: frame["type"] == "game")
        assert (shown["phase"], shown["round"]) != ("question", 1)


@pytest.mark.django_db(transaction=True)
async def test_games_have_a_limit_and_those_that_nobody_ends_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "GAMES", 4)
    monkeypatch.setattr(table, "OF_ADDRESS", 2)
    games = [await table.open_game(f"ann {number}", "ann", "10.0.0.1", Format()) for number in range(3)]
    assert [type(answer) for answer in games] == [table.Entered, table.Entered, table.Refused]
    assert "from your address" in str(games[2])
    assert await table.open_game("ann 0", "ann", "10.0.0.1", Format()) != games[2], "who asks again has a game already"
    assert len(await table.games.keys()) == 2
    others = [await table.open_game(f"bob {number}", "bob", f"10.0.1.{number}", Format()) for number in range(3)]
    assert "Every table is taken" in str(others[2])
    monkeypatch.setattr(table, "OVERDUE", -1e6)
    assert isinstance(await table.open_game("cy", "cy", "10.0.0.1", Format()), table.Entered)
    assert len(await table.games.keys()) == 1


@pytest.mark.django_db(transaction=True)
async def test_one_household_does_not_take_every_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "OF_ADDRESS", 2)
    one, next_door = [f"2001:db8::{number}" for number in range(1, 4)], "2001:db8:0:1::1"
    games = [await table.open_game(address, "ann", address, Format()) for address in (*one, next_door)]
    assert [type(answer) for answer in games] == [table.Entered, table.Entered, table.Refused, table.Entered]


@pytest.mark.django_db(transaction=True)
async def test_games_that_nobody_follows_and_what_was_told_of_games_are_forgotten(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def kept() -> tuple[int, int, int]:
        topics = TopicHead.objects.filter(name__startswith=table.PREFIX)
        return len(table.games.keys_sync()), topics.count(), TopicEvent.objects.filter(topic__in=topics).count()

    for number in range(3):
        await table.open_game(f"ann {number}", "ann", "10.0.0.1", Format())
    await asyncio.to_thread(database.clean, table.leave, (await table.games.keys())[0], "ann 0")
    await asyncio.to_thread(database.clean, table.leave, (await table.games.keys())[0], "ann 1")
    before = await database.run(kept)
    assert await database.run(table.forget) == 0
    assert await database.run(kept) == before, "nothing is old"
    monkeypatch.setattr(table, "KEPT", timedelta(0))
    assert await database.run(table.forget) == 0
    games, topics, events = await database.run(kept)
    assert (games, topics, events) == (before[0], before[0], 0), "what was told is over; games that are played are not"
    monkeypatch.setattr(table, "OVERDUE", -1e6)
    await asyncio.to_thread(database.clean, call_command, "forget", "30")
    assert f"Deleted {games} games of the quiz that nobody follows." in capsys.readouterr().out
    assert await database.run(kept) == (0, 0, 0)


@pytest.mark.soak
async def test_a_crowd_of_a_hundred_plays_one_game(acted: Server) -> None:
    """All see the same and everybody's points are right, while some come back, one leaves and one comes late."""
    async with AsyncExitStack() as stack:

        async def come(token: str | None = None) -> Player:
            return await stack.enter_async_context(sits(acted, token))

        crowd = [await come() for _ in range(PLAYERS)]
        ann, *others = crowd
        code = await opens(ann)
        await asyncio.gather(
            *(joins(player, code, f"player {number}", CROWDED) for number, player in enumerate(others, 1))
        )
        late = await come()
        await late.send("Join", code=code, name="late")
        assert await late.refused() == "full"

        points: dict[str, int] = {}
        await ann.send("Begin")
        for number, right in enumerate(right_answers(acted, code), 1):
            shown = await asyncio.gather(*(player.sees("question", CROWDED) for player in crowd))
            assert {(view["round"], view["step"]) for view in shown} == {(number, 2 * number - 1)}
            if number == 2:  # somebody leaves, so that there is room for who comes late
                await crowd.pop().send("Leave")
                await ann.hears(lambda frame: len(frame.get("players", [])) == PLAYERS - 1, CROWDED)
                await late.send("Join", code=code, name="late")
                await late.sees("question", CROWDED)
                crowd.append(late)
                points.pop(f"player {PLAYERS - 1}")
            sent = [(right + place % 3) % 4 for place in range(PLAYERS)]  # every third is right
            for place in (5, 50, 95):  # another window, or the same one after a gap, has the seat
                crowd[place] = await come(crowd[place].token)
            step = shown[0]["step"]
            await asyncio.gather(
                *(player.send("Answer", step=step, choice=choice) for player, choice in zip(crowd, sent, strict=True))
            )
            shown = await asyncio.gather(*(player.sees("reveal", CROWDED) for player in crowd))
            assert len({json.dumps([view["players"], view["counts"]]) for view in shown}) == 1, "all see the same"
            assert shown[0]["counts"] == [sent.count(choice) for choice in range(4)]
            for view, choice in zip(shown, sent, strict=True):
                [me] = [each for each in view["players"] if each["seat"] == view["you"]["seat"]]
                assert view["you"]["answer"] == choice
                assert (me["gain"] > 500) if choice == right else (me["gain"] == 0)
                points[me["name"]] = points.get(me["name"], 0) + me["gain"]
            assert {each["name"]: each["points"] for each in shown[0]["players"]} == points
        [final, *_] = await asyncio.gather(*(player.sees("podium", CROWDED) for player in crowd))
        assert {each["name"]: each["points"] for each in final["players"]} == points
        ranking = sorted(points.values(), reverse=True)
        assert [each["points"] for each in final["players"]] == ranking
        assert [each["place"] for each in final["players"]] == [1 + ranking.index(each) for each in ranking]


@pytest.mark.soak
async def test_a_crowd_goes_on_after_the_server_was_killed_in_mid_round(start_server: Callable[..., Server]) -> None:
    """Half of a hundred answer, and nobody knows whose answer was kept: who is not told so sends it again."""
    server = start_server(**ACTED)
    async with AsyncExitStack() as stack:

        async def come(token: str | None = None) -> Player:
            return await stack.enter_async_context(sits(server, token))

        crowd = [await come() for _ in range(PLAYERS)]
        code = await opens(crowd[0])
        await asyncio.gather(
            *(joins(player, code, f"player {number}", CROWDED) for number, player in enumerate(crowd[1:], 1))
        )
        [right, _] = right_answers(server, code)
        sent = [(right + place % 3) % 4 for place in range(PLAYERS)]
        await crowd[0].send("Begin")
        step = (await asyncio.gather(*(player.sees("question", CROWDED) for player in crowd)))[0]["step"]
        for player, choice in zip(crowd[: PLAYERS // 2], sent, strict=False):
            await player.send("Answer", step=step, choice=choice)
        await crowd[-1].hears(lambda frame: any(each["answered"] for each in frame.get("players", [])), CROWDED)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        crowd = [await come(player.token) for player in crowd]
        shown = await asyncio.gather(*(player.sees("question", CROWDED) for player in crowd))
        kept = [view["you"]["answer"] for view in shown]
        assert any(answer is not None for answer in kept)
        assert all(answer in (None, choice) for answer, choice in zip(kept, sent, strict=True))
        for player, choice, answer in zip(crowd, sent, kept, strict=True):
            if answer is None:
                await player.send("Answer", step=step, choice=choice)
        shown = await asyncio.gather(*(player.sees("reveal", CROWDED) for player in crowd))
        assert len({json.dumps([view["players"], view["counts"]]) for view in shown}) == 1
        assert shown[0]["counts"] == [sent.count(choice) for choice in range(4)]
        assert sum(each["points"] > 0 for each in shown[0]["players"]) == sent.count(right)


def standings(view: View) -> list[tuple[str, int]]:
    return [(each["name"], each["points"]) for each in view["players"]]


@asynccontextmanager
async def three(two: Sequence[Server], path: str) -> AsyncIterator[list[Player]]:
    """Ann at one server, Bob and Cy at the other, and the first question."""
    async with sits(two[0], path=path) as ann, sits(two[1], path=path) as bob, sits(two[1], path=path) as cy:
        code = await opens(ann)
        await joins(bob, code, "bob")
        await joins(cy, code, "cy")
        await ann.send("Begin")
        yield [ann, bob, cy]


@pytest.mark.soak
async def test_who_was_at_a_server_that_is_killed_goes_on_at_the_other(
    postgres: Postgres, redis: Redis, servers: list[Server], tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, postgres, [redis], "quiz_killed", 2, **ACTED)
    servers.extend(cluster.servers)
    cluster.start()
    try:
        one, other = cluster.servers
        async with three([one, other], QUICK) as [ann, bob, cy]:
            await bob.sees("question")
            one.kill()
            await bob.sees("reveal")
            async with sits(other, ann.token, QUICK) as ann:
                final = await asyncio.gather(*(player.sees("podium", 20) for player in (ann, bob, cy)))
            assert final[0]["you"]["host"] is True
            assert standings(final[0]) == standings(final[1]) == standings(final[2])
    finally:
        cluster.stop()
