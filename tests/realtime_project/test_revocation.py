"""Who logs out, is deactivated, changes the password or is deleted loses every open socket, on every server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from types import SimpleNamespace

import httpx
import pytest

from realtime_project import revocation
from realtime_project.revocation import Proof
from tests.helpers import ChatClient, Server, Socket, connect, cookies, guest, submit, unique

SOON = 8.0  # seconds, generously: it should take less than five
ENDPOINTS = ("ws/chat/", "ws/broadcast/", "ws/asgi/echo/", "ws/rooms/somewhere/")
PRELUDE = """
from datetime import timedelta
from django.contrib.sessions.models import Session
from django.utils import timezone
from chat.models import User
user = User.objects.get(name={name!r})
session = Session.objects.filter(pk={session!r})
"""
CAUSES = {
    "deactivated": "user.is_active = False; user.save()",
    "password": "user.set_password('another one'); user.save()",
    "user deleted": "user.delete()",
    "session deleted": "session.delete()",
    "session expired": "session.update(expire_date=timezone.now() - timedelta(seconds=1))",
}


@asynccontextmanager
async def opened(servers: list[Server], cookie: str) -> AsyncIterator[list[Socket]]:
    """One person at every endpoint of every server."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(connect(server.ws(path), cookie))
            for server in servers
            for path in ENDPOINTS
        ]


async def all_closed(sockets: list[Socket]) -> set[int | None]:
    """The close codes."""
    return {code for code, _ in await asyncio.gather(*(socket.closed(SOON) for socket in sockets))}


@pytest.fixture
def both(server: Server, beside: Server) -> list[Server]:
    """Two servers on one database."""
    return [server, beside]


async def test_every_cause_reaches_every_socket_on_every_server_and_nobody_else(both: list[Server]) -> None:
    here = both[0]
    names = {cause: unique("guest") for cause in CAUSES}
    people = {cause: guest(here, name) for cause, name in names.items()}
    stays = guest(here)
    async with AsyncExitStack() as stack:
        rows = {cause: await stack.enter_async_context(opened(both, cookie)) for cause, cookie in people.items()}
        others = await stack.enter_async_context(opened(both, stays))
        anonymous = await stack.enter_async_context(connect(here.ws("ws/asgi/echo/")))
        code = "".join(
            PRELUDE.format(name=names[cause], session=cookies(people[cause])["sessionid"]) + deed + "\n"
            for cause, deed in CAUSES.items()
        )
        here.python(code)
        codes = await asyncio.gather(*map(all_closed, rows.values()))
        assert dict(zip(rows, codes, strict=True)) == {cause: {4401} for cause in CAUSES}
        for socket in [*others, anonymous]:
            await socket.ping()
            assert socket.close_code is None


@contextmanager
def browser(server: Server, cookie: str | None = None) -> Iterator[httpx.Client]:
    """A browser that replaces its cookies as it is told to."""
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        for name, value in cookies(cookie).items() if cookie else ():
            client.cookies.set(name, value, domain="127.0.0.1")
        yield client


def header(client: httpx.Client) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


def sign_up(server: Server, cookie: str, name: str) -> str:
    with browser(server, cookie) as client:
        submit(client, "/accounts/signup/", name=name, password1="harbour at four", password2="harbour at four")
        return header(client)


async def test_logging_out_ends_this_session_and_no_other(both: list[Server]) -> None:
    here, there = both
    name = unique("ann")
    one = sign_up(here, guest(here, name), name)
    with browser(there) as client:
        client.get("/accounts/login/")
        submit(client, "/accounts/login/", username=name, password="harbour at four")
        other = header(client)
    async with opened(both, one) as sockets, opened(both, other) as others:
        with browser(here, one) as client:
            submit(client, "/accounts/logout/")
        assert await all_closed(sockets) == {4401}
        for socket in others:
            await socket.ping()
            assert socket.close_code is None
    async with connect(here.ws("ws/chat/"), one) as again:
        assert (await again.closed())[0] == 4401


async def test_who_signs_up_comes_back_with_the_new_cookie_and_stays(server: Server) -> None:
    name = unique("ann")
    cookie = guest(server, name)
    async with ChatClient(server, cookie) as before:
        after = sign_up(server, cookie, name)
        async with asyncio.timeout(SOON):
            await before.socket.wait_closed()
        assert before.socket.close_code == 4401
    async with ChatClient(server, after) as again:
        await again.post("lobby", "still me")
        await asyncio.sleep(revocation.LOOK + 1)
        await again.post("lobby", "and still")


@pytest.mark.django_db
def test_a_look_is_two_queries_whatever_the_number(django_assert_num_queries: Callable[..., object]) -> None:
    proofs = {Proof(f"session-{number}", number, "hash") for number in range(5_000)}
    with django_assert_num_queries(2):  # type: ignore[attr-defined]
        assert revocation.no_longer(proofs) == proofs


def test_a_proof_is_what_the_handshake_showed() -> None:
    session = SimpleNamespace(session_key="key")
    user = SimpleNamespace(is_authenticated=True, pk=1, password="hash")
    proof = revocation.proof_of({"user": user, "session": session})
    user.password = "changed afterwards"
    assert proof == Proof("key", 1, "hash")


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"user": SimpleNamespace(is_authenticated=False), "session": SimpleNamespace(session_key=None)},
        {"user": SimpleNamespace(is_authenticated=True, pk=1, password=""), "session": None},
    ],
)
def test_who_came_without_a_session_has_nothing_to_lose(scope: dict[str, object]) -> None:
    assert revocation.proof_of(scope) is None
