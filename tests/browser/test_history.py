"""A long room: all of it can be reached, little of it is in the page at a time, and nothing jumps."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.people import Person

ComeIn = Callable[..., Person]

MOST_ROWS = 360  # window.js draws 300 messages, and a step of 60 may stand beside them
STEP = 500  # px

# Scrolls up by `step` px and waits until nothing is drawn any more. How far the message in the middle moved beside
# what was asked for: 0, unless the timeline jumped.
SCROLL_UP = """async ([timeline, step]) => {
    const frame = () => new Promise(requestAnimationFrame);
    const rows = () => [...timeline.querySelectorAll("[data-testid=message]")];
    const middle = timeline.getBoundingClientRect().top + timeline.clientHeight / 2;
    const row = rows().find((row) => row.getBoundingClientRect().bottom > middle) ?? rows().at(-1);
    const before = row.getBoundingClientRect().top;
    const wanted = Math.min(step, timeline.scrollTop);
    timeline.scrollTop -= wanted;
    for (let still = 0, last = NaN; still < 3; still = timeline.scrollHeight === last ? still + 1 : 0) {
        last = timeline.scrollHeight;
        await frame();
    }
    const [first] = rows();
    return {
        jumped: row.getBoundingClientRect().top - before - wanted,
        rows: rows().length,
        top: timeline.scrollTop,
        first: first.textContent,
    };
}"""

# The first message that begins in sight: its id, and where it stands on the screen.
IN_SIGHT = """(timeline) => {
    const rows = [...timeline.querySelectorAll("[data-testid=message]")];
    const row = rows.find((row) => row.getBoundingClientRect().top > timeline.getBoundingClientRect().top);
    return [row.dataset.clientId, row.getBoundingClientRect().top];
}"""


def top_of(person: Person, client_id: str) -> float:
    """Where a message stands on the screen."""
    row = person.page.locator(f'[data-client-id="{client_id}"]')
    top: float = row.evaluate("row => row.getBoundingClientRect().top")
    return top


def test_2000_messages_scroll_with_few_rows_and_without_a_jump(long_room: str, come_in: ComeIn) -> None:
    ann = come_in(long_room)
    expect(ann.message("message 2000")).to_be_in_viewport()
    timeline = ann.timeline.element_handle()
    for _ in range(500):
        moved = ann.page.evaluate(SCROLL_UP, [timeline, STEP])
        assert abs(moved["jumped"]) <= 2, moved
        assert moved["rows"] <= MOST_ROWS
        if moved["top"] == 0 and "message 1 " in moved["first"]:
            break
    else:
        raise AssertionError("the beginning was not reached")
    first = ann.messages.first
    expect(first).to_contain_text("message 1")
    expect(first).to_be_in_viewport()

    ann.timeline.focus()
    ann.page.keyboard.press("End")
    expect(ann.message("message 2000")).to_be_in_viewport()
    assert ann.messages.count() <= MOST_ROWS


def test_the_place_is_kept_while_history_loads_above(long_room: str, come_in: ComeIn) -> None:
    ann = come_in(long_room)
    expect(ann.message("message 2000")).to_be_in_viewport()
    known = ann.offsets()
    timeline = ann.timeline.element_handle()
    read, place = ann.page.evaluate(
        f"(timeline) => {{ timeline.scrollTop = 600; return ({IN_SIGHT})(timeline); }}", timeline
    )
    ann.page.wait_for_function(
        "([timeline, first]) => Number(timeline.querySelector('[data-testid=message]').dataset.offset) < first",
        arg=[timeline, min(known)],
    )
    assert abs(top_of(ann, read) - place) <= 2


def test_who_reads_above_is_not_pulled_down_but_told(long_room: str, come_in: ComeIn) -> None:
    ann, bob = come_in(long_room), come_in(long_room)
    expect(ann.message("message 2000")).to_be_in_viewport()
    pill = ann.page.get_by_test_id("new-pill")
    expect(pill).to_be_hidden()
    ann.page.evaluate(SCROLL_UP, [ann.timeline.element_handle(), STEP])
    read, place = ann.page.evaluate(IN_SIGHT, ann.timeline.element_handle())
    for number in (1, 2):
        bob.say(f"news {number}")
        expect(pill).to_have_text(f"{number} new")
    # The row, not scrollTop: older messages that are still loading change that and move nothing that is seen.
    assert abs(top_of(ann, read) - place) <= 2
    pill.click()
    expect(ann.message("news 2")).to_be_in_viewport()
    expect(pill).to_be_hidden()


def test_who_reads_the_end_stays_at_the_end(room: str, come_in: ComeIn) -> None:
    ann, bob = come_in(room), come_in(room)
    for number in range(40):
        bob.say(f"line {number}")
    expect(ann.sent("line 39")).to_be_in_viewport()
    expect(ann.page.get_by_test_id("new-pill")).to_be_hidden()
