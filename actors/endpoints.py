"""The endpoints in actor mode: path → what its actors have in common."""

from __future__ import annotations

from .consumers import ActorConsumer, Setup


def setups() -> dict[str, Setup]:
    """Those that are served here, by their path, e.g. /ws/names/."""
    from realtime_project.routing import applications  # which needs every app's routing

    found: dict[str, Setup] = {}
    for path, app in applications.items():
        consumer = getattr(app, "consumer_class", None)
        if isinstance(consumer, type) and issubclass(consumer, ActorConsumer):
            found[path] = app.consumer_initkwargs["setup"]
    return found
