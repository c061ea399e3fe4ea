"""Outbound clients as rows: which are wanted, which process runs each, and how it goes.

The rule: a row is run by the one process that holds its lease, on the database's clock. Whoever cannot renew it closes
the connection before anybody else may open it again; whoever is killed is followed as soon as the lease has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import BooleanField, Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Now

from realtime_project import database
from realtime_project.commits import commits
from realtime_project.private import SERVER
from realtime_project.topics import Topic, in_memory

from .clients import ClientError, Status, WebSocketClient
from .consumers import ActorConsumer
from .links import Counts
from .models import OutboundClient
from .rules import Rules

logger = logging.getLogger(__name__)

BEAT = 1.0  # seconds between two looks, ...
OFTEN = 5  # ... of which a lease has at least so many
SAFE = 0.7  # of the lease: if it could not be renewed by then, the connections are closed
CLAIMED = 10  # rows that a process takes at a beat, so that several share them
MOST = 500  # rows that one process runs

Row = OutboundClient
Report = dict[str, Any]

driven: dict[str, dict[str, Any]] = {}  # what rows may have them driven by


class AlreadySo(ValueError):
    """A client that is started was to be started, or one that is stopped was to be stopped."""


def drive(
    name: str,
    *,
    initial_state: Any,
    rules: Rules | Mapping[tuple[Any, Any], Callable[..., Any]],
    messages: Sequence[type] = (),
) -> None:
    """Let rows be driven by an actor with these rules, under a name. Called where an app declares its routes."""
    if name in driven:
        raise ValueError(f"{name!r} is declared already")
    ActorConsumer.as_asgi(initial_state=initial_state, rules=rules, messages=messages)  # which checks them
    driven[name] = {"initial_state": initial_state, "rules": rules, "messages": messages}


def client_of(row: Row, counts: Counts | None = None) -> WebSocketClient:
    """The client that a row describes. Raises TypeError, ValueError or LookupError for what cannot work."""
    if row.actor:
        if row.actor not in driven:
            raise LookupError(f"nothing is declared as {row.actor!r}")
        if row.in_stream_into or row.out_stream_from:
            raise ValueError("a client stands between topics or is driven by an actor, not both")
        return WebSocketClient(row.url, counts=counts, **driven[row.actor])
    return WebSocketClient(
        row.url,
        in_stream_into=[_topic(name) for name in row.in_stream_into],
        out_stream_from=[_topic(name) for name in row.out_stream_from],
        cursors={name: (offset, epoch) for name, (offset, epoch) in row.cursors.items()},
        counts=counts,
    )


def _topic(name: str) -> Topic:
    try:
        return Topic.known()[name]
    except KeyError:
        raise LookupError(f"no topic is declared as {name!r}") from None


# what is wanted -------------------------------------------------------------------------------------------------
def start(row: Row) -> None:
    """Have some process run it. Raises AlreadySo."""
    if not Row.objects.filter(pk=row.pk, is_wanted=False).update(is_wanted=True, version=F("version") + 1):
        raise AlreadySo(f"{row} is started already.")


def stop(row: Row) -> None:
    """Have its connection closed. Raises AlreadySo."""
    if not Row.objects.filter(pk=row.pk, is_wanted=True).update(is_wanted=False):
        raise AlreadySo(f"{row} is stopped already.")


def again(row: Row) -> None:
    """Close, and try again at once. Raises AlreadySo for one that is stopped."""
    if not Row.objects.filter(pk=row.pk, is_wanted=True).update(version=F("version") + 1):
        raise AlreadySo(f"{row} is stopped: start it.")


def conditions() -> QuerySet[Row]:
    """All rows, each with its `condition`: its status, or stopped, stopping, or unattended where no process runs it."""
    held = Q(held_until__gt=Now())
    return Row.objects.annotate(
        is_held=Case(When(held, then=Value(True)), default=Value(False), output_field=BooleanField()),
        condition=Case(
            When(held & Q(is_wanted=True), then=F("status")),
            When(held, then=Value("stopping")),
            When(is_wanted=True, then=Value("unattended")),
            default=Value("stopped"),
        ),
    )


# one process ----------------------------------------------------------------------------------------------------
class Held:
    """A row that this process runs."""

    def __init__(self, row: Row) -> None:
        self.pk, self.name, self.version = row.pk, row.name, row.version
        self.counts = Counts(**{name: getattr(row, name) for name in Counts.NAMES})
        self.client: WebSocketClient | None = None
        self.mistake = ""
        self.task: asyncio.Task[None] | None = None
        self.ending: asyncio.Task[None] | None = None
        self.reported: Report = {}
        try:
            self.client = client_of(row, self.counts)
        except (TypeError, ValueError, LookupError) as error:  # it stays as it is until it is changed
            self.mistake = str(error)
            logger.warning("outbound client %r cannot be run: %s", self.name, error)
        else:
            self.task = asyncio.create_task(self.client.run())

    @property
    def is_over(self) -> bool:
        """Nothing of it runs any more: it was to end, or its actor is done."""
        if self.ending:
            return self.ending.done()
        return self.is_finished

    @property
    def is_finished(self) -> bool:
        """It has ended by itself, as an actor that is done has its client do."""
        return self.task is not None and self.task.done() and not self.task.cancelled() and not self.task.exception()

    def report(self) -> Report:
        client = self.client
        if self.task and self.task.done() and not self.task.cancelled() and (error := self.task.exception()):
            self.mistake, client = repr(error), None
        if client is None:
            return {"status": Status.REFUSED.value, "last_error": self.mistake[:250], "next_attempt_at": None}
        return {
            "status": client.status.value,
            "last_error": client.last_error[:250],
            "next_attempt_at": client.next_attempt_at,
            "connected_at": client.connected_at,
            "cursors": {name: list(cursor) for name, cursor in client.cursors.items()},
            **self.counts.values(),
        }

    async def end(self) -> None:
        """Close politely."""
        if self.task and self.client:
            with contextlib.suppress(ClientError):  # it ends already
                await self.client.stop()
            await asyncio.wait([self.task])

    def cut(self) -> bool:
        """Send nothing any more; False where that was so. It is held until its connection is closed: nobody opens
        another beside it."""
        if self.task is None or self.task.done() or self.task.cancelling():
            return False
        self.task.cancel()
        self.ending = self.task
        return True


class Runner:
    """This process's part of the rows."""

    def __init__(self, holder: str = SERVER) -> None:
        self.holder = holder
        self.held: dict[int, Held] = {}
        self._alarm: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Until this task is cancelled; then its rows are free for others."""
        try:
            while True:
                try:
                    await self.beat()
                except Exception as error:
                    logger.warning("outbound clients cannot be looked after: %r", error)
                await asyncio.sleep(min(BEAT, settings.SERVER_LEASE / OFTEN) if self.held else BEAT)
        finally:
            await self.leave()

    async def beat(self) -> None:
        """Renew, report, and take and leave what the database says."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        news, over = {}, []
        for pk, held in self.held.items():
            report = held.report()
            news[pk] = {name: value for name, value in report.items() if held.reported.get(name, ...) != value}
            held.reported = report
            if held.is_over:
                over.append(pk)
                if held.ending is None:
                    news[pk]["is_wanted"] = False
        try:
            rows = await database.run_apart(_beat, self.holder, news, over, MOST - len(self.held))
        except BaseException:
            for held in self.held.values():
                held.reported = {}
            raise
        self._renewed(asked)
        for pk in over:
            self.held.pop(pk, None)
        wanted = {row.pk: row for row in rows}
        for pk, held in self.held.items():
            row = wanted.pop(pk, None)
            if held.ending is None and (row is None or row.version != held.version):
                held.ending = asyncio.create_task(held.end())
        for pk, row in wanted.items():
            self.held[pk] = Held(row)

    def _renewed(self, asked: float) -> None:
        if self._alarm:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_at(asked + SAFE * settings.SERVER_LEASE, self._expire)

    def _expire(self) -> None:
        if count := sum(held.cut() for held in self.held.values()):
            logger.error("the leases of %d outbound clients cannot be renewed: they are closed", count)

    async def leave(self) -> None:
        """Close everything; others may take over at once."""
        await asyncio.gather(*(held.end() for held in self.held.values()), return_exceptions=True)
        if self._alarm:
            self._alarm.cancel()
        reports = {pk: held.report() for pk, held in self.held.items()}
        self.held.clear()
        try:
            await database.run_apart(_leave, self.holder, reports)
        except Exception as error:  # the leases end by themselves
            logger.warning("outbound clients cannot be left to others before their leases end: %r", error)


async def accompany() -> None:
    """In a server, as long as it serves: where the channel layer reaches one process, that is the one to run them."""
    if in_memory():
        await Runner().run()


async def run_here(until: asyncio.Event) -> None:
    """In a process of its own, until it is told to end."""
    running = asyncio.create_task(Runner().run())
    ending = asyncio.create_task(until.wait())
    await asyncio.wait([running, ending], return_when=asyncio.FIRST_COMPLETED)
    for task in (running, ending):
        task.cancel()
    await asyncio.gather(running, ending, return_exceptions=True)
    await commits().finish()


# in the database ------------------------------------------------------------------------------------------------
def _free() -> Q:
    return Q(is_wanted=True) & (Q(holder="") | Q(held_until__lt=Now()))


def _beat(holder: str, news: Mapping[int, Report], over: Sequence[int], room: int) -> list[Row]:
    """Write what is new, renew, give back and claim: the wanted rows that this process holds."""
    claimable = list(Row.objects.filter(_free()).order_by("pk").values_list("pk", flat=True)[: min(room, CLAIMED)])
    if not news and not claimable:
        return []
    lease = Now() + timedelta(seconds=settings.SERVER_LEASE)
    mine = Row.objects.filter(holder=holder)
    with transaction.atomic():
        for pk, report in news.items():
            if report:
                mine.filter(pk=pk, held_until__gt=Now()).update(**report)
        kept = set(news) - set(over)
        mine.filter(pk__in=kept, held_until__gt=Now()).update(held_until=lease)
        mine.exclude(pk__in=kept).update(holder="", held_until=None, status=Status.STOPPED.value)
        for pk in claimable:
            Row.objects.filter(_free(), pk=pk).update(
                holder=holder,
                held_by=f"{socket.gethostname()} · {os.getpid()}"[:255],
                held_until=lease,
                status=Status.CONNECTING.value,
                next_attempt_at=None,
                connected_at=None,
            )
    return list(mine.filter(is_wanted=True, held_until__gt=Now()))


def _leave(holder: str, reports: Mapping[int, Report]) -> None:
    mine = Row.objects.filter(holder=holder)
    with transaction.atomic():
        for pk, report in reports.items():
            mine.filter(pk=pk, held_until__gt=Now()).update(**report)
        mine.update(holder="", held_until=None, status=Status.STOPPED.value)
