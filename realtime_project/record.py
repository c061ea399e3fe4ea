"""Who did what, to whom, and why: kept where Django's admin keeps it, and shown there to who may read it.

The rule: what is recorded happens in the same transaction, or it has not happened.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model


class Target(NamedTuple):
    """What something was about."""

    model: type[Model]
    id: Any
    name: str


def target_of(row: Model) -> Target:
    return Target(type(row), row.pk, str(row))


def record(user: Any, what: str, why: str, targets: Sequence[Target]) -> None:
    """An entry for each target: what `user` did, and why if there is more to say."""
    types = ContentType.objects.get_for_models(*{target.model for target in targets})
    LogEntry.objects.bulk_create(
        LogEntry(
            user_id=user.pk,
            content_type=types[target.model],
            object_id=target.id,
            object_repr=target.name[:200],
            action_flag=CHANGE,
            change_message=f"{what}. Why: {why}" if why else what,
        )
        for target in targets
    )
