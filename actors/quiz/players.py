"""The players' actors: the same phases as the game's, and what each of them lets its player do.

Nobody leads. Every actor that is in a game has a timer for the end of the phase; the first whose timer runs out moves
the game on, and the others find it moved. So a game goes on while any of them lives, their clients being here or not,
and after a restart. The timer has a name, because answering leaves a state and does not end the round.
"""

from __future__ import annotations

from typing import Any

import msgspec

from realtime_project.topics import Topic

from ..effects import Call, Cancel, Postpone, Publish, Schedule, Subscribe, Unsubscribe, Write
from ..messages import CallFailed, ClientConnected, ClientDisconnected, Message, Timeout, encode
from ..rules import Rules
from ..states import State
from . import table
from .game import Code, Format, view
from .table import Change, Entered, Refused

OVER = "over"  # the timer: the phase has ended
LATE = 0.05  # seconds after its end, so that no clock is too early for it
LOOK = "look"  # the timer: look again how the game stands
AWAY = "away"  # the timer: the client has been away for so long that nobody waits for it
RETRY = 1.0  # seconds, where the database was away

quiz = Rules()


# what clients send -----------------------------------------------------------------------------------------------
class Open(Message, frozen=True):
    """Open a game, as its host."""

    name: str


class Join(Message, frozen=True):
    code: str
    name: str


class Begin(Message, frozen=True):
    """The host: begin with the first question."""


class Answer(Message, frozen=True):
    step: int  # which question is answered, as the game's view says: one that comes late is not for the next one
    choice: int  # from 0


class Again(Message, frozen=True):
    """The host: back to the lobby, for another game."""


class Leave(Message, frozen=True):
    pass


class Ping(Message, frozen=True):
    """Is answered with {"type": "pong"}: whether anybody is there."""


MESSAGES = [Open, Join, Begin, Answer, Again, Leave, Ping]


# what they are told, beside the game's view ----------------------------------------------------------------------
class Welcome(Message, frozen=True, tag="welcome"):
    """You are in no game. `note`: why not any more."""

    note: str = ""


class Pong(Message, frozen=True, tag="pong"):
    pass


class Error(Message, frozen=True, tag="error"):
    code: Code | str
    detail: str


# states ----------------------------------------------------------------------------------------------------------
class Visitor(msgspec.Struct, frozen=True):
    """Who the client is, in all games."""

    key: str
    address: str
    format: Format  # of the games that are opened here
    topic_out: Topic


class Seat(msgspec.Struct, frozen=True):
    """Who the client is, in one game."""

    visitor: Visitor
    code: str
    topic: Topic


class Arriving(State, frozen=True):
    """The first state. `format` is that of the endpoint."""

    format: Format = Format()


class Visiting(State, frozen=True):
    visitor: Visitor


class Entering(State, frozen=True):
    """Waiting for the table's answer."""

    visitor: Visitor
    wish: Open | Join


class Seated(State, frozen=True):
    """In a game, in the phase with this number. What all the states that follow have in common."""

    seat: Seat
    step: int

    @property
    def visitor(self) -> Visitor:
        return self.seat.visitor


class Returning(Seated, frozen=True):
    """The client has come back, or the server has: looking how the game stands."""


class Lobby(Seated, frozen=True):
    pass


class Answering(Seated, frozen=True):
    pass


class Sending(Seated, frozen=True):
    """The answer is on its way to the table."""

    choice: int


class Answered(Seated, frozen=True):
    pass


class Revealed(Seated, frozen=True):
    pass


class Podium(Seated, frozen=True):
    pass


InGame = Lobby | Answering | Sending | Answered | Revealed | Podium
PHASES: dict[str, type[Lobby | Answering | Revealed | Podium]] = {
    "lobby": Lobby,
    "question": Answering,
    "reveal": Revealed,
    "podium": Podium,
}


# coming in -------------------------------------------------------------------------------------------------------
@quiz.on(ClientConnected, Arriving)
def arrive(message: ClientConnected, state: Arriving) -> Any:
    visitor = Visitor(message.connection, message.client_ip, state.format, message.topic_out)
    return [tell(visitor, Welcome())], Visiting(visitor)


@quiz.on(ClientConnected, Visiting)
def come_back(message: ClientConnected, state: Visiting) -> Any:
    return [tell(state.visitor, Welcome())], state


@quiz.on(ClientConnected, Entering)
def ask_again(message: ClientConnected, state: Entering) -> Any:
    """The answer may have been lost. Asked twice, the table gives one seat."""
    return [enter(state.visitor, state.wish)], state


@quiz.on(ClientConnected, InGame | Returning)
def come_back_to_a_game(message: ClientConnected, state: Seated) -> Any:
    return [Cancel(AWAY), look(state.seat)], Returning(state.seat, state.step)


@quiz.on(ClientDisconnected, InGame | Returning)
def go_away(message: ClientDisconnected, state: Seated) -> Any:
    return [Schedule(AWAY, after=state.visitor.format.patience)], state


@quiz.on(Timeout(AWAY), InGame | Returning)
def stay_away(message: Timeout, state: Seated) -> Any:
    return [Call(table.step_out, state.seat.code, state.visitor.key)], state


@quiz.on(Ping, Visiting | Entering | InGame | Returning)
def be_there(message: Ping, state: Any) -> Any:
    return [tell(state.visitor, Pong())], state


@quiz.on(Message, Entering | Returning)
def wait(message: Message, state: Any) -> Any:
    return [Postpone()], state


@quiz.on(Open | Join, Visiting)
def wish(message: Open | Join, state: Visiting) -> Any:
    return [enter(state.visitor, message)], Entering(state.visitor, message)


@quiz.on(Entered, Entering)
def sit_down(message: Entered, state: Entering) -> Any:
    game = message.game
    return follow(Seat(state.visitor, game.code, table.topic_of(game)), message)


@quiz.on(Refused, Entering)
def stay_outside(message: Refused, state: Entering) -> Any:
    if message.game != code_of(state.wish):  # about a game that was left meanwhile
        return [], state
    return [tell(state.visitor, Error(message.code, message.detail))], Visiting(state.visitor)


@quiz.on(CallFailed, Entering)
def find_it_closed(message: CallFailed, state: Entering) -> Any:
    if message.function not in (table.open_game.__name__, table.join.__name__):
        return [], state
    return [tell(state.visitor, UNAVAILABLE)], Visiting(state.visitor)


# playing ---------------------------------------------------------------------------------------------------------
@quiz.on(Begin, Lobby)
def begin(message: Begin, state: Lobby) -> Any:
    return [Call(table.begin, state.seat.code, state.visitor.key)], state


@quiz.on(Answer, Answering)
def answer(message: Answer, state: Answering) -> Any:
    if message.step != state.step:
        return [tell(state.visitor, TOO_LATE)], state
    giving = Call(table.answer, state.seat.code, state.visitor.key, message.step, message.choice)
    return [giving], Sending(state.seat, state.step, message.choice)


@quiz.on(Answer, Sending | Answered)
def answer_twice(message: Answer, state: Sending | Answered) -> Any:
    return [tell(state.visitor, TWICE if message.step == state.step else TOO_LATE)], state


@quiz.on(Answer, Revealed | Podium)
def answer_late(message: Answer, state: Revealed | Podium) -> Any:
    return [tell(state.visitor, TOO_LATE)], state


@quiz.on(Again, Podium)
def again(message: Again, state: Podium) -> Any:
    return [Call(table.again, state.seat.code, state.visitor.key)], state


@quiz.on(Leave, InGame)
def leave(message: Leave, state: Seated) -> Any:
    """The seat is given up together with the state, or neither is."""
    return [Write(table.leave, state.seat.code, state.visitor.key), *stand_up(state.seat)], Visiting(state.visitor)


# the game goes on ------------------------------------------------------------------------------------------------
@quiz.on(Timeout(OVER), InGame | Returning)
def move_on(message: Timeout, state: Seated) -> Any:
    moving = Call(table.move_on, state.seat.code, state.visitor.key, state.step)
    return [moving, Schedule(OVER, after=RETRY)], state


@quiz.on(Change, Returning)
def take_the_seat_again(message: Change, state: Returning) -> Any:
    return follow(state.seat, message)


@quiz.on(Change, InGame)
def hear(message: Change, state: Seated) -> Any:
    if message.game.code != state.seat.code or message.game.step < state.step:  # of another game, or old news
        return [], state
    choice = state.choice if isinstance(state, Sending) else None
    return follow(state.seat, message, state.step, choice)


@quiz.on(Refused, InGame | Returning)
def be_told_the_rules(message: Refused, state: Seated) -> Any:
    if message.game != state.seat.code:
        return [], state
    if message.code == "no_game":
        return stand_up(state.seat, message.detail), Visiting(state.visitor)
    refusal = tell(state.visitor, Error(message.code, message.detail))
    if isinstance(state, Sending):  # what was answered does not count: how does the game stand?
        return [refusal, look(state.seat)], Returning(state.seat, state.step)
    return [refusal], state


@quiz.on(CallFailed, Sending)
def answer_again(message: CallFailed, state: Sending) -> Any:
    if message.function != table.answer.__name__:
        return [], state
    return [tell(state.visitor, UNAVAILABLE), look(state.seat)], Returning(state.seat, state.step)


@quiz.on(CallFailed, Returning)
def look_later(message: CallFailed, state: Returning) -> Any:
    return [Schedule(LOOK, after=RETRY)], state


@quiz.on(Timeout(LOOK), Returning)
def look_again(message: Timeout, state: Returning) -> Any:
    return [look(state.seat)], state


@quiz.on(CallFailed, Lobby | Podium)
def try_again(message: CallFailed, state: Lobby | Podium) -> Any:
    return [tell(state.visitor, UNAVAILABLE)], state


# what makes no sense ---------------------------------------------------------------------------------------------
@quiz.on(Message, Visiting | InGame)
def not_now(message: Message, state: Any) -> Any:
    where = "in no game" if isinstance(state, Visiting) else "in a game"
    return [tell(state.visitor, Error("not_now", f"{type(message).__name__} is not for now: you are {where}."))], state


@quiz.on(str | bytes, Visiting | Entering | InGame | Returning)
def not_understood(message: str | bytes, state: Any) -> Any:
    names = ", ".join(each.__name__ for each in MESSAGES)
    return [tell(state.visitor, Error("invalid_message", f"Send JSON with a type, one of {names}."))], state


# -----------------------------------------------------------------------------------------------------------------
TOO_LATE = Error("too_late", "Too late: this question is over.")
TWICE = Error("answered", "You have answered already. The first answer counts.")
UNAVAILABLE = Error("unavailable", "That could not be kept just now. Try again in a moment.")


def follow(
    seat: Seat, change: Change, step: int | None = None, choice: int | None = None
) -> tuple[list[Any], InGame | Visiting]:
    """Be where the game is. step: the phase that the actor was in, None if it comes in; choice: sent, not yet kept."""
    game, me = change.game, seat.visitor
    if game.phase == "over" or all(player.key != me.key for player in game.players):
        return stand_up(seat, f"Game {game.code} is over."), Visiting(me)
    if step != game.step:
        choice = None
    effects: list[Any] = [Publish(me.topic_out, msgspec.json.encode(view(game, me.key, change.now, choice)).decode())]
    if step is None:
        effects.append(Subscribe(seat.topic, since=game.version, as_message=table.change_of))
    if step != game.step:
        effects.append(Schedule(OVER, after=max(0.0, game.ends_at - change.now) + LATE))
    if game.phase == "question" and game.answer_of(game.player(me.key)):
        return effects, Answered(seat, game.step)
    if choice is not None:
        return effects, Sending(seat, game.step, choice)
    return effects, PHASES[game.phase](seat, game.step)


def stand_up(seat: Seat, note: str = "") -> list[Any]:
    return [Unsubscribe(seat.topic), Cancel(OVER), Cancel(AWAY), tell(seat.visitor, Welcome(note))]


def enter(visitor: Visitor, wish: Open | Join) -> Call:
    if isinstance(wish, Open):
        return Call(table.open_game, visitor.key, wish.name, visitor.address, visitor.format)
    return Call(table.join, code_of(wish), visitor.key, wish.name)


def code_of(wish: Open | Join) -> str:
    """The code of the game, as it was meant; "" for one that is to be opened."""
    return wish.code.strip().upper() if isinstance(wish, Join) else ""


def look(seat: Seat) -> Call:
    return Call(table.look, seat.code, seat.visitor.key)


def tell(visitor: Visitor, message: Message) -> Publish:
    return Publish(visitor.topic_out, encode(message))
