"""What operators do and are told: checks, restored backups, retention, and several processes on one SQLite file."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.core.management import call_command
from django.db import transaction
from django.db.models.functions import Now

from benchmarks.cluster import Cluster
from benchmarks.services import Postgres, Redis
from realtime_project import history
from realtime_project.checks import several_servers
from realtime_project.models import Epoch, TopicEvent
from tests.helpers import ChatClient, Server, guest


def test_production_is_warned_of_what_serves_one_process_alone(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEBUG = True
    assert several_servers(None) == []
    settings.DEBUG = False
    assert [warning.id for warning in several_servers(None)] == ["realtime.W001", "realtime.W002"]
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer"}}
    monkeypatch.setattr("realtime_project.checks.connection", SimpleNamespace(vendor="postgresql"))
    assert several_servers(None) == []


@pytest.mark.django_db
def test_a_restored_backup_begins_a_new_epoch() -> None:
    before = history.epoch()
    call_command("restored")
    assert history.epoch() != before
    assert Epoch.objects.count() == 1


@pytest.mark.django_db
def test_old_events_are_forgotten_and_their_numbers_are_not() -> None:
    with transaction.atomic():
        history.publish([("a", str(number)) for number in range(10)])
    TopicEvent.objects.filter(offset__lte=6).update(created_at=Now() - timedelta(days=40))
    call_command("trim", "30")
    assert [event.offset for event in history.page("a", 0, None, 99)[1]] == [7, 8, 9, 10]
    with transaction.atomic():
        assert history.publish([("a", "next")]) == [11]


async def test_who_comes_back_below_what_was_trimmed_reloads(start_server: Callable[..., Server]) -> None:
    server = start_server()
    cookie = guest(server)
    async with ChatClient(server, cookie) as writer:
        for number in range(10):
            await writer.post("lobby", str(number))
    server.python("""
        from datetime import timedelta
        from realtime_project import history
        from realtime_project.models import TopicEvent
        print(history.trim(timedelta(0), most=5))
    """)
    async with ChatClient(server, cookie) as late:
        reply = await late.command(type="subscribe", room="lobby", since=1)
        told = await late.frame(lambda frame: frame["type"] == "subscribed" and not frame["recovered"])
        assert told["head"] >= reply["head"]
        last = (await late.post("lobby", "new"))["offset"]
        await late.heard("lobby", last)
        assert late.texts("lobby") == ["new"]


async def test_every_client_ahead_of_a_restored_backup_reloads(
    postgres: Postgres, redis: Redis, servers: list[Server], tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, postgres, [redis], "restored", 2)
    servers.extend(cluster.servers)
    cluster.start()
    try:
        one, two = cluster.servers
        cookie = guest(one)
        async with ChatClient(one, cookie) as a, ChatClient(two, cookie) as b:
            await a.subscribe("lobby")
            await b.subscribe("lobby")
            for number in range(5):
                await a.post("lobby", str(number))
            restore = """
            from chat.models import Message, Room
            from django.core.management import call_command
            from realtime_project.models import TopicEvent, TopicHead
            room = Room.objects.get(slug="lobby")
            head = TopicHead.objects.get(name=room.topic_name)
            head.offset -= 3
            head.save()
            TopicEvent.objects.filter(topic=head, offset__gt=head.offset).delete()
            Message.objects.filter(room=room, offset__gt=head.offset).delete()
            call_command("restored", verbosity=0, stdout=open("/dev/null", "w"))
            """
            await asyncio.to_thread(one.python, restore)
            for client in (a, b):
                told = await client.frame(lambda frame: frame["type"] == "subscribed" and not frame["recovered"])
                assert told["epoch"]
            ack = await a.post("lobby", "after the restore")
            for client in (a, b):
                await client.frame(
                    lambda frame: (frame.get("message") or {}) == {} or "after the restore" in str(frame)
                )
            page = await asyncio.to_thread(
                httpx.get, f"{two.url}/api/rooms/lobby/messages/", headers={"Cookie": cookie}, trust_env=False
            )
            assert page.json()["offset"] == ack["offset"]
    finally:
        cluster.stop()


async def test_fifty_writers_in_two_processes_on_one_sqlite_file(start_server: Callable[..., Server]) -> None:
    one = start_server(WEBSOCKET_RATE=0)
    two = start_server(database=one.database, WEBSOCKET_RATE=0)
    cookie = guest(one)
    async with AsyncExitStack() as clients:
        writers = [
            await clients.enter_async_context(ChatClient(server, cookie)) for server in (one, two) for _ in range(25)
        ]
        await writers[0].subscribe("lobby")
        acks = await asyncio.gather(
            *(writer.post("lobby", f"{turn}", timeout=30) for writer in writers for turn in range(4))
        )
        assert len({ack["offset"] for ack in acks}) == 200
        await writers[0].heard("lobby", max(ack["offset"] for ack in acks))
        writers[0].assert_whole("lobby")
    assert "database is locked" not in one.log() + two.log()
