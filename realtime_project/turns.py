"""The event loop that serves: of thousands of sockets that are ready at once, some are seen to a turn.

The rule: between these, whatever else is due has its turn. To be imported before daphne.server, which installs a loop
of its own where there is none yet.
"""

import asyncio
import os
import selectors
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from twisted.internet import asyncioreactor

SOME = 32  # ready sockets a turn: a plain message takes some 30 µs to read, a handshake ten times as long

Ready = list[tuple[selectors.SelectorKey, int]]


class SomeAtOnce(selectors.DefaultSelector):
    """Tells of SOME sockets at once; of the others, in their order, before it looks again."""

    def __init__(self) -> None:
        super().__init__()
        self._others: Ready = []
        self._changed: set[int] = set()  # descriptors that were let go or are awaited anew since it looked

    def select(self, timeout: float | None = None) -> Ready:
        ready = self._others
        if not ready:
            self._changed.clear()
            ready = super().select(timeout)
            if len(ready) <= SOME:
                return ready
        some, self._others = ready[:SOME], ready[SOME:]
        changed = self._changed
        return [told for told in some if told[0].fd not in changed] if changed else some

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._changed.add(key.fd)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().modify(fileobj, events, data)
        self._changed.add(key.fd)
        return key


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
