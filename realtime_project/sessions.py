"""What ends a log-in is told to every server at once: a session that is deleted, a user whose row is saved.

The rule: what is told is "look again", never "close". Whoever is still let in stays, so that it can be said too often.
What passes by here (an expired session, a bulk update) is found by the look that every server takes anyway.
"""

from __future__ import annotations

import logging
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore as DatabaseSessions
from django.db import transaction
from django.db.models.signals import post_save

from . import control

logger = logging.getLogger(__name__)

PROOF = {"password", "is_active"}  # a user's fields that decide who is let in


class SessionStore(DatabaseSessions):
    """Sessions in the database (settings.SESSION_ENGINE). Logging out and logging in delete the one that was."""

    def delete(self, session_key: str | None = None) -> None:
        key = session_key or self.session_key
        super().delete(session_key)
        if key:
            transaction.on_commit(lambda: _tell(session=key))

    async def adelete(self, session_key: str | None = None) -> None:
        await sync_to_async(self.delete)(session_key)


def _user_saved(instance: Any, created: bool, update_fields: frozenset[str] | None, **kwargs: Any) -> None:
    if not created and (update_fields is None or PROOF & update_fields):
        transaction.on_commit(lambda: _tell(user=instance.pk))


def _tell(**whom: Any) -> None:
    try:
        control.look(**whom)
    except Exception as error:  # it is late then, by four seconds; the log-out itself must not fail
        logger.warning("the servers cannot be told to look: %r", error)


def watch_users() -> None:
    post_save.connect(_user_saved, sender=settings.AUTH_USER_MODEL, dispatch_uid="realtime.user_saved")
