"""Demonstrations: what describes them, and that they are gone where they are off."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from django.urls import path
from websockets.exceptions import InvalidStatus

from realtime_project.demos import Demo
from tests.helpers import Server, connect


async def endpoint(scope: Any, receive: Any, send: Any) -> None: ...


room = path("ws/rooms/<int:room>/", endpoint)  # type: ignore[arg-type]  # any ASGI application; Django's types know views


def test_a_demonstration_is_the_route_and_what_is_said_of_it() -> None:
    demo = Demo(room, "Rooms by number.", address="/ws/rooms/5/?since=0", samples=["hi"])
    assert (demo.pattern, demo.callback) == (room.pattern, endpoint)
    assert (demo.about, demo.address, demo.samples) == ("Rooms by number.", "/ws/rooms/5/?since=0", ["hi"])
    assert demo.page is None
    assert Demo(room, "Rooms.", address="/ws/rooms/5/", page=("home", "Enter")).page == ("home", "Enter")
    assert Demo(path("ws/echo/", endpoint), "Says it again.").address == "/ws/echo/"  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["", "/ws/rooms/five/", "ws/room/5/", "https://example.org/ws/", "/ws/rooms/<5>/"])
def test_an_address_that_leads_elsewhere_is_refused_when_it_is_declared(address: str) -> None:
    with pytest.raises(ValueError, match="needs an address that leads to ws/rooms/<int:room>/, unlike"):
        Demo(room, "Rooms by number.", address=address)


def test_a_str_where_a_list_belongs_is_refused() -> None:
    with pytest.raises(TypeError, match="lists of str, not a str"):
        Demo(room, "Rooms by number.", address="/ws/rooms/5/", samples="hi")


def test_the_page_names_what_is_served_and_runs_no_inline_script(server: Server) -> None:
    answer = httpx.get(f"{server.url}/demos/", trust_env=False)
    assert answer.status_code == 200
    served = server.python("""
        from realtime_project import routing
        print(json.dumps([str(route.pattern) for route in routing.demos]))
    """)
    assert {"ws/broadcast/", "ws/rooms/<room>/", "ws/asgi/echo/", "ws/echo/", "ws/names/", "ws/store/"} <= set(served)
    for pattern in served:
        assert f">/{pattern.replace('<', '&lt;').replace('>', '&gt;')}</h2>" in answer.text
    assert "/ws/chat/" not in answer.text
    assert "unsafe-inline" not in answer.headers["Content-Security-Policy"]


async def test_where_they_are_off_neither_they_nor_their_page_exist(start_server: Callable[..., Server]) -> None:
    server = start_server(REALTIME_DEMOS=0)
    assert httpx.get(f"{server.url}/demos/", trust_env=False).status_code == 404
    for endpoint in ("ws/broadcast/", "ws/feed/", "ws/rooms/harbour/", "ws/asgi/echo/", "ws/echo/", "ws/names/"):
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.ws(endpoint)).__aenter__()
        assert refused.value.response.status_code == 404
    async with connect(server.ws("ws/chat/")) as socket:
        assert await socket.closed() == (4401, "log in first")
