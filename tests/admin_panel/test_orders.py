"""What staff see and order: who may, what it does to real clients, and what is recorded."""

import asyncio
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.contrib.admin.models import LogEntry
from django.db.models.functions import Now
from django.test import Client

from realtime_project.models import Server as ServerRow
from tests.admin_panel.conftest import ORDERS, STAFF, Desk, hire
from tests.helpers import ChatClient, Server, Socket, connect, guest, unique

Desks = Callable[[str], Desk]

LISTS = {
    "/admin/realtime_project/server/": "view_server",
    "/admin/realtime_project/connection/": "view_connection",
    "/admin/admin_panel/actor/": "view_connection",
    "/admin/realtime_project/topichead/": "view_topichead",
    "/admin/realtime_project/ban/": "view_ban",
    "/admin/endpoints/": "view_server",
}
PAGES = {**LISTS, "/admin/console/": "view_server", "/admin/admin/logentry/": "view_logentry"}
FORMS: dict[str, dict[str, Any]] = {
    "close": {"code": 4410, "reason": "forged"},
    "close-user": {"code": 4410, "reason": "forged"},
    "stop": {},
    "message": {"content": "forged"},
    "ban": {"address": "203.0.113.7", "hours": 1},
    "lift": {},
    "publish": {"topic": "news", "content": "forged"},
    "announce": {"text": "forged"},
    "drain": {},
}


async def client_id(server: Server, socket: Socket) -> str:
    """The id of a client's connection, as soon as the registry has it."""
    code = (
        "from realtime_project.models import Connection\n"
        f"found = Connection.objects.filter(client_port={socket.local_address[1]}).order_by('connected_at')\n"
        "print(json.dumps([one.pk for one in found]))"
    )
    async with asyncio.timeout(10):
        while True:
            if found := await asyncio.to_thread(server.python, code):
                return str(found[-1])
            await asyncio.sleep(0.1)


def record(server: Server, what: str) -> list[list[str]]:
    """[who, about whom, what and why] of the entries that say so, oldest first."""
    found = server.python(f"""
        from django.contrib.admin.models import LogEntry
        rows = LogEntry.objects.filter(change_message__contains={what!r}).order_by("pk")
        print(json.dumps([[row.user.name, row.object_repr, row.change_message] for row in rows]))
    """)
    assert isinstance(found, list)
    return found


async def stays(*sockets: Socket) -> None:
    for socket in sockets:
        await socket.ping()
        assert socket.close_code is None


# who may --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("who", ["anonymous", "ordinary"])
def test_who_is_no_staff_is_asked_to_log_in(desk: Desks, who: str) -> None:
    for path in ["/admin/", *PAGES, *(f"/admin/orders/{name}/" for name in ORDERS)]:
        answer = desk(who).get(path)
        assert (answer.status_code, "/admin/login/" in answer.headers["Location"]) == (302, True), path
    for name, form in FORMS.items():
        answer = desk(who).order(name, targets="x", **form)
        assert (answer.status_code, "/admin/login/" in answer.headers["Location"]) == (302, True), name


def test_staff_without_a_permission_see_the_dashboard_alone(desk: Desks) -> None:
    assert desk("nothing").get("/admin/").status_code == 200
    for path in PAGES:
        assert desk("nothing").get(path).status_code == 403, path
    assert desk("viewer").get("/admin/admin/logentry/").status_code == 403, "who did what is not for everybody"


def test_who_may_only_look_sees_everything_and_no_button(desk: Desks) -> None:
    for path in LISTS:
        answer = desk("viewer").get(path)
        assert answer.status_code == 200, path
        words = [f"{word}…" for word in ("Close", "Stop", "Lift", "Ban", "Publish", "Drain")]
        for sign in ("/admin/orders/", '_selected"', *words, "delete", "/add/"):
            assert sign not in answer.text, (path, sign)


async def test_what_only_looks_is_shown_of_a_client(server: Server, desk: Desks) -> None:
    async with connect(server.ws("ws/asgi/echo/")) as socket:
        id = await client_id(server, socket)
        for who, status in {"anonymous": 302, "ordinary": 302, "nothing": 403, "viewer": 200}.items():
            page = await asyncio.to_thread(desk(who).get, f"/admin/realtime_project/connection/{id}/change/")
            assert page.status_code == status, who
        assert "127.0.0.1" in page.text
        assert "Ban this" not in page.text
        assert 'id="tail"' not in page.text
        page = await asyncio.to_thread(desk("super").get, f"/admin/realtime_project/connection/{id}/change/")
        assert all(words in page.text for words in ("Close…", "Send a message…", "Ban this address…", 'id="tail"'))
        assert "Stop…" not in page.text, "it has no actor"
        await stays(socket)


@pytest.mark.parametrize("who", [*STAFF, "super"])
def test_each_permission_opens_its_own_orders_alone(server: Server, desk: Desks, who: str) -> None:
    at = desk(who)
    for name, permission in ORDERS.items():
        status = at.get(f"/admin/orders/{name}/").status_code
        allowed = who in (permission, "super")
        assert status == (403 if not allowed else 200 if name in ("ban", "publish", "announce") else 302), name
    assert at.get("/admin/orders/dance/").status_code == 404


async def test_an_order_cannot_be_forged(server: Server, desk: Desks) -> None:
    """Not by who may only look, not by who may something else, and not by another site."""
    async with connect(server.ws("ws/asgi/echo/")) as socket, connect(server.ws("ws/feed/")) as feed:
        id = await client_id(server, socket)

        def forge() -> None:
            for name, form in FORMS.items():
                for who in {"viewer", *STAFF} - {ORDERS[name]}:
                    assert desk(who).order(name, targets=id, **form).status_code == 403, (who, name)
            forged = {"action": "close_selected", "_selected_action": id, "select_across": "0", "index": "0"}
            answer = desk("viewer").post("/admin/realtime_project/connection/", **forged)
            assert 'data-testid="order"' not in answer.text
            detail = f"/admin/realtime_project/connection/{id}"
            assert desk("viewer").get(f"{detail}/close/").status_code == 403
            permitted = desk("close_connection")
            content = {"confirmed": "1", "targets": id, "why": "x", "code": "4410"}
            assert permitted.post_without_token("/admin/orders/close/", **content).status_code == 403  # no CSRF token
            assert permitted.get("/admin/orders/close/", **content).status_code == 200  # a link only asks

        await asyncio.to_thread(forge)
        await socket.send("still here")
        assert await socket.recv() == "Echo: still here"
        await feed.silent()
    assert record(server, "forged") == []


PROMOTE = """
from django.test import Client
from chat.models import User
user = User.objects.create_user({name!r}, is_staff=True, is_superuser=True)
client = Client()
client.force_login(user, "django.contrib.auth.backends.ModelBackend")
print(json.dumps(client.cookies["sessionid"].value))
"""
DEMOTE = "from chat.models import User\nUser.objects.filter(username={name!r}).update({change})"


def test_who_is_demoted_finds_every_page_and_every_order_shut(server: Server) -> None:
    name = unique("demoted")
    at = Desk(server, f"sessionid={server.python(PROMOTE.format(name=name))}")
    pages = [*PAGES, *(f"/admin/orders/{order}/" for order in ORDERS)]
    for page in ("/admin/", *pages):
        assert at.get(page).status_code in (200, 302), page
    server.python(DEMOTE.format(name=name, change="is_superuser=False"))
    assert at.get("/admin/").status_code == 200, "the dashboard is for all staff"
    for page in pages:
        assert at.get(page).status_code == 403, page
    for order, form in FORMS.items():
        assert at.order(order, targets="x", **form).status_code == 403, order
    server.python(DEMOTE.format(name=name, change="is_staff=False"))
    for page in ("/admin/", *pages):
        assert "/admin/login/" in at.get(page).headers["Location"], page
    for order, form in FORMS.items():
        assert "/admin/login/" in at.order(order, targets="x", **form).headers["Location"], order


def test_nobody_changes_a_row_by_hand(desk: Desks) -> None:
    for model in ("server", "connection", "topichead", "ban"):
        base = f"/admin/realtime_project/{model}"
        assert desk("super").get(f"{base}/add/").status_code == 403
        assert desk("super").post(f"{base}/1/delete/", post="yes").status_code in (302, 403)


# what it does ---------------------------------------------------------------------------------------------------
async def test_z55_a_selection_is_closed_and_the_others_stay(server: Server, desk: Desks) -> None:
    room = f"ws/rooms/{unique('room')}/"
    async with connect(server.ws(room)) as one, connect(server.ws("ws/asgi/echo/")) as other:
        id = await client_id(server, one)
        at = desk("close_connection")
        ticked = {"action": "close_selected", "_selected_action": id, "select_across": "0", "index": "0"}
        asked = await asyncio.to_thread(at.post, "/admin/realtime_project/connection/", **ticked)
        assert asked.status_code == 200
        assert f'name="targets" value="{id}"' in asked.text
        await stays(one)
        why = unique("because")
        done = await asyncio.to_thread(at.order, "close", targets=id, code=4321, reason="zażółć", why=why)
        assert done.headers["Location"] == "/admin/realtime_project/connection/"
        assert await one.closed() == (4321, "zażółć")
        await stays(other)
        [[who, whom, what]] = await asyncio.to_thread(record, server, why)
        assert (who, whom) == ("staff close_connection", f"127.0.0.1 on /{room}")
        assert what == f"Closed with 4321 zażółć. Why: {why}"
        again = await asyncio.to_thread(at.order, "close", targets=id, code=4321, reason="")
        assert again.is_redirect  # it has gone: nothing to do, and no error


async def test_z72_an_actor_is_stopped_which_is_not_a_close(server: Server, desk: Desks) -> None:
    async with (
        connect(server.ws("ws/echo/")) as stopped,
        connect(server.ws("ws/echo/")) as stayed,
        connect(server.ws("ws/asgi/echo/")) as plain,
    ):
        id, other = await client_id(server, stopped), await client_id(server, plain)
        at = desk("stop_connection")
        for model in ("admin_panel/actor", "realtime_project/connection"):
            page = await asyncio.to_thread(at.get, f"/admin/{model}/{id}/change/")
            assert ("Stop…" in page.text, "Close…" in page.text) == (True, False), model
        assert (await asyncio.to_thread(at.get, f"/admin/realtime_project/connection/{other}/stop/")).status_code == 403
        ticked = {"action": "stop_selected", "_selected_action": id, "select_across": "0", "index": "0"}
        asked = await asyncio.to_thread(at.post, "/admin/admin_panel/actor/", **ticked)
        assert (asked.status_code, f'name="targets" value="{id}"' in asked.text) == (200, True)
        await stays(stopped)
        why = unique("because")
        done = await asyncio.to_thread(at.order, "stop", targets=f"{id},{other}", why=why)
        assert done.headers["Location"] == "/admin/admin_panel/actor/"
        assert await stopped.closed() == (1000, "")
        await stays(stayed, plain)
        assert await asyncio.to_thread(record, server, why) == [
            ["staff stop_connection", "127.0.0.1 on /ws/echo/", f"Stopped. Why: {why}"]
        ]
        for gone in (id, other):
            assert (await asyncio.to_thread(at.order, "stop", targets=gone)).is_redirect  # stopped already: no error
        await stays(stayed, plain)


@pytest.mark.parametrize("order", ["close", "stop", "drain"])
def test_who_goes_while_the_order_is_given_is_no_error(
    rows: dict[str, Any], enter: Callable[[str], Client], order: str
) -> None:
    """Its row is there still when the order looks for it; its server no longer is when it is carried out."""
    ServerRow.objects.update(seen_at=Now() - timedelta(hours=1))
    target = rows["realtime_project/server" if order == "drain" else "realtime_project/connection"]
    form = {"confirmed": "1", "targets": target, "why": "x", "code": "4410"}
    answer = enter("boss").post(f"/admin/orders/{order}/", form, follow=True)
    assert [code for _, code in answer.redirect_chain] == [302]
    assert "There is nothing left to do: they have gone." in answer.content.decode()
    assert not LogEntry.objects.filter(change_message__contains="Why:").exists()


async def test_what_no_close_frame_can_carry_is_explained(server: Server, desk: Desks) -> None:
    async with connect(server.ws("ws/asgi/echo/")) as socket:
        id = await client_id(server, socket)
        at = desk("close_connection")
        for wrong, said in (
            ({"code": 1005, "reason": ""}, "1005 is no close code"),
            ({"code": 4000, "reason": "ż" * 100}, "at most 123 bytes"),
            ({"code": 4000, "reason": "", "why": " "}, "This field is required"),
        ):
            answer = await asyncio.to_thread(at.order, "close", targets=id, **wrong)
            assert (answer.status_code, said in answer.text) == (200, True), wrong
        await stays(socket)


async def test_all_of_a_person_is_closed(server: Server, desk: Desks) -> None:
    ann, bob = guest(server, name := unique("ann")), guest(server)
    async with ChatClient(server, ann) as first, ChatClient(server, ann) as second, ChatClient(server, bob) as other:
        code = f"from chat.models import User\nprint(User.objects.get(name={name!r}).pk)"
        person = await asyncio.to_thread(server.python, code)
        await asyncio.to_thread(desk("close_connection").order, "close-user", targets=person, code=4410, reason="bye")
        for client in (first, second):
            async with asyncio.timeout(10):
                await client.socket.wait_closed()
            assert (client.socket.close_code, client.socket.close_reason) == (4410, "bye")
        await stays(other.socket)


async def refused(server: Server, path: str, cookie: str | None = None) -> int:
    """The status with which a handshake is refused; 101 if it is not."""
    try:
        async with connect(server.ws(path), cookie):
            return 101
    except Exception as error:
        return int(error.response.status_code)  # type: ignore[attr-defined]


async def until(status: int, server: Server, path: str, cookie: str | None = None) -> None:
    async with asyncio.timeout(6):
        while await refused(server, path, cookie) != status:
            await asyncio.sleep(0.1)


async def test_a_banned_person_is_out_on_every_server_until_it_is_lifted(
    server: Server, desk: Desks, beside: Server
) -> None:
    other = beside
    ann, bob = guest(server, name := unique("ann")), guest(server)
    async with ChatClient(server, ann) as here, ChatClient(other, ann) as there, ChatClient(other, bob) as stayed:
        done = await asyncio.to_thread(desk("add_ban").order, "ban", person=name, hours=1, why="spam")
        assert done.is_redirect, done.text
        for client in (here, there):
            async with asyncio.timeout(5):
                await client.socket.wait_closed()
            assert (client.socket.close_code, client.socket.close_reason) == (4403, "banned for a time")
        for place in (server, other):
            assert await refused(place, "ws/chat/", ann) == 403
            assert await refused(place, "ws/chat/", bob) == 101
        await stays(stayed.socket)
    [[_, whom, what]] = [row for row in await asyncio.to_thread(record, server, "Banned until") if row[1] == name]
    assert whom == name
    assert re.fullmatch(r"Banned until .* UTC\. Why: spam", what)
    ban = await asyncio.to_thread(
        server.python,
        f"from realtime_project.models import Ban\nprint(Ban.objects.get(user__name={name!r}).pk)",
    )
    await asyncio.to_thread(desk("delete_ban").order, "lift", targets=ban)
    await until(101, server, "ws/chat/", ann)
    await until(101, other, "ws/chat/", ann)


async def test_a_banned_address_is_out_and_the_ban_ends_by_itself(own_server: Server) -> None:
    async with connect(own_server.ws("ws/asgi/echo/")) as socket:
        ban = "from realtime_project import bans\nbans.ban(address='127.0.0.9/16', hours=6 / 3600)"
        await asyncio.to_thread(own_server.python, ban)
        assert await socket.closed() == (4403, "banned for a time")
    assert await refused(own_server, "ws/asgi/echo/") == 403
    assert httpx.get(f"{own_server.url}/healthz", trust_env=False).status_code == 200
    async with asyncio.timeout(10):
        while await refused(own_server, "ws/asgi/echo/") != 101:
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "Give a person or an address"),
        ({"person": "nobody at all"}, "Nobody has this name"),
        ({"address": "not one"}, "is no address"),
        ({"address": "0.0.0.0/0"}, "too wide"),
        ({"address": "127.0.0.1"}, "your own address"),
        ({"person": "staff add_ban"}, "cannot ban yourself"),
        ({"person": "staff super"}, "Only a superuser"),
        ({"address": "203.0.113.7", "hours": 2}, "not one of the available choices"),
    ],
)
def test_a_ban_that_makes_no_sense_is_explained(desk: Desks, form: dict[str, Any], said: str) -> None:
    answer = desk("add_ban").order("ban", **{"hours": 1, **form})
    assert (answer.status_code, said in answer.text) == (200, True), answer.text


async def test_an_announcement_reaches_everybody_in_the_chat(server: Server, desk: Desks) -> None:
    async with (
        ChatClient(server, guest(server)) as ann,
        ChatClient(server, guest(server)) as bob,
        connect(server.ws("ws/asgi/echo/")) as other,
    ):
        text = f"<b>{unique('tea')}</b> at five"
        done = await asyncio.to_thread(desk("announce_server").order, "announce", text=text)
        assert done.is_redirect
        for client in (ann, bob):
            frame = await client.frame(lambda frame: frame["type"] == "announcement")
            assert frame == {"type": "announcement", "text": text}
        await other.silent()
    [[who, whom, _]] = await asyncio.to_thread(record, server, text)
    assert (who, whom) == ("staff announce_server", "everyone")


async def test_what_is_published_arrives_as_text_or_bytes(server: Server, desk: Desks) -> None:
    at = desk("publish_topichead")
    async with connect(server.ws("ws/feed/")) as feed, connect(server.ws("ws/broadcast/")) as broadcast:
        headline = unique("headline")
        assert (await asyncio.to_thread(at.order, "publish", topic="news", content=headline)).is_redirect
        assert await feed.recv() == headline
        page = await asyncio.to_thread(at.get, "/admin/orders/publish/")
        offered = re.findall(r'<option value="([^"]+)"', page.text)
        plain = "demo.broadcast"
        assert {"news", plain} <= set(offered)
        assert not {"presence", "announcements"} & set(offered)
        sent = await asyncio.to_thread(at.order, "publish", topic=plain, content="00 ff", as_bytes="on")
        assert sent.is_redirect, sent.text
        assert await broadcast.recv() == b"\x00\xff"
        wrong = await asyncio.to_thread(at.order, "publish", topic=plain, content="0g", as_bytes="on")
        assert "two hexadecimal digits" in wrong.text
        for topic in ("presence", "announcements", "chat.room:1", "control:x", "conn.out:a:b", "anything"):
            answer = await asyncio.to_thread(at.order, "publish", topic=topic, content="x")
            assert (answer.status_code, "not one of the available choices" in answer.text) == (200, True), topic
        await broadcast.silent()


async def test_a_message_reaches_one_client(server: Server, desk: Desks) -> None:
    room = f"ws/rooms/{unique('room')}/"
    async with connect(server.ws(room)) as one:
        id = await client_id(server, one)
        async with connect(server.ws(room)) as other:
            sent = await asyncio.to_thread(desk("message_connection").order, "message", targets=id, content="psst")
            assert sent.is_redirect
            assert await one.recv() == "psst"
            await other.silent()


async def test_a_message_that_cannot_arrive_is_not_said_to_be_sent(server: Server, desk: Desks, beside: Server) -> None:
    other = beside  # without Redis, a message to its clients has no way from here
    room, content = f"ws/rooms/{unique('room')}/", unique("psst")
    async with connect(other.ws(room)) as one:
        id = await client_id(server, one)
        answer = await asyncio.to_thread(desk("message_connection").order, "message", targets=id, content=content)
        assert (answer.status_code, "in-memory channel layer" in answer.text) == (200, True)
        await one.silent()
    assert await asyncio.to_thread(record, server, content) == []


async def test_a_server_is_drained(own_server: Server) -> None:
    cookie = (await asyncio.to_thread(hire, own_server, "drain_server"))["drain_server"]
    id = await asyncio.to_thread(
        own_server.python, "from realtime_project import registry\nprint(json.dumps(registry.servers().get().pk))"
    )
    async with connect(own_server.ws("ws/asgi/echo/")) as socket:
        await asyncio.to_thread(Desk(own_server, cookie).order, "drain", targets=id)
        assert (await socket.closed())[0] == 1012
    assert await asyncio.to_thread(own_server.wait) == 0


# tails ----------------------------------------------------------------------------------------------------------
async def frames(socket: Socket, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        message = await socket.recv_json()
        assert message["type"] == "frames"
        found += message["frames"]
    return found


async def test_a_tail_shows_what_passes_without_secrets(server: Server, staff: dict[str, str]) -> None:
    room = f"ws/rooms/{unique('room')}/"
    async with connect(server.ws(room)) as watched:
        id = await client_id(server, watched)
        await watched.send_json({"text": "before"})
        await watched.recv()
        async with connect(server.ws(f"ws/admin/tail/{id}/"), staff["tail_connection"]) as tail:
            assert await tail.recv_json() == {"type": "watching", "connection": id}
            await asyncio.sleep(0.5)  # the order is on its way
            said = json.dumps({"user": "ann", "text": "hi", "token": "s3cret", "user_password": "hunter2"})
            await watched.send(said)
            await watched.recv()
            come, go = await frames(tail, 2)
            assert (come["way"], come["kind"], come["size"]) == ("in", "text", len(said))
            assert json.loads(come["text"]) == {"user": "ann", "text": "hi", "token": "…", "user_password": "…"}
            assert (go["way"], json.loads(go["text"])["text"]) == ("out", "hi")
            await watched.send("x" * 5_000)
            [long, *_] = await frames(tail, 1)
            assert (long["size"], len(long["text"])) == (5_000, 2_001)
            await watched.close()
            assert await tail.closed() == (4404, "gone")
    [[who, whom, _]] = [row for row in await asyncio.to_thread(record, server, "Watched") if room in row[1]]
    assert (who, whom) == ("staff tail_connection", f"127.0.0.1 on /{room}")


async def test_a_flood_is_cut_and_counted_and_costs_the_client_nothing(server: Server, staff: dict[str, str]) -> None:
    async with connect(server.ws("ws/asgi/echo/")) as watched:
        id = await client_id(server, watched)
        async with connect(server.ws(f"ws/admin/tail/{id}/"), staff["tail_connection"]) as tail:
            await tail.recv_json()
            await asyncio.sleep(0.5)
            for number in range(1_000):
                await watched.send(str(number))
            for number in range(1_000):
                assert await watched.recv() == f"Echo: {number}"
            shown = skipped = 0
            while shown + skipped < 2_000:
                message = await tail.recv_json()
                shown, skipped = shown + len(message["frames"]), skipped + message["skipped"]
            assert shown + skipped == 2_000
            assert skipped > 1_000


@pytest.mark.parametrize("who", ["anonymous", "ordinary", "nothing", "viewer", "close_connection"])
async def test_who_may_not_watch_sees_nothing(server: Server, staff: dict[str, str], who: str) -> None:
    async with connect(server.ws("ws/asgi/echo/")) as watched:
        id = await client_id(server, watched)
        async with connect(server.ws(f"ws/admin/tail/{id}/"), staff.get(who)) as tail:
            assert await tail.closed() == (4403, "forbidden")
        await stays(watched)


HIRE_ONE = """
from django.contrib.auth.models import Permission
from django.test import Client
from chat.models import User
user = User.objects.create_user({name!r}, is_staff=True)
user.user_permissions.set(Permission.objects.filter(codename="tail_connection"))
client = Client()
client.force_login(user, "django.contrib.auth.backends.ModelBackend")
print(json.dumps(client.cookies["sessionid"].value))
"""


@pytest.mark.parametrize(
    "change", ["update(is_staff=False)", "update(is_active=False)", "get().user_permissions.clear()"]
)
async def test_who_loses_the_permission_loses_the_view(server: Server, change: str) -> None:
    name = unique("demoted")
    hired = await asyncio.to_thread(server.python, HIRE_ONE.format(name=name))
    async with connect(server.ws("ws/asgi/echo/")) as watched:
        id = await client_id(server, watched)
        async with connect(server.ws(f"ws/admin/tail/{id}/"), f"sessionid={hired}") as tail:
            await tail.recv_json()
            demote = f"from chat.models import User\nUser.objects.filter(username={name!r}).{change}"
            await asyncio.to_thread(server.python, demote)
            code, _ = await tail.closed()
            assert code == 4403 or ("is_active" in change and code == 4401), code
        await stays(watched)


async def test_a_watcher_cannot_be_watched(server: Server, staff: dict[str, str]) -> None:
    async with connect(server.ws("ws/asgi/echo/")) as watched:
        id = await client_id(server, watched)
        async with connect(server.ws(f"ws/admin/tail/{id}/"), staff["tail_connection"]) as tail:
            await tail.recv_json()
            mine = await client_id(server, tail)
            async with connect(server.ws(f"ws/admin/tail/{mine}/"), staff["tail_connection"]) as other:
                assert await other.closed() == (4404, "gone")
