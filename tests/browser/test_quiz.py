"""The quiz in browsers: three players a server that is restarted under them, keys and readers."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, expect
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as websocket
from websockets.typing import Subprotocol

from tests.acted.reading import ACTED, right_answers
from tests.browser.conftest import WATCH
from tests.browser.people import Person, end_compositions
from tests.browser.screens import NARROW, too_small
from tests.helpers import PATIENCE, Server, running

SHORT = "/acted/quiz/"  # two questions, and time enough for a restart and to look at the answers
QUICK = "/acted/quiz/quick/"  # two questions of two seconds


class Player(Person):
    """Somebody at the quiz's page."""

    @property
    def answers(self) -> Locator:
        return self.page.get_by_test_id("choice")

    @property
    def verdict(self) -> Locator:
        return self.page.get_by_test_id("verdict")

    @property
    def standings(self) -> Locator:
        return self.page.get_by_test_id("standings").get_by_role("listitem")

    def heading(self, text: str | re.Pattern[str]) -> Locator:
        return self.page.get_by_role("heading", level=1, name=text)

    def open(self) -> str:
        """Opens a game; its code."""
        self.page.get_by_label("Your name").fill(self.name)
        self.page.get_by_role("button", name="Open a game").click()
        expect(self.heading("Waiting for the others")).to_be_visible()
        return self.page.get_by_test_id("code").inner_text()

    def join(self, code: str) -> None:
        self.page.get_by_label("Your name").fill(self.name)
        self.page.get_by_label("Code of the game").fill(code)
        self.page.get_by_role("button", name="Join").click()
        expect(self.heading("Waiting for the others")).to_be_visible()

    def round(self) -> Locator:
        return self.page.get_by_text(re.compile(r"^Question \d of \d$"))

    def token(self) -> Any:
        return self.page.evaluate("sessionStorage.getItem('harbour.quiz')")


@pytest.fixture(scope="module")
def quizzed(template: Path, servers: list[Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of these tests' own, which one of them restarts."""
    with running(Server(tmp_path_factory.mktemp("quizzed"), template, **ACTED), servers) as own:
        yield own


@pytest.fixture
def sits(new_context: Callable[..., BrowserContext], people: list[Person]) -> Callable[..., Player]:
    """Brings somebody to the page, in a context of their own."""

    def sit(server: Server, name: str, path: str = "/demos/quiz/", **options: Any) -> Player:
        context = new_context(base_url=server.url, **options)
        context.add_init_script(WATCH)
        player = Player(name, context.new_page())
        people.append(player)
        player.page.on("pageerror", lambda error: player.mistakes.append(str(error)))
        player.page.on("console", player.hears)
        player.page.goto(path)
        return player

    return sit


def test_three_play_through_a_restart_in_mid_round(quizzed: Server, sits: Callable[..., Player]) -> None:
    server = quizzed
    ann, bob, cy = (sits(server, name, SHORT) for name in ("ann", "bob", "cy"))
    code = ann.open()
    bob.join(code.lower())
    cy.page.goto(f"{SHORT}?game={code}")
    cy.page.get_by_label("Your name").fill("cy")
    cy.page.keyboard.press("Enter")
    for player in (ann, bob, cy):
        expect(player.page.get_by_test_id("people").get_by_role("listitem")).to_have_count(3)
    expect(bob.page.get_by_role("button", name="Begin")).to_be_hidden()
    expect(bob.page.get_by_text("ann begins when everybody is here.")).to_be_visible()
    first, second = right_answers(server, code)

    ann.page.get_by_role("button", name="Begin").click()
    for player in (ann, bob, cy):
        expect(player.answers).to_have_count(4)
    born = [player.born() for player in (ann, bob, cy)]
    ann.answers.nth(first).click()
    expect(ann.verdict).to_have_text("Answered. Waiting for 2 more players.")
    server.kill()
    for player in (ann, bob, cy):
        expect(player.banner).to_contain_text("Your seat and your points are kept.")
    bob.answers.nth(first).click()  # pressed while nobody listens
    expect(bob.verdict).to_have_text("Your answer is on its way.")
    server.start()
    for player in (ann, bob, cy):
        player.page.evaluate("dispatchEvent(new Event('online'))")  # instead of waiting for the next attempt
    expect(ann.verdict).to_have_text("Answered. Waiting for one more player.")
    expect(ann.answers.nth(first)).to_have_attribute("aria-pressed", "true")
    expect(bob.verdict).to_have_text("Answered. Waiting for one more player.")
    cy.answers.nth((first + 1) % 4).click()
    expect(ann.verdict).to_have_text(re.compile(r"^Right! \d{3} points for you\.$"))
    expect(bob.verdict).to_have_text(re.compile(r"^Right! \d{3} points for you\.$"))
    expect(cy.verdict).to_have_text(re.compile(r"^Not this time\. It is "))
    expect(cy.standings.first).to_contain_text(re.compile(r"ann.*\+\d{3}"))
    assert [player.born() for player in (ann, bob, cy)] == born, "nobody had to load the page"

    for player in (ann, bob, cy):
        expect(player.round()).to_have_text("Question 2 of 2")
    ann.page.reload()
    expect(ann.round()).to_have_text("Question 2 of 2")
    bob.page.keyboard.press(str(second + 1))
    expect(bob.verdict).to_have_text("Answered. Waiting for 2 more players.")
    for player in (ann, cy):
        player.answers.nth((second + 1) % 4).click()
    expect(bob.heading("You have won!")).to_be_visible()
    expect(ann.heading("bob has won!")).to_be_visible()
    expect(ann.page.get_by_test_id("announcer")).to_contain_text("and place 2 of 3.")
    expect(bob.page.get_by_role("button", name="Play again")).to_be_hidden()
    ann.page.get_by_role("button", name="Play again").click()
    for player in (ann, bob, cy):
        expect(player.heading("Waiting for the others")).to_be_visible()
    ann.page.get_by_role("button", name="Leave").click()
    expect(bob.page.get_by_role("button", name="Begin")).to_be_visible()
    expect(ann.page.get_by_label("Your name")).to_be_focused()
    assert ann.page.url == f"{server.url}{SHORT}"


LISTEN = """
    window.__said = [];
    window.__timed = [];
    new MutationObserver(() => window.__said.push(document.getElementById("announcer").textContent))
        .observe(document.getElementById("announcer"), { childList: true });
    new MutationObserver((changes) => changes.forEach(({ target }) => {
        if (target.role === "timer") window.__timed.push(target.getAttribute("aria-label"));
    })).observe(document.getElementById("stage"), { subtree: true, attributeFilter: ["aria-label"] });
"""


def test_the_clock_alone_brings_one_to_the_podium_and_readers_hear_of_it(
    quizzed: Server, sits: Callable[..., Player]
) -> None:
    ann = sits(quizzed, "ann", QUICK)
    ann.open()
    ann.page.evaluate(LISTEN)
    ann.page.get_by_role("button", name="Begin").focus()
    ann.page.keyboard.press("Enter")
    expect(ann.heading("Nobody knew anything. Once more?")).to_be_focused()
    said = ann.page.evaluate("window.__said")
    assert [re.sub(r"\. .*", "", words) for words in said] == [
        "Question 1 of 2, 2 seconds", "No answer from you", "Question 2 of 2, 2 seconds", "No answer from you",
        "The game is over",
    ]  # fmt: skip
    assert re.fullmatch(r"Question 1 of 2, 2 seconds\. .*\? 1: .* 2: .* 3: .* 4: .*\.", said[0])
    assert re.fullmatch(r"No answer from you\. It is .*\. You have 0 points and place 1 of 1\.", said[1])
    timed = ann.page.evaluate("window.__timed")
    assert {"1 second left", "The next question in 1 second", "The podium in 1 second"} <= set(timed)


def test_keys_alone_are_enough(quizzed: Server, sits: Callable[..., Player]) -> None:
    """Nothing is clicked and nothing is focused by the test: one begins where the page has put one."""
    ann = sits(quizzed, "ann", SHORT)
    keyboard = ann.page.keyboard

    def go_to(name: str) -> None:
        focused = ann.page.get_by_role("button", name=name, exact=True).and_(ann.page.locator(":focus"))
        for _ in range(12):
            keyboard.press("Tab")
            if focused.count():
                return
        raise AssertionError(f"twelve tabs do not lead to {name}")

    expect(ann.page.get_by_label("Your name")).to_be_focused()
    keyboard.type("ann")
    keyboard.press("Enter")
    expect(ann.heading("Waiting for the others")).to_be_focused()
    go_to("Begin")
    keyboard.press("Enter")
    expect(ann.answers).to_have_count(4)
    expect(ann.page.get_by_role("heading", level=1)).to_be_focused()
    keyboard.press("Tab")
    expect(ann.answers.first).to_be_focused()
    keyboard.press("Tab")
    keyboard.press("Space")
    expect(ann.answers.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(ann.round()).to_have_text("Question 2 of 2")
    expect(ann.page.get_by_role("heading", level=1)).to_be_focused()
    keyboard.press("4")
    expect(ann.answers.nth(3)).to_have_attribute("aria-pressed", "true")
    expect(ann.page.get_by_role("button", name="Play again")).to_be_visible()
    expect(ann.page.get_by_role("heading", level=1)).to_be_focused()
    go_to("Play again")
    keyboard.press("Enter")
    expect(ann.heading("Waiting for the others")).to_be_focused()
    keyboard.press("Shift+Tab")
    expect(ann.page.get_by_role("button", name="Leave")).to_be_focused()
    keyboard.press("Enter")
    expect(ann.page.get_by_label("Your name")).to_be_visible()


def test_what_is_wrong_is_said_where_it_is_wrong(quizzed: Server, sits: Callable[..., Player]) -> None:
    ann, bob = sits(quizzed, "ann"), sits(quizzed, "bob")
    code = ann.open()
    page = bob.page
    page.get_by_role("button", name="Open a game").click()
    expect(page.get_by_role("alert").filter(has_text="Write the name")).to_be_visible()
    expect(page.get_by_label("Your name")).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Your name").fill("ANN")
    expect(page.get_by_label("Your name")).to_have_attribute("aria-invalid", "false")
    page.get_by_role("button", name="Join").click()
    expect(page.get_by_role("alert").filter(has_text="Write the four letters")).to_be_visible()
    expect(page.get_by_label("Code of the game")).to_be_focused()
    page.keyboard.type("zzzz")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="There is no game ZZZZ.")).to_be_visible()
    page.get_by_label("Code of the game").fill(code)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="ANN is taken in this game.")).to_be_visible()
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("<b>bob</b>")
    page.keyboard.press("Enter")
    expect(ann.page.get_by_test_id("people")).to_contain_text("<b>bob</b>")


def test_the_enter_that_ends_a_composition_opens_no_game(quizzed: Server, sits: Callable[..., Player]) -> None:
    ann = sits(quizzed, "ann")
    ann.page.get_by_label("Your name").fill("にほん")
    end_compositions(ann.page.get_by_label("Your name"))
    expect(ann.page.get_by_role("button", name="Open a game")).to_have_attribute("aria-disabled", "false")
    ann.page.keyboard.press("Enter")
    expect(ann.heading("Waiting for the others")).to_be_visible()


def test_a_window_that_is_copied_takes_the_seat_and_gives_it_back(quizzed: Server, sits: Callable[..., Player]) -> None:
    ann = sits(quizzed, "ann")
    code = ann.open()
    copy = sits(quizzed, "copy", "/healthz")
    copy.page.evaluate("token => sessionStorage.setItem('harbour.quiz', token)", ann.token())
    copy.page.goto("/demos/quiz/")
    expect(copy.page.get_by_test_id("code")).to_have_text(code)
    expect(ann.banner).to_contain_text("You went on with this game in another window.")
    ann.banner.get_by_role("button", name="Play here").click()
    expect(copy.banner).to_contain_text("in another window")
    expect(ann.banner).to_be_empty()  # connected: what is on the page has been there all the time
    ann.page.get_by_role("button", name="Begin").click()
    expect(ann.answers).to_have_count(4)
    ann.page.get_by_role("button", name="Leave").click()
    dialog = ann.page.get_by_role("dialog", name="Leave this game?")
    expect(dialog.get_by_role("button", name="Stay")).to_be_focused()
    ann.page.keyboard.press("Escape")
    expect(ann.answers).to_have_count(4)
    ann.page.get_by_role("button", name="Leave").click()
    dialog.get_by_role("button", name="Leave").click()
    expect(ann.page.get_by_role("button", name="Open a game")).to_be_visible()


def test_a_seat_that_is_no_more_is_said_to_be(quizzed: Server, sits: Callable[..., Player]) -> None:
    ann = sits(quizzed, "ann")
    ann.open()
    ann.page.evaluate("sessionStorage.setItem('harbour.quiz', 'x'.repeat(43))")  # as if it had been forgotten
    ann.page.reload()
    expect(ann.page.get_by_text("Your seat was given up, because nobody sat there for long.")).to_be_visible()
    expect(ann.page.get_by_label("Code of the game")).not_to_have_value("")
    assert ann.token() != "x" * 43


# Notes the orders that go out. `__fate` of the next: it reaches the server spoilt, or is lost together with its socket.
ORDERS = """() => {
    const send = WebSocket.prototype.send;
    window.__orders = [];
    WebSocket.prototype.send = function (text) {
        const fate = window.__fate;
        window.__fate = "";
        window.__orders.push(JSON.parse(text).type);
        if (fate === "lost") this.close();
        else send.call(this, fate === "spoilt" ? "?" : text);
    };
}"""


def test_a_double_click_orders_once_and_a_button_works_again_after_a_failure(
    quizzed: Server, sits: Callable[..., Player]
) -> None:
    ann = sits(quizzed, "ann", SHORT)
    ann.open()
    ann.page.evaluate(ORDERS)

    def click_twice(name: str, fate: str = "") -> None:
        ann.page.evaluate("fate => { window.__fate = fate; }", fate)
        ann.page.get_by_role("button", name=name).evaluate("button => { button.click(); button.click(); }")

    click_twice("Begin", "spoilt")
    expect(ann.page.get_by_role("alert").filter(has_text="Send JSON with a type")).to_be_visible()
    ann.page.evaluate("sessionStorage.clear()")
    click_twice("Begin", "lost")
    ann.page.wait_for_function("() => sessionStorage.getItem('harbour.quiz')")  # which the next socket brings
    click_twice("Begin")
    expect(ann.answers).to_have_count(4)
    assert ann.page.evaluate("window.__orders") == ["Begin"] * 3


def test_390_px_and_a_finger_are_enough(quizzed: Server, sits: Callable[..., Player]) -> None:
    ann = sits(quizzed, "Wolfeschlegelsteinhausen", viewport=NARROW, has_touch=True, is_mobile=True)

    def fits() -> None:
        assert ann.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
        assert too_small(ann.page.locator("button:visible, a:visible, input:visible")) == []

    expect(ann.page.get_by_role("button", name="Open a game")).to_be_visible()
    fits()
    ann.open()
    fits()
    ann.page.get_by_role("button", name="Begin").tap()
    expect(ann.answers.last).to_be_in_viewport()
    fits()
    ann.answers.first.tap()
    expect(ann.page.locator('.answer[data-is="right"]')).to_be_visible()
    fits()


class Seat:
    """Somebody without a page, in a game that is open already."""

    def __init__(self, socket: ClientConnection, code: str, name: str) -> None:
        self.socket = socket
        self.send(type="Join", code=code, name=name)
        self.sees("lobby", "question")

    def send(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def sees(self, *phases: str) -> dict[str, Any]:
        """The next view of one of these phases."""
        while (frame := json.loads(self.socket.recv(PATIENCE))).get("phase") not in phases:
            assert frame["type"] != "error", frame
        return frame


@pytest.fixture
def seated() -> Iterator[Callable[..., list[Seat]]]:
    with ExitStack() as stack:

        def come(server: Server) -> ClientConnection:
            url, offered = server.ws("ws/acted/quiz/"), [Subprotocol("session")]
            return stack.enter_context(websocket(url, subprotocols=offered, proxy=None, max_queue=None))

        yield lambda server, code, names: [Seat(come(server), code, name) for name in names]


EVIL = "<img src=x onerror=x()>"
NAMES = ["﷽" * 24, "W" * 24, "𒐫" * 12, "É̴̖" * 6, EVIL, "آنا", "1" * 24, "a b " * 5]


def test_names_of_every_kind_are_text_and_fit(
    quizzed: Server, sits: Callable[..., Player], seated: Callable[..., list[Seat]]
) -> None:
    ann = sits(quizzed, "</b><script>ann", SHORT, viewport=NARROW)
    code = ann.open()
    others = seated(quizzed, code, NAMES)

    def fits() -> None:
        assert ann.page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]

    expect(ann.page.get_by_test_id("people").get_by_role("listitem")).to_have_count(1 + len(NAMES))
    expect(ann.page.get_by_test_id("people").get_by_text(EVIL, exact=True)).to_be_visible()
    fits()
    for number, right in enumerate(right_answers(quizzed, code), 1):
        if number == 1:
            ann.page.get_by_role("button", name="Begin").click()
        expect(ann.round()).to_have_text(f"Question {number} of 2")
        expect(ann.answers).to_have_count(4)
        fits()
        for other in others:
            other.send(type="Answer", step=other.sees("question")["step"], choice=right)
        ann.answers.nth(right).click()
        expect(ann.standings).to_have_count(1 + len(NAMES))
        expect(ann.page.get_by_test_id("standings").get_by_text(EVIL, exact=True)).to_be_visible()
        fits()
        for other in others:
            other.sees("reveal")
    expect(ann.page.get_by_role("button", name="Play again")).to_be_visible()
    fits()


def test_of_a_crowd_one_sees_the_first_and_oneself(
    quizzed: Server, sits: Callable[..., Player], seated: Callable[..., list[Seat]]
) -> None:
    ann = sits(quizzed, "ann", SHORT, viewport=NARROW)
    code = ann.open()
    others = seated(quizzed, code, [f"player {number}" for number in range(29)])
    expect(ann.heading("Waiting for the others")).to_be_visible()
    expect(ann.page.get_by_role("heading", name="30 players are here")).to_be_visible()
    [right, _] = right_answers(quizzed, code)
    ann.page.get_by_role("button", name="Begin").click()
    expect(ann.page.get_by_text("0 of 30 have answered")).to_be_visible()
    for other in others:
        other.send(type="Answer", step=other.sees("question")["step"], choice=right)
    expect(ann.page.get_by_text("29 of 30 have answered")).to_be_visible()
    ann.answers.nth((right + 1) % 4).click()
    expect(ann.standings).to_have_count(10 + 1 + 2)
    expect(ann.standings.nth(10)).to_have_text("18 more players")
    expect(ann.standings.last).to_contain_text(re.compile(r"^Place 30AN?annyou0"))
    expect(ann.page.get_by_test_id("announcer")).to_contain_text("and place 30 of 30.")


TOO_OFTEN = "() => { history.replaceState = () => { throw new DOMException('too often', 'SecurityError'); }; }"


def test_what_comes_of_the_same_game_leaves_the_address_alone(
    quizzed: Server, sits: Callable[..., Player], seated: Callable[..., list[Seat]]
) -> None:
    """Safari throws where it is changed too often, and a game of a hundred tells of a hundred answers in seconds."""
    ann = sits(quizzed, "ann")
    code = ann.open()
    assert ann.page.url == f"{quizzed.url}/demos/quiz/?game={code}"
    ann.page.evaluate(TOO_OFTEN)
    seated(quizzed, code, ["bob"])
    expect(ann.page.get_by_role("heading", name="2 players are here")).to_be_visible()


def test_the_host_leaves_in_mid_round_somebody_comes_late_and_readers_hear_of_it(
    quizzed: Server, sits: Callable[..., Player]
) -> None:
    ann, bob = sits(quizzed, "ann", SHORT), sits(quizzed, "bob", SHORT)
    code = ann.open()
    bob.join(code)
    said = bob.page.get_by_test_id("announcer")
    expect(ann.page.get_by_test_id("announcer")).to_have_text("bob has come. 2 players are here.")
    ann.page.get_by_role("button", name="Begin").click()
    expect(bob.answers).to_have_count(4)
    cy = sits(quizzed, "cy", f"{SHORT}?game={code}")
    cy.page.get_by_label("Your name").fill("cy")
    cy.page.keyboard.press("Enter")
    expect(cy.round()).to_have_text("Question 1 of 2")
    ann.page.get_by_role("button", name="Leave").click()
    ann.page.get_by_role("dialog").get_by_role("button", name="Leave").click()
    expect(said).to_have_text("You are the host now.")
    first, second = right_answers(quizzed, code)
    for number, right in enumerate((first, second), 1):
        for player in (bob, cy):
            expect(player.round()).to_have_text(f"Question {number} of 2")
            expect(player.answers.first).to_have_attribute("aria-disabled", "false")
            player.page.keyboard.press(str(right + 1))
        expect(cy.verdict).to_have_text(re.compile(r"^Right! "))
        expect(bob.standings).to_have_count(2)
        expect(bob.page.locator('[data-phase="reveal"]')).to_have_count(0)
    expect(bob.page.get_by_role("button", name="Play again")).to_be_visible()
    expect(cy.page.get_by_text("bob decides whether you play again.")).to_be_visible()
    bob.page.get_by_role("button", name="Play again").click()
    expect(cy.heading("Waiting for the others")).to_be_visible()
    bob.page.get_by_role("button", name="Leave").click()
    expect(cy.page.get_by_test_id("announcer")).to_have_text("bob has left. 1 player is here. You are the host now.")
    expect(cy.page.get_by_role("button", name="Begin")).to_be_visible()


def test_who_goes_elsewhere_is_away_and_is_here_again(quizzed: Server, sits: Callable[..., Player]) -> None:
    ann, bob = sits(quizzed, "ann", SHORT), sits(quizzed, "bob", SHORT)
    code = ann.open()
    bob.join(code)
    ann.page.goto("/healthz")
    guests = bob.page.get_by_test_id("people").get_by_role("listitem")
    expect(guests.first).to_have_text(re.compile("annaway$"))
    expect(bob.page.get_by_role("heading", name="1 player is here")).to_be_visible()
    expect(bob.page.get_by_test_id("announcer")).to_have_text("You are the host now.")
    expect(bob.page.get_by_role("button", name="Begin")).to_be_visible()
    ann.page.goto(f"{SHORT}?game={code}")
    expect(ann.page.get_by_role("button", name="Begin")).to_be_visible()
    expect(guests.first).to_have_text(re.compile("annhost$"))
    expect(bob.page.get_by_role("button", name="Begin")).to_be_hidden()


def test_who_wants_less_motion_sees_none(quizzed: Server, sits: Callable[..., Player]) -> None:
    ann = sits(quizzed, "ann", QUICK, reduced_motion="reduce")
    moving = "() => document.getAnimations().every((each) => each.playState === 'finished')"
    ann.page.wait_for_function(moving)
    ann.open()
    ann.page.wait_for_function(moving)
    ann.page.get_by_role("button", name="Begin").click()
    expect(ann.heading("Nobody knew anything. Once more?")).to_be_visible()
    ann.page.wait_for_function(moving)  # the flags hang still


def test_the_demonstrations_lead_to_it(quizzed: Server, sits: Callable[..., Player]) -> None:
    ann = sits(quizzed, "ann", "/demos/")
    ann.page.get_by_role("link", name="Play the quiz").click()
    expect(ann.heading("How much do you know?")).to_be_visible()
    ann.page.get_by_role("link", name="Harbour").click()
    expect(ann.heading("Demonstrations")).to_be_visible()
