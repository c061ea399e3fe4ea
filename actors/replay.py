"""Recorded sessions against today's rules: what would be the same, what would be otherwise, and what cannot be said.

The rule: nothing is performed, and nothing is claimed that a recording cannot show. Where a secret was left out its
stand-in is played instead: what then comes out the same is the same, and what does not is "unknown", never "otherwise".
Each step is played from the state that was recorded before it, so that one difference does not spoil those that follow.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from . import recordings
from .models import Step
from .performers import Heard
from .portable import NotReplayable, Writer, build, name_of, shown
from .redaction import Secrets
from .rules import Rules, effects_of
from .stored import Own
from .testing import Handled, Place, Play

SAME, OTHERWISE, UNKNOWN = "same", "otherwise", "unknown"

OWN = Own(Place("@in"), Place("@out"))


class Verdict(NamedTuple):
    """On one step. why: what is otherwise, or why that cannot be said."""

    step: Step
    word: str
    why: str = ""


class Report(NamedTuple):
    """On one recording."""

    verdicts: Sequence[Verdict]

    @property
    def word(self) -> str:
        """OTHERWISE if any step is; SAME if all are; else UNKNOWN."""
        words = {verdict.word for verdict in self.verdicts}
        return OTHERWISE if OTHERWISE in words else UNKNOWN if UNKNOWN in words or not words else SAME

    def of(self, word: str) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.word == word]


def replay(rules: Rules, steps: Iterable[Step], redact: Iterable[str] = ()) -> Report:
    """Play the steps of one recording, in their order. redact: as the endpoint has it."""
    return Report(_Replay(rules, redact).verdicts(steps))


class _Replay:
    def __init__(self, rules: Rules, redact: Iterable[str]) -> None:
        self.rules = rules
        self.secrets = Secrets(redact)
        self.writer = Writer(OWN, self.secrets)
        self.play: Play | None = None
        self.at = ""  # the state that the play is in, as it was recorded
        self.again: list[Handled | Exception] = []  # what was put aside and has come again, and what that raised

    def verdicts(self, steps: Iterable[Step]) -> list[Verdict]:
        found: list[Verdict] = []
        number: int | None = None
        for step in steps:
            if number is not None and step.number != number + 1:
                self.play, self.again = None, []  # steps are missing
            if not step.is_again and self.again and found and step.kind != recordings.HEARD:
                found[-1] = found[-1]._replace(word=OTHERWISE, why="what had been put aside now comes again after this")
                self.again, self.play = [], None
            number = step.number
            found.append(self._verdict(step))
        return found

    def _verdict(self, step: Step) -> Verdict:
        try:
            handled = self._handle(step)
        except NotReplayable as error:
            return self._go_on(step, UNKNOWN, str(error))
        except _Otherwise as error:
            word = UNKNOWN if step.is_redacted else OTHERWISE
            return self._go_on(step, word, f"{error}{_secret(step)}")
        if handled is None:
            return Verdict(step, SAME)
        became, effects = self.writer.text(handled.after), self.writer.text(handled.effects)
        wrong = []
        if step.kind == recordings.RULE and handled.rule is None:
            wrong.append("no rule is for it now")
        elif step.kind == recordings.DROPPED and handled.rule is not None:
            wrong.append(f"{getattr(handled.rule.handler, '__name__', 'a rule')} handles it now")
        if became != step.became:
            wrong.append(f"the state becomes {self._shown(became)}, not {self._shown(step.became)}")
        if effects != step.effects:
            wrong.append(f"the effects are {self._shown(effects)}, not {self._shown(step.effects)}")
        if wrong:
            word = UNKNOWN if step.is_redacted else OTHERWISE
            return self._go_on(step, word, f"{'; '.join(wrong)}{_secret(step)}")
        if handled.rule or step.kind == recordings.BEGIN:
            self.at = step.became
        return Verdict(step, SAME)

    def _handle(self, step: Step) -> Handled | None:
        """Play a step; None where it is as it was and nothing is left to compare."""
        if step.kind == recordings.UNDONE:
            raise NotReplayable("it could not be carried out then")
        if is_heard(self._read(step.told)):
            return self._hear(step)
        if step.is_again:
            if not self.again:
                raise _Otherwise("it had been put aside and came again; now it does not")
            next_one = self.again.pop(0)
            return self._raised(step, next_one) if isinstance(next_one, Exception) else next_one
        if step.kind == recordings.BEGIN:
            state = self._build(step.was)
            resumed = self._read(step.told) == "resumed"
            self.play, self.at = Play(self.rules, state, resumed=resumed), step.was
            return None if resumed else self.play.handled[0]
        if self.play is None or self.at != step.was:
            self.play, self.at = Play(self.rules, self._build(step.was), resumed=True), step.was
        message, before = self._build(step.told), len(self.play.handled)
        self.play.stopped = False
        raised: list[Exception] = []
        try:
            self.play.tell(message)
        except AssertionError as error:
            if "waits for something real" in str(error):
                raise NotReplayable(str(error)) from None
            raised.append(error)
        except Exception as error:
            raised.append(error)
        came: list[Handled | Exception] = [*self.play.handled[before:], *raised]
        handled, self.again = came[0], came[1:]
        if isinstance(handled, Exception):
            return self._raised(step, handled)
        if step.kind == recordings.FAILED:
            raise _Otherwise(f"it does not fail any more; then it was {step.error}")
        return handled

    def _hear(self, step: Step) -> Handled | None:
        """What a subscription's operation makes of what came."""
        heard, state = self._build(step.told), self._build(step.was)
        try:
            effects = heard.op(heard.content)
            if inspect.iscoroutine(effects):
                effects.close()
                raise NotReplayable("a subscription's operation that is async is not played")
            effects = [] if effects is None else effects_of(effects, heard.op)
        except NotReplayable:
            raise
        except Exception as error:
            return self._raised(step, error)
        if step.kind == recordings.FAILED:
            raise _Otherwise(f"it does not fail any more; then it was {step.error}")
        return Handled(heard, state, state, effects, None)

    def _raised(self, step: Step, error: Exception) -> Handled | None:
        if step.kind == recordings.FAILED:
            return None
        raise _Otherwise(f"it fails: {self.secrets.text(repr(error))}")

    def _go_on(self, step: Step, word: str, why: str) -> Verdict:
        """From the state that was recorded, whatever it would be today."""
        self.again = []
        try:
            if self.play:
                self.play.put(self._build(step.became))
                self.at = step.became
        except NotReplayable:
            self.play = None
        return Verdict(step, word, why)

    def _build(self, text: str) -> Any:
        value = build(self._read(text), OWN)
        self.writer.text(value)  # whose stand-ins are known from now on
        return value

    def _read(self, text: str) -> Any:
        return msgspec.json.decode(text)

    def _shown(self, text: str) -> str:
        return shown(self._read(text))


def is_heard(told: Any) -> bool:
    """Whether a step's message is what a subscription brought."""
    return isinstance(told, dict) and told.get("c") == name_of(Heard)


class _Otherwise(Exception):
    """It would not happen any more."""


def _secret(step: Step) -> str:
    return "; but something secret was left out, so that may be why" if step.is_redacted else ""
