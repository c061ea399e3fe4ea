"""The table of rules: what matches, what is refused, and that a transition does nothing by itself."""

import enum
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.effects import Close, Effect, Publish, Schedule
from actors.messages import Timeout
from actors.patterns import Pattern
from actors.rules import RuleError, Rules
from actors.states import Done, State
from actors.testing import Place

ROOM = Place("room")


class Guest(State, frozen=True):
    pass


class Named(State, frozen=True):
    name: str


class Step(enum.Enum):
    FIRST = 1
    SECOND = 2


def says(word):
    """A handler that can be told from others."""
    return lambda message, state: ([Publish(ROOM, word)], state)


def said(rules, message, state=None):
    effects, _ = rules.transition(Guest() if state is None else state, message)
    return effects[0].content if effects else None


# matching -------------------------------------------------------------------------------------------------------
def test_z30_the_first_declared_match_wins():
    rules = Rules({(str, Any): says("first"), ("hi", Any): says("second"), (Any, Any): says("last")})
    assert said(rules, "hi") == "first"
    assert said(rules, b"hi") == "last"


def test_z31_a_pattern_is_a_type_any_a_value_or_a_predicate():
    rules = Rules(
        {
            ("ping", Any): says("value"),
            (lambda message: len(message) > 3, Guest): says("predicate"),
            (str | bytes, Guest): says("union"),
            (int, Any): says("type"),
            (Any, Named("bob")): says("state value"),
        }
    )
    assert said(rules, "ping") == "value"
    assert said(rules, "hello") == "predicate"
    assert said(rules, b"hi") == "union"
    assert said(rules, 7) == "type"
    assert said(rules, 7.5, Named("bob")) == "state value"
    assert said(rules, 7.5, Named("eve")) is None


def test_z31_a_raising_predicate_is_no_match():
    rules = Rules({(lambda message: 1 / 0, Any): says("never"), (Any, lambda state: state.missing): says("never")})
    assert rules.transition(Guest(), "x") == ([], Guest())


def test_z32_the_same_message_in_two_states_has_two_handlers():
    rules = Rules({(str, Guest): says("guest"), (str, Named): says("named")})
    assert said(rules, "x") == "guest"
    assert said(rules, "x", Named("bob")) == "named"


def test_a_value_equals_only_its_own_kind():
    rules = Rules({(1, Any): says("one"), (Timeout("a"), Any): says("a")})
    rules.on(True, Any)(says("true"))
    assert said(rules, True) == "true"
    assert said(rules, 1) == "one"
    assert said(rules, 1.0) is None
    assert said(rules, Timeout("a")) == "a"
    assert said(rules, Timeout("b")) is None


def test_subclasses_match_their_base():
    class Louder(str):
        pass

    assert said(Rules({(str, State): says("text")}), Louder("x")) == "text"


def test_a_message_without_a_hash_matches_no_value():
    rules = Rules({((), Any): says("empty"), (list, Any): says("list")})
    assert said(rules, ([],)) is None
    assert said(rules, []) == "list"


def test_values_that_have_no_hash_are_compared():
    rules = Rules()
    rules.on([1], Any)(says("one"))
    assert said(rules, [1]) == "one"


def test_enum_members_are_states():
    rules = Rules({(str, Step.FIRST): lambda m, s: ([], Step.SECOND), (str, Step.SECOND): says("second")})
    assert rules.transition(Step.FIRST, "x") == ([], Step.SECOND)
    assert said(rules, "x", Step.SECOND) == "second"


VALUES = st.sampled_from(["a", "b", b"a", 1, True, 0, 2.5, Timeout("a"), Guest(), Named("a"), Named("b")])
PATTERNS = st.one_of(
    VALUES,
    st.sampled_from([str, bytes, int, object, State, Named, str | bytes, Any]),
    st.sampled_from([lambda value: value == "a", lambda value: bool(value.name)]),
)


def plainly(pattern, value):
    """What matching means, without anything compiled."""
    if pattern is Any:
        return True
    if isinstance(pattern, type) or pattern == str | bytes:
        return isinstance(value, pattern)
    if callable(pattern):
        try:
            return bool(pattern(value))
        except Exception:
            return False
    return type(value) is type(pattern) and value == pattern


@given(st.lists(st.tuples(PATTERNS, PATTERNS), max_size=12), st.lists(st.tuples(VALUES, VALUES), min_size=1))
def test_the_compiled_table_finds_what_reading_it_from_the_top_does(keys, pairs):
    rules = Rules()
    declared: list[tuple[Any, Any, str]] = []
    for number, (message, state) in enumerate(keys):
        if not any(Pattern(message) == Pattern(m) and Pattern(state) == Pattern(s) for m, s, _ in declared):
            rules.on(message, state)(says(str(number)))
            declared.append((message, state, str(number)))
    for message, state in pairs:
        expected = next((word for m, s, word in declared if plainly(m, message) and plainly(s, state)), None)
        assert said(rules, message, state) == expected


def cost(rules: Rules, message: Any, state: Any) -> int:
    """The interpreter's instructions that a transition takes: a clock would measure the machine."""
    rules.transition(state, message)  # what is asked of the types is asked once
    instructions = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal instructions
        frame.f_trace_opcodes = True
        instructions += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        rules.transition(state, message)
    finally:
        sys.settrace(before)
    return instructions


@pytest.mark.parametrize("kind", ["types", "values", "states"])
def test_a_hundred_rules_cost_what_five_do(kind: str) -> None:
    """The rule that matches is the last one."""

    def table(number: int) -> Rules:
        rules = Rules()
        for each in range(number - 1):
            other = type(f"Other{each}", (), {})
            key = {"types": (other, Guest), "values": (f"word {each}", Guest), "states": (str, other)}[kind]
            rules.on(*key)(says(str(each)))
        rules.on(str, Guest)(says("last"))
        return rules

    assert said(table(100), "x") == "last"
    assert 0 < cost(table(100), "x", Guest()) <= 1.2 * cost(table(5), "x", Guest())


# what is wrong is said when it is declared ----------------------------------------------------------------------
def test_z40_a_bad_key_is_refused():
    keys: list[Any] = [str, (str,), (str, Guest, 1), "text"]
    for key in keys:
        with pytest.raises(TypeError, match="a rule's key is"):
            Rules({key: says("x")})


def test_a_duplicate_names_both_places():
    rules = Rules()
    rules.on(str, Guest)(says("x"))
    with pytest.raises(ValueError, match=r"rule \(str, Guest\) at .*test_rules.py:\d+ is declared already, at .*:\d+"):
        rules.on(str, Guest)(says("y"))


@pytest.mark.parametrize("handler", [42, None, lambda: None, lambda message: None, lambda a, b, c: None])
def test_a_handler_takes_two_arguments(handler):
    with pytest.raises(TypeError, match="a handler is called with"):
        Rules({(str, Any): handler})


def test_patterns_that_could_not_match_are_refused():
    async def later(message):
        return True

    with pytest.raises(TypeError, match="answers at once"):
        Rules({(later, Any): says("x")})
    with pytest.raises(TypeError, match="with parameters"):
        Rules({(list[int], Any): says("x")})


# what a handler may return --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("returned", "complaint"),
    [
        (42, "a handler returns"),
        (None, "a handler returns"),
        (([],), "a handler returns"),
        (([], 1, 2), "a handler returns"),
        ((None, Guest()), "effects are a list"),
        (([42], Guest()), "42 is no effect; there are Call, Cancel, Close"),
        (("text", Guest()), "effects are a list"),
    ],
)
def test_z35_a_wrong_return_names_the_rule_and_what_is_allowed(returned, complaint):
    rules = Rules({(str, Guest): lambda message, state: returned})
    with pytest.raises(RuleError, match=rf"(?s)rule \(str, Guest\) at .*test_rules.py:\d+: .*{complaint}"):
        rules.transition(Guest(), "x")


def test_own_effects_are_effects():
    class SendMail(Effect):
        pass

    mail = SendMail()
    assert Rules({(str, Any): lambda m, s: ([mail], s)}).transition(1, "x") == ([mail], 1)


def test_a_pair_may_be_a_list_and_effects_a_tuple():
    effects, state = Rules({(str, Any): lambda m, s: [(), 2]}).transition(1, "x")
    assert (list(effects), state) == ([], 2)


def test_what_a_handler_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        Rules({(str, Any): lambda m, s: 1 / 0}).transition(1, "x")


async def test_async_handlers_are_awaited_where_one_can_wait():
    rules = Rules()

    @rules.on(str, Any)
    async def answer(message, state):
        return [], message

    assert await rules.atransition(0, "x") == ([], "x")
    with pytest.raises(TypeError, match="is async: await atransition"):
        rules.transition(0, "x")


# composing, entering and leaving --------------------------------------------------------------------------------
def test_rules_compose_in_order():
    both = Rules({(str, Guest): says("login")}) | Rules({(str, Any): says("chat")})
    assert said(both, "x") == "login"
    assert said(both, "x", Named("bob")) == "chat"
    with pytest.raises(ValueError, match="declared already"):
        both | Rules({(str, Guest): says("again")})
    with pytest.raises(TypeError):
        both | {}  # type: ignore[operator]


def test_what_happens_with_a_state_is_composed_and_not_declared_twice():
    login, chat = (Rules({(str, state): lambda m, s: ([], Named(m))}) for state in (Guest, Named))
    login.on_exit(Guest)(lambda state: [Publish(ROOM, "left guest")])
    chat.on_entry(Named)(lambda state: [Publish(ROOM, f"entered {state.name}")])
    effects, state = (login | chat).transition(Guest(), "bob")
    assert [effect.content for effect in effects if isinstance(effect, Publish)] == ["left guest", "entered bob"]
    assert state == Named("bob")
    for declare in (Rules.on_entry, Rules.on_exit):
        one, other = Rules(), Rules()
        declare(one, Guest)(lambda state: [])
        declare(other, Guest)(lambda state: [])
        with pytest.raises(ValueError, match=r"Guest.* already: .*test_rules.py:\d+"):
            one | other


def test_versions_compose():
    old, new = Rules({(str, Guest): says("x")}), Rules({(str, Named): says("y")}, version=3)
    new.upcast(1)(lambda data: data)
    new.upcast(2)(lambda data: data)
    both = old | new
    assert both.version == 3
    assert both.upcasters.keys() == {1, 2}


def test_a_states_effects_stand_around_those_of_the_rule():
    rules = Rules({("go", Guest): lambda m, s: ([Publish(ROOM, "going")], Named("bob")), ("stay", Any): says("here")})
    rules.on_exit(Guest)(lambda state: [Publish(ROOM, "left guest")])
    rules.on_entry(Named)(lambda state: [Publish(ROOM, f"entered {state.name}")])
    effects, _ = rules.transition(Guest(), "go")
    assert [effect.content for effect in effects if isinstance(effect, Publish)] == [
        "left guest",
        "going",
        "entered bob",
    ]
    assert said(rules, "stay", Named("eve")) == "here"


def test_other_data_in_the_same_class_is_the_same_state():
    rules = Rules({(str, Named): lambda message, state: ([], Named(message))})
    rules.on_entry(Named)(lambda state: [Close()])
    assert rules.transition(Named("a"), "b") == ([], Named("b"))


def test_what_happens_on_entry_is_checked():
    rules = Rules({("go", Guest): lambda m, s: ([], Named("bob"))})
    rules.on_entry(Named)(lambda state: 42)
    with pytest.raises(RuleError, match="effects are a list, not 42"):
        rules.transition(Guest(), "go")
    with pytest.raises(ValueError, match="already"):
        rules.on_entry(Named)(lambda state: None)
    with pytest.raises(TypeError, match="called with the state"):
        rules.on_exit(Named)(lambda: None)


# upcasters ------------------------------------------------------------------------------------------------------
def test_upcasters_lead_upwards_one_by_one():
    rules = Rules(version=3)
    rules.upcast(1)(lambda data: data)
    with pytest.raises(ValueError, match="version 1 has an upcaster"):
        rules.upcast(1)(lambda data: data)
    for version in (0, 3):
        with pytest.raises(ValueError, match="below 3"):
            rules.upcast(version)(lambda data: data)
    with pytest.raises(ValueError, match="counts from 1"):
        Rules(version=0)


def test_a_transition_does_nothing():
    rules = Rules({(str, Guest): lambda m, s: ([Publish(ROOM, m), Schedule("t", after=1), Close()], Done())})
    first, second = rules.transition(Guest(), "x"), rules.transition(Guest(), "x")
    assert first == second == ([Publish(ROOM, "x"), Schedule("t", after=1), Close()], Done())


def test_the_pure_parts_need_neither_django_nor_channels():
    """Read in a process of its own: whatever has been imported here proves nothing."""
    import subprocess

    code = (
        "import sys, actors.rules, actors.messages, actors.effects, actors.machine, actors.testing\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('django', 'channels')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"
