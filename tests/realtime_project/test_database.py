"""The threads on which sockets' queries run."""

import asyncio
import threading

import pytest

from realtime_project import database

pytestmark = pytest.mark.django_db(transaction=True)


async def test_what_keeps_the_house_does_not_wait_behind_strangers() -> None:
    release = threading.Event()
    strangers = [asyncio.create_task(database.run(release.wait, 30)) for _ in range(5 * database.THREADS)]
    try:
        assert await asyncio.wait_for(database.run_apart(lambda: "a beat"), 10) == "a beat"
        assert not any(each.done() for each in strangers)
    finally:
        release.set()
        await asyncio.gather(*strangers)
