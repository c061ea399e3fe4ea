"""The timers of stored actors whose clients are away: they run out all the same, in one of the servers.

Also what is left where a server was killed: the sessions that it had are nobody's as soon as its lease has ended.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from itertools import count

from django.db import transaction
from django.utils import timezone

from realtime_project import database
from realtime_project.private import SERVER
from realtime_project.topics import Topic

from . import recordings, runtime, sessions
from .consumers import Setup
from .endpoints import setups
from .machine import Machine
from .runtime import Actor, Kept
from .stored import Own, Unreadable

logger = logging.getLogger(__name__)

LOOK = 1.0  # seconds between two looks
ROUND = 20  # looks between two for what was not left properly
MOST = 100  # sessions at a look
LOOKS = 50  # one after the other, while there is more
LONGEST = 30.0  # seconds for an actor's messages and calls


async def keep() -> None:
    """As long as this process serves."""
    known = {path: setup for path, setup in setups().items() if setup.codec}
    suspects: set[str] = set()
    for number in count(1):
        if not known:
            return
        await asyncio.sleep(LOOK)
        try:
            for _ in range(LOOKS):
                if await look(known) < MOST:  # otherwise more may wait
                    break
            if number % ROUND == 0:
                suspects = await tidy(suspects)
        except Exception as error:
            logger.warning("timers of actors whose clients are away are late: %r", error)


async def look(known: dict[str, Setup]) -> int:
    """Have every timer that is due and nobody's run out here: the number of actors."""
    readable = {path: setup.codec.version for path, setup in known.items() if setup.codec}
    taken = await database.run(_take, readable)
    await asyncio.gather(*(_play(known.get(opened.session.endpoint), opened) for opened in taken))
    return len(taken)


async def tidy(suspects: set[str]) -> set[str]:
    """Leave the sessions of actors that have gone from here and could not say so: because the database was away, or
    because their clients went while they came.

    Only of `suspects`, those that were missing the last time too: an actor may be about to begin. Returns the next.
    """
    missing = await database.run(sessions.owners, SERVER) - runtime.actors.keys()
    if gone := missing & suspects:
        await database.run(sessions.leave, SERVER, gone)
        logger.warning("%d sessions had not been left by their actors: that is done now", len(gone))
    return missing - suspects


def _take(readable: dict[str, int]) -> list[sessions.Opened]:
    with transaction.atomic():
        return sessions.due(uuid.uuid4().hex, SERVER, MOST, readable)


async def _play(setup: Setup | None, opened: sessions.Opened) -> None:
    session = opened.session
    nobody = Own(Topic(f"actors.away.in:{session.id}"), Topic(f"actors.away.out:{session.id}"))
    try:
        if setup is None or setup.codec is None:
            raise Unreadable(f"nothing stores states at {session.endpoint}")
        state = setup.codec.decode(opened.state, opened.version, nobody)
        timers = setup.codec.decode_timers(opened.timers, runtime.shift())
    except Unreadable as error:
        logger.error("session %s is put aside until its client returns: %s", session.id, error)
        await database.run(sessions.put_aside, session)
        return
    kept = Kept(session, setup.codec, nobody)
    about = recordings.About(session.owner, session.endpoint, session.id, SERVER, session.user, timezone.now())
    tape = setup.tape(about, nobody)
    if tape:
        tape.note(recordings.BEGIN, "resumed", state, state, [])
    actor = Actor(Machine(setup.rules, state, timers), nobody, None, kept, setup.on_error, tape)
    try:
        async with asyncio.timeout(LONGEST):
            await actor.rest()
    except TimeoutError:
        logger.error("session %s is put aside: its actor did not come to rest within %.0f s", session.id, LONGEST)
        await database.run(sessions.put_aside, session)
    finally:
        actor.stop()
