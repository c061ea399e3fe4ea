"""Timers, postponed messages and the final state, on the stage that rules are tried on."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from actors import machine as limits
from actors.effects import (
    EVENT,
    STATE,
    Call,
    Cancel,
    Close,
    EventTimeout,
    Postpone,
    Publish,
    Schedule,
    StateTimeout,
    Subscribe,
    Unsubscribe,
    Write,
)
from actors.machine import Machine, Timer
from actors.messages import CallFailed, ClientConnected, ClientDisconnected, Timeout
from actors.rules import RuleError, Rules
from actors.states import Done, State
from actors.testing import Place, Play

ROOM = Place("room")


class Waiting(State, frozen=True):
    pass


class Talking(State, frozen=True):
    heard: int = 0


def contents(effects):
    return [effect.content for effect in effects if isinstance(effect, Publish)]


def ticking(*effects):
    """An actor that starts these on "go" and tells which timers have run out."""
    return Rules(
        {
            ("go", Any): lambda message, state: (list(effects), state),
            ("cancel", Any): lambda message, state: ([Cancel("t")], state),
            ("talk", Any): lambda message, state: ([], Talking()),
            (Timeout, Any): lambda message, state: ([Publish(ROOM, message.name)], state),
            (str, Any): lambda message, state: ([Publish(ROOM, f"heard {message}")], state),
        }
    )


# timers ---------------------------------------------------------------------------------------------------------
def test_z70_a_timer_runs_out_once():
    play = Play(ticking(Schedule("t", after=3)), Waiting())
    play.tell("go")
    assert play.timers == {"t": 3}
    assert contents(play.advance(2.9)) == []
    assert contents(play.advance(0.2)) == ["t"]
    assert contents(play.advance(100)) == []


def test_z70_a_timer_repeats_until_it_is_cancelled():
    play = Play(ticking(Schedule("t", every=2)), Waiting())
    play.tell("go")
    assert contents(play.advance(7)) == ["t"] * 3
    play.tell("cancel")
    assert contents(play.advance(100)) == []
    play.tell("cancel")  # there is none: no mistake


def test_z70_first_after_then_every():
    play = Play(ticking(Schedule("t", after=0, every=5)), Waiting())
    play.tell("go")
    assert contents(play.advance(0)) == ["t"]
    assert contents(play.advance(4.9)) == []
    assert contents(play.advance(0.1)) == ["t"]


@pytest.mark.parametrize("now", [5.0, 5.5, 5.999])
def test_z70_ticks_that_were_missed_are_not_made_up_for(now):
    """As when the process slept, or the client was away for long: one tick, and on in the old rhythm."""
    machine = Machine(ticking(), Waiting(), {"t": Timer(1.0, 1.0), "once": Timer(2.0)})
    assert machine.due(now) == ["t", "once"]
    assert [machine.expire(name, now) for name in ("t", "once")] == [Timeout("t"), Timeout("once")]
    assert [machine.expire(name, now) for name in ("t", "once")] == [None, None]
    assert machine.due(now) == []
    assert machine.next_due() == 6.0


def test_a_timer_whose_message_has_not_happened_runs_on():
    machine = Machine(ticking(), Waiting(), {"once": Timer(2.0), "t": Timer(1.0, 1.0), EVENT: Timer(9.0)})
    ended = dict(machine.timers)
    assert [machine.expire(name, 2.5) for name in ("once", "t")] == [Timeout("once"), Timeout("t")]
    assert machine.heard() == Timer(9.0)
    machine.restore(ended, 7.0)
    assert machine.timers == {"once": Timer(7.0), "t": Timer(3.0, 1.0), EVENT: Timer(9.0)}, (
        "one that repeats has gone on"
    )


@pytest.mark.parametrize("bad", [0, -1, 0.001, float("nan"), float("inf"), 1e12, "1", True, None])
def test_z70_a_bad_interval_fails_at_once(bad):
    with pytest.raises((ValueError, TypeError)):
        Schedule("t", every=bad)


@pytest.mark.parametrize("name", [STATE, EVENT, 7])
def test_the_two_special_timers_are_not_scheduled_by_name(name):
    with pytest.raises(ValueError, match="a timer's name"):
        Schedule(name, after=1)


def test_scheduling_again_replaces():
    play = Play(Rules({(int, Any): lambda m, s: ([Schedule("t", after=m, message="late")], s)}), Waiting())
    play.tell(5)
    play.tell(10)
    play.advance(9)
    assert not play.dropped
    play.advance(1)
    assert play.dropped == ["late"]


def test_timers_run_out_in_the_order_of_their_times():
    play = Play(ticking(Schedule("b", after=2), Schedule("a", after=3), Schedule("c", after=1)), Waiting())
    play.tell("go")
    assert contents(play.advance(10)) == ["c", "b", "a"]


def test_a_state_timeout_ends_with_the_state():
    play = Play(ticking(StateTimeout(5)), Waiting())
    play.tell("go")
    play.tell("something")
    assert contents(play.advance(5)) == [STATE]
    play.tell("go")
    play.tell("talk")
    assert play.timers == {}


def test_a_state_timeout_of_the_new_state_stays():
    rules = Rules({("go", Waiting): lambda m, s: ([StateTimeout(5)], Talking())})
    rules.on_entry(Waiting)(lambda state: [StateTimeout(1)])
    play = Play(rules, Waiting())
    assert play.timers == {STATE: 1}
    play.tell("go")
    assert play.timers == {STATE: 5}


def test_an_event_timeout_is_ended_by_whatever_comes():
    play = Play(ticking(EventTimeout(5), Schedule("t", after=9)), Waiting())
    play.tell("go")
    play.advance(4)
    play.tell(b"nothing is for this")
    assert EVENT not in play.timers
    play.tell("go")
    assert contents(play.advance(5)) == [EVENT]


def test_timers_are_bounded():
    rules = Rules({(str, Any): lambda m, s: ([Schedule(str(n), after=1) for n in range(limits.TIMERS + 1)], s)})
    play = Play(rules, Waiting())
    with pytest.raises(RuleError, match="at most 1000 timers"):
        play.tell("go")
    assert play.timers == {}


# postponed ------------------------------------------------------------------------------------------------------
def patient():
    rules = Rules()
    rules.on("open", Waiting)(lambda message, state: ([], Talking()))
    rules.on(str, Waiting)(lambda message, state: ([Postpone()], state))
    rules.on("close", Talking)(lambda message, state: ([], Waiting()))
    rules.on(str, Talking)(lambda message, state: ([Publish(ROOM, message)], Talking(state.heard + 1)))
    return rules


def test_postponed_messages_come_again_in_order_before_what_came_later():
    play = Play(patient(), Waiting())
    for word in ("a", "b"):
        assert play.tell(word) == []
    assert play.postponed == ["a", "b"]
    assert contents(play.tell("open")) == ["a", "b"]
    assert play.state == Talking(2)
    assert play.postponed == []


def test_a_postponed_message_may_move_on_and_the_rest_waits_again():
    play = Play(patient(), Waiting())
    for word in ("a", "close", "b"):
        play.tell(word)
    assert contents(play.tell("open")) == ["a"]
    assert play.state == Waiting()
    assert play.postponed == ["b"]


def test_what_is_put_aside_is_bounded():
    play = Play(patient(), Waiting())
    for number in range(limits.POSTPONED):
        play.tell(str(number))
    with pytest.raises(RuleError, match="at most 1000 at a time"):
        play.tell("one more")


def test_what_is_put_aside_is_bounded_in_bytes_too(monkeypatch):
    monkeypatch.setattr(limits, "HELD", 10_000)
    play = Play(patient(), Waiting())
    for _ in range(2):  # what has come again does not count any more
        for _ in range(3):
            play.tell("x" * 4_000)
        with pytest.raises(RuleError, match="can be postponed"):
            play.tell("one more")
        assert len(play.postponed) == 3
        play.tell("open")
        play.tell("close")


# the end --------------------------------------------------------------------------------------------------------
def test_done_is_the_end():
    play = Play(Rules({("bye", Any): lambda m, s: ([Publish(ROOM, "bye")], Done())}), Waiting())
    assert contents(play.tell("bye")) == ["bye"]
    assert play.stopped
    with pytest.raises(AssertionError, match="has stopped"):
        play.tell("hello")


def test_a_class_is_no_state():
    play = Play(Rules({("bye", Any): lambda m, s: ([], Done)}), Waiting())
    with pytest.raises(RuleError, match=r"a state is a value, not a class: Done\(…\)"):
        play.tell("bye")
    assert play.state == Waiting()


def test_a_failed_step_has_not_happened():
    def fail(message, state):
        raise ValueError(message)

    play = Play(Rules({("bad", Any): fail}) | ticking(Schedule("t", after=1)), Waiting())
    play.tell("go")
    with pytest.raises(ValueError, match="bad"):
        play.tell("bad")
    assert (play.state, play.timers) == (Waiting(), {"t": 1})


# the stage itself -----------------------------------------------------------------------------------------------
def test_a_client_comes_and_goes_on_the_stage():
    rules = Rules(
        {
            (ClientConnected, Any): lambda m, s: ([Publish(m.topic_out, f"hello {m.client_ip}")], s),
            (ClientDisconnected, Any): lambda m, s: ([Publish(ROOM, f"left with {m.code}")], s),
        }
    )
    play = Play(rules, Waiting())
    assert play.connect(client_ip="192.0.2.1") == [Publish(Place("out"), "hello 192.0.2.1")]
    assert contents(play.disconnect(1001)) == ["left with 1001"]
    assert play.stopped


def test_calls_are_answered_by_the_test():
    async def fetch(url):
        raise AssertionError("nothing is performed on a stage")

    rules = Rules(
        {
            ("go", Any): lambda m, s: ([Call(fetch, "address")], s),
            (int, Any): lambda m, s: ([Publish(ROOM, f"{m} bytes")], s),
            (CallFailed, Any): lambda m, s: ([Publish(ROOM, m.error)], s),
        }
    )
    play = Play(rules, Waiting())
    play.tell("go")
    assert play.calls == [Call(fetch, "address")]
    assert contents(play.answer(17)) == ["17 bytes"]
    assert contents(play.answer(OSError("away"))) == ["OSError('away')"]


def test_async_handlers_play_too():
    rules = Rules()

    @rules.on("quick", Any)
    async def quick(message, state):
        return [], Talking()

    @rules.on("slow", Any)
    async def slow(message, state):
        import asyncio

        await asyncio.sleep(1)

    play = Play(rules, Waiting())
    play.tell("quick")
    assert play.state == Talking()
    with pytest.raises(AssertionError, match="waits for something real"):
        play.tell("slow")


def test_take_shows_one_step_at_a_time():
    play = Play(ticking(), Waiting())
    play.tell("a")
    assert contents(play.take()) == ["heard a"]
    play.tell("b")
    assert contents(play.take()) == ["heard b"]


# effects are checked where they are made ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("effect", "arguments", "error"),
    [
        (Publish, ("room", "text"), TypeError),
        (Publish, (ROOM, 42), TypeError),
        (Publish, (ROOM, {"a": 1}), TypeError),
        (Subscribe, ("room",), TypeError),
        (Subscribe, (ROOM, "log"), TypeError),
        (Subscribe, (ROOM, None, 3), ValueError),
        (Unsubscribe, (None,), TypeError),
        (Close, (1005,), ValueError),
        (Close, (999,), ValueError),
        (Close, (4000, "r" * 124), ValueError),
        (Close, (True,), ValueError),
        (Schedule, ("t",), ValueError),
        (StateTimeout, (-1,), ValueError),
        (EventTimeout, ("soon",), TypeError),
        (Write, ("not a function",), TypeError),
        (Call, (42,), TypeError),
    ],
)
def test_an_effect_that_makes_no_sense_cannot_be_made(effect: Any, arguments: tuple[Any, ...], error: Any) -> None:
    with pytest.raises(error):
        effect(*arguments)


def test_write_runs_in_a_transaction_so_it_is_not_async():
    async def later():
        pass

    with pytest.raises(TypeError, match="is async"):
        Write(later)


# everything at once, against a model ----------------------------------------------------------------------------
class Clockwork(RuleBasedStateMachine):
    """Timers set, repeated, cancelled and let run in any order, against a list of when each is due."""

    def __init__(self):
        super().__init__()
        self.due: dict[str, tuple[int, int | None]] = {}
        self.now = 0
        self.play = Play(
            Rules(
                {
                    (list, Any): lambda message, state: (message, state),
                    (Timeout, Any): lambda message, state: ([Publish(ROOM, message.name)], state),
                }
            ),
            Waiting(),
        )

    names = st.sampled_from("abc")

    @rule(name=names, after=st.integers(0, 9))
    def once(self, name, after):
        self.play.tell([Schedule(name, after=after)])
        self.due[name] = self.now + after, None

    @rule(name=names, every=st.integers(1, 9))
    def again_and_again(self, name, every):
        self.play.tell([Schedule(name, every=every)])
        self.due[name] = self.now + every, every

    @rule(name=names)
    def cancel(self, name):
        self.play.tell([Cancel(name)])
        self.due.pop(name, None)

    @precondition(lambda self: self.due)
    @rule(seconds=st.integers(0, 20))
    def wait(self, seconds):
        end, expected = self.now + seconds, []
        while ready := sorted((due, name) for name, (due, _) in self.due.items() if due <= end):
            due, name = ready[0]
            expected.append((due, name))
            every = self.due[name][1]
            if every:
                self.due[name] = due + every, every
            else:
                del self.due[name]
        told = contents(self.play.advance(seconds))
        self.now = end
        assert sorted(told) == sorted(name for _, name in expected)

    @invariant()
    def the_same_timers_run(self):
        assert {name: due + self.play.now for name, due in self.play.timers.items()} == {
            name: float(due) for name, (due, _) in self.due.items()
        }


Clockwork.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestClockwork = Clockwork.TestCase
