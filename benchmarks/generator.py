"""What every load generator does: it is a process of its own, told what to measure and answering in JSON."""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any


def processor_seconds(pid: int) -> float:
    """What a process has used so far (proc(5), stat: utime and stime)."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


class Window:
    """The time that counts, from now on: what was done in it, and how busy generator and server were."""

    def __init__(self, server: int) -> None:
        self.server, self.server_worked = server, processor_seconds(server)
        self.began, self.worked = time.perf_counter(), time.process_time()

    @property
    def took(self) -> float:
        return time.perf_counter() - self.began

    def result(self, things: int) -> dict[str, float]:
        took = self.took
        return {
            "rate": things / took,
            "generator": (time.process_time() - self.worked) / took,
            "server": (processor_seconds(self.server) - self.server_worked) / took,
        }


class BrokenOff(Exception):
    """A connection failed, so the measurement means nothing."""


async def unbroken(measuring: Coroutine[Any, Any, dict[str, float]]) -> dict[str, float]:
    """Fails with the first error in any connection; asyncio by itself would log it and go on measuring."""
    loop, ending = asyncio.get_running_loop(), asyncio.ensure_future(measuring)
    errors: list[object] = []

    def fail(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        errors.append(context.get("exception") or context["message"])
        ending.cancel()

    loop.set_exception_handler(fail)
    try:
        return await ending
    except asyncio.CancelledError:
        raise BrokenOff(repr(errors[0]) if errors else "cancelled") from None


def main(measure: Callable[..., Coroutine[Any, Any, dict[str, float]]]) -> None:
    """Runs `measure` with the JSON object that is the only argument; prints what it returns."""
    gc.disable()  # nothing here is cyclic, and a collection in the window would be measured
    print(json.dumps(asyncio.run(unbroken(measure(**json.loads(sys.argv[1]))))))
