"""The event loop that serves: of thousands of sockets that are ready at once, some are seen to a turn.

The rule: between these, whatever else is due has its turn. To be imported before daphne.server, which installs a loop
of its own where there is none yet.
"""

import asyncio
import os
import selectors
import sys
from concurrent.futures import ThreadPoolExecutor

from twisted.internet import asyncioreactor

SOME = 16  # ready sockets a turn: a plain message takes some 40 µs to read, a handshake 400

Ready = list[tuple[selectors.SelectorKey, int]]


class SomeAtOnce(selectors.DefaultSelector):
    """Tells of SOME sockets at once; of the others, in their order, before it looks again."""

    def __init__(self) -> None:
        super().__init__()
        self._others: Ready = []

    def select(self, timeout: float | None = None) -> Ready:
        ready = self._others
        if not ready:
            ready = super().select(timeout)
            if len(ready) <= SOME:
                return ready
        some, self._others = ready[:SOME], ready[SOME:]
        keys = self.get_map()  # in which is another key, or none, for what was let go or changed since it was ready
        return [(key, events) for key, events in some if keys.get(key.fd) is key]


def install() -> None:
    """Let Twisted, and so Daphne, run on such a loop; where a policy gives another kind of loop, on that one."""
    loop = asyncio.new_event_loop()
    if type(loop) is asyncio.SelectorEventLoop:
        loop.close()
        loop = asyncio.SelectorEventLoop(SomeAtOnce())
    if "ASGI_THREADS" in os.environ:  # as Daphne does
        loop.set_default_executor(ThreadPoolExecutor(max_workers=int(os.environ["ASGI_THREADS"])))
    asyncioreactor.install(loop)


if "twisted.internet.reactor" not in sys.modules:
    install()
