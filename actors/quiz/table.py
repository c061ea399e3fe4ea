"""Where games lie: one entry a game in a store, changed by one player after the other, each change told on its topic.

The rule: a change and the event that tells of it are one transaction, so that a game's version is its topic's offset.
Whoever has read a game subscribes from its version on and misses nothing.
"""

from __future__ import annotations

import functools
import random
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar

import msgspec
from django.db import transaction

from realtime_project import database, history
from realtime_project.identity import household
from realtime_project.topics import Topic

from ..store import Store
from . import game as play
from .game import Format, Game, Refusal
from .questions import draw

games = Store("demo.quiz")  # a game's code → the game

PREFIX = "demo.quiz:"  # of a game's topic; its id follows, which is never used again
LETTERS, LENGTH = "BCDFGHJKLMNPQRSTVWXZ", 4  # of a code: no vowels, so no words
GAMES = 200  # open at a time: they are read in one query
OF_ADDRESS = 50  # opened from one address, of these; from one household's network, where it is IPv6
OVERDUE = 3600.0  # seconds after which a phase that has not ended is one that nobody's actor follows any more
KEPT = timedelta(hours=2)  # what was told of games: an actor that was away asks how its game stands instead

Move = Callable[[Game, float], Game]  # is given the time


class Change(msgspec.Struct, frozen=True):
    """What an actor is told: how a game stands, and when (seconds since 1970)."""

    game: Game
    now: float


class Entered(Change, frozen=True):
    """The answer to whoever wanted to come in: they have, as the player with this key."""


class Refused(msgspec.Struct, frozen=True):
    """A move was against the rules."""

    game: str  # the code of the game that was meant; "" where one was to be opened
    code: str
    detail: str


Answer = TypeVar("Answer", bound=Change)


def topic_of(game: Game) -> Topic:
    """Where a game's changes are told, each with all of the game."""
    return Topic(PREFIX + game.id, history=True)


def change_of(content: str) -> Change:
    """What is told on a game's topic, as it is heard now."""
    return Change(_told_game(content), time.time())


@functools.lru_cache(maxsize=64)
def _told_game(content: str) -> Game:
    """Read once for all who hear it here."""
    return msgspec.json.decode(content, type=Game)


# what actors call: the answer comes back to them as a message ----------------------------------------------------
async def open_game(key: str, name: str, address: str, format: Format) -> Entered | Refused:
    return await _told("", Entered, lambda: _open(key, name, address, format))


async def join(code: str, key: str, name: str) -> Entered | Refused:
    if len(code) != LENGTH or set(code) - set(LETTERS):
        return Refused(code, "no_game", f"A game’s code has {LENGTH} letters, without vowels: KRTX, say.")
    return await _told(code, Entered, lambda: change(code, lambda game, now: play.joined(game, key, name)))


async def look(code: str, key: str) -> Change | Refused:
    """How it stands, for a player who is here again."""

    def back() -> Game:
        game = read(code, key)
        return change(code, lambda game, now: play.back(game, key)) if game.player(key).away else game

    return await _told(code, Change, back)


async def step_out(code: str, key: str) -> Change | Refused:
    """A player has been away for a while."""
    return await _told(code, Change, lambda: change(code, lambda game, now: play.gone(game, key, now)))


async def begin(code: str, key: str) -> Change | Refused:
    return await _told(code, Change, lambda: change(code, lambda game, now: play.begun(game, key, now)))


async def answer(code: str, key: str, step: int, choice: int) -> Change | Refused:
    def answered(game: Game, now: float) -> Game:
        return play.answered(game, key, step, choice, now)

    return await _told(code, Change, lambda: change(code, answered))


async def move_on(code: str, key: str, step: int) -> Change | Refused:
    """A player's timer has run out. Most find that another player's has, a moment before."""

    def moved() -> Game:
        game = read(code, key)
        return game if game.step > step else change(code, lambda game, now: play.moved_on(game, step, now))

    return await _told(code, Change, moved)


async def again(code: str, key: str) -> Change | Refused:
    def fresh(game: Game, now: float) -> Game:
        known = [question.text for question in game.questions]
        return play.again(game, key, draw(game.format.rounds, without=known), now)

    return await _told(code, Change, lambda: change(code, fresh))


async def _told(code: str, kind: type[Answer], deed: Callable[[], Game]) -> Answer | Refused:
    try:
        game = await database.run(deed)
    except Refusal as refusal:
        return Refused(code, refusal.code, refusal.detail)
    return kind(game, time.time())


# in the database -------------------------------------------------------------------------------------------------
def leave(code: str, key: str) -> None:
    """For Write: the seat is given up in the transaction that saves the actor's state."""
    with suppress(Refusal):  # it is over, or was left before
        change(code, lambda game, now: play.left(game, key, now))


def read(code: str, key: str) -> Game:
    """The game in which the player with this key is. Raises Refusal."""
    value = games.get_sync(code)
    if value is None:
        raise _unknown(code)
    game = _game(value)
    game.player(key)
    return game


def change(code: str, move: Move) -> Game:
    """What a move makes of the game, kept and told. Raises Refusal, and then nothing has happened."""
    changed: list[Game] = []

    def moved(value: Any) -> Any:
        if value is None:
            raise _unknown(code)
        game = _game(value)
        fresh = move(game, time.time())
        if fresh is game:
            return value
        changed.append(msgspec.structs.replace(fresh, version=game.version + 1))
        return _plain(changed[0])

    with transaction.atomic():
        value = games.change_sync(code, moved)
        if not changed:
            return _game(value)
        [game] = changed
        if game.phase == "over":
            games.delete_sync(code)
        _tell(game)
    return game


def _open(key: str, name: str, address: str, format: Format) -> Game:
    with transaction.atomic():
        found = _all()
        for game in found:
            if any(player.key == key for player in game.players):  # they have asked before, and not heard the answer
                return game
        now = time.time()
        waiting = _let_go(found, now)
        if len(waiting) >= GAMES:
            raise Refusal("crowded", "Every table is taken. Try again in a few minutes, or join a game.")
        home = household(address)
        if sum(household(game.address) == home for game in waiting) >= OF_ADDRESS:
            raise Refusal("crowded", "Many games were opened from your address. Try again later, or join one.")
        questions = draw(format.rounds)
        while True:
            code = "".join(random.choices(LETTERS, k=LENGTH))
            game = play.opened(uuid.uuid4().hex, code, key, name, address, format, questions, now)
            if games.add_sync(code, _plain(game)):
                _tell(game)
                return game


def forget() -> int:
    """Let go of games that nobody's actor follows any more, and of what was told of those that are over: how many."""
    with transaction.atomic():
        found = _all()
        return len(found) - len(_let_go(found, time.time()))


def _all() -> list[Game]:
    return [_game(value) for value in games.get_many_sync(games.keys_sync(limit=GAMES)).values()]


def _let_go(found: list[Game], now: float) -> list[Game]:
    """Those that are left."""
    left = [game for game in found if now <= game.ends_at + OVERDUE]
    for game in found:
        if game not in left:
            games.delete_sync(game.code)
    history.forget(PREFIX, KEPT, kept=[topic_of(game).name for game in left])
    return left


def _tell(game: Game) -> None:
    offset = topic_of(game).publish_sync(msgspec.json.encode(game).decode())
    assert offset == game.version, f"game {game.code}: event {offset} tells of version {game.version}"


def _unknown(code: str) -> Refusal:
    return Refusal("no_game", f"There is no game {code}. It may be over.")


def _game(value: Any) -> Game:
    return msgspec.convert(value, Game)


def _plain(game: Game) -> Any:
    return msgspec.json.decode(msgspec.json.encode(game))
