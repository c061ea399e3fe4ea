"""The small pool of threads on which sockets' queries run.

Never the one thread of `database_sync_to_async`: there one slow query stalls every consumer of the process.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4  # each keeps a connection of its own

_pool = ThreadPoolExecutor(THREADS, "database")


def clean(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `function` between two clean-ups: a broken or expired connection is not met twice."""
    close_old_connections()
    try:
        return function(*args, **kwargs)
    finally:
        close_old_connections()


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Await `function(*args)`, which queries the database, on one of the pool's threads."""
    return await asyncio.get_running_loop().run_in_executor(_pool, lambda: clean(function, *args, **kwargs))
