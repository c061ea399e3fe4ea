"""The endpoints in actor mode: path → what its actors have in common; and what was recorded there, played again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .consumers import ActorConsumer, Setup
from .models import Recording
from .replay import Report, replay


def setups() -> dict[str, Setup]:
    """Those that are served here, by their path, e.g. /ws/names/."""
    from realtime_project.routing import applications  # which needs every app's routing

    found: dict[str, Setup] = {}
    for path, app in applications.items():
        consumer = getattr(app, "consumer_class", None)
        if isinstance(consumer, type) and issubclass(consumer, ActorConsumer):
            found[path] = app.consumer_initkwargs["setup"]
    return found


def replays(recordings: Iterable[Recording]) -> Iterator[tuple[Recording, Report | None]]:
    """Each recording against today's rules of its endpoint; None where that is gone."""
    known = setups()
    for recording in recordings:
        setup = known.get(recording.endpoint)
        steps = recording.steps.order_by("number")
        yield recording, replay(setup.rules, steps, setup.redact or ()) if setup else None
