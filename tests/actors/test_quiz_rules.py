"""The quiz without a socket: the game's moves, and the players' actors with a clock that a test moves on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from actors.effects import Call, Publish, Subscribe, Unsubscribe, Write
from actors.messages import CallFailed, Timeout
from actors.quiz import game as play
from actors.quiz import players, table
from actors.quiz.game import CHOICES, Format, Game, Question, Refusal
from actors.quiz.players import Again, Answer, Begin, Join, Leave, Open, Ping
from actors.quiz.questions import BANK, draw
from actors.testing import Play

FORMAT = Format(rounds=2, question=10, reveal=4, idle=100)
QUESTIONS = [Question("One?", ("a", "b", "c", "d"), right=1), Question("Two?", ("a", "b", "c", "d"), right=3)]


def opened(*names: str, now: float = 0.0) -> Game:
    """A game in its lobby; each player's key is their name."""
    host, *others = names or ("ann",)
    game = play.opened("id", "KRTX", host, host, "10.0.0.1", FORMAT, QUESTIONS, now)
    for name in others:
        game = play.joined(game, name, name)
    return game


def points(game: Game) -> dict[str, int]:
    return {player.name: player.points for player in game.players}


# the game -----------------------------------------------------------------------------------------------------------
def test_right_and_quick_is_worth_most() -> None:
    game = play.begun(opened("ann", "bob", "cy", "dee"), "ann", 0)
    game = play.answered(game, "ann", 1, 1, 0)
    game = play.answered(game, "bob", 1, 1, 5)
    game = play.answered(game, "cy", 1, 0, 1)
    assert game.phase == "question"
    assert points(game) == {"ann": 0, "bob": 0, "cy": 0, "dee": 0}, "nothing is given away while the question is open"
    game = play.moved_on(game, 1, 10)
    assert game.phase == "reveal"
    assert points(game) == {"ann": 1000, "bob": 750, "cy": 0, "dee": 0}


def test_a_whole_game_goes_by_the_clock_alone() -> None:
    game = play.begun(opened(), "ann", 0)
    phases = []
    for now in (9.9, 10, 14, 24, 28, 127, 128):
        game = play.moved_on(game, game.step, now)
        phases.append((game.phase, game.round))
    assert phases == [
        ("question", 1), ("reveal", 1), ("question", 2), ("reveal", 2), ("podium", 2), ("podium", 2), ("over", 2),
    ]  # fmt: skip


def test_a_question_is_over_when_all_have_answered_or_left() -> None:
    game = play.begun(opened("ann", "bob", "cy"), "ann", 0)
    game = play.answered(game, "ann", 1, 1, 1)
    game = play.answered(game, "bob", 1, 1, 1)
    assert play.left(game, "cy", 2).phase == "reveal"
    assert play.answered(game, "cy", 1, 2, 2).phase == "reveal"


@pytest.mark.parametrize(
    ("key", "step", "choice", "now", "code"),
    [
        ("bob", 1, 2, 5, "answered"),
        ("ann", 1, 2, 10.01, "too_late"),
        ("ann", 0, 2, 5, "too_late"),
        ("ann", 2, 2, 5, "too_late"),
        ("ann", 1, CHOICES, 5, "not_now"),
        ("ann", 1, -1, 5, "not_now"),
        ("eve", 1, 1, 5, "no_game"),
    ],
)
def test_an_answer_that_does_not_count(key: str, step: int, choice: int, now: float, code: str) -> None:
    game = play.begun(opened("ann", "bob"), "ann", 0)
    game = play.answered(game, "bob", 1, 1, 1)
    with pytest.raises(Refusal) as refusal:
        play.answered(game, key, step, choice, now)
    assert refusal.value.code == code


def test_a_phase_ends_once_however_many_say_so() -> None:
    game = play.begun(opened("ann", "bob"), "ann", 0)
    game = play.moved_on(game, 1, 10)
    assert play.moved_on(game, 1, 10) is game
    assert play.moved_on(game, 1, 1_000) is game


def test_only_the_host_begins_and_plays_again() -> None:
    game = opened("ann", "bob")
    with pytest.raises(Refusal, match="ann begins"):
        play.begun(game, "bob", 0)
    game = play.begun(game, "ann", 0)
    with pytest.raises(Refusal, match="begun already"):
        play.begun(game, "ann", 0)
    with pytest.raises(Refusal, match="not over yet"):
        play.again(game, "ann", QUESTIONS, 0)
    for now in (10, 14, 24, 28):
        game = play.moved_on(game, game.step, now)
    with pytest.raises(Refusal, match="ann decides"):
        play.again(game, "bob", QUESTIONS, 30)
    step = game.step
    game = play.again(game, "ann", QUESTIONS, 30)
    assert (game.phase, game.round, game.step, game.ends_at) == ("lobby", 0, step + 1, 130)
    assert points(game) == {"ann": 0, "bob": 0}


def test_the_next_player_is_host_where_the_host_leaves_and_the_last_one_ends_the_game() -> None:
    game = play.left(opened("ann", "bob"), "ann", 0)
    assert game.host.name == "bob"
    assert play.joined(game, "ann", "ann").players[1].seat == 2, "a seat is given once"
    assert play.left(game, "nobody", 0) is game
    assert play.left(game, "bob", 0).phase == "over"


def test_nobody_waits_for_who_is_away_and_another_is_host_meanwhile() -> None:
    game = play.gone(opened("ann", "bob", "cy"), "ann", 0)
    assert (game.host.name, play.gone(game, "ann", 0)) == ("bob", game)
    assert play.back(game, "ann").host.name == "ann"
    with pytest.raises(Refusal, match="bob begins"):
        play.begun(game, "cy", 0)
    game = play.begun(game, "bob", 0)
    for key in ("bob", "cy"):
        game = play.answered(game, key, 1, 1, 5)
    assert (game.phase, points(game)) == ("reveal", {"ann": 0, "bob": 750, "cy": 750})
    game = play.moved_on(game, 2, 9)
    game = play.answered(game, "bob", 3, 3, 9)
    assert play.gone(game, "cy", 10).phase == "reveal", "all who are here have answered"
    game = play.answered(game, "ann", 3, 3, 14)
    assert (game.phase, game.host.name) == ("question", "ann"), "who does something is here"


def test_a_question_stays_open_while_everybody_is_away() -> None:
    game = play.begun(opened("ann", "bob"), "ann", 0)
    for key in ("ann", "bob"):
        game = play.gone(game, key, 1)
    assert (game.phase, game.host.name) == ("question", "ann")
    assert play.answered(game, "bob", 1, 1, 2).phase == "reveal"
    with pytest.raises(Refusal):
        play.gone(game, "eve", 1)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "not blank"),
        (" \t ", "not blank"),
        ("n" * 25, "at most 24 characters"),
        ("a\x00b", "control characters"),
        ("a\u202eb", "control characters"),
        ("ＡＮＮ", "is taken"),
        ("  aNN ", "is taken"),
    ],
)
def test_a_name_that_is_none_or_somebodys_is_refused(name: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        play.joined(opened("ann"), "new", name)


def test_a_game_has_room_for_so_many_and_who_asks_twice_has_one_seat() -> None:
    names = [f"player {number}" for number in range(play.PLAYERS)]
    game = opened(*names)
    assert play.joined(game, "player 3", "player 3") is game
    with pytest.raises(Refusal, match="full"):
        play.joined(game, "late", "late")


def test_the_view_gives_nothing_away() -> None:
    game = play.begun(opened("ann", "bob"), "ann", 0)
    game = play.answered(game, "bob", 1, 1, 1)
    shown = play.view(game, "ann", 4)
    assert not {"right", "counts"} & shown.keys()
    assert (shown["remaining"], shown["length"]) == (6000, 10_000)
    assert shown["you"] == {"seat": 0, "host": True, "answer": None, "pending": False}
    assert [(each["name"], each["answered"], each["gain"]) for each in shown["players"]] == [
        ("ann", False, 0), ("bob", True, 0),
    ]  # fmt: skip
    text = json.dumps(shown)
    assert "10.0.0.1" not in text
    assert "Two?" not in text
    assert "key" not in text
    game = play.moved_on(game, 1, 10)
    shown = play.view(game, "ann", 10)
    assert (shown["right"], shown["counts"]) == (1, [0, 1, 0, 0])
    assert [(each["name"], each["place"], each["gain"]) for each in shown["players"]] == [
        ("bob", 1, 950),
        ("ann", 2, 0),
    ]


def test_the_questions_are_sound() -> None:
    assert len(BANK) >= 30
    assert len({row[0] for row in BANK}) == len(BANK)
    assert all(len(set(row[1:])) == CHOICES for row in BANK)
    right = {row[0]: row[1] for row in BANK}
    drawn = draw(len(BANK))
    assert {question.text for question in drawn} == right.keys()
    assert all(question.choices[question.right] == right[question.text] for question in drawn)
    known = [question.text for question in drawn[:8]]
    assert not {question.text for question in draw(8, without=known)} & set(known)
    assert len(draw(8, without=list(right))) == 8, "where all are known they come again"


def said(effect: Any) -> Any:
    """What a client is shown."""
    return json.loads(effect.content)


# the players' actors --------------------------------------------------------------------------------------------------
class Table:
    """In the database's place: performs the calls that an actor wants, on one game."""

    def __init__(self) -> None:
        self.game: Game | None = None
        self.plays: list[Play] = []

    def player(self, wish: Open | Join) -> Play:
        actor = Play(players.quiz, players.Arriving(FORMAT))
        self.plays.append(actor)
        actor.connect(connection=wish.name)
        self.tell(actor, wish)
        return actor

    def tell(self, actor: Play, message: Any) -> list[dict[str, Any]]:
        """What its client is then shown."""
        return self._perform(actor, actor.tell(message))

    def advance(self, seconds: float, step: float = 0.25) -> None:
        """Time passes for all, in small steps."""
        for _ in range(round(seconds / step)):
            for actor in self.plays:
                self._perform(actor, actor.advance(step))

    def _perform(self, actor: Play, effects: list[Any]) -> list[dict[str, Any]]:
        shown = []
        for effect in effects:
            if isinstance(effect, Publish):
                shown.append(said(effect))
            elif isinstance(effect, Write):
                self._move(actor, lambda game, key: play.left(game, key, actor.now), effect.arguments[1])
            elif isinstance(effect, Call):
                shown += self._perform(actor, actor.answer(self._answer(actor, effect)))
        return shown

    def _answer(self, actor: Play, call: Call) -> Any:
        now, arguments = actor.now, call.arguments
        kind: type[table.Change] = table.Change
        try:
            if call.function is table.open_game:
                key, name, address, format = arguments
                self.game = play.opened("id", "KRTX", key, name, address, format, QUESTIONS, now)
                return table.Entered(self.game, now)
            code, key, *rest = arguments
            if call.function is table.join:
                kind = table.Entered
                self._move(actor, lambda game, key: play.joined(game, key, rest[0]), key)
            elif call.function is table.begin:
                self._move(actor, lambda game, key: play.begun(game, key, now), key)
            elif call.function is table.answer:
                step, choice = rest
                self._move(actor, lambda game, key: play.answered(game, key, step, choice, now), key)
            elif call.function is table.move_on:
                self._move(actor, lambda game, key: play.moved_on(game, rest[0], now), key)
            elif call.function is table.again:
                self._move(actor, lambda game, key: play.again(game, key, QUESTIONS, now), key)
            assert self.game
            self.game.player(key)
        except Refusal as refusal:
            return table.Refused(code, refusal.code, refusal.detail)
        return kind(self.game, now)

    def _move(self, mover: Play, move: Any, key: str) -> None:
        """The others hear of it, as by the game's topic."""
        assert self.game
        fresh = move(self.game, key)
        if fresh is self.game:
            return
        self.game = fresh
        for actor in self.plays:
            if actor is not mover:
                self._perform(actor, actor.tell(table.Change(fresh, mover.now)))


@pytest.fixture
def three() -> tuple[Table, Play, Play, Play]:
    """Ann, who is the host, Bob and Cy in a lobby."""
    house = Table()
    ann = house.player(Open("ann"))
    return house, ann, house.player(Join(" krtx ", "bob")), house.player(Join("KRTX", "cy"))


def test_a_whole_game_of_three(three: tuple[Table, Play, Play, Play]) -> None:
    house, ann, bob, cy = three
    assert {type(actor.state) for actor in three[1:]} == {players.Lobby}
    assert "ann begins" in house.tell(bob, Begin())[-1]["detail"]
    house.tell(ann, Begin())
    assert {type(actor.state) for actor in three[1:]} == {players.Answering}
    house.advance(5)
    [shown] = house.tell(ann, Answer(1, 1))
    assert shown["you"] == {"seat": 0, "host": True, "answer": 1, "pending": False}
    assert isinstance(ann.state, players.Answered)
    assert house.tell(ann, Answer(1, 2))[0]["code"] == "answered"
    house.tell(bob, Answer(1, 0))
    house.advance(5.5)
    assert {type(actor.state) for actor in three[1:]} == {players.Revealed}
    assert house.tell(cy, Answer(1, 1))[0]["code"] == "too_late"
    assert house.game
    assert points(house.game) == {"ann": 750, "bob": 0, "cy": 0}
    house.advance(4)
    assert {type(actor.state) for actor in three[1:]} == {players.Answering}
    assert house.tell(cy, Answer(1, 3))[0]["code"] == "too_late", "an answer for the question before"
    for actor in three[1:]:
        house.tell(actor, Answer(3, 3))
    assert {type(actor.state) for actor in three[1:]} == {players.Revealed}, "all have answered: no need to wait"
    house.advance(4.5)
    assert {type(actor.state) for actor in three[1:]} == {players.Podium}
    house.tell(ann, Again())
    assert {type(actor.state) for actor in three[1:]} == {players.Lobby}
    assert set(points(house.game).values()) == {0}
    house.advance(101)
    assert {type(actor.state) for actor in three[1:]} == {players.Visiting}, "nobody began"


@pytest.mark.parametrize("away", [0, 1, 2])
def test_the_game_goes_on_by_the_timers_of_any_of_them(three: tuple[Table, Play, Play, Play], away: int) -> None:
    """The others' actors are dead: one is enough."""
    house, ann, *_ = three
    house.tell(ann, Begin())
    house.plays = [house.plays[away]]
    house.advance(29)
    assert isinstance(house.plays[0].state, players.Podium)


def test_who_comes_back_is_where_the_game_is(three: tuple[Table, Play, Play, Play]) -> None:
    house, ann, bob, _ = three
    house.tell(ann, Begin())
    house.tell(bob, Answer(1, 2))
    house.plays.remove(bob)
    house.advance(11)
    assert isinstance(bob.state, players.Answered)
    effects = bob.connect(resumed=True)
    assert isinstance(bob.state, players.Returning)
    assert bob.tell(Answer(1, 1)) == []
    [shown, *_] = house._perform(bob, effects)
    assert isinstance(bob.state, players.Revealed)
    assert (shown["phase"], shown["you"]["answer"]) == ("reveal", 2)
    [subscribed] = [effect for effect in bob.effects[-4:] if isinstance(effect, Subscribe)]
    assert house.game
    assert subscribed.since == house.game.version
    assert said(bob.effects[-1])["code"] == "too_late", "what was sent meanwhile is handled then"


def test_an_answer_on_its_way_is_not_forgotten_when_others_answer_first() -> None:
    house = Table()
    ann, bob = house.player(Open("ann")), house.player(Join("KRTX", "bob"))
    house.player(Join("KRTX", "cy"))
    house.tell(ann, Begin())
    bob.tell(Answer(1, 3))  # nobody answers the call yet
    assert isinstance(bob.state, players.Sending)
    house.tell(ann, Answer(1, 1))
    assert bob.state == players.Sending(bob.state.seat, 1, 3)
    assert said(bob.effects[-1])["you"] == {"seat": 1, "host": False, "answer": 3, "pending": True}
    assert house.tell(bob, Answer(1, 0))[0]["code"] == "answered"


def test_old_news_lead_nobody_back(three: tuple[Table, Play, Play, Play]) -> None:
    house, ann, bob, _ = three
    assert house.game
    before = house.game
    house.tell(ann, Begin())
    assert bob.tell(table.Change(before, 0)) == []
    assert isinstance(bob.state, players.Answering)


def test_leaving_gives_up_the_seat_with_the_state(three: tuple[Table, Play, Play, Play]) -> None:
    house, ann, bob, _ = three
    effects = bob.tell(Leave())
    assert isinstance(bob.state, players.Visiting)
    assert [type(effect) for effect in effects] == [Write, Unsubscribe, Publish]
    assert bob.timers == {}
    house._perform(bob, effects)
    assert house.game
    assert [player.name for player in house.game.players] == ["ann", "cy"]
    assert house.tell(bob, Answer(1, 1))[0]["code"] == "not_now"
    house.tell(bob, Join("KRTX", "Cy"))
    assert isinstance(bob.state, players.Visiting)
    house.tell(bob, Join("KRTX", "bob"))
    assert isinstance(bob.state, players.Lobby)
    house.tell(ann, Begin())
    assert isinstance(bob.state, players.Answering)


def test_a_wish_is_repeated_where_its_answer_was_lost() -> None:
    actor = Play(players.quiz, players.Arriving(FORMAT))
    actor.connect(connection="bob")
    [call] = actor.tell(Join("KRTX", "bob"))
    assert actor.tell(Begin()) == []  # waits
    [pong] = actor.tell(Ping())
    assert said(pong) == {"type": "pong"}
    assert actor.connect(connection="another", resumed=True) == [call], "by the same key: the table gives one seat"


def test_a_database_that_is_away_is_waited_for(three: tuple[Table, Play, Play, Play]) -> None:
    house, ann, bob, cy = three
    house.tell(ann, Begin())
    effects = cy.advance(10.1)
    assert [call.function for call in effects if isinstance(call, Call)] == [table.move_on]
    cy.answer(OSError("no line"))
    assert isinstance(cy.state, players.Answering)
    assert [call.function for call in cy.advance(1) if isinstance(call, Call)] == [table.move_on], "it tries again"

    bob.tell(Answer(1, 1))
    bob.tell(CallFailed("answer", "no line"))
    assert isinstance(bob.state, players.Returning)
    bob.tell(CallFailed("look", "no line"))
    assert [call.function for call in bob.advance(1) if isinstance(call, Call)] == [table.look]
    visitor = Play(players.quiz, players.Arriving(FORMAT))
    visitor.connect()
    visitor.tell(Open("dee"))
    visitor.answer(OSError("no line"))
    assert isinstance(visitor.state, players.Visiting)
    assert said(visitor.effects[-1])["code"] == "unavailable"


def test_what_comes_from_a_game_left_before_is_not_for_this_one() -> None:
    house = Table()
    bob = house.player(Open("bob"))
    old = table.Refused("BBBB", "no_game", "over")
    assert bob.tell(old) == []
    assert isinstance(bob.state, players.Lobby)
    visitor = Play(players.quiz, players.Arriving(FORMAT))
    visitor.connect(connection="cy")
    visitor.tell(Join("KRTX", "cy"))
    visitor.tell(old)
    visitor.tell(CallFailed("move_on", "no line"))
    assert isinstance(visitor.state, players.Entering)


def test_a_timer_is_stored_with_every_state_in_a_game(three: tuple[Table, Play, Play, Play]) -> None:
    house, ann, *_ = three
    assert ann.timers == {"over": pytest.approx(100.05)}
    house.tell(ann, Begin())
    house.tell(ann, Answer(1, 1))
    assert ann.timers == {"over": pytest.approx(10.05)}, "answering does not end the round"
    assert Timeout("over") not in ann.dropped
