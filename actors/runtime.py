"""Actor: one mailbox, one state. Runs a transition, saves what it came to, then performs its effects.

The rule: one message at a time, whoever brings it. A transition that fails, or that cannot be saved, has not happened:
the state is kept and no effect is performed.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from typing import Any, Literal, NamedTuple

from realtime_project.commits import Unavailable, Unsure, commits
from realtime_project.feeds import Subscription
from realtime_project.figures import counters
from realtime_project.publishing import Publish

from . import recordings, sessions
from .effects import EVENT, Effect, Write
from .machine import Machine, Outcome, Timer
from .messages import Client, Remote
from .performers import Connection, Heard, performers
from .recorder import Tape
from .rules import Rule, effects_of
from .stored import Codec, Own

logger = logging.getLogger(__name__)

MAILBOX = 256  # messages that wait before a client's next frame is read
OVERFLOW = 10_000  # ... and before those of others are dropped: nobody can make an actor hold more
SLOW = 0.1  # seconds that a handler may hold the event loop
PAUSES = 0.1, 0.3, 1.0, 3.0  # seconds between attempts to save while the database is unavailable
AGAIN = 5.0  # seconds before a timer runs out anew, after all of them failed

OnError = Literal["keep", "close"]
DONE, FAILED, LATER, MOVED = 1000, 1011, 1013, 4409  # close codes


class Due(NamedTuple):
    """A timer may have run out."""

    name: str


class Last(NamedTuple):
    """The client has gone: nothing comes after this."""

    message: Any


class Lost(Exception):
    """The session has another owner: this actor is not it any more."""


class Counts:
    """What happened to the actors of this process."""

    def __init__(self) -> None:
        self.handled = self.dropped = self.failed = self.overflowed = 0


counts = Counts()
actors: dict[str, Actor] = {}  # those of this process whose clients are here, by the connection's id


class Kept:
    """An actor's place in the database."""

    def __init__(self, session: sessions.Session, codec: Codec, own: Own) -> None:
        self.session, self.codec, self.own = session, codec, own

    def save(self, machine: Machine, outcome: Outcome, shift: float, is_left: bool) -> sessions.Save:
        """What has to be written for an outcome to be true. Raises stored.Unstorable."""
        timers = machine.timers if outcome.timers is None else outcome.timers
        due = min((timer.due for timer in timers.values()), default=None)
        return sessions.Save(
            session=self.session,
            version=self.codec.version,
            state=self.codec.encode(outcome.state, self.own),
            timers=self.codec.encode_timers(timers, shift),
            due=None if due is None else due + shift,
            is_final=outcome.is_final,
            is_left=is_left,
        )


class Actor:
    """One connection's actor. `state` may be read at any time; it is told messages with tell() and tell_soon()."""

    def __init__(
        self,
        machine: Machine,
        own: Own,
        connection: Connection | None = None,
        kept: Kept | None = None,
        on_error: OnError = "keep",
        tape: Tape | None = None,
        farewell: Callable[[int], Any] | None = None,
    ) -> None:
        """farewell: makes the last message, of a close code, for end()."""
        self.machine, self.connection, self.kept, self.on_error = machine, connection, kept, on_error
        self.farewell = farewell
        self.tape = tape  # of the flight recorder, if it records this one
        self.stopped = False
        self.last_message_at = time.time()  # seconds since 1970
        self.subscriptions: dict[str, Subscription] = {}
        self.calls = 0
        self.clients: dict[str, Any] = {}  # that it has started, by their names
        self._topic_out = own.topic_out.name
        self._mailbox: deque[Any] = deque()
        self._running = False  # somebody empties the mailbox
        self._changed: asyncio.Event | None = None  # something has been taken from the mailbox, for who waits
        self._alarm: asyncio.TimerHandle | None = None
        self._ringing: set[str] = set()  # timers whose Due waits in the mailbox
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_left = False  # its last message has come
        self._is_over = False  # ... and nothing of it is kept
        self._carrying_out = False  # decided, and about to be saved
        self._is_stale = False  # a timer has run out, or was ended, since the last save
        self._loop = asyncio.get_running_loop()
        if connection:
            actors[connection.id] = self

    @property
    def state(self) -> Any:
        return self.machine.state

    @property
    def session(self) -> str | None:
        """Where it is stored, if it is."""
        return self.kept.session.id if self.kept else None

    @property
    def endpoint(self) -> str:
        return self.connection.endpoint if self.connection else self.kept.session.endpoint if self.kept else ""

    def is_own(self, topic: Any) -> bool:
        """Whether a topic is its client's."""
        return bool(topic.name == self._topic_out)

    def __str__(self) -> str:
        who = self.connection.id if self.connection else f"of session {self.kept and self.kept.session.id}"
        return f"actor {who} on {self.endpoint}"

    # being told -----------------------------------------------------------------------------------------------
    async def begin(self, is_resumed: bool = False) -> None:
        """Enter the first state, or take the timers up again where the state is one that was left."""
        if not is_resumed:
            await self._attempt(None, None, self._enter())
        elif self.tape:
            self.tape.note(recordings.BEGIN, "resumed", self.state, self.state, [])
        self._set_alarm()

    async def tell(self, message: Any) -> None:
        """Tell it a message, as its client does. Returns when it is handled, or waits in a mailbox with room."""
        while len(self._mailbox) >= MAILBOX and not self.stopped:
            await self._change()
        if self.stopped:
            return
        self._mailbox.append(message)
        if not self._running:
            await self._run()

    def tell_soon(self, message: Any) -> bool:
        """Tell it a message without waiting. False if it has stopped, or too much waits already."""
        if self.stopped:
            return False
        if len(self._mailbox) >= OVERFLOW:
            counts.overflowed += 1
            counters.drops += 1
            if counts.overflowed % 1_000 == 1:
                logger.warning("%s: %d messages wait, others are dropped", self, OVERFLOW)
            return False
        self._mailbox.append(message)
        if not self._running and len(self._mailbox) == 1:
            self.spawn(self._run())
        return True

    async def leave(self, message: Any) -> None:
        """Tell it its last message, after all others; then it has stopped."""
        self._mailbox.append(Last(message))
        try:
            if not self._running:
                await self._run()
            while not self.stopped:
                await self._change()
        finally:  # also where its client's task is cancelled
            self.stop()

    def end(self) -> None:
        """Stop it for good, as Done() does, but let it handle its client's leaving first. Its client is closed with
        1000, and nothing of it stays stored. Idempotent.
        """
        if self.stopped or self._is_over or not self.farewell:
            return
        self._is_over = True
        self._mailbox.clear()
        self._close(DONE, "")
        self.spawn(self.leave(self.farewell(DONE)))

    async def rest(self) -> None:
        """For an actor whose client is away: let its timers run out, await its calls, then leave the session."""
        self._ring()
        while self._tasks or self._running:
            await asyncio.wait(self._tasks) if self._tasks else await self._change()
        self._is_left = True
        await self._give_up()
        self.stop()

    def stop(self) -> None:
        """Nothing is told to it any more, and nothing of it remains. Idempotent."""
        if self.stopped:
            return
        self.stopped = True
        if self.tape:
            self.tape.end()
        if self.connection:
            actors.pop(self.connection.id, None)
        self.farewell = None  # which may refer to this actor
        self._mailbox.clear()
        self.machine.postponed.clear()
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        for subscription in self.subscriptions.values():
            subscription.close()
        self.subscriptions.clear()
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        if self._changed:
            self._changed.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Work beside the mailbox, which ends with the actor."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _change(self) -> None:
        self._changed = self._changed or asyncio.Event()
        self._changed.clear()
        await self._changed.wait()

    # handling -------------------------------------------------------------------------------------------------
    async def _run(self) -> None:
        """Empty the mailbox. Whoever finds nobody at it does, so that an actor needs no task of its own."""
        if self._running:
            return
        self._running = True
        mailbox = self._mailbox
        try:
            while mailbox and not self.stopped:
                await self._take(mailbox.popleft())
                if self._changed:
                    self._changed.set()
        finally:
            self._running = False
            if mailbox and not self.stopped:  # this task was cancelled: another one goes on
                self.spawn(self._run())

    async def _take(self, message: Any) -> None:
        kind = type(message)
        if kind is Last:
            self._is_left = True
            await self._handle(message.message)
            await self._give_up()
            self.stop()
        elif kind is Due:
            self._ringing.discard(message.name)
            timer = self.machine.timers.get(message.name)
            expired = self.machine.expire(message.name, self._loop.time())
            if timer and expired is not None:
                self._is_stale = True
                await self._handle(expired, {message.name: timer})
        elif kind is Heard:
            await self._attempt(None, message, self._operate(message))
        else:
            await self._handle(message)
        if self._alarm or self.machine.timers:
            self._set_alarm()

    async def _handle(self, message: Any, ended: Mapping[str, Timer] | None = None) -> None:
        """ended: the timer that has run out, as it was."""
        machine = self.machine
        self.last_message_at = time.time()
        if silence := machine.heard():
            self._is_stale = True
            ended = {**(ended or {}), EVENT: silence}
        rule = machine.rules.find(message, machine.state)
        if rule is None:
            counts.dropped += 1
            if not isinstance(message, Client | Remote):  # that somebody came or left, nobody has sent
                counters.drops += 1
            if self.tape:
                self.tape.note(recordings.DROPPED, message, machine.state, machine.state, [])
            logger.debug("%s: no rule for %.200r in %.200r", self, message, machine.state)
        else:
            await self._attempt(rule, message, self._apply(rule, message), ended)

    async def _attempt(
        self,
        rule: Rule | None,
        message: Any,
        work: Coroutine[Any, Any, None],
        ended: Mapping[str, Timer] | None = None,
    ) -> None:
        """Let something happen as a whole, or not at all. ended: timers that have ended with it, as they were."""
        try:
            await work
        except Lost as error:
            self._note_failure(rule, message, error)
            logger.info("%s: its session was taken up by another connection", self)
            self._close(MOVED, "the session was taken up elsewhere")
            self.stop()
        except Unavailable as error:
            counts.failed += 1
            self._note_failure(rule, message, error)
            logger.error("%s: %.200r cannot be saved: %s", self, message, error)
            self._close(LATER, "try again later")  # what cannot be kept must not look as if it were
            if not isinstance(error, Unsure):
                self.machine.restore(ended or {}, self._loop.time() + AGAIN)
            elif self.kept and not self._is_over:
                self.kept = None  # the state that follows may be stored: the former one must not be saved over it
                self.stop()  # so it does not take leave either; the keeper leaves the session as the database has it
        except Exception as error:
            counts.failed += 1
            self._note_failure(rule, message, error)
            logger.exception("%s: %s failed; the state is kept", self, rule or "a step")
            if self.on_error == "close":
                self._close(FAILED, "internal error")

    def _note_failure(self, rule: Rule | None, message: Any, error: Exception) -> None:
        if self.tape:
            kind = recordings.FAILED if not self._carrying_out else recordings.UNDONE
            self.tape.note(kind, message, self.state, self.state, [], rule, 0.0, repr(error))
        self._carrying_out = False

    async def _enter(self) -> None:
        await self._come_true(self.machine.begin(self._loop.time()), "begun", recordings.BEGIN)

    async def _apply(self, rule: Rule, message: Any) -> None:
        begun = time.perf_counter()
        returned = rule.handler(message, self.machine.state)
        took = time.perf_counter() - begun
        if type(returned) is not tuple and inspect.isawaitable(returned):
            watched = Watched(returned)
            returned = await watched
            took = max(took, watched.longest)
        if took > SLOW:
            logger.warning("%s: %r held the event loop for %.0f ms", self, rule, took * 1000)
        whole = took if self.tape is None else time.perf_counter() - begun
        outcome = self.machine.decide(rule, returned, self._loop.time())
        await self._come_true(outcome, message, recordings.RULE, rule, whole)
        counts.handled += 1

    async def _operate(self, heard: Heard) -> None:
        """What a subscription brought: perform what its operation makes of it."""
        effects = heard.op(heard.content)
        if inspect.isawaitable(effects):
            effects = await effects
        if effects is not None:
            outcome = self.machine.follow(effects_of(effects, heard.op), self._loop.time())
            await self._come_true(outcome, heard, recordings.HEARD)

    async def _come_true(
        self, outcome: Outcome, message: Any, kind: str, rule: Rule | None = None, took: float = 0.0
    ) -> None:
        """Save an outcome, accept it, perform it."""
        machine, effects, before = self.machine, outcome.effects, self.machine.state
        self._carrying_out = True
        saved: list[Effect | Publish] = []
        for effect in effects:
            if type(effect) not in performers:
                raise TypeError(f"nobody performs {effect!r:.200}: declare it with @performs({type(effect).__name__})")
            if type(effect) is Write or (type(effect) is Publish and effect.topic.history):
                saved.append(effect)
        if saved or (self.kept and (self._is_left or self._is_news(outcome))):
            await self._save(outcome, saved)
        again = machine.accept(outcome, message)
        self._carrying_out = False
        if self.tape:
            self.tape.note(kind, message, before, outcome.state, outcome.wanted, rule, took)
        if again:
            self._mailbox.extendleft(reversed(again))
        for effect in effects:
            try:
                doing = performers[type(effect)](self, effect)
                if doing is not None:
                    await doing
            except Exception as error:  # at most once, and the next ones do not depend on it
                logger.warning("%s: %.200r was not performed: %r", self, effect, error)
        if outcome.is_final:
            self._close(DONE, "")
            self.stop()

    def _is_news(self, outcome: Outcome) -> bool:
        """Whether the database does not have it yet."""
        return self._is_stale or outcome.timers is not None or outcome.state != self.machine.state

    # saving ---------------------------------------------------------------------------------------------------
    async def _save(self, outcome: Outcome, effects: list[Effect | Publish]) -> None:
        """In one transaction with those of others. Raises Lost, Unavailable, and what a write raises."""
        save = sessions.Save(None, 0, "", "", None, False, False)
        if self.kept:
            save = self.kept.save(self.machine, outcome, shift(), self._is_left)
            if self._is_left and self._is_over:
                save = save._replace(is_final=True)
        save = save._replace(
            publishes=[(each.topic.name, each.content) for each in effects if isinstance(each, Publish)],
            writes=[(each.function, each.arguments) for each in effects if isinstance(each, Write)],
        )
        answer = await self._written(save)
        if isinstance(answer, sessions.Lost):
            raise Lost
        self._is_stale = False
        if self._is_left:
            self.kept = None  # the session is nobody's

    async def _written(self, save: sessions.Save) -> list[int] | sessions.Lost:
        """Again for some seconds, while the database is unavailable: its client's next frames wait meanwhile."""
        for pause in PAUSES:
            try:
                return await commits().write(sessions.save_all, save)
            except Unsure:  # it may have happened: not twice
                raise
            except Unavailable:
                await asyncio.sleep(pause)
        return await commits().write(sessions.save_all, save)

    async def _give_up(self) -> None:
        """Leave the session, where the last message did not do so."""
        if self.kept:
            await self._attempt(None, None, self._save(self.machine.follow([], self._loop.time()), []))

    def _close(self, code: int, reason: str) -> None:
        if self.connection:
            self.connection.close_soon(code, reason)

    # timers ---------------------------------------------------------------------------------------------------
    def _set_alarm(self) -> None:
        due = None if self.stopped else self.machine.next_due()
        if self._alarm:
            if self._alarm.when() == due:
                return
            self._alarm.cancel()
            self._alarm = None
        if due is not None:
            self._alarm = self._loop.call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        for name in self.machine.due(self._loop.time()):
            if name not in self._ringing and self.tell_soon(Due(name)):
                self._ringing.add(name)


def end(id: str) -> bool:
    """Stop the actor with this connection's id for good. False where this process has no such actor (any more).

    For actors of any server there is realtime_project.control.stop.
    """
    actor = actors.get(id)
    if actor is None:
        return False
    actor.end()
    return True


def shift() -> float:
    """What has to be added to the running loop's clock to make it seconds since 1970."""
    return time.time() - asyncio.get_running_loop().time()


class Watched:
    """Awaits something, and measures the longest time for which it held the loop."""

    def __init__(self, work: Awaitable[Any]) -> None:
        self.work = work
        self.longest = 0.0  # seconds

    def __await__(self) -> Generator[Any, Any, Any]:
        steps: Any = self.work.__await__()
        thrown: BaseException | None = None
        while True:
            begun = time.perf_counter()
            try:
                waits = steps.send(None) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                return end.value
            finally:
                self.longest = max(self.longest, time.perf_counter() - begun)
            thrown = None
            try:
                yield waits
            except BaseException as error:
                thrown = error
