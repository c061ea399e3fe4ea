"""What the flight recorder has written: the rows, and how long they stay.

The rule: it is bounded by itself. So many steps are kept of one recording, and so many of all; the oldest go first. A
person's recordings go with their account.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from .models import Recording, Step

# Kinds of steps: the actor began · a rule handled a message · no rule did · a handler failed, and the state was kept ·
# what it decided could not be saved or carried out, likewise · a subscription's operation was given what came.
BEGIN, RULE, DROPPED, FAILED, UNDONE, HEARD = KINDS = "begin", "rule", "dropped", "failed", "undone", "heard"

PARTS = 500  # rows an insert


class About(NamedTuple):
    """What does not change of a recording."""

    id: str  # the connection's
    endpoint: str
    session: str | None
    server: str
    user: int | None
    begun_at: datetime


class Row(NamedTuple):
    """One step: the columns of models.Step."""

    number: int
    at: datetime
    kind: str
    message: str
    before: str
    after: str
    rule: str
    took: float
    is_again: bool
    is_redacted: bool
    told: str
    was: str
    became: str
    effects: str
    error: str


class Batch(NamedTuple):
    """The next steps of one recording."""

    about: About
    rows: Sequence[Row]
    taken: int  # steps so far
    missed: int  # ... of which so many could not be kept
    ended: bool


def write(batches: list[Batch]) -> None:
    """Write the next steps of several recordings, in one transaction, and let go of what is too much."""
    users = {batch.about.user for batch in batches if batch.about.user is not None}
    known = set(get_user_model()._default_manager.filter(pk__in=users).values_list("pk", flat=True))
    kept = [batch for batch in batches if batch.about.user is None or batch.about.user in known]
    with transaction.atomic():
        Recording.objects.bulk_create(
            [_recording(batch) for batch in kept if batch.rows],
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["last_at", "taken", "missed", "state", "ended"],
            batch_size=PARTS,
        )
        most = settings.RECORDER_SESSION
        steps = [Step(recording_id=batch.about.id, **row._asdict()) for batch in kept for row in batch.rows[-most:]]
        Step.objects.bulk_create(steps, batch_size=PARTS)
        for batch in kept:
            if not batch.rows:
                mine = Recording.objects.filter(pk=batch.about.id)
                mine.update(taken=batch.taken, missed=batch.missed, ended=batch.ended)
    for batch in kept:
        if batch.rows and batch.taken > most:
            Step.objects.filter(recording=batch.about.id, number__lt=batch.rows[-1].number + 1 - most).delete()
    _bound()


def _recording(batch: Batch) -> Recording:
    about, last = batch.about, batch.rows[-1]
    return Recording(
        id=about.id,
        endpoint=about.endpoint[:255],
        session=about.session,
        server=about.server,
        user_id=about.user,
        begun_at=about.begun_at,
        last_at=last.at,
        taken=batch.taken,
        missed=batch.missed,
        state=last.after,
        ended=batch.ended,
    )


def _bound() -> None:
    """The newest steps stay. Their keys count up, so no counting is needed; recordings without any step go, too."""
    newest = Step.objects.aggregate(newest=Max("pk"))["newest"] or 0
    old = Step.objects.filter(pk__lte=newest - settings.RECORDER_STEPS)
    if old.exists():
        old.delete()
        Recording.objects.filter(steps=None, last_at__lt=timezone.now() - timedelta(minutes=1)).delete()


def forget(age: timedelta, most: int = 500) -> int:
    """Delete recordings whose last step is that old, at most so many: the number deleted."""
    old = Recording.objects.filter(last_at__lt=timezone.now() - age).order_by("last_at")
    ids = list(old.values_list("pk", flat=True)[:most])
    Recording.objects.filter(pk__in=ids).delete()
    return len(ids)
