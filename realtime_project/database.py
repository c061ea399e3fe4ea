"""The small pool of threads on which sockets' queries run.

Never the one thread of `database_sync_to_async`: there one slow query stalls every consumer of the process.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4  # each keeps a connection of its own

_pool = ThreadPoolExecutor(THREADS, "database")
_house = ThreadPoolExecutor(1, "house")


def clean(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` between two clean-ups: a broken or expired connection is not met twice."""
    _tidy()
    try:
        return function(*args, **kwargs)
    finally:
        _tidy()


def _tidy() -> None:
    """Let go of what is broken or due. These few threads keep SQLite's; every HTTP request has one of its own."""
    for connection in connections.all(initialized_only=True):
        if connection.vendor == "sqlite":
            connection.close_at = None
        connection.close_if_unusable_or_obsolete()


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await `function(*args)`, which queries the database, on one of the pool's threads."""
    return await _on(_pool, partial(function, *args, **kwargs))


async def run_apart(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for what keeps this process among the living, and people out who are to be out: when thousands come at
    once, it does not wait behind their look-ups.
    """
    return await _on(_house, partial(function, *args, **kwargs))


async def _on(threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, clean, work)


def parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most `size` items: a query takes only so many parameters."""
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
