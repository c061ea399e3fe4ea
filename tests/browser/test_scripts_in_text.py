"""Forty ways to smuggle a script into a page, as names, as rooms and as messages: none runs, none even tries.

They are written into the database, past the forms that would refuse many of them.
"""

import json
from collections.abc import Callable

import httpx
import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.people import Person
from tests.helpers import PATIENCE, Server, cookies, guest, unique

RUN = "window.__xss=1"
PAYLOADS = [
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f"<ScRiPt>{RUN}</sCrIpT>",
    f"<scr<script>ipt>{RUN}</scr</script>ipt>",
    f'"><script>{RUN}</script>',
    f"'-{RUN}-'",
    f"`${{{RUN}}}`",
    f"{{{{constructor.constructor('{RUN}')()}}}}",
    f"<img src=x onerror={RUN}>",
    f'<img src="x" onerror="{RUN}">',
    f"<img/src=x/onerror={RUN}>",
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f'<svg><a xlink:href="javascript:{RUN}"><text y=20>click</text></a></svg>',
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
    f'<iframe src="javascript:{RUN}"></iframe>',
    f'<iframe srcdoc="<script>parent.{RUN}</script>"></iframe>',
    f'<object data="javascript:{RUN}"></object>',
    f'<embed src="javascript:{RUN}">',
    f"<body onload={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<details open ontoggle={RUN}>x</details>",
    f"<video><source onerror={RUN}></video>",
    f"<audio src=x onerror={RUN}>",
    f"<marquee onstart={RUN}>x</marquee>",
    f'<form action="javascript:{RUN}"><button>x</button></form>',
    f'<base href="javascript:{RUN}//">',
    f'<meta http-equiv="refresh" content="0;url=javascript:{RUN}">',
    '<link rel="stylesheet" href="data:text/css,body{display:none}">',
    "<style>*{display:none!important}</style>",
    f'<a href="javascript:{RUN}">click</a>',
    f"[click](javascript:{RUN})",
    f"[click](JaVaScRiPt:{RUN})",
    f"[click](data:text/html,<script>opener.{RUN}</script>)",
    f"[click](&#106;avascript:{RUN})",
    f'![x](x"onerror="{RUN})',
    f"<javascript:{RUN}>",
    f'<noscript><p title="</noscript><img src=x onerror={RUN}>">',
    f"&lt;img src=x onerror={RUN}&gt; \u202e<!--><img src=x onerror={RUN}>-->",
]

# What no message may bring into the page, whatever it says.
FORBIDDEN = """() => [...document.querySelectorAll("[data-testid=message] *, [data-testid=room-link] *")]
    .filter((element) =>
        /^(script|iframe|object|embed|img|svg|math|style|link|meta|base|form|input|video|audio|noscript|template)$/i
            .test(element.localName) && !element.matches("svg.icon, svg.icon *")
        || [...element.attributes].some(({ name, value }) =>
            /^on/i.test(name) || name === "srcdoc"
            || (/^(href|src|action|xlink:href)$/i.test(name) && !/^(https?:|mailto:|\\/|#)/i.test(value))))
    .map((element) => element.outerHTML)"""


def hears_dialogs(page: Page) -> list[str]:
    heard: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        heard.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    return heard


def nothing_ran(page: Page) -> None:
    assert page.evaluate("window.__xss") is None
    assert page.evaluate(FORBIDDEN) == []
    assert page.evaluate("window.__violations") == []


@pytest.fixture(scope="module")
def infested(server: Server) -> list[str]:
    """Forty rooms, each named by a payload and holding it as a message of somebody who is named so too."""
    slugs: list[str] = server.python(f"""
        from django.db import transaction
        from chat import rooms
        from chat.models import Room, User
        slugs = []
        for number, payload in enumerate(json.loads({json.dumps(PAYLOADS)!r})):
            slugs.append(slug := "xss-" + str(number))
            author = User.objects.create(username=slug, name=payload, is_guest=True).pk
            with transaction.atomic():
                rooms.create(author, payload, payload, slug)
                [ack] = rooms.post([rooms.Post(author, slug, "p" + str(number), payload)])
            with transaction.atomic():
                rooms.post([rooms.Post(author, "xss-0", "q" + str(number), payload)])
        print(json.dumps(slugs))
    """)
    return slugs


def test_there_are_forty() -> None:
    assert len(set(PAYLOADS)) == 40


def test_names_rooms_and_messages_run_nothing(infested: list[str], come_in: Callable[..., Person]) -> None:
    ann = come_in(infested[0])
    heard = hears_dialogs(ann.page)
    expect(ann.messages.nth(len(PAYLOADS))).to_be_attached()
    nothing_ran(ann.page)

    ann.page.keyboard.press("Control+k")
    ann.page.keyboard.type("script")
    expect(ann.page.get_by_role("option").first).to_be_visible()
    ann.page.keyboard.press("Escape")

    for slug, payload in zip(infested, PAYLOADS, strict=True):
        ann.room_link(slug).click()
        expect(ann.room_link(slug)).to_have_attribute("aria-current", "page")
        expect(ann.messages.first).to_be_attached()
        expect(ann.page.get_by_role("heading", level=1)).to_have_text(f"#{' '.join(payload.split())}")
        nothing_ran(ann.page)
    assert heard == []


def test_what_one_writes_oneself_runs_nothing_either(room: str, come_in: Callable[..., Person]) -> None:
    ann, bob = come_in(room), come_in(room)
    heard = [hears_dialogs(person.page) for person in (ann, bob)]
    for payload in PAYLOADS:
        ann.say(payload)
    sent = bob.page.locator("[data-testid=message][data-state=sent]")
    expect(sent).to_have_count(len(PAYLOADS), timeout=30_000)
    for person in (ann, bob):
        nothing_ran(person.page)
    assert heard == [[], []]


def test_forms_give_back_what_was_typed_as_text(server: Server, page: Page) -> None:
    heard = hears_dialogs(page)
    for payload in PAYLOADS:
        page.goto(f"{server.url}/accounts/guest/?next={httpx.QueryParams({'': payload})}")
        page.locator("[name=name]").evaluate(
            "(box, text) => { box.removeAttribute('maxlength'); box.value = text; }", payload * 3
        )
        page.get_by_role("button", name="Come in").click()
        expect(page.locator("[name=name]")).to_be_visible()
        assert page.evaluate("window.__xss") is None
    assert heard == []


@pytest.mark.parametrize("path", ["/", "/rooms/lobby/", "/accounts/guest/", "/accounts/login/", "/accounts/signup/"])
def test_the_policy_allows_nothing_inline(server: Server, path: str) -> None:
    known = {} if path.startswith("/accounts") else cookies(guest(server, unique("reader")))
    answer = httpx.get(f"{server.url}{path}", cookies=known, trust_env=False, timeout=PATIENCE)
    policy = answer.headers["Content-Security-Policy"]
    directives = {name: sources for name, *sources in (part.split() for part in policy.split(";") if part.strip())}
    for word in ("'unsafe-inline'", "'unsafe-eval'", "*", "data:"):
        assert word not in directives["script-src"]
        assert word not in directives["style-src"]
    assert directives["default-src"] == ["'none'"]
    assert directives["frame-ancestors"] == ["'none'"]
    assert directives["base-uri"] == ["'none'"]
