"""What staff may order of outbound clients: start, stop, and try again now."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django.http import HttpRequest

from realtime_project.actions import Action, Data, Done, Reasoned, names_of
from realtime_project.record import target_of

from . import outbound
from .models import OutboundClient

LIST = "admin:actors_outboundclient_changelist"
STEER = "actors.steer_outboundclient"


def _each(
    deed: Callable[[OutboundClient], None], said: str, what: str
) -> Callable[[HttpRequest, Sequence[OutboundClient], Data], Done]:
    """All of them, or none: one that cannot be is an error that says so."""

    def carry_out(request: HttpRequest, rows: Sequence[OutboundClient], data: Data) -> Done:
        for row in rows:
            deed(row)
        return Done(said.format(names_of(rows)), what, [target_of(row) for row in rows])

    return carry_out


ACTIONS = [
    Action(
        "start-client", STEER, "Start outbound clients",
        "A process that runs outbound clients connects within seconds, and again whenever the connection is lost.",
        "Start", Reasoned, _each(outbound.start, "{} is to connect.", "Started"), LIST, OutboundClient,
    ),
    Action(
        "stop-client", STEER, "Stop outbound clients",
        "What waits is sent, and the other end sees a close (1000). What is published from then on is not sent.",
        "Stop", Reasoned, _each(outbound.stop, "{} is to close.", "Stopped"), LIST, OutboundClient,
    ),
    Action(
        "again-client", STEER, "Try outbound clients again now",
        "The connection is closed if there is one, and the next attempt is made at once.",
        "Try again", Reasoned, _each(outbound.again, "{} tries again.", "Tried again"), LIST, OutboundClient,
    ),
]  # fmt: skip
