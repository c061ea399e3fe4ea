"""Who is no longer let in: log-out, deactivation, another password, a session or user deleted or expired.

The rule: what the handshake proved has to stay true. It is asked set-wise, in two queries a look whatever the number
of connections, and no session is decoded: a session that exists under its key still names the same user.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone

from . import database
from .crowd import Crowd

logger = logging.getLogger(__name__)

LOOK = 4.0  # seconds between two looks: what has ended is closed within five
ASKED = 10_000  # keys a query: SQLite and PostgreSQL take some 32,000 parameters
ENDED = 4401  # close code


class Proof(NamedTuple):
    """What a handshake showed: a session, and the user as they then were."""

    session: str
    user: Any  # primary key
    password: str  # its hash


class Connection(Protocol):
    """An open connection, as it is asked about here."""

    proof: Proof | None

    def close_soon(self, code: int, reason: str = "") -> None: ...


def proof_of(scope: Mapping[str, Any]) -> Proof | None:
    """What a connection's handshake showed; None where nobody was logged in."""
    user, session = scope.get("user"), scope.get("session")
    if user is None or not user.is_authenticated or session is None or not session.session_key:
        return None
    return Proof(session.session_key, user.pk, user.password)


async def watch(connections: Crowd[Any]) -> None:
    """Look at all of a server's connections, again and again, and close those whose proof no longer holds."""
    while True:
        began = time.monotonic()
        try:
            await look(connections)
        except Exception as error:  # the database is away: nobody can be logged out there either
            logger.warning("cannot see who is still logged in: %r", error)
        await asyncio.sleep(max(0.0, LOOK - (time.monotonic() - began)))


async def look(connections: Crowd[Any]) -> None:
    """Close with 4401 those whose proof no longer holds."""
    proofs: set[Proof] = set()
    async for connection in connections:
        if connection.proof:
            proofs.add(connection.proof)
    ended = proofs and await database.run_apart(no_longer, proofs)
    if not ended:
        return
    async for connection in connections:
        if connection.proof in ended:
            connection.close_soon(ENDED, "log in again")


def no_longer(proofs: Iterable[Proof]) -> set[Proof]:
    """Those of `proofs` that a handshake could not show any more."""
    proofs = set(proofs)
    sessions = set(_asked(_sessions, {proof.session for proof in proofs}))
    users = set(_asked(_users, {proof.user for proof in proofs}))
    return {proof for proof in proofs if proof.session not in sessions or (proof.user, proof.password) not in users}


def _sessions(keys: Sequence[str]) -> Iterable[str]:
    sessions = import_module(settings.SESSION_ENGINE).SessionStore.get_model_class()._default_manager
    found: Iterable[str] = sessions.filter(session_key__in=keys, expire_date__gt=timezone.now()).values_list(
        "session_key", flat=True
    )
    return found


def _users(keys: Sequence[Any]) -> Iterable[tuple[Any, str]]:
    return get_user_model()._default_manager.filter(pk__in=keys, is_active=True).values_list("pk", "password")


def _asked(query: Callable[[Sequence[Any]], Iterable[Any]], keys: Iterable[Any]) -> Iterable[Any]:
    keys = list(keys)
    for start in range(0, len(keys), ASKED):
        yield from query(keys[start : start + ASKED])
