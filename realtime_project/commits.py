"""Group commit: writes gather while one list commits. One transaction a list, on a thread of its own.

A function that writes takes a list of items and gives a list of results, one an item: set-wise, and called inside a
transaction. A refusal is a result; an exception is a failure. Nothing is delayed to wait for company.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection, transaction

from .database import clean

logger = logging.getLogger(__name__)

WAITING = 10_000  # items that may wait
DEADLOCK = "40P01"  # as PostgreSQL tells the one of two that it ends
ATTEMPTS = 10  # of an item that meets others so, each after a pause
PAUSE = 0.05  # seconds at most, the first time

Item = TypeVar("Item")
Result = TypeVar("Result")
Function = Callable[[list[Item]], Sequence[Result]]
Outcome = Any  # a result, or the exception that stands for it


class Unavailable(Exception):
    """The database is away, locked or behind: nothing was written; try again later."""


class Unsure(Unavailable):
    """The database was lost while it committed: it may have been written. To write it again may be to do it twice."""


class Commits:
    """The lists that wait for one event loop's commit thread."""

    here: Commits | None = None

    def __init__(self, most: int, waiting: int = WAITING) -> None:
        self.loop = asyncio.get_running_loop()
        self.most, self.limit = most, waiting
        self.lists = self.items = self.waiting = 0
        self._queues: dict[Function[Any, Any], list[tuple[Any, asyncio.Future[Any]]]] = {}
        self._task: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "commits")

    def write(self, function: Function[Item, Result], item: Item) -> asyncio.Future[Result]:
        """The future result of `function([…, item, …])`; Unavailable when the database is, or when too much waits."""
        future: asyncio.Future[Result] = self.loop.create_future()
        if self.waiting >= self.limit:
            future.set_exception(Unavailable(f"{self.waiting} writes already wait"))
            return future
        self.waiting += 1
        self._queues.setdefault(function, []).append((item, future))
        if self._task is None:
            self._task = self.loop.create_task(self._run(), context=Context())  # no connection's
        return future

    async def finish(self) -> None:
        """Return when nothing waits any more."""
        while self._task:
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._queues:
            function, queue = next(iter(self._queues.items()))
            batch, rest = queue[: self.most], queue[self.most :]
            del self._queues[function]
            if rest:
                self._queues[function] = rest  # to the back: another function's list goes first
            items = [item for item, _ in batch]
            try:
                outcomes = await self.loop.run_in_executor(self._thread, partial(clean, _commit, function, items))
            except Exception as error:  # not even the connection could be tidied up; the next list is tried
                logger.exception("the commit thread failed")
                outcomes = [Unavailable(str(error))] * len(items)
            self.lists += 1
            self.items += len(batch)
            self.waiting -= len(batch)
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if future.done():  # who asked has gone
                    continue
                if isinstance(outcome, Exception):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        self._task = None


def commits() -> Commits:
    """This process's commits, for the running loop; another loop replaces them."""
    loop = asyncio.get_running_loop()
    found = Commits.here
    if found is None or found.loop is not loop:
        found = Commits.here = Commits(settings.COMMIT_LIST)
    return found  # not what another thread has put there meanwhile


def _commit(function: Function[Any, Any], items: list[Any], attempt: int = 0) -> list[Outcome]:
    is_committing = False
    try:
        with transaction.atomic():
            results = list(function(items))
            if len(results) != len(items):
                raise RuntimeError(f"{function.__qualname__} gave {len(results)} results for {len(items)} items")
            is_committing = True
            return results
    except Exception as error:
        if not _is_away(error):
            return _one_by_one(function, items, error)
        if _is_deadlock(error) and attempt < ATTEMPTS:
            # Another list, of another server, locked the same rows in another order. One item at a time holds few.
            logger.info("%d writes met others; they are tried one by one: %s", len(items), error)
            time.sleep(random.uniform(0, PAUSE * attempt))
            return [outcome for item in items for outcome in _commit(function, [item], attempt + 1)]
        # away or locked: alone each would wait just as long
        logger.warning("%d writes failed, the database is unavailable: %s", len(items), error)
        is_unsure = is_committing and connection.vendor != "sqlite"  # where what fails to commit is rolled back here
        return [Unsure(str(error)) if is_unsure else Unavailable(str(error))] * len(items)


def _one_by_one(function: Function[Any, Any], items: list[Any], error: Exception) -> list[Outcome]:
    """One of the items is wrong: the others shall not suffer."""
    if len(items) > 1:
        return [outcome for item in items for outcome in _commit(function, [item])]
    logger.error("a write of %s failed", function.__qualname__, exc_info=error)
    return [RuntimeError(repr(error)) if isinstance(error, StopIteration) else error]  # a future takes no other


def _is_away(error: Exception) -> bool:
    """Also a server that has become read-only, or has ended the transaction: SQLSTATE 25, an InternalError."""
    is_refused = isinstance(error, InternalError) and _sqlstate(error).startswith("25")
    return is_refused or isinstance(error, OperationalError | InterfaceError)


def _is_deadlock(error: Exception) -> bool:
    return _sqlstate(error) == DEADLOCK


def _sqlstate(error: Exception) -> str:
    """As the driver says it; "" where it does not."""
    return str(getattr(error.__cause__, "sqlstate", ""))
