"""The timers of stored actors whose clients are away: they run out all the same, in one of the servers.

Also what is left where a server was killed: the sessions that it had are nobody's as soon as its lease has ended.
"""

from __future__ import annotations

import asyncio
import logging
import uuid

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
MOST = 100  # sessions at a look
LONGEST = 30.0  # seconds for an actor's messages and calls


async def keep() -> None:
    """As long as this process serves."""
    known = {path: setup for path, setup in setups().items() if setup.codec}
    while known:
        await asyncio.sleep(LOOK)
        try:
            await look(known)
        except Exception as error:
            logger.warning("timers of actors whose clients are away are late: %r", error)


async def look(known: dict[str, Setup]) -> int:
    """Have every timer that is due and nobody's run out here: the number of actors."""
    taken = await database.run(_take)
    await asyncio.gather(*(_play(known.get(opened.session.endpoint), opened) for opened in taken))
    return len(taken)


def _take() -> list[sessions.Opened]:
    with transaction.atomic():
        return sessions.due(uuid.uuid4().hex, SERVER, MOST)


async def _play(setup: Setup | None, opened: sessions.Opened) -> None:
    session = opened.session
    nobody = Own(Topic(f"actors.away.in:{session.id}"), Topic(f"actors.away.out:{session.id}"))
    try:
        if setup is None or setup.codec is None:
            raise Unreadable(f"nothing is at {session.endpoint} any more")
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
