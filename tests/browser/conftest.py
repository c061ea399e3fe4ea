"""People in front of browsers: each in a context of their own, watched for errors that only a console would show."""

import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, BrowserType, Playwright, expect, sync_playwright

from tests.browser.people import Person
from tests.helpers import Server, cookies, create_room, guest, unique

expect.set_options(timeout=10_000)  # ms, for a busy machine

# Features of a browser that nobody sees. The first two draw the menus of every window's address bar, as pages of their
# own: they cost more than the page that is tested. The others are Playwright's, for the last such flag alone counts.
UNUSED = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
    "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch", "TcpPortRandomizationWin",
    "ThirdPartyStoragePartitioning",
)  # fmt: skip
# The first is the same engine without a browser around it.
BROWSERS = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)

WATCH = """
    window.__born = performance.timeOrigin;
    window.__violations = [];
    document.addEventListener("securitypolicyviolation", ({ violatedDirective, blockedURI, sourceFile, lineNumber }) =>
        window.__violations.push(`${violatedDirective} ${blockedURI} ${sourceFile}:${lineNumber}`));
"""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """The system's Chromium, silent but for what the tests do."""
    assert CHROMIUM, f"none found of {', '.join(BROWSERS)}: `make test` installs the first"
    quiet = ("gpu", "background-networking", "component-update", "sync")
    flags = [*(f"--disable-{what}" for what in quiet), f"--disable-features={','.join(UNUSED)}", "--no-first-run"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # Chromium refuses to sandbox for root
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": flags}


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """For one file: it leaves an event loop running in the main thread, which the next file's async tests need free."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser_context_args() -> dict[str, Any]:
    return {}


@pytest.fixture(scope="module")
def browser(playwright: Playwright, browser_name: str, browser_type_launch_args: dict[str, Any]) -> Iterator[Browser]:
    kind: BrowserType = getattr(playwright, browser_name)
    running = kind.launch(**browser_type_launch_args)
    yield running
    running.close()


@pytest.fixture
def people() -> Iterator[list[Person]]:
    """Everybody who came in; afterwards nobody's page may have had an error."""
    everybody: list[Person] = []
    yield everybody
    for person in everybody:
        violations = [] if person.page.is_closed() else person.page.evaluate("window.__violations")
        assert person.mistakes + violations == [], f"in the page of {person.name}"


@pytest.fixture
def come_in(server: Server, new_context: Callable[..., BrowserContext], people: list[Person]) -> Callable[..., Person]:
    """Brings a guest into a room: `come_in("lobby", viewport=…)`, or to another server: `come_in(…, server=own)`."""

    def come(room: str | None, *, name: str | None = None, server: Server = server, **options: Any) -> Person:
        name = name or unique("guest")
        context = new_context(base_url=server.url, **options)
        kept = cookies(guest(server, name))
        context.add_cookies([{"name": key, "value": value, "url": server.url} for key, value in kept.items()])
        context.add_init_script(WATCH)
        person = Person(name, context.new_page())
        people.append(person)
        person.page.on("pageerror", lambda error: person.mistakes.append(str(error)))
        person.page.on("console", person.hears)
        person.page.goto(f"/rooms/{room}/" if room else "/")
        if room:
            expect(person.composer).to_be_visible()
        return person

    return come


@pytest.fixture
def room(server: Server) -> str:
    """A room of this test's own on the shared server; its slug."""
    return create_room(server, guest(server, unique("host")))


@pytest.fixture
def long_room(server: Server, room: str) -> str:
    """A room with 2,000 messages: "message 1" to "message 2000"."""
    fill(server, room, 2_000)
    return room


def fill(server: Server, room: str, count: int) -> None:
    server.python(f"""
        from django.db import transaction
        from chat import rooms
        from chat.models import User
        author = User.objects.create_user({unique("author")!r}).pk
        texts = ["message " + str(number) + (" and some more words" * (number % 7)) for number in range(1, {count} + 1)]
        posts = [rooms.Post(author, {room!r}, "seed-" + str(number), text) for number, text in enumerate(texts)]
        for start in range(0, len(posts), 500):
            with transaction.atomic():
                acks = rooms.post(posts[start : start + 500])
            assert all(isinstance(ack, rooms.Ack) for ack in acks), acks
    """)
