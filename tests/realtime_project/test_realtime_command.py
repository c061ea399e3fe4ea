"""manage.py realtime: what it shows and orders, on a server that runs, and what it says of what is not there."""

import asyncio
import json
import signal
import socket
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import transaction

from benchmarks.services import Redis
from realtime_project import history
from realtime_project.management.commands import realtime
from realtime_project.models import Connection, TopicHead
from realtime_project.models import Server as ServerRow
from tests.helpers import PROJECT, ChatClient, Server, connect, guest, run, unique

LIMITS = {"max_size": 65_536, "rate": 50, "burst": 100, "queue": 64}
SERVED = {"figures": {"connections": 2, "memory": 2**26, "rates": {"messages_in": 4.5}, "draining": False}}


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    call_command("realtime", *arguments)
    return capsys.readouterr().out.splitlines()


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    call_command("realtime", *arguments, "--json")
    return json.loads(capsys.readouterr().out)


@pytest.fixture
def server(db: None) -> ServerRow:
    endpoints = [{"path": "/ws/chat/", "mode": "chat", **LIMITS}, {"path": "/ws/echo/", "mode": "actor"}]
    return ServerRow.objects.create(
        id="abc123", host="10.0.0.1", port=8000, pid=7, version="1.0", endpoints=endpoints, **SERVED
    )


def client(server: ServerRow, number: int, **fields: Any) -> Connection:
    defaults: dict[str, Any] = {
        "id": f"c{number}",
        "channel_id": number,
        "endpoint": "/ws/chat/",
        "path": "/ws/chat/",
        "mode": "chat",
        "client_ip": "203.0.113.7",
        "client_port": 4000 + number,
        "connected_at": datetime(2026, 11, 20, 10, number, tzinfo=UTC),
    }
    return Connection.objects.create(server=server, **(defaults | fields))


def test_servers(server: ServerRow, capsys: pytest.CaptureFixture[str]) -> None:
    head, row = shown(capsys, "servers")
    assert head.split()[:4] == ["server", "address", "pid", "version"]
    assert row.split()[:4] == ["abc123", "10.0.0.1:8000", "7", "1.0"]
    assert "4.5" in row.split() and "64" in row.split()
    [found] = listed(capsys, "servers")
    assert (found["id"], found["connections"], found["rates"]) == ("abc123", 2, {"messages_in": 4.5})


def test_servers_where_there_are_none(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "servers") == ["None."]
    assert listed(capsys, "servers") == []


def test_endpoints(server: ServerRow, capsys: pytest.CaptureFixture[str]) -> None:
    client(server, 0, rate_in=1.5, rate_out=2.0, messages_in=3, messages_out=4, bytes_in=5, bytes_out=6)
    client(server, 1, rate_in=0.25)
    chat, echo = listed(capsys, "endpoints", "abc")
    assert chat == {
        "server": "abc123", "path": "/ws/chat/", "mode": "chat", **LIMITS, "clients": 2, "rate_in": 1.8,
        "rate_out": 2.0, "messages_in": 3, "messages_out": 4, "bytes": 11,
    }  # fmt: skip
    assert (echo["path"], echo["clients"], echo["rate_in"]) == ("/ws/echo/", 0, 0)
    _, first, second = shown(capsys, "endpoints")
    assert "1.8" in first.split() and "65,536" in first.split() and "50/s, 100 at once" in first
    assert second.split()[:3] == ["abc123", "/ws/echo/", "actor"], "one of an earlier version, which tells no limits"


def test_an_unknown_server_is_an_error_that_says_which_there_are(server: ServerRow) -> None:
    for arguments in (("endpoints", "nope"), ("clients", "--server", "nope"), ("drain", "nope")):
        with pytest.raises(CommandError, match=r"no live server has an id that begins with 'nope'; alive: abc123"):
            call_command("realtime", *arguments)


def test_a_beginning_that_two_servers_share_names_neither(server: ServerRow) -> None:
    ServerRow.objects.create(id="abd", host="", pid=1, version="")
    with pytest.raises(CommandError, match="several live servers"):
        call_command("realtime", "drain", "ab")


def test_clients_are_filtered_and_paged(server: ServerRow, capsys: pytest.CaptureFixture[str]) -> None:
    ann = get_user_model().objects.create_user("ann")
    client(server, 0, user=ann)
    client(server, 1, client_ip="198.51.100.1")
    client(server, 2, endpoint="/ws/rooms/<room>/", path="/ws/rooms/a/")
    assert [row["id"] for row in listed(capsys, "clients")] == ["c0", "c1", "c2"]
    assert [row["username"] for row in listed(capsys, "clients", "--user", "ann")] == ["ann"]
    assert [row["id"] for row in listed(capsys, "clients", "--address", "198.51.100.1")] == ["c1"]
    for path in ("/ws/rooms/<room>/", "/ws/rooms/a/"):
        assert [row["id"] for row in listed(capsys, "clients", "--path", path)] == ["c2"]
    assert listed(capsys, "clients", "--path", "/nowhere/") == []
    assert [row["id"] for row in listed(capsys, "clients", "--limit", "1", "--offset", "1")] == ["c1"]
    assert shown(capsys, "clients", "--limit", "2")[-1] == "1 to 2 of 3: see --limit and --offset."
    assert shown(capsys, "clients", "--offset", "9") == ["None from 9 on; there are 3."]


def test_clients_are_sorted_by_what_one_looks_for(server: ServerRow, capsys: pytest.CaptureFixture[str]) -> None:
    client(server, 0, unsent=5, rate_in=1, messages_in=100)
    client(server, 1, unsent=70_000, rate_out=3)
    client(server, 2, rate_in=2, rate_out=2, messages_out=50)
    for sort, wanted in {"age": "012", "unsent": "102", "rate": "210", "messages": "021"}.items():
        assert [row["id"][1] for row in listed(capsys, "clients", "--sort", sort)] == list(wanted), sort
    assert "70,000" in shown(capsys, "clients", "--sort", "unsent")[1].split()
    with pytest.raises(CommandError, match="invalid choice: 'size'"):
        call_command("realtime", "clients", "--sort", "size")


@pytest.mark.parametrize("wrong", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_none_is_an_error(server: ServerRow, wrong: str) -> None:
    with pytest.raises(CommandError, match="a whole number is wanted, 1 or more"):
        call_command("realtime", "clients", f"--limit={wrong}")


def test_nothing_that_a_client_chose_steers_the_terminal(server: ServerRow, capsys: pytest.CaptureFixture[str]) -> None:
    client(server, 0, path="/ws/rooms/\x1b[2J\x1b]0;mine\x07\nc9  forged\u202e/")
    for line in shown(capsys, "clients"):
        assert line.isprintable()
    assert len(shown(capsys, "clients")) == 2
    call_command("realtime", "clients", "--json")
    assert "\x1b" not in capsys.readouterr().out


def test_topics(server: ServerRow, capsys: pytest.CaptureFixture[str]) -> None:
    with transaction.atomic():
        history.publish([("news", "a"), ("news", "b"), ("quiet", "c"), ("control:abc123", "{}")])
    for id, subscribers, rate in (("abc123", 3, 1.5), ("def", 4, 2.0)):
        reported = [
            {"name": "news", "durable": True, "subscribers": subscribers, "rate": rate},
            {"name": "plain", "durable": False, "subscribers": 1, "rate": 9.0},
        ]
        ServerRow.objects.update_or_create(
            pk=id, defaults={"topics": reported, "host": "", "pid": 1, "version": "", "port": 1}
        )
    plain = {"name": "plain", "durable": False, "subscribers": 2, "rate": 9.0, "offset": None, "events": None}
    news = {"name": "news", "durable": True, "subscribers": 7, "rate": 2.0, "offset": 2, "events": 2}
    quiet = {"name": "quiet", "durable": True, "subscribers": 0, "rate": None, "offset": 1, "events": 1}
    assert listed(capsys, "topics") == [plain, news, quiet]
    assert listed(capsys, "topics", "--search", "EWS") == [news]
    assert listed(capsys, "topics", "--limit", "1", "--offset", "2") == [quiet]
    assert shown(capsys, "topics", "--limit", "2")[-1] == "1 to 2 of 3: see --limit and --offset."


def test_actors(server: ServerRow, capsys: pytest.CaptureFixture[str]) -> None:
    client(server, 0)
    client(server, 1, mode="actor", endpoint="/ws/names/", path="/ws/names/", state="Named(name='bob')", session="s1")
    [row] = listed(capsys, "actors")
    assert (row["id"], row["state"], row["session"]) == ("c1", "Named(name='bob')", "s1")
    assert "Named(name='bob')" in shown(capsys, "actors")[1]


def test_z72_an_actor_that_has_stopped_already_is_no_mistake(
    server: ServerRow, capsys: pytest.CaptureFixture[str]
) -> None:
    client(server, 0)
    for id in ("nobody", "c0"):  # the other one has no actor, and stays
        assert shown(capsys, "stop", id) == [f"Stopped already, connection {id}."]
    assert not TopicHead.objects.filter(name="control:abc123").exists()
    client(server, 1, mode="actor", state="Guest()")
    assert shown(capsys, "stop", "c1") == ["Ordered stop, connection c1."]
    [order] = [json.loads(event.content) for event in history.page("control:abc123", 0, None, 9)[1]]
    assert order == {"type": "stop", "connection": "c1"}


def test_what_is_not_there_is_an_error_and_no_traceback(server: ServerRow) -> None:
    for arguments, said in (
        (("close", "nobody"), "no open connection has the id 'nobody'"),
        (("close", "--user", "nobody"), "there is no user 'nobody'"),
        (("clients", "--user", "nobody"), "there is no user 'nobody'"),
        (("publish", "no-such-plain-topic", "x"), "Durable topics: "),
        (("publish", "n" * 201, "x"), "200 characters"),
        (("close",), "one of the arguments connection --user is required"),
        ((), "required: WHAT"),
        (("dance",), "invalid choice"),
    ):
        with pytest.raises(CommandError, match=said):
            call_command("realtime", *arguments)


def test_a_code_or_a_reason_that_no_close_frame_carries_is_an_error(server: ServerRow) -> None:
    client(server, 0)
    for wrong in (["--code", "1005"], ["--code", "99"], ["--reason", "ż" * 62]):
        with pytest.raises(CommandError):
            call_command("realtime", "close", "c0", *wrong)


# On a server ----------------------------------------------------------------------------------------------------


async def rows(server: Server, *arguments: str, count: int) -> list[Any]:
    async with asyncio.timeout(20):
        while True:
            found = json.loads(await asyncio.to_thread(server.manage, "realtime", *arguments, "--json"))
            if len(found) == count:
                return list(found)


async def test_a_running_server_is_seen_and_steered(own_server: Server) -> None:
    name = unique("ann")
    cookie = await asyncio.to_thread(guest, own_server, name)
    async with (
        ChatClient(own_server, cookie, origin=own_server.url) as ann,
        connect(own_server.ws("ws/echo/")) as echo,
        connect(own_server.ws("ws/names/")) as names,
        connect(own_server.ws("ws/feed/")) as feed,
    ):
        await ann.subscribe("lobby")
        clients = await rows(own_server, "clients", count=4)
        assert {row["mode"] for row in clients} == {"chat", "actor", "topic"}
        actors = {row["endpoint"]: row for row in await rows(own_server, "actors", count=2)}
        actor = actors["/ws/echo/"]
        await asyncio.to_thread(own_server.manage, "realtime", "stop", actors["/ws/names/"]["id"])
        assert await names.closed() == (1000, "")
        [served] = await rows(own_server, "servers", count=1)
        assert served["port"] == own_server.port
        published = json.loads(await asyncio.to_thread(
            own_server.manage, "realtime", "publish", "news", "Breaking", "--json"
        ))  # fmt: skip
        assert published == {"published": "news", "offset": 1}
        assert await feed.recv() == "Breaking"
        [news] = await rows(own_server, "topics", "--search", "news", count=1)
        assert (news["offset"], news["events"]) == (1, 1)
        await asyncio.to_thread(own_server.manage, "realtime", "close", actor["id"], "--reason", "enough")
        assert await echo.closed() == (4410, "enough")
        [chat] = [row for row in clients if row["mode"] == "chat"]
        await asyncio.to_thread(own_server.manage, "realtime", "close", "--user", chat["username"], "--code", "4000")
        await asyncio.wait_for(ann.socket.wait_closed(), 8)
        assert (ann.socket.close_code, ann.socket.close_reason) == (4000, "closed by staff")
        await asyncio.to_thread(own_server.manage, "realtime", "drain", served["id"][:8])
        assert (await feed.closed())[0] == 1012
    assert await asyncio.to_thread(own_server.wait) == 0


HIRE = """
from django.contrib.auth.models import Permission
from chat.models import User
for name in {names!r}:
    person = User.objects.create_user(name, is_staff=True)
    person.user_permissions.set(Permission.objects.filter(codename="tail_connection"))
"""
DEMOTE = "from chat.models import User\nUser.objects.get(username={name!r}).user_permissions.clear()"
LOOKS = """
from django.contrib.admin.models import LogEntry
print(json.dumps(list(LogEntry.objects.values_list("user__username", "object_repr", "change_message").order_by("pk"))))
"""


async def test_the_frames_of_a_client_are_shown_in_a_shell_in_somebodys_name(start_server: Any, redis: Redis) -> None:
    server = start_server(REDIS_URL=redis.url)
    await asyncio.to_thread(server.python, HIRE.format(names=["ann", "bob"]))
    async with connect(server.ws("ws/echo/")) as echo:
        await echo.recv()
        [row] = await rows(server, "clients", count=1)
        ann, bob = [
            await asyncio.create_subprocess_exec(
                sys.executable, "manage.py", "realtime", "tail", row["id"], "--json", "--by", name,
                cwd=PROJECT, env=server.environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )
            for name in ("ann", "bob")
        ]  # fmt: skip
        try:
            reading = [asyncio.create_task(tail.stdout.readline()) for tail in (ann, bob) if tail.stdout]
            async with asyncio.timeout(15):
                while not all(line.done() for line in reading):  # from when it is heard on, frames are shown
                    await echo.send("hi\x1b[2J")
                    await echo.recv()
                    await asyncio.sleep(0.2)
            for line in reading:
                assert json.loads(line.result())["text"].endswith("hi\x1b[2J")
            await asyncio.to_thread(server.python, DEMOTE.format(name="bob"))
            async with asyncio.timeout(20):
                _, errors = await bob.communicate()
            assert (bob.returncode, errors.decode().splitlines()) == (1, [f"CommandError: {NOT_ALLOWED}"])
        finally:
            ann.send_signal(signal.SIGINT)
            async with asyncio.timeout(20):
                _, errors = await ann.communicate()
            if bob.returncode is None:
                bob.kill()
        assert (ann.returncode, errors) == (0, b"")
        await echo.send("still here")
        assert await echo.recv() == "you said: still here"
    looks = await asyncio.to_thread(server.python, LOOKS)
    where = f"from a shell, as {realtime._name_here()}@{socket.gethostname()}"
    assert sorted(looks) == [[who, "127.0.0.1 on /ws/echo/", f"Watched its frames {where}"] for who in ("ann", "bob")]
    for who in ("ann", "bob"):
        assert f"connection {row['id']}: its frames are shown to {who} {where}" in server.log()


NOT_ALLOWED = "only active staff with the permission tail_connection may watch frames"


def test_a_look_needs_the_name_of_somebody_who_may(
    server: ServerRow, monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> None:
    monkeypatch.setattr(realtime, "in_memory", lambda: False)
    monkeypatch.setattr(realtime, "_name_here", lambda: "root")
    client(server, 0)
    get_user_model().objects.create_user("ordinary")
    get_user_model().objects.create_user("viewer", is_staff=True)
    with pytest.raises(CommandError, match=r"there is no user 'root': a look is recorded .* --by"):
        call_command("realtime", "tail", "c0")
    for name in ("ordinary", "viewer"):
        with pytest.raises(CommandError, match=NOT_ALLOWED):
            call_command("realtime", "tail", "c0", "--by", name)
    get_user_model().objects.create_user("boss", is_staff=True, is_superuser=True)
    with pytest.raises(CommandError, match="no open connection has the id 'nobody'"):
        call_command("realtime", "tail", "nobody", "--by", "boss")
    assert not LogEntry.objects.exists()


def test_frames_need_a_layer_that_reaches_a_shell(server: ServerRow) -> None:
    with pytest.raises(CommandError, match="set REDIS_URL"):
        call_command("realtime", "tail", "c0")


def test_an_error_is_one_line_and_an_exit_code(own_server: Server) -> None:
    done = run(["manage.py", "realtime", "close", "nobody"], own_server.environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == ["CommandError: no open connection has the id 'nobody'"]
