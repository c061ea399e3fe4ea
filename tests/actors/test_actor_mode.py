"""Actors over real sockets: what a client of actor mode can observe."""

import asyncio
import json
import re
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from actors.consumers import ActorConsumer
from actors.messages import Message
from actors.rules import Rules
from actors.states import State
from tests.acted.reading import ACTED, left_by_all, logged, nothing_more
from tests.helpers import PATIENCE, Server, Socket, connect, guest, metric, unique


async def hello(socket: Socket) -> dict:
    return await socket.recv_json()


async def ask(socket: Socket, text: str | bytes) -> str | bytes:
    await socket.send(text)
    return await socket.recv()


# coming and going -------------------------------------------------------------------------------------------------
async def test_z18_two_clients_have_two_states(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as ann, connect(acted.ws("ws/acted/")) as bob:
        await hello(ann)
        await hello(bob)
        assert [await ask(ann, "add") for _ in range(3)] == ["1", "2", "3"]
        assert await ask(bob, "add") == "1"


async def test_z19_z20_client_connected_says_who_has_come(acted: Server) -> None:
    url = acted.ws("ws/acted/?a=1&a=2&b=%C3%BC")
    async with connect(url, guest(acted, "Zoe-19"), origin=acted.url, subprotocols=["x"]) as socket:
        told = await hello(socket)
    assert told["client_ip"] == "127.0.0.1"
    assert told["path"] == "/ws/acted/"
    assert told["aware"] is True
    assert told["topic_in"] != told["topic_out"]
    assert told["origin"] == acted.url
    assert told["query"] == {"a": ["1", "2"], "b": ["ü"]}
    assert told["user"]
    assert told["subprotocols"] == ["x"]
    assert len(told["connection"]) == len(told["server"]) == 32
    assert told["resumed"] is False


async def test_z20_a_client_that_is_no_browser_sends_no_origin(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        told = await hello(socket)
    assert told["origin"] is None
    assert told["user"] == ""


async def test_z21_the_welcome_comes_unasked(server: Server) -> None:
    async with connect(server.ws("ws/echo/")) as socket:
        assert await socket.recv() == "welcome!"


async def test_z22_z23_text_and_bytes_have_their_rules_and_the_reply_reaches_the_sender_alone(server: Server) -> None:
    async with connect(server.ws("ws/echo/")) as ann, connect(server.ws("ws/echo/")) as bob:
        assert await ann.recv() == await bob.recv() == "welcome!"
        assert await ask(ann, "hi") == "you said: hi"
        assert await ask(ann, "") == "you said: "
        assert await ask(ann, b"\x00\xff") == b"\x00\xff"
        await bob.silent()


@pytest.mark.parametrize(("leave", "code"), [("clean", 1000), ("code", 4001), ("drop", 1006)])
async def test_z26_z27_the_disconnect_rule_runs_once(acted: Server, leave: str, code: int) -> None:
    async with connect(acted.ws("ws/acted/"), origin=acted.url) as socket:
        connection = (await hello(socket))["connection"]
        await ask(socket, "add")
        if leave == "drop":
            socket.connection.transport.abort()
        else:
            await socket.close(code)
    for _ in range(100):
        mine = [told for told in map(json.loads, await logged(acted)) if told["connection"] == connection]
        if mine:
            break
        await asyncio.sleep(0.05)
    assert mine == [
        {
            "connection": connection,
            "client_ip": "127.0.0.1",
            "path": "/ws/acted/",
            "aware": True,
            "origin": acted.url,
            "code": code,
            "count": 1,
        }
    ]


async def test_z27_also_when_the_server_stops(start_server) -> None:
    server = start_server(**ACTED)
    async with connect(server.ws("ws/acted/")) as socket:
        connection = (await hello(socket))["connection"]
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        assert (await socket.closed())[0] == 1012
        assert await stopping == 0
    told = [json.loads(each) for each in await logged(server)]
    assert [(each["connection"], each["code"]) for each in told] == [(connection, 1012)]


async def test_z29_done_closes_with_1000(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        connection = (await hello(socket))["connection"]
        assert await ask(socket, "done") == "done"
        assert await socket.closed() == (1000, "")
    assert connection not in str(await logged(acted)), "an actor that is done is told nothing any more"


async def test_an_actor_closes_with_the_code_it_wants(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        assert await ask(socket, "close") == "closing"
        assert await socket.closed() == (4321, "as you wish")


# what goes wrong goes wrong alone -----------------------------------------------------------------------------------
@pytest.mark.logs_errors
@pytest.mark.parametrize("bad", ["fail", "number", "none", "triple", "half", "unknown"])
async def test_z33_z34_z35_a_handler_that_fails_has_not_happened(acted: Server, bad: str) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        connection = (await hello(socket))["connection"]
        await ask(socket, "add")
        before = len(acted.log())
        await socket.send(bad)
        assert await ask(socket, "add") == "2"
    line = acted.log()[before:].splitlines()[0]
    assert connection in line
    assert "rule (" in line
    assert "tests/acted/routing.py:" in line


def drops(server: Server) -> float:
    return metric(server, "realtime_drops_total")


async def test_z33_what_no_rule_is_for_is_dropped(acted: Server) -> None:
    before = await asyncio.to_thread(drops, acted)
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        await socket.send("nobody knows this word")
        assert await ask(socket, "add") == "1"
    assert await asyncio.to_thread(drops, acted) > before


async def test_that_somebody_left_is_no_message_that_was_dropped(own_server: Server) -> None:
    for _ in range(3):
        async with connect(own_server.ws("ws/echo/")) as socket:  # it has no rule for who leaves
            await socket.recv()
    assert await asyncio.to_thread(drops, own_server) == 0


@pytest.mark.logs_errors
async def test_on_error_close_closes_with_1011_and_no_word_of_why(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/strict/")) as socket:
        await hello(socket)
        await socket.send("fail")
        assert await socket.closed() == (1011, "internal error")


async def test_z36_effects_are_performed_in_order(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        await socket.send("nothing")
        await socket.send("order")
        assert [await socket.recv() for _ in range(4)] == ["one", b"two", "ring!", "three"]


async def test_z37_a_counter_counts_a_burst_one_by_one(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        for _ in range(1_000):
            await socket.send("add")
        assert [await socket.recv() for _ in range(1_000)] == [str(number) for number in range(1, 1_001)]


async def test_z37_also_while_a_handler_waits(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        for word in ("slowly", "add", "slowly", "add"):
            await socket.send(word)
        assert [await socket.recv() for _ in range(4)] == ["at last", "1", "at last", "2"]


async def test_a_mailbox_is_bounded_whoever_floods_it(start_server) -> None:
    """Ten thousand messages of others may wait for a handler that does; the rest is dropped, and the log says so."""
    server = start_server(**ACTED)
    url = server.ws("ws/acted/")
    async with connect(url) as ann, connect(url) as bob, connect(server.ws("ws/acted/post/")) as postman:
        told, others = await hello(ann), await hello(bob)
        assert await ask(ann, "wait") == "waiting"
        for _ in range(10_500):
            await postman.send_json([told["topic_in"], "add"])
        await postman.send_json([others["topic_out"], "posted"])
        assert await bob.recv(60) == "posted"
        await ann.send("done")
        assert await ask(bob, "open") == "opened"
        heard = [await ann.recv() for _ in range(10_000)]
        assert heard == [str(number) for number in range(1, 10_001)]
        assert await ann.recv() == "done"
    assert "10000 messages wait, others are dropped" in server.log()


async def test_a_client_that_is_faster_than_its_actor_is_read_no_further(acted: Server) -> None:
    """Also where somebody else's message is what the actor is at."""
    url = acted.ws("ws/acted/")
    async with connect(url) as ann, connect(acted.ws("ws/acted/running/")) as staff, connect(url) as bob:
        told = await hello(ann)
        await hello(bob)
        async with connect(acted.ws("ws/acted/post/")) as postman:
            await postman.send_json([told["topic_in"], "wait"])
            assert await ann.recv() == "waiting"
        for _ in range(3_000):
            await ann.send("add")
        async with asyncio.timeout(15):
            while json.loads(await ask(staff, f"waiting {told['connection']}")) < 256:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)  # time to take more, if it did
        assert json.loads(await ask(staff, f"waiting {told['connection']}")) == 256
        assert await ask(bob, "open") == "opened"
        assert [await ann.recv() for _ in range(3_000)] == [str(number) for number in range(1, 3_001)]


async def test_z39_neither_rules_nor_a_state() -> None:
    rules = Rules({(str, object): lambda message, state: ([], state)})
    halves: list[dict[str, Any]] = [{}, {"rules": rules}, {"initial_state": 1}]
    for wrong in halves:
        with pytest.raises(TypeError, match="needs initial_state= and rules="):
            ActorConsumer.as_asgi(**wrong)


class Loose(Message):  # type: ignore[misc]
    pass


class Stored(State, frozen=True):
    pass


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ({"initial_state": Stored}, r"not a class: Stored\(\)"),
        ({"rules": "text"}, "rules are Rules or a dict"),
        ({"rules": {}}, "rules are empty"),
        ({"rules": {str: 42}}, "a rule's key is"),
        ({"messages": Loose}, "messages must be a list"),
        ({"messages": [int]}, "frozen structs tagged"),
        ({"on_error": "shout"}, "on_error is one of keep, close"),
        ({"persist": True, "initial_state": 42}, "persist=True stores states"),
        ({"persist": True, "states": [int]}, "persist=True stores states"),
        ({"persist": True, "rules": Rules({(str, Stored): lambda m, s: ([], s)}, version=2)}, "needs upcasters"),
        ({"persits": True}, "unexpected keyword"),
    ],
)
async def test_z40_a_wrong_endpoint_fails_when_it_is_declared(wrong: dict[str, Any], complaint: str) -> None:
    right: dict[str, Any] = {"initial_state": Stored(), "rules": {(str, Stored): lambda message, state: ([], state)}}
    ActorConsumer.as_asgi(**right)
    with pytest.raises((TypeError, ValueError), match=complaint):
        ActorConsumer.as_asgi(**{**right, **wrong})


# subscriptions ------------------------------------------------------------------------------------------------------
async def test_z43_a_subscription_forwards_to_the_client(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as ann, connect(acted.ws("ws/acted/news/")) as reporter:
        await hello(ann)
        assert await ask(ann, "subscribe") == "subscribed"
        await reporter.send("rain")
        assert await ann.recv() == "rain"
        assert await ask(ann, "subscribe") == "subscribed"  # again: still one
        await reporter.send(b"snow")
        assert await ann.recv() == b"snow"
        assert await ask(ann, "unsubscribe") == "unsubscribed"
        await reporter.send("hail")
        await ann.silent()


@pytest.mark.logs_errors
async def test_z44_z45_an_operation_makes_effects_of_what_comes(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as ann, connect(acted.ws("ws/acted/news/")) as reporter:
        await hello(ann)
        assert await ask(ann, "louder") == "subscribed"
        before = len(acted.log())
        for word in ("rain", "fail", "nonsense", "snow"):
            await reporter.send(word)
        assert [await ann.recv(), await ann.recv()] == ["RAIN", "SNOW"]
    told = acted.log()[before:]
    assert "RuntimeError: an operation that fails" in told
    assert "effects are a list, not 42" in told


async def test_z44_a_log_operation_logs_every_message(acted: Server) -> None:
    """Once and in order, a burst too; and an operation that returns nothing sends nothing."""
    mark = unique("mark")
    said = [f"{mark} {number}" for number in range(300)]
    async with connect(acted.ws("ws/acted/")) as ann, connect(acted.ws("ws/acted/news/")) as reporter:
        await hello(ann)
        assert await ask(ann, "write down") == "subscribed"
        for word in said:
            await reporter.send(word)
        async with asyncio.timeout(PATIENCE):
            while len(found := re.findall(rf"heard ({mark} \d+)", acted.log())) < len(said):
                await asyncio.sleep(0.05)
        assert found == said
        await ann.silent()


@pytest.mark.logs_errors
async def test_a_subscription_tells_the_actor_what_comes_as_a_message(acted: Server) -> None:
    """So that rules decide, and the state may change; what cannot be understood is skipped."""
    async with connect(acted.ws("ws/acted/")) as ann, connect(acted.ws("ws/acted/news/")) as reporter:
        await hello(ann)
        assert await ask(ann, "listen") == "subscribed"
        for word in ("rain", "fail", "snow"):
            await reporter.send(word)
        assert [await ann.recv(), await ann.recv()] == ["1: rain", "2: snow"]


# typed messages -----------------------------------------------------------------------------------------------------
async def test_z48_typed_messages_find_their_rule_and_text_is_text(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/typed/")) as socket:
        assert await ask(socket, '{"type": "Add", "number": 3}') == "sum 3"
        assert await ask(socket, ' {"number": 4, "type": "Add"}') == "sum 7"
        assert await ask(socket, "plain") == "text plain"
        assert await ask(socket, '{"no": "kind"}') == 'text {"no": "kind"}'
        assert await ask(socket, '["type"]') == 'text ["type"]'


@pytest.mark.parametrize(
    "bad",
    [
        '{"type": "Add", "number": "three"}',
        '{"type": "Add"}',
        '{"type": "Subtract", "number": 3}',
        '{"type": 7}',
        '{"type": "Add", "number": 3',
        '{"type": "Add", "number": ' + "[" * 5_000,
    ],
)
async def test_z49_a_bad_one_is_answered_and_changes_nothing(acted: Server, bad: str) -> None:
    async with connect(acted.ws("ws/acted/typed/")) as socket:
        await ask(socket, '{"type": "Add", "number": 3}')
        refusal = json.loads(await ask(socket, bad))
        assert (refusal["type"], refusal["code"]) == ("error", "invalid_message")
        assert refusal["detail"]
        assert await ask(socket, '{"type": "Add", "number": 1}') == "sum 4"


# timers, calls, writes ----------------------------------------------------------------------------------------------
async def test_z70_timers_run_out(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        await socket.send("later")
        came = [await socket.recv() for _ in range(6)]
    assert came.count("timer later") == 1
    assert came.count("timer often") == 5


async def test_a_state_is_entered_and_left_with_effects_and_waits_for_silence(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        assert await ask(socket, "add") == "1"
        await socket.send("quiet")
        assert [await socket.recv(), await socket.recv()] == ["the rule", "entered"]
        for _ in range(12):  # longer, together, than the silence it waits for
            assert await ask(socket, "me") == "disturbed by me"
            await asyncio.sleep(0.1)
        assert [await socket.recv(), await socket.recv()] == ["left", "nothing came"]
        assert await ask(socket, "add") == "2"


async def test_a_state_that_waits_puts_messages_aside(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        for word in ("rest", "add", "add"):
            await socket.send(word)
        assert [await socket.recv() for _ in range(3)] == ["awake", "1", "2"]


async def test_calls_come_back_as_messages(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        await socket.send("call")
        assert {await socket.recv(), await socket.recv()} == {"called: 42", "break_down failed"}


@pytest.mark.logs_errors
async def test_a_write_that_fails_takes_everything_with_it(acted: Server) -> None:
    read = "from actors.store import Store\nprint(json.dumps(Store('acted.diary').get_many_sync(['written', 'never'])))"
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        before = await asyncio.to_thread(acted.python, read)
        assert await ask(socket, "write") == "written"
        await socket.send("write badly")
        assert await ask(socket, "add") == "1"
    assert await asyncio.to_thread(acted.python, read) == {"written": before.get("written", 0) + 1}
    assert "never" not in await logged(acted)


@pytest.mark.parametrize("word", ["hold", "hold midway"])
async def test_a_handler_that_holds_the_loop_is_named(acted: Server, word: str) -> None:
    async with connect(acted.ws("ws/acted/")) as socket:
        await hello(socket)
        before = len(acted.log())
        assert await ask(socket, word) == "held"
    told = [line for line in acted.log()[before:].splitlines() if "held the event loop for" in line]
    assert any(f"rule ('{word}', Counter) at tests/acted/routing.py:" in line for line in told), told


# who may come -------------------------------------------------------------------------------------------------------
async def test_z73_login_required_refuses_the_handshake(acted: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(acted.ws("ws/acted/login/")):
            pass
    assert refused.value.response.status_code == 403
    async with connect(acted.ws("ws/acted/login/"), guest(acted, "Ann-73")) as socket:
        assert (await hello(socket))["user"]


async def test_the_first_state_may_be_a_function_of_the_connection(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/factory/")) as socket:
        await hello(socket)
        assert await ask(socket, "add") == str(len("/ws/acted/factory/") + 1)


# looking at them from within ----------------------------------------------------------------------------------------
async def test_z28_z72_actors_are_listed_read_and_stopped(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/running/")) as staff, connect(acted.ws("ws/acted/")) as socket:
        connection = (await hello(socket))["connection"]
        await ask(socket, "add")
        assert json.loads(await ask(staff, "list"))[connection] == "/ws/acted/"
        assert "count=1" in json.loads(await ask(staff, f"state {connection}"))
        assert json.loads(await ask(staff, f"stop {connection}")) is True
        assert (await socket.closed())[0] == 1000
        for _ in range(50):
            if connection not in json.loads(await ask(staff, "list")):
                break
            await asyncio.sleep(0.05)
        async with connect(acted.ws("ws/acted/post/")) as postman, connect(acted.ws("ws/acted/")) as other:
            before, told = (await logged(acted)), await hello(other)
            for topic in (told["topic_in"].replace(told["connection"], connection), told["topic_in"]):
                await postman.send_json([topic, "add"])
            assert await other.recv() == "1", "nothing is dispatched to who has gone"
            assert await logged(acted) == before
        assert json.loads(await ask(staff, f"state {connection}")) is None
        assert json.loads(await ask(staff, f"stop {connection}")) is False, "stopped already: no mistake"


async def test_a_thousand_come_and_go_and_leave_nothing(start_server) -> None:
    """Whatever each had: a subscription, timers, a call under way, a stored session."""
    server = start_server(**ACTED)

    async def visit(path: str, *words: str) -> None:
        async with connect(server.ws(path)) as socket:
            await socket.recv()
            for word in words:
                await socket.send(word)
            await socket.recv()

    alarm = '{"type":"Alarm","seconds":0,"word":"x"}'
    await visit("ws/acted/", "louder", "later", "call")
    before = await left_by_all(server)
    for _ in range(20):
        await asyncio.gather(*(visit("ws/acted/", "louder", "later", "call") for _ in range(25)))
        await asyncio.gather(*(visit("ws/acted/kept/", "add", alarm) for _ in range(25)))
    assert not any(before[each] for each in ("actors", "sessions", "timers", "rows"))
    await nothing_more(server, before)


ACTORS = """
from realtime_project import registry
rows = registry.actors()
print(json.dumps({row.id: [row.endpoint, row.state, row.session, row.last_message_at is not None] for row in rows}))
"""


async def test_z72_actors_can_be_listed_and_read_from_any_process(acted: Server) -> None:
    async with connect(acted.ws("ws/acted/")) as socket, connect(acted.ws("ws/acted/news/")):
        connection = (await hello(socket))["connection"]
        await ask(socket, "add")
        for _ in range(80):
            found = await asyncio.to_thread(acted.python, ACTORS)
            if connection in found and "count=1" in found[connection][1]:
                break
            await asyncio.sleep(0.1)
        endpoint, state, session, was_told = found[connection]
    assert (endpoint, session, was_told) == ("/ws/acted/", None, True)
    assert state.startswith("Counter(")
    assert "count=1" in state
    assert all(endpoint != "/ws/acted/news/" for endpoint, *_ in found.values())
