"""The checker of the fault harness finds what it is there to find: each wrong view, and each wrong log, is told."""

import copy
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.checker import check

Log = list[tuple[int, str]]


def created(offset: int, id: str) -> tuple[int, str]:
    return offset, json.dumps({"type": "message.created", "offset": offset, "message": {"client_id": id, "text": id}})


class World:
    """Two posters that were acknowledged three messages each, and two readers that saw everything."""

    def __init__(self) -> None:
        names = [f"{name}-{number}" for number in range(3) for name in ("ann", "bob")]
        self.log: Log = [created(offset, id) for offset, id in enumerate(names, 1)]
        self.posters: list[Any] = [
            SimpleNamespace(
                name=name, acknowledged={id: offset for offset, id in enumerate(names, 1) if id.startswith(name)}
            )
            for name in ("ann", "bob")
        ]
        self.readers: list[Any] = [SimpleNamespace(frames=copy.copy(self.log)) for _ in range(2)]

    def check(self) -> None:
        check(self.log, self.posters, self.readers)

    def log_and_views(self, change: Callable[[Log], Any]) -> None:
        """What the database has, everybody has seen."""
        for entries in (self.log, *(reader.frames for reader in self.readers)):
            change(entries)


def test_a_world_in_which_nothing_is_wrong_passes() -> None:
    World().check()


def lost(world: World) -> None:
    world.log_and_views(lambda entries: entries.pop())


def lost_in_the_middle(world: World) -> None:
    def forget(entries: Log) -> None:
        del entries[2]
        entries[:] = [
            created(offset, json.loads(text)["message"]["client_id"]) for offset, (_, text) in enumerate(entries, 1)
        ]

    world.log_and_views(forget)


def stored_twice(world: World) -> None:
    world.log_and_views(lambda entries: entries.append(created(7, "bob-2")))


def out_of_order(world: World) -> None:
    world.log_and_views(lambda entries: entries.append(created(7, "ann-9")))
    world.log_and_views(lambda entries: entries.append(created(8, "ann-8")))


def a_hole(world: World) -> None:
    world.log_and_views(lambda entries: entries.append(created(8, "bob-3")))


def acknowledged_elsewhere(world: World) -> None:
    world.posters[0].acknowledged["ann-0"] = 5


def never_stored(world: World) -> None:
    world.posters[1].acknowledged["bob-3"] = 7


def a_gap_in_a_view(world: World) -> None:
    del world.readers[1].frames[3]


def doubled_in_a_view(world: World) -> None:
    world.readers[0].frames.insert(3, world.readers[0].frames[3])


def disordered_in_a_view(world: World) -> None:
    frames = world.readers[1].frames
    frames[1], frames[2] = frames[2], frames[1]


def deaf_in_the_end(world: World) -> None:
    world.readers[1].frames.pop()


def another_text_in_a_view(world: World) -> None:
    world.readers[0].frames[4] = created(5, "ann-2!")


def more_than_there_is(world: World) -> None:
    world.readers[0].frames.append(created(7, "ghost-0"))


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (lost, "acknowledged and lost"),
        (lost_in_the_middle, "acknowledged and lost"),
        (stored_twice, "stored twice"),
        (out_of_order, "out of order"),
        (a_hole, "holes"),
        (acknowledged_elsewhere, "acknowledged and lost"),
        (never_stored, "acknowledged and lost"),
        (a_gap_in_a_view, "at 3: saw 5, the log has 4"),
        (doubled_in_a_view, "at 4: saw 4, the log has 5"),
        (disordered_in_a_view, "at 1: saw 3, the log has 2"),
        (deaf_in_the_end, "saw 5 of 6"),
        (another_text_in_a_view, "at 4: saw 5, the log has 5"),
        (more_than_there_is, "saw 7 of 6"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_whatever_is_wrong_is_told(wrong: Callable[[World], None], complaint: str) -> None:
    world = World()
    wrong(world)
    with pytest.raises(AssertionError, match=complaint):
        world.check()
