"""How long the event loop is held at a stretch: by one turn, from one question for what is ready to the next.

`/held/` tells a client that connects what was since the last one did, in milliseconds, and begins anew. The processor
time of the loop's thread is told beside the time that passed: what the system gave to others is in the latter alone.
"""

import json
import threading
import time
from statistics import quantiles
from typing import Any

from django.urls import path

from realtime_project.turns import SomeAtOnce

select = SomeAtOnce.select
stretches: list[tuple[float, float]] = []  # seconds that passed, and of the processor
serving = threading.get_ident()
since: tuple[float, float] | None = None


def noted(self: Any, timeout: float | None = None) -> Any:
    global since
    if threading.get_ident() != serving:
        return select(self, timeout)
    if since:
        stretches.append((time.perf_counter() - since[0], time.thread_time() - since[1]))
    ready = select(self, timeout)
    since = time.perf_counter(), time.thread_time()
    return ready


SomeAtOnce.select = noted  # type: ignore[method-assign]


async def held(scope: Any, receive: Any, send: Any) -> None:
    global since, stretches
    await send({"type": "websocket.accept"})
    known = stretches
    passed, worked = (sorted(1000 * each for each in column) for column in zip(*known, strict=True))
    told = {"stretches": len(known), "longest": passed[-1], "most": worked[-1], "p999": quantiles(passed, n=1000)[-1]}
    await send({"type": "websocket.send", "text": json.dumps(told)})
    stretches, since = [], None  # without what this has taken
    while (await receive())["type"] != "websocket.disconnect":
        pass


urlpatterns = [path("held/", held)]  # type: ignore[arg-type]
