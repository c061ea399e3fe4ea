"""The game: what may happen in it, and what each player is shown of it.

Pure: a move is a function that is given a game and the time (seconds since 1970) and gives the next game, or the same
one where nothing has changed. A move that is not allowed raises Refusal. The right answer is shown to nobody before
the question is over.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from ..naming import folded, mistake

NAME = 24  # characters of a player's name
PLAYERS = 100  # of one game: each change of it is told to each of them
CHOICES = 4
RIGHT, QUICK = 500, 500  # points for being right, and for being right at once; half the time, half of them

Phase = Literal["lobby", "question", "reveal", "podium", "over"]
Code = Literal[
    "invalid_name", "name_taken", "full", "no_game", "not_host", "not_now", "too_late", "answered", "crowded"
]


class Refusal(Exception):
    """A move that the rules do not allow: `code` for the page, `detail` for whoever reads it."""

    def __init__(self, code: Code, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Format(msgspec.Struct, frozen=True):
    """How long a game is. Seconds, but for `rounds`."""

    rounds: int = 8
    question: float = 20.0
    reveal: float = 8.0
    idle: float = 1800.0  # a lobby in which nobody begins, or a podium that nobody leaves
    patience: float = 15.0  # with who has gone, but may be loading the page again: nobody waits for them any longer


class Question(msgspec.Struct, frozen=True):
    text: str
    choices: tuple[str, ...]
    right: int  # which of the choices


class Given(msgspec.Struct, frozen=True):
    """An answer."""

    seat: int
    choice: int
    left: float  # the part of the question's time that was left: from 1 to 0


class Player(msgspec.Struct, frozen=True):
    key: str  # known to the server alone: whoever comes with it is this player
    seat: int  # known to all, and never given again in this game
    name: str
    points: int = 0
    away: bool = False  # for a while now; the seat and the points are kept


class Game(msgspec.Struct, frozen=True):
    """All of a game. `step` counts the phases it has been through, `version` what has happened in it."""

    id: str
    code: str  # what players type to come in
    address: str  # of whoever opened it
    format: Format
    questions: tuple[Question, ...]
    players: tuple[Player, ...]  # the first one who is here is the host
    seats: int  # given so far
    ends_at: float  # when the phase is over, whatever happens
    phase: Phase = "lobby"
    round: int = 0  # from 1
    answers: tuple[Given, ...] = ()  # to this round's question, in the order in which they came
    step: int = 0
    version: int = 1

    @property
    def host(self) -> Player:
        return next((player for player in self.players if not player.away), self.players[0])

    @property
    def question(self) -> Question:
        return self.questions[self.round - 1]

    def player(self, key: str) -> Player:
        """Raises Refusal for whoever is not in the game."""
        for player in self.players:
            if player.key == key:
                return player
        raise Refusal("no_game", "You are not in this game any more.")

    def answer_of(self, player: Player) -> Given | None:
        return next((given for given in self.answers if given.seat == player.seat), None)

    def gain(self, player: Player) -> int:
        """The points that this round's answer is worth."""
        given = self.answer_of(player)
        if given is None or given.choice != self.question.right:
            return 0
        return RIGHT + round(QUICK * given.left)


# coming and going -------------------------------------------------------------------------------------------------
def opened(
    id: str, code: str, key: str, name: str, address: str, format: Format, questions: Sequence[Question], now: float
) -> Game:
    """A game in its lobby, with its host."""
    host = Player(key, 0, fit(name))
    return Game(id, code, address, format, tuple(questions), (host,), seats=1, ends_at=now + format.idle)


def joined(game: Game, key: str, name: str) -> Game:
    """One may come at any time. Whoever is in the game already stays who they are."""
    if any(player.key == key for player in game.players):
        return game
    name = fit(name)
    if any(folded(player.name) == folded(name) for player in game.players):
        raise Refusal("name_taken", f"{name} is taken in this game. Choose another name.")
    if len(game.players) >= PLAYERS:
        raise Refusal("full", f"This game is full: {PLAYERS} are playing.")
    player = Player(key, game.seats, name)
    return msgspec.structs.replace(game, players=(*game.players, player), seats=game.seats + 1)


def left(game: Game, key: str, now: float) -> Game:
    """The next player is host where the host leaves; when nobody is left, the game is over."""
    players = tuple(player for player in game.players if player.key != key)
    if len(players) == len(game.players):
        return game
    if not players:
        return _next(game, "over", now, 0)
    return _ended_early(msgspec.structs.replace(game, players=players), now)


def gone(game: Game, key: str, now: float) -> Game:
    """A player is away: another one who is here is host, and nobody waits for this one's answer."""
    return _ended_early(_with(game, key, True), now)


def back(game: Game, key: str) -> Game:
    """... and is here again."""
    return _with(game, key, False)


def _with(game: Game, key: str, away: bool) -> Game:
    player = game.player(key)
    if player.away == away:
        return game
    changed = msgspec.structs.replace(player, away=away)
    return msgspec.structs.replace(game, players=tuple(changed if each is player else each for each in game.players))


def fit(name: str) -> str:
    """The name, if it can be one."""
    name = name.strip()
    if wrong := mistake(name, NAME):
        raise Refusal("invalid_name", f"{wrong[0].upper()}{wrong[1:]}.")
    return name


# rounds -----------------------------------------------------------------------------------------------------------
def begun(game: Game, key: str, now: float) -> Game:
    """The host begins."""
    game = back(game, key)
    if game.player(key) != game.host:
        raise Refusal("not_host", f"{game.host.name} begins the game.")
    if game.phase != "lobby":
        raise Refusal("not_now", "The game has begun already.")
    return _asked(game, 1, now)


def answered(game: Game, key: str, step: int, choice: int, now: float) -> Game:
    """An answer counts once, and while its question is open. When all who are here have, the question is over."""
    game = back(game, key)
    player = game.player(key)
    if game.step == step and game.answer_of(player):
        raise Refusal("answered", "You have answered already. The first answer counts.")
    if game.step != step or game.phase != "question" or now > game.ends_at:
        raise Refusal("too_late", "Too late: this question is over.")
    if not 0 <= choice < len(game.question.choices):
        raise Refusal("not_now", f"There is no answer {choice + 1}.")
    given = Given(player.seat, choice, max(0.0, min(1.0, (game.ends_at - now) / game.format.question)))
    return _ended_early(msgspec.structs.replace(game, answers=(*game.answers, given)), now)


def moved_on(game: Game, step: int, now: float) -> Game:
    """A phase's time has run out. Many say so: the first one is right, and for the others it has happened."""
    if game.step != step or now < game.ends_at:
        return game
    if game.phase == "question":
        return _revealed(game, now)
    if game.phase == "reveal" and game.round < len(game.questions):
        return _asked(game, game.round + 1, now)
    if game.phase == "reveal":
        return _next(game, "podium", now, game.format.idle)
    return _next(game, "over", now, 0)


def again(game: Game, key: str, questions: Sequence[Question], now: float) -> Game:
    """The host opens the lobby once more: the same players, other questions, no points."""
    game = back(game, key)
    if game.player(key) != game.host:
        raise Refusal("not_host", f"{game.host.name} decides whether you play again.")
    if game.phase != "podium":
        raise Refusal("not_now", "The game is not over yet.")
    players = tuple(msgspec.structs.replace(player, points=0) for player in game.players)
    fresh = msgspec.structs.replace(game, players=players, questions=tuple(questions), round=0, answers=())
    return _next(fresh, "lobby", now, game.format.idle)


def _asked(game: Game, number: int, now: float) -> Game:
    return _next(msgspec.structs.replace(game, round=number, answers=()), "question", now, game.format.question)


def _ended_early(game: Game, now: float) -> Game:
    here = [player for player in game.players if not player.away]
    if game.phase == "question" and here and all(game.answer_of(player) for player in here):
        return _revealed(game, now)
    return game


def _revealed(game: Game, now: float) -> Game:
    players = tuple(
        msgspec.structs.replace(player, points=player.points + game.gain(player)) for player in game.players
    )
    return _next(msgspec.structs.replace(game, players=players), "reveal", now, game.format.reveal)


def _next(game: Game, phase: Phase, now: float, lasts: float) -> Game:
    return msgspec.structs.replace(game, phase=phase, step=game.step + 1, ends_at=now + lasts)


# what is shown ----------------------------------------------------------------------------------------------------
def view(game: Game, key: str, now: float, pending: int | None = None) -> dict[str, Any]:
    """What a player is shown, as JSON. Times are milliseconds from now, for no two clocks agree.

    pending: the answer that is on its way.
    """
    player = game.player(key)
    given = game.answer_of(player)
    shown: dict[str, Any] = {
        "type": "game",
        "version": game.version,
        "step": game.step,
        "code": game.code,
        "phase": game.phase,
        "round": game.round,
        "rounds": game.format.rounds,
        "remaining": max(0, round((game.ends_at - now) * 1000)),
        "you": {
            "seat": player.seat,
            "host": player == game.host,
            "answer": given.choice if given else pending,
            "pending": given is None and pending is not None,
        },
        "host": game.host.name,
        "players": standings(game),
    }
    if game.phase in ("question", "reveal"):
        shown["length"] = round(1000 * (game.format.question if game.phase == "question" else game.format.reveal))
        shown["question"] = {"text": game.question.text, "choices": game.question.choices}
    if game.phase == "reveal":
        choices = [given.choice for given in game.answers]
        shown["right"] = game.question.right
        shown["counts"] = [choices.count(number) for number in range(len(game.question.choices))]
        shown["last"] = game.round == len(game.questions)
    return shown


@functools.lru_cache(maxsize=64)
def standings(game: Game) -> list[dict[str, Any]]:
    """The players as all of them are shown, the first one first: worked out once for all. Nobody may change it."""
    is_over = game.phase in ("reveal", "podium")
    answered = {given.seat for given in game.answers}
    shown: list[dict[str, Any]] = []
    place = 0
    for number, each in enumerate(sorted(game.players, key=lambda each: (-each.points, each.seat)), 1):
        if not shown or each.points != shown[-1]["points"]:
            place = number
        shown.append(
            {
                "seat": each.seat,
                "name": each.name,
                "points": each.points,
                "place": place,
                "away": each.away,
                "answered": each.seat in answered,
                "gain": game.gain(each) if is_over and game.round else 0,
            }
        )
    return shown
