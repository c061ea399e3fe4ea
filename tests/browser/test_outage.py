"""The server dies in the middle of a conversation, and the conversation goes on."""

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.helpers import Server

ROUNDS = 30  # posts; the server is killed after a third of them and is back after two thirds
BACK = 45_000  # ms: waits between attempts to connect grow to some seconds while the server is away


def test_kill_9_while_people_write_loses_nothing_and_doubles_nothing(
    own_server: Server, come_in: Callable[..., Person]
) -> None:
    ann, bob = (come_in("lobby", server=own_server) for _ in range(2))
    ann.say("before it all")
    expect(bob.sent("before it all")).to_have_count(1)
    born = ann.born(), bob.born()

    for number in range(ROUNDS):
        if number == ROUNDS // 3:
            own_server.kill()
        if number == ROUNDS * 2 // 3:
            expect(ann.banner).to_contain_text("Connection lost")
            expect(ann.message(f"ann-{number - 1:02}")).to_have_attribute("data-state", "pending")
            own_server.start()
        ann.say(f"ann-{number:02}")
        if number % 5 == 0:
            bob.say(f"bob-{number:02}")
    ann.composer.fill("a sentence that was being writ")

    mine = [f"ann-{number:02}" for number in range(ROUNDS)]
    his = [f"bob-{number:02}" for number in range(0, ROUNDS, 5)]
    for person in (ann, bob):
        expect(person.sent("ann-")).to_have_count(len(mine), timeout=BACK)
        expect(person.sent("bob-")).to_have_count(len(his), timeout=BACK)
        assert person.found(r"ann-\d\d") == mine
        assert person.found(r"bob-\d\d") == his
        assert person.offsets() == sorted(set(person.offsets()))
        expect(person.banner).to_be_empty()
    expect(ann.composer).to_have_value("a sentence that was being writ")
    assert (ann.born(), bob.born()) == born, "a page was loaded again"

    stored = own_server.python("""
        from chat.models import Message
        print(json.dumps(list(Message.objects.order_by("offset").values_list("text", flat=True))))
    """)
    assert sorted(stored) == sorted(["before it all", *mine, *his])


def test_what_waits_survives_a_reload(own_server: Server, come_in: Callable[..., Person]) -> None:
    ann = come_in("lobby", server=own_server)
    ann.say("hello")
    expect(ann.sent("hello")).to_have_count(1)
    own_server.kill()
    ann.say("said to nobody")
    expect(ann.message("said to nobody")).to_have_attribute("data-state", "pending")
    own_server.start()
    ann.page.reload()
    expect(ann.sent("said to nobody")).to_have_count(1, timeout=BACK)
    assert ann.found("hello|said to nobody") == ["hello", "said to nobody"]
