"""What a transition costs with the flight recorder, beside one without it: `python -m benchmarks --only recording`, or
`python -m benchmarks.recording` for this alone.

In one process, with a real database: actors handle messages for some seconds in each turn, and the recorder writes
meanwhile. Once as fast as they can, so that most steps are missed; and once at a pace at which every step is kept.
Turns with and without alternate, so that a busy machine is busy for both.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from .generator import Figures

ACTORS = 100
TURNS, SECONDS = 7, 1.5
PACE = 800  # transitions a second that are kept, all of them
TICK = 0.05  # seconds between two handfuls of them
MOST = 1.3  # times a transition without
FAST, PACED = "as fast as it goes", f"at {PACE} a second"


def measure(turns: int = TURNS, seconds: float = SECONDS) -> dict[str, Figures]:
    """By FAST and PACED: microseconds a transition `without` and `recorded`, the medians of the turns, and how many
    steps were `written` of how many `taken`. Needs Django, and a database that is migrated.
    """
    return asyncio.run(_measure(turns, seconds))


async def _measure(turns: int, seconds: float) -> dict[str, Figures]:
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

    async def turn(name: str, is_recorded: bool, pace: int | None) -> tuple[float, int]:
        playing = []
        for place in range(ACTORS):
            id = f"{name}-{place}"
            out = Topic(f"recording.out:{id}")
            own = Own(Topic(f"recording.in:{id}"), out)
            about = About(id, Client.endpoint, None, "here", None, timezone.now())
            tape = Tape(recorder, about, own) if is_recorded else None
            actor = Actor(Machine(rules, Counting(out)), own, Client(id), tape=tape)
            await actor.begin()
            playing.append(actor)
        done, worked, begun = 0, 0.0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            handful = playing if pace is None else playing[: int(pace * TICK)]
            start = time.perf_counter()
            for actor in handful:
                await actor.tell("hello")
            worked += time.perf_counter() - start
            done += len(handful)
            await asyncio.sleep(0 if pace is None else TICK)
        for actor in playing:
            actor.stop()
        return worked / done * 1e6, done + ACTORS

    async def compared(name: str, pace: int | None) -> Figures:
        costs: dict[bool, list[float]] = {False: [], True: []}
        taken, before = 0, await database.run(Step.objects.count)
        for number in range(turns):
            for is_recorded in (False, True):
                cost, done = await turn(f"{name}-{number}-{is_recorded}", is_recorded, pace)
                costs[is_recorded].append(cost)
                taken += done * is_recorded
                while recorder.tapes:  # nothing of this turn is written in the next one
                    await recorder.write()
        written = await database.run(Step.objects.count) - before
        without, recorded = (statistics.median(costs[is_recorded]) for is_recorded in (False, True))
        return {"without": without, "recorded": recorded, "written": written, "taken": taken}

    keeping = asyncio.create_task(recorder.keep())
    await turn("warm", True, None)  # everything is compiled and connected
    while recorder.tapes:
        await recorder.write()
    found = {FAST: await compared("fast", None), PACED: await compared("paced", PACE)}
    keeping.cancel()
    await asyncio.wait([keeping])
    return found


def main() -> int:
    """With a JSON object as the argument, measure is told so, and what it returns is printed as JSON."""
    told = json.loads(sys.argv[1]) if sys.argv[1:] else None
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DJANGO_SETTINGS_MODULE"] = "realtime_project.settings"
        os.environ["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'recording.sqlite3'}"
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        import_module("realtime_project.asgi")  # garbage is collected as it is in every server
        found = measure(**told or {})
    if told is not None:
        print(json.dumps(found))
        return 0
    for name, figures in found.items():
        print(f"{name:20} {in_words(figures)}")
    return 0 if all(figures["recorded"] <= MOST * figures["without"] for figures in found.values()) else 1


def in_words(figures: Figures) -> str:
    return (
        f"{figures['without']:6.1f} µs a transition without the recorder, {figures['recorded']:6.1f} µs with it: "
        f"{figures['recorded'] / figures['without']:.2f} times as much; "
        f"{figures['written']:,.0f} of {figures['taken']:,.0f} steps written"
    )


if __name__ == "__main__":
    sys.exit(main())
