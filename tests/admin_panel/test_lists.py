"""The lists with 10,000 clients: one is found among them, and a page costs as many queries as with one."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from actors.consumers import ActorConsumer
from actors.messages import Message
from admin_panel import typed
from chat import protocol
from realtime_project.models import Connection, Server, TopicEvent, TopicHead

CLIENTS = "/admin/realtime_project/connection/"


@pytest.fixture
def boss(db: None) -> Client:
    person: Any = get_user_model().objects.create_user("boss", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(person, "django.contrib.auth.backends.ModelBackend")
    return client


def fill(count: int) -> None:
    people = get_user_model().objects
    ann = people.filter(username="ann").first() or people.create_user("ann")
    server, _ = Server.objects.get_or_create(
        id="s" * 32,
        defaults={"host": "here", "port": 1, "pid": 1, "version": "1", "seen_at": Now() + timedelta(hours=1)},
    )
    Connection.objects.all().delete()
    Connection.objects.bulk_create(
        Connection(
            id=f"{number:032x}",
            server=server,
            channel_id=number,
            endpoint="/ws/rooms/<room>/" if number % 3 else "/ws/echo/",
            path=f"/ws/rooms/{number}/" if number % 3 else "/ws/echo/",
            mode="consumer" if number % 3 else "actor",
            client_ip=f"10.1.{number // 250}.{number % 250}",
            client_port=number,
            user=ann if number == 7_777 else None,
            connected_at=timezone.now() - timedelta(seconds=number),
            rate_in=number % 7 / 2,
            rate_out=number % 11,
            unsent=number * 10_000 if number % 100 == 50 else 0,
            session="5" * 32 if number % 9 == 0 else None,
        )
        for number in range(count)
    )


def queries(client: Client, path: str) -> int:
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert client.get(path).status_code == 200
    return len(asked)


def test_a_page_of_10_000_costs_no_more_queries_than_one_of_10(boss: Client) -> None:
    pages = (
        CLIENTS,
        f"{CLIENTS}?q=10.1.0",
        f"{CLIENTS}?mode=actor&o=7",
        f"{CLIENTS}?unsent=some&person=nobody&o=-10",
        f"{CLIENTS}?o=-9",
        "/admin/admin_panel/actor/",
        "/admin/endpoints/",
    )
    boss.get(CLIENTS)
    fill(10)
    few = [queries(boss, page) for page in pages]
    fill(10_000)
    assert [queries(boss, page) for page in pages] == few
    assert max(few) <= 10
    page = boss.get(CLIENTS).content.decode()
    assert page.count('name="_selected_action"') == 100


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("ann", 7_777),
        ("10.1.31.27", 7_777),
        ("/ws/rooms/7777/", 7_777),
        (f"{7_777:032x}", 7_777),
    ],
)
def test_a_client_is_found_by_person_address_path_and_id(boss: Client, asked: str, found: int) -> None:
    fill(10_000)
    page = boss.get(CLIENTS, {"q": asked})
    assert [row.channel_id for row in page.context["cl"].result_list] == [found]


def test_lists_are_filtered_and_sorted(boss: Client) -> None:
    fill(300)

    def shown(**query: str) -> list[int]:
        return [row.channel_id for row in boss.get(CLIENTS, query).context["cl"].result_list]

    assert shown() == list(range(100)), "the newest first, a hundred a page"
    assert shown(p="3") == list(range(200, 300))
    assert shown(mode="actor") == [*range(0, 300, 3)]
    assert shown(endpoint__exact="/ws/rooms/<room>/", p="2") == [n for n in range(300) if n % 3][100:]
    assert shown(unsent="some", o="-10") == [250, 150, 50], "the slowest reader first"
    assert shown(unsent="much") == [150, 250], "half of WEBSOCKET_MAX_BUFFER or more"
    assert shown(o="-10")[:3] == [250, 150, 50]
    assert shown(o="-8")[:2] == [6, 13], "who sends most, and of those the newest"
    assert shown(o="-9")[:2] == [10, 21], "... who is sent most"
    assert shown(o="-7")[:2] == [299, 298], "the oldest first"
    assert shown(person="somebody") == []
    assert len(shown(person="nobody")) == 100
    assert shown(unsent="nonsense") == list(range(100))

    def actors(**query: str) -> list[Any]:
        return list(boss.get("/admin/admin_panel/actor/", query).context["cl"].result_list)

    assert {row.endpoint for row in actors()} == {"/ws/echo/"}
    assert [row.channel_id for row in actors(stored="yes")] == [*range(0, 300, 9)]
    assert all(row.session is None for row in actors(stored="no"))


def test_a_state_is_shown_as_far_as_a_list_has_room(boss: Client) -> None:
    fill(1)
    own = f"Topic('conn.out:{'ab' * 16}:{'cd' * 16}')"
    Connection.objects.update(state=f"Named(topic={own}, at='{'ef' * 16}', name='{'x' * 200}')")
    [line] = [line for line in boss.get("/admin/admin_panel/actor/").content.decode().splitlines() if "Named(" in line]
    assert "Named(topic=Topic(conn.out), at=&#x27;efefefef…&#x27;, name=&#x27;xxx" in line
    assert "x" * 140 not in line
    assert [row.state for row in boss.get("/admin/admin_panel/actor/", {"q": "Named("}).context["cl"].result_list]
    assert "x" * 200 in boss.get(f"/admin/admin_panel/actor/{0:032x}/change/").content.decode()


def test_endpoints_show_what_passes_and_what_is_allowed(boss: Client) -> None:
    fill(300)
    limits = {"max_size": 64 * 1024, "rate": 50, "burst": 100, "queue": 64}
    echo, rooms = {"path": "/ws/echo/", "mode": "actor"}, {"path": "/ws/rooms/<room>/", "mode": "topic"}
    Server.objects.update(endpoints=[echo | limits, rooms | limits | {"rate": 0, "burst": 0, "max_size": 2**24}])
    Server.objects.create(id="t", host="there", pid=1, version="1", endpoints=[echo | limits | {"rate": 20}])
    Server.objects.create(id="u", host="old", pid=1, version="0", endpoints=[rooms])
    first, second = boss.get("/admin/endpoints/").context["rows"]
    assert (first["path"], first["servers"], first["clients"], first["rate_in"]) == ("/ws/echo/", 2, 100, 148.5)
    assert first["pace"] == ["50/s · 100", "20/s · 100"], "servers may have been told different limits"
    assert (second["pace"], second["queue"]) == (["no limit", "–"], ["64", "–"]), "one is of an earlier version"
    page = boss.get("/admin/endpoints/").content.decode()
    for words in ("148.5", "50/s · 100 / 20/s · 100", "64.0\xa0KB", "no limit / –"):
        assert words in page, words


def test_a_topic_shows_how_much_of_it_is_kept(boss: Client) -> None:
    topic = TopicHead.objects.create(name="trimmed", offset=9)
    TopicEvent.objects.bulk_create(
        TopicEvent(topic=topic, offset=offset, content=b"secret", is_text=True) for offset in range(5, 10)
    )
    TopicHead.objects.create(name="empty", offset=3)
    TopicHead.objects.create(name="control:s", offset=3)
    reads = [{"name": "trimmed", "durable": True, "subscribers": 1_234, "rate": 5.5}]
    Server.objects.create(id="s", host="here", pid=1, version="1", topics=reads)
    page = boss.get("/admin/realtime_project/topichead/")
    listed = {row.name: (row.first, row.now) for row in page.context["cl"].result_list}
    assert listed["empty"] == (None, None)
    assert listed["trimmed"][0] == 5
    assert set(listed) == {"trimmed", "empty"}, "what is between servers is no topic of anybody's"
    for words in (">1,234<", ">5.5<", ">9<", ">5<"):
        assert words in page.content.decode().replace(" ", "").replace("\n", ""), words
    detail = boss.get(f"/admin/realtime_project/topichead/{topic.pk}/change/").content.decode()
    assert "secret" not in page.content.decode() + detail


def test_the_busiest_topics_are_added_up_over_the_servers(boss: Client) -> None:
    for server, rate in (("one", 3.5), ("two", 4.0)):
        topics = [{"name": "news", "durable": True, "subscribers": 2, "rate": rate}]
        topics += [{"name": "chat.live:<1>", "durable": False, "subscribers": 1, "rate": 0.0}] * (server == "one")
        Server.objects.create(id=server, host="here", pid=1, version="1", topics=topics)
    page = boss.get("/admin/realtime_project/topichead/")
    assert [(topic["name"], topic["subscribers"], topic["rate"]) for topic in page.context["busiest"]] == [
        ("news", 4, 4.0),
        ("chat.live:<1>", 1, 0.0),
    ]
    assert "chat.live:&lt;1&gt;" in page.content.decode()


def test_what_a_client_sends_is_text_in_the_panel(boss: Client) -> None:
    fill(1)
    markup = "<script>alert(1)</script>"
    Connection.objects.update(path=f"/{markup}", endpoint=markup, origin=markup, state=markup, mode="actor")
    Server.objects.update(host=markup, endpoints=[{"path": markup, "mode": markup}])
    for path in (CLIENTS, f"{CLIENTS}{0:032x}/change/", "/admin/admin_panel/actor/", "/admin/realtime_project/server/",
                 "/admin/endpoints/", f"/admin/orders/close/?targets={0:032x}"):  # fmt: skip
        page = boss.get(path)
        assert page.status_code == 200
        assert markup not in page.content.decode(), path


def test_another_site_is_not_led_to(boss: Client) -> None:
    fill(1)
    for back in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        page = boss.get("/admin/orders/close/", {"targets": f"{0:032x}", "back": back}).content.decode()
        assert back not in page


class Size(Enum):
    SMALL = "s"
    LARGE = "l"


class Order(Message, frozen=True):
    item: str
    count: Annotated[int, msgspec.Meta(ge=1)]
    price: float
    gift: bool
    tags: list[str]
    size: Size
    way: Literal["post", "pigeon", 3]
    note: str | None = None
    when: datetime | None = None
    again: bool | None = None
    either: int | str = 0
    extra: Any = None


class Bare(msgspec.Struct, frozen=True, tag="bare", tag_field="type", array_like=True):
    number: int


def test_the_console_has_a_form_for_each_declared_type() -> None:
    app = ActorConsumer.as_asgi(initial_state={}, rules={(Order, Any): lambda *_: ([], {})}, messages=[Order])
    [form] = typed.forms([*app.consumer_class.types(**app.consumer_initkwargs), Bare])
    assert (form.name, form.head) == ("Order", '"type":"Order"')
    assert [(field.name, field.kind, field.required, list(field.choices)) for field in form.fields] == [
        ("item", "text", True, []),
        ("count", "integer", True, []),
        ("price", "number", True, []),
        ("gift", "choice", True, ["true", "false"]),
        ("tags", "json", True, []),
        ("size", "choice", True, ['"s"', '"l"']),
        ("way", "choice", True, ["3", '"pigeon"', '"post"']),
        ("note", "text", False, []),
        ("when", "text", False, []),
        ("again", "choice", False, ["true", "false", "null"]),
        ("either", "json", False, []),
        ("extra", "json", False, []),
    ]


def test_the_console_offers_what_is_known_of_an_endpoint(boss: Client) -> None:
    tried = {each["pattern"]: each for each in boss.get("/admin/console/").context["demos"]}
    chat, store, echo = (tried[path] for path in ("ws/chat/", "ws/store/", "ws/echo/"))
    assert all(protocol.decode(sample) for sample in chat["samples"])
    assert {"subscribe", "post", "react"} < {form.name for form in chat["forms"]}
    assert [form.name for form in store["forms"]] == ["StoreRequest", "FetchRequest"]
    assert (echo["samples"], echo["forms"]) == (["hello"], [])
