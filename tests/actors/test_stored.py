"""States and timers as JSON: what is read again is what was written, by today's code or by tomorrow's; and what is not
readable is said to be so, whatever is wrong with it.
"""

from typing import Any

import msgspec
import pytest

from actors.machine import Timer
from actors.messages import Message
from actors.rules import Rules
from actors.states import State
from actors.stored import MAX_STATE, Codec, Own, Unreadable, Unstorable
from realtime_project.topics import Topic

HERE, THERE = Topic("out.ann"), Topic("out.bob")
OWN, OTHERS = Own(Topic("in.ann"), HERE), Own(Topic("in.bob"), THERE)


class Named(State, frozen=True):
    topic_out: Topic
    first: str
    last: str = ""


class Alarm(Message, frozen=True):
    word: str


class Loose(State, frozen=True):
    anything: Any


def stay(message: Any, state: Any) -> Any:
    return [], state


def split(data: dict[str, Any]) -> dict[str, Any]:
    first, _, last = data.pop("name").partition(" ")
    return {**data, "first": first, "last": last}


def renamed(data: dict[str, Any]) -> dict[str, Any]:
    return {**data, "name": data.pop("nick")}


def codec(version: int, *upcasters: Any) -> Codec:
    rules = Rules({(str, Named): stay}, version=version)
    for number, upcaster in enumerate(upcasters, 1):
        rules.upcast(number)(upcaster)
    return Codec(rules, (Named, Loose), (Alarm,))


NOW = codec(3, renamed, split)
STORED = {
    1: '{"state":"Named","topic_out":"@out","nick":"bob smith"}',
    2: '{"state":"Named","topic_out":"@out","name":"bob smith"}',
    3: '{"state":"Named","topic_out":"@out","first":"bob","last":"smith"}',
}


@pytest.mark.parametrize("version", STORED)
def test_every_former_version_is_read_as_todays(version: int) -> None:
    assert NOW.decode(STORED[version], version, OWN) == Named(HERE, "bob", "smith")


@pytest.mark.parametrize(
    ("code", "text", "version"),
    [
        (NOW, STORED[3], 4),  # of code to come, or of code that was taken back
        (NOW, STORED[2], 1),  # an upcaster that raises: it asks for what is not there
        (NOW, STORED[1], 3),  # the shape of another version
        (codec(2, lambda data: None), STORED[1], 1),  # an upcaster that returns nonsense
        (codec(2, lambda data: 1 / 0), STORED[1], 1),
        (NOW, '{"state":"Gone"}', 3),
        (NOW, '{"state":"Named","topic_out":"@elsewhere","first":"b"}', 3),
        (NOW, '{"state":"Named","topic_out":7,"first":"b"}', 3),
        (NOW, '{"state":"Named"', 3),
        (NOW, "null", 3),
        (NOW, "", 3),
        (NOW, "[" * 10_000, 3),
    ],
)
def test_what_cannot_be_read_is_unreadable_and_nothing_else(code: Codec, text: str, version: int) -> None:
    with pytest.raises(Unreadable):
        code.decode(text, version, OWN)


def test_an_actors_own_topics_are_those_of_who_has_it_and_others_stay_what_they_are() -> None:
    mine, durable = Loose([OWN.topic_out, OWN.topic_in]), Named(Topic("news", history=True), "x")
    text = NOW.encode(mine, OWN)
    assert OWN.topic_out.name not in text
    assert msgspec.json.decode(text)["anything"] == ["@out", "@in"]
    read = NOW.decode(NOW.encode(Named(HERE, "x"), OWN), 3, OTHERS)
    assert read.topic_out == THERE
    news = NOW.decode(NOW.encode(durable, OWN), 3, OTHERS).topic_out
    assert (news.name, news.history) == ("news", True)


@pytest.mark.parametrize("state", [7, Alarm("x"), Loose(object()), Loose("x" * MAX_STATE), Loose("\ud800")])
def test_what_cannot_be_stored_is_said_when_it_is_written(state: Any) -> None:
    with pytest.raises(Unstorable):
        NOW.encode(state, OWN)


def test_timers_keep_their_moments_on_another_clock() -> None:
    timers = {"a": Timer(5.0), "b": Timer(7.5, 2.0, Alarm("tea")), "state": Timer(9.0, None, "text")}
    text = NOW.encode_timers(timers, 100.0)
    assert NOW.decode_timers(text, 50.0) == {name: each._replace(due=each.due + 50) for name, each in timers.items()}
    with pytest.raises(Unstorable, match="neither text nor one of"):
        NOW.encode_timers({"a": Timer(1.0, None, 42)}, 0)
    for message in ("\ud800", "x" * MAX_STATE):
        with pytest.raises(Unstorable):
            NOW.encode_timers({"a": Timer(1.0, None, message)}, 0)
    for wrong in ('[["a",1,null,{"type":"Gone"}]]', '[["a"]]', "{}", "["):
        with pytest.raises(Unreadable):
            NOW.decode_timers(wrong, 0)
