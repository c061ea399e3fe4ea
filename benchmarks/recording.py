"""`python -m benchmarks.recording`: what a transition costs with the flight recorder, beside one without it.

In one process, with a real database: actors handle messages as fast as they can, for some seconds in each turn, and the
recorder writes meanwhile what it can. The turns alternate, so that a busy machine is busy for both.
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

ACTORS = 100
TURNS, SECONDS = 7, 2.0
MOST = 1.3  # times a transition without


class Figures(NamedTuple):
    """Microseconds a transition, the median of the turns; and how many steps were written of how many."""

    without: float
    recorded: float
    written: int
    taken: int

    @property
    def ratio(self) -> float:
        return self.recorded / self.without


def measure(turns: int = TURNS, seconds: float = SECONDS) -> Figures:
    """Needs Django, and a database that is migrated."""
    return asyncio.run(_measure(turns, seconds))


async def _measure(turns: int, seconds: float) -> Figures:
    from django.utils import timezone

    from actors.machine import Machine
    from actors.messages import ClientConnected
    from actors.models import Step
    from actors.recorder import Tape, recorder
    from actors.recordings import About
    from actors.rules import Rules
    from actors.runtime import Actor
    from actors.stored import Own
    from realtime_project import database
    from realtime_project.topics import Topic

    from .acting.routing import Counting, connected, count

    class Client:
        endpoint = "/ws/count/"

        def __init__(self, name: str) -> None:
            self.id = name

        def write(self, events: Sequence[Any]) -> None: ...
        async def drain(self) -> None: ...
        def close_soon(self, code: int, reason: str = "") -> None: ...

    rules = Rules({(ClientConnected, Counting): connected, (str, Counting): count})

    async def turn(number: int, is_recorded: bool) -> tuple[float, int]:
        playing = []
        for place in range(ACTORS):
            name = f"{number}-{is_recorded}-{place}"
            out = Topic(f"recording.out:{name}")
            own = Own(Topic(f"recording.in:{name}"), out)
            about = About(name, Client.endpoint, None, "here", None, timezone.now())
            tape = Tape(recorder, about, own) if is_recorded else None
            machine = Machine(rules, Counting(out))
            actor = Actor(machine, own, Client(name), tape=tape)
            await actor.begin()
            playing.append(actor)
        done, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            for actor in playing:
                await actor.tell("hello")
            done += ACTORS
            await asyncio.sleep(0)
        took = time.perf_counter() - begun
        for actor in playing:
            actor.stop()
        return took / done * 1e6, done

    keeping = asyncio.create_task(recorder.keep())
    await turn(-1, True)  # everything is compiled and connected
    figures: dict[bool, list[float]] = {False: [], True: []}
    taken = 0
    before = await database.run(Step.objects.count)
    for number in range(turns):
        for is_recorded in (False, True):
            cost, done = await turn(number, is_recorded)
            figures[is_recorded].append(cost)
            taken += done * is_recorded
            while recorder.tapes:  # nothing of this turn is written in the next one
                await recorder.write()
    keeping.cancel()
    await asyncio.wait([keeping])
    written = await database.run(Step.objects.count) - before
    return Figures(statistics.median(figures[False]), statistics.median(figures[True]), written, taken)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DJANGO_SETTINGS_MODULE"] = "realtime_project.settings"
        os.environ["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'recording.sqlite3'}"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        found = measure()
    print(f"without the recorder  {found.without:6.1f} µs a transition")
    print(f"with it               {found.recorded:6.1f} µs a transition, {found.ratio:.2f} times as much")
    print(f"written               {found.written:,} of {found.taken:,} steps")
    return 0 if found.ratio <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
