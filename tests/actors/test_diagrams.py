"""State diagrams: what a table says is what is drawn, nothing lies on anything else, and kept files are today's."""

import enum
import itertools
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import checks, endpoints, examples
from actors.consumers import ActorConsumer, Setup
from actors.diagram import draw, render
from actors.effects import Postpone
from actors.graph import ANYWHERE, Edge, Graph, Label, Node, Table
from actors.layout import Link, Size, plan
from actors.management.commands.actors import drawn, file_name
from actors.messages import ClientConnected, ClientDisconnected, Message, Timeout
from actors.rules import RuleError, Rules
from actors.states import Done, State
from actors.targets import SAME, UNKNOWN, targets
from tests.helpers import PROJECT

DIAGRAMS = PROJECT / "docs" / "diagrams"


class Guest(State, frozen=True):
    name: str = ""


class Named(State, frozen=True):
    name: str = ""


class Banned(State, frozen=True):
    pass


class Light(enum.Enum):
    RED = 1
    GREEN = 2


class Move(Message, frozen=True):
    x: int


# where rules lead -----------------------------------------------------------------------------------------------
def named(state: Guest) -> Named:
    return Named(state.name)


def renamed(state: Any, name: str) -> Any:
    return msgspec.structs.replace(state, name=name)


def outcome(state: Any) -> Any:
    return [], state


def says_nothing(state: Any) -> Any:
    return eval("state")


async def waits(message: str, state: Guest) -> Any:
    if message:
        return [], state
    return [], Done()


def a_variable(message: str, state: Guest) -> Any:
    new: Any = Named("a")
    if message == "b":
        new = Banned()
    return [], new


def a_choice(message: str, state: Guest) -> Any:
    return ([], Named("x")) if message else ([], state if len(message) else Banned())


def of_a_function(message: str, state: Guest) -> Any:
    return [], named(state)


def of_a_function_that_was_given_it(message: str, state: Guest) -> Any:
    return [], renamed(state, message)


def another_one_returns(message: str, state: Guest) -> Any:
    return outcome(state)


def annotated(message: str, state: Guest) -> tuple[list[Any], Named | Banned]:
    return [], says_nothing(state)


def hidden(message: str, state: Guest) -> Any:
    return [], says_nothing(state)


def raises(message: str, state: Guest) -> Any:
    raise RuntimeError


def member(message: str, state: Guest) -> Any:
    return [], Light.GREEN


def inside(message: str, state: Guest) -> Any:
    def other() -> Any:
        return [], Banned()

    return [], Named(str(other))


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (waits, {SAME, Done}),
        (a_variable, {Named, Banned}),
        (a_choice, {Named, SAME, Banned}),
        (of_a_function, {Named}),
        (of_a_function_that_was_given_it, {SAME}),
        (another_one_returns, {SAME}),
        (annotated, {Named, Banned}),
        (hidden, {UNKNOWN}),
        (raises, {SAME}),
        (member, {Light.GREEN}),
        (inside, {Named}),
        (lambda message, state: ([], Named()), {Named}),
    ],
    ids=lambda value: getattr(value, "__name__", "expected").strip("<>"),
)
def test_where_a_rule_leads_is_read_without_calling_it(handler: Any, expected: set[Any]) -> None:
    rules = Rules({(str, Guest): handler})
    assert set(targets(rules.rules[0])) == expected


def test_what_is_declared_is_so_and_is_kept_to() -> None:
    rules = Rules()
    rules.on(str, Guest, to=[Named])(lambda message, state: ([], says_nothing(Named() if message else Banned())))
    rules.on(bytes, Guest, to=[])(lambda message, state: ([], says_nothing(state)))
    assert [targets(rule) for rule in rules.rules] == [[Named], [SAME]]
    assert rules.transition(Guest(), "x") == ([], Named())
    assert rules.transition(Guest(), b"") == ([], Guest())
    with pytest.raises(RuleError, match=r"leads to Named, not to Banned\(\)"):
        rules.transition(Guest(), "")
    with pytest.raises(TypeError, match="to is a list of states"):
        rules.on(int, Guest, to=Named)  # type: ignore[arg-type]


# graphs ---------------------------------------------------------------------------------------------------------
def edges(graph: Graph) -> dict[tuple[str, str], list[str]]:
    return {(edge.source, edge.target): [label.text for label in edge.labels] for edge in graph.edges}


def test_the_graph_of_the_names_example() -> None:
    graph = Table(examples.names, examples.Unnamed()).graph()
    assert [node.name for node in graph.nodes if node.is_first] == ["Unnamed"]
    assert edges(graph) == {
        ("Unnamed", "Unnamed"): ["ClientConnected", "str", "bytes"],
        ("Unnamed", "Claiming"): ["str"],
        ("Claiming", "Claiming"): ["ClientConnected", "str | bytes", "ClientDisconnected"],
        ("Named", "Claiming"): ["ClientConnected"],
        ("Claiming", "Unnamed"): ["Claimed", "CallFailed"],
        ("Claiming", "Named"): ["Claimed"],
        ("Named", "Named"): ["str", "bytes", "ClientDisconnected"],
    }


def test_a_rule_for_many_states_is_one_line_from_all_of_them() -> None:
    rules = Rules({(ClientConnected, Guest): enters, (str, Guest | Named | Banned): is_banned, (int, Named): stays})
    graph = Table(rules, Guest()).graph()
    group = f"{ANYWHERE}Guest|Named|Banned"
    assert edges(graph)[group, "Banned"] == ["str"]
    assert ("Named", "Banned") not in edges(graph)
    assert next(node for node in graph.nodes if node.name == group).notes == ("Guest, Named, Banned",)
    assert "Guest or Named or Banned leads to Banned on str." in draw(rules, Guest())


def is_loud(message: str) -> bool:
    return message.isupper()


def is_ann(state: Guest) -> bool:
    return state.name == "ann"


def test_labels_say_what_kind_of_pattern_it_is() -> None:
    rules = Rules()
    rules.on_entry(Named)(hurry)
    for message, state in [
        (Timeout("state"), Guest), (Timeout, Guest), (is_loud, Guest), ("ping", Guest), (Any, Light.RED),
        (lambda message: True, Guest), (str, is_ann), (ClientDisconnected, Any),
    ]:  # fmt: skip
        rules.on(message, state)(lambda message, state: ([], Named()))
    graph = Table(rules, Guest()).graph()
    found = {label.text: label.kind for edge in graph.edges for label in edge.labels}
    assert found == {
        "timeout state": "timeout",
        "any timeout": "timeout",
        "is_loud?": "predicate",
        "'ping'": "message",
        "anything": "message",
        "some predicate": "predicate",
        "str [is_ann?]": "predicate",
        "ClientDisconnected": "life",
    }
    assert (ANYWHERE, "Named") in edges(graph)
    assert next(node for node in graph.nodes if node.name == "Named").notes == ("entry / hurry",)


def hurry(state: Named) -> Any:
    return []


# what is amiss --------------------------------------------------------------------------------------------------
def stays(message: Any, state: Any) -> Any:
    return [], state


def postpones(message: Any, state: Any) -> Any:
    return [Postpone()], state


def enters(message: Any, state: Any) -> Any:
    return [], Named()


def is_banned(message: Any, state: Any) -> Any:
    return [], Banned()


def test_a_state_that_nothing_leaves_and_where_nothing_is_answered_is_a_dead_end() -> None:
    rules = Rules({(ClientConnected, Guest): enters, (str, Named): is_banned})
    assert Table(rules, Guest()).dead_ends() == ["Banned"]
    rules.on(str | bytes, Banned)(postpones)  # for ever
    rules.on(ClientDisconnected, Banned)(stays)
    assert Table(rules, Guest()).dead_ends() == ["Banned"]
    resting = rules | Rules({(int, Banned): stays})
    assert Table(resting, Guest()).dead_ends() == []
    rules.ignore(Any, Banned)
    assert Table(rules, Guest()).dead_ends() == []


def test_a_message_that_nothing_handles_in_a_state_is_named() -> None:
    rules = Rules({(ClientConnected, Guest): enters, (str, Named): is_banned, (Move, Banned): stays})
    assert Table(rules, Guest(), [Move]).unhandled() == [("Move", "Named"), ("str", "Banned")]
    rules.ignore(str, Banned)
    rules.ignore(Move, Named)
    assert Table(rules, Guest(), [Move]).unhandled() == []


def test_what_a_predicate_may_be_for_is_not_missed() -> None:
    rules = Rules({(ClientConnected, Guest): enters, (str, Named): is_banned, (lambda message: True, Banned): stays})
    assert Table(rules, Guest()).unhandled() == []
    rules = Rules({(ClientConnected, Guest): enters, (bytes, Named): is_banned, (is_loud, Banned): stays})
    assert Table(rules, Guest()).unhandled() == [("str", "Named"), ("bytes", "Banned")]


def test_check_names_both_and_has_nothing_to_say_of_the_examples(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checks.rule_tables(None) == []
    rules = Rules({(ClientConnected, Guest): enters, (str, Named): is_banned})
    setup: Setup = ActorConsumer.as_asgi(initial_state=Guest(), rules=rules).consumer_initkwargs["setup"]
    monkeypatch.setattr(checks, "setups", lambda: {"/ws/x/": setup})
    dead, unhandled = checks.rule_tables(None)
    assert (dead.id, unhandled.id) == ("actors.W002", "actors.W003")
    assert dead.msg.startswith("/ws/x/: nothing leaves the state Banned")
    assert unhandled.msg == "/ws/x/: nothing handles str in Banned: it is dropped there."
    call_command("check")
    said = capsys.readouterr().err
    assert "?: (actors.W002) /ws/x/: nothing leaves the state Banned" in said
    assert "?: (actors.W003) /ws/x/: nothing handles str in Banned" in said


# layout ---------------------------------------------------------------------------------------------------------
names = st.integers(0, 7).map(str)
graphs = st.lists(st.tuples(names, names), max_size=16, unique=True)


@settings(max_examples=60)
@given(graphs, st.data())
def test_nothing_lies_on_anything_else(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    nodes = sorted({name for pair in pairs for name in pair} | {"0"})
    sizes: dict[Any, Size] = {name: Size(40, data.draw(st.sampled_from([40, 120])), 40) for name in nodes}
    links = [Link(*pair, Size(8, data.draw(st.sampled_from([30, 150])), 34)) for pair in pairs]
    placed = plan(sizes, links, ["0"])
    areas = [
        (place.x - sizes[name].left, place.y, place.x + sizes[name].right, place.y + 40)
        for name, place in placed.boxes.items()
    ]
    for route, link in zip(placed.routes, links, strict=True):
        left, right = (link.label.right, 8) if route.is_left else (8, link.label.right)
        areas.append((route.label.x - left, route.label.y, route.label.x + right, route.label.y + 34))
    for (a, b, c, d), (e, f, g, h) in itertools.combinations(areas, 2):
        assert c <= e + 0.01 or g <= a + 0.01 or d <= f + 0.01 or h <= b + 0.01
    assert all(a >= -0.01 and c <= placed.width + 0.01 and d <= placed.height + 0.01 for a, _, c, d in areas)
    for route in placed.routes:  # straight pieces pass no box
        for begin, end in route.pieces[1:-1]:
            for place, name in ((placed.boxes[name], name) for name in nodes):
                across = place.x - sizes[name].left - 0.01 < begin.x < place.x + sizes[name].right + 0.01
                assert not (across and min(begin.y, end.y) < place.y + 40 and max(begin.y, end.y) > place.y)


def test_a_first_state_stands_on_top_and_lines_lead_down_unless_they_close_a_circle() -> None:
    sizes: dict[Any, Size] = {name: Size(40, 40, 40) for name in "abc"}
    pairs = [("a", "b"), ("b", "c"), ("c", "a")]
    placed = plan(sizes, [Link(*pair, Size(8, 30, 17)) for pair in pairs], ["a"])
    assert placed.boxes["a"].y < placed.boxes["b"].y < placed.boxes["c"].y
    assert [route.pieces[-1][1].y > route.pieces[0][0].y for route in placed.routes] == [True, True, False]


# the picture ----------------------------------------------------------------------------------------------------
def test_a_diagram_is_sound_xml_in_words_too_and_says_nothing_raw() -> None:
    rules = Rules({("<b>&", Guest): enters, (str, Named): stays, (bytes, Named): lambda message, state: ([], Done())})
    text = draw(rules, Guest(), title="<script>")
    root = ET.fromstring(text)
    assert root.find("{*}title").text == "<script>"  # type: ignore[union-attr]
    said = root.find("{*}desc").text or ""  # type: ignore[union-attr]
    assert said == "Begins in Guest. Guest leads to Named on '<b>&'. Named stays on str. Named leads to Done on bytes."
    assert "prefers-color-scheme: dark" in text
    assert "<style>" not in draw(rules, Guest(), alone=False)
    assert draw(rules, Guest()) == draw(rules, Guest())


def test_a_graph_of_one_state_without_lines_is_drawn() -> None:
    text = render(Graph((Node("Alone"),), ()))
    assert "Alone" in text
    assert render(Graph((Node("A"), Node("B")), (Edge("A", "B", (Label("x", "message", "r"),)),))).count("<path") == 2


@pytest.mark.parametrize("path", sorted(endpoints.setups()))
def test_the_diagrams_in_docs_are_todays(path: str) -> None:
    kept = DIAGRAMS / file_name(path)
    wish = "draw it again: manage.py actors diagram --all docs/diagrams"
    assert kept.exists(), f"there is no {kept}; {wish}"
    assert kept.read_text() == drawn(path, endpoints.setups()[path]), f"{kept} is stale; {wish}"


def test_docs_have_no_diagram_of_what_is_gone() -> None:
    assert {kept.name for kept in DIAGRAMS.iterdir()} == {file_name(path) for path in endpoints.setups()}


def test_the_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("actors", "diagram", "/ws/names/")
    printed = capsys.readouterr().out
    assert printed == (DIAGRAMS / "ws-names.svg").read_text()
    call_command("actors", "diagram", "/ws/names/", "--output", str(tmp_path / "n.svg"))
    assert (tmp_path / "n.svg").read_text() == printed
    call_command("actors", "diagram", "--all", str(tmp_path / "all"))
    assert {each.name for each in (tmp_path / "all").iterdir()} == {each.name for each in DIAGRAMS.iterdir()}
    with pytest.raises(CommandError, match=re.escape("/ws/nix/ is no endpoint in actor mode; these are: /ws/")):
        call_command("actors", "diagram", "/ws/nix/")
    with pytest.raises(CommandError, match="--all FOLDER"):
        call_command("actors", "diagram")
