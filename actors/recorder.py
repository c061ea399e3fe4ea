"""The flight recorder: what every message came to, noted while it happens and written a little later, off the loop.

The rule: noting costs an actor next to nothing and never fails it. What a step was made of is kept as it is, since
messages, states and effects are values; a thread writes it as JSON, without what is secret, some hundred at a time.
What comes faster than that is counted as missed, and a recording shows where.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from realtime_project import database
from realtime_project.texts import storable

from . import recordings
from .graph import name_of
from .messages import Timeout
from .performers import Heard
from .portable import Writer
from .recordings import Batch, Row
from .redaction import Secrets
from .rules import Effects, Rule
from .stored import Own
from .targets import kind_of

logger = logging.getLogger(__name__)

PACE = 0.5  # seconds between two lists that are written
MOST = 500  # steps of one list: a thousand a second
WAITING = 5_000  # steps that may wait, of all actors of this process
PASSES = 3  # over one step, until nothing more of it is found to be secret
SLICE = 25  # steps that are written as JSON before others may have the interpreter

NAME = 100  # characters


class Noted(NamedTuple):
    """A step as it was noted."""

    number: int
    at: float  # seconds since 1970
    kind: str  # see recordings.KINDS
    message: Any
    before: Any
    after: Any
    effects: Effects
    rule: Rule | None
    took: float  # seconds
    error: str


class TooManySecrets(Exception):
    """Of one step: what is written of it might tell some."""


class Tape:
    """What is noted of one actor."""

    __slots__ = (
        "about",
        "again",
        "aside",
        "ended",
        "missed",
        "number",
        "recorder",
        "secrets",
        "steps",
        "writer",
    )

    def __init__(self, recorder: Recorder, about: recordings.About, own: Own, redact: Iterable[str] = ()) -> None:
        self.recorder, self.about = recorder, about
        self.secrets = Secrets(redact)
        self.writer = Writer(own, self.secrets)
        self.steps: deque[tuple[Any, ...]] = deque()  # Noted, as plain as it can be made: this is on the loop
        self.number = self.missed = 0
        self.aside = self.again = 0  # messages that were put aside, and those of them that come next
        self.ended = False

    def note(
        self,
        kind: str,
        message: Any,
        before: Any,
        after: Any,
        effects: Effects,
        rule: Rule | None = None,
        took: float = 0.0,
        error: str = "",
    ) -> None:
        """A step has happened."""
        recorder, number = self.recorder, self.number
        self.number = number + 1
        if recorder.waiting >= WAITING:
            self.missed += 1
            return
        recorder.waiting += 1
        if not self.steps:
            recorder.tapes[self] = None
        self.steps.append((number, time.time(), kind, message, before, after, effects, rule, took, error))

    def end(self) -> None:
        """Its actor has stopped."""
        self.ended = True
        self.recorder.tapes[self] = None

    # in a thread ----------------------------------------------------------------------------------------------
    def rows(self, steps: Iterable[Noted]) -> list[Row]:
        """Steps as they are written. In order: what is secret in one is so in all that follow."""
        return [self._safe_row(step) for step in steps]

    def _safe_row(self, step: Noted) -> Row:
        try:
            return self._row(step)
        except Exception as error:  # somebody else's class: the step is kept without its values
            logger.warning("step %d of recording %s cannot be written: %r", step.number, self.about.id, error)
            nothing = '{"$":"opaque","c":":value that cannot be written"}'
            return self._made(step, nothing, nothing, nothing, "[]", f"cannot be written: {type(error).__name__}")

    def _row(self, step: Noted) -> Row:
        secrets = self.secrets
        for _ in range(PASSES):  # again, where something of it was found to be secret
            known, secrets.met = secrets.count, False
            told = self.writer.text(step.message)
            was, became = self.writer.text(step.before), self.writer.text(step.after)
            if step.after is step.before:
                became = was
            effects = self.writer.text(step.effects)
            if known == secrets.count:
                return self._made(step, told, was, became, effects, step.error)
        raise TooManySecrets  # more than are remembered: each pass forgets some, and finds them again

    def _made(self, step: Noted, told: str, was: str, became: str, effects: str, error: str) -> Row:
        column = self._column
        return Row(
            number=step.number,
            at=datetime.fromtimestamp(step.at, UTC),
            kind=step.kind,
            message=column(step.message if step.kind == recordings.BEGIN else message_name(step.message)),
            before=column(name_of(kind_of(step.before))),
            after=column(name_of(kind_of(step.after))),
            rule=column(_rule(step.rule), 255),
            took=step.took,
            is_again=self._is_again(step),
            is_redacted=self.secrets.met,
            told=told,
            was=was,
            became=became,
            effects=effects,
            error=column(error, 500),
        )

    def _column(self, text: str, most: int = NAME) -> str:
        """A text as every database takes it: without secrets, half characters and NUL."""
        return storable(self.secrets.text(text), most)

    def _is_again(self, step: Noted) -> bool:
        """Whether the message had been put aside: those that were come back at once when the state has changed."""
        if step.kind == recordings.BEGIN or isinstance(step.message, Heard):
            return False
        is_again = self.again > 0
        self.again -= is_again
        if step.kind == recordings.RULE:
            self.aside += any(type(effect).__name__ == "Postpone" for effect in step.effects)
            if kind_of(step.before) != kind_of(step.after):
                self.again, self.aside = self.again + self.aside, 0
        return is_again


class Recorder:
    """The tapes of this process that hold something that is not written yet."""

    def __init__(self) -> None:
        self.tapes: dict[Tape, None] = {}  # a set that keeps its order
        self.waiting = 0  # steps
        self._writing = asyncio.Lock()

    async def keep(self) -> None:
        """As long as this process serves, and what is left then."""
        try:
            while True:
                await asyncio.sleep(PACE)
                await self.write()
        finally:
            while self.tapes and await self.write():
                pass

    async def write(self) -> bool:
        """Write what waits, so many steps at most; False where it cannot be written now, and waits on."""
        async with self._writing:
            taken: list[tuple[Tape, list[Noted], bool]] = []
            left = MOST
            for tape in list(self.tapes):
                if left <= 0:
                    break
                steps = [Noted(*tape.steps.popleft()) for _ in range(min(left, len(tape.steps)))]
                left -= len(steps)
                taken.append((tape, steps, tape.ended and not tape.steps))
                if not tape.steps:
                    del self.tapes[tape]
            if not taken:
                return True
            try:
                await database.run(_write, taken)
            except Exception as error:  # the recorder harms nobody: they are missed
                logger.warning("%d steps were not recorded: %r", MOST - left, error)
                for tape, steps, _ in taken:
                    tape.missed += len(steps)
                return False
            finally:
                self.waiting -= MOST - left
            return True


def _write(taken: list[tuple[Tape, list[Noted], bool]]) -> None:
    batches, count = [], 0
    for tape, steps, ended in taken:
        rows = []
        for step in steps:
            rows += tape.rows([step])
            count += 1
            if count % SLICE == 0:
                time.sleep(0.0005)  # the loop goes on meanwhile, instead of waiting for its turn
        batches.append(Batch(tape.about, rows, tape.number, tape.missed, ended))
    recordings.write(batches)


def message_name(message: Any) -> str:
    """What a message is called by: its type; with a timer, its name."""
    if isinstance(message, Timeout):
        return f"Timeout {message.name}"
    return type(message.content if isinstance(message, Heard) else message).__name__


def _rule(rule: Rule | None) -> str:
    if rule is None:
        return ""
    return f"{getattr(rule.handler, '__name__', 'handler')} at {rule.where}"


recorder = Recorder()
