"""The loop that serves sees some ready sockets a turn, all of them in their order, and none that was let go."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from socket import socketpair

import pytest

from realtime_project.turns import SOME, SomeAtOnce
from tests.helpers import PROJECT

COUNT = 3 * SOME + 1
LOOP = """
import os, django
django.setup()
from realtime_project.server import reactor
loop = reactor._asyncioEventloop
print(type(loop).__name__, type(loop._selector).__name__, getattr(loop._default_executor, "_max_workers", None))
"""


class Crowd:
    """Sockets that are all ready, and what a loop has read of them."""

    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop(SomeAtOnce())
        self.pairs = [socketpair() for _ in range(COUNT)]
        self.read: list[int] = []
        self.a_turn: list[int] = []  # how many were read in each turn
        self.seen = 0
        for number, (near, far) in enumerate(self.pairs):
            near.setblocking(False)
            far.send(b"x")
            self.loop.add_reader(near, self.take, number)

    def take(self, number: int) -> None:
        self.pairs[number][0].recv(1)
        self.read.append(number)

    def turn(self) -> None:
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()
        self.a_turn.append(len(self.read) - self.seen)
        self.seen = len(self.read)

    def close(self) -> None:
        self.loop.close()
        for pair in self.pairs:
            for end in pair:
                end.close()


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd()
    try:
        yield crowd
    finally:
        crowd.close()


def test_of_many_that_are_ready_some_are_read_a_turn(crowd: Crowd) -> None:
    for _ in range(5):
        crowd.turn()
    assert crowd.a_turn == [SOME, SOME, SOME, 1, 0]
    assert sorted(crowd.read) == list(range(COUNT))


def test_whoever_is_first_again_waits_for_the_others(crowd: Crowd) -> None:
    crowd.turn()
    first = list(crowd.read)
    for number in first:
        crowd.pairs[number][1].send(b"y")
    for _ in range(3):
        crowd.turn()
    assert sorted(crowd.read) == list(range(COUNT))
    crowd.turn()
    assert sorted(crowd.read[COUNT:]) == sorted(first)


def test_what_is_due_has_its_turn_between(crowd: Crowd) -> None:
    read: list[int] = []
    crowd.loop.call_soon(lambda: crowd.loop.call_soon(lambda: read.append(len(crowd.read))))
    crowd.turn()
    crowd.turn()
    assert read == [SOME]


def test_nobody_hears_of_a_socket_that_was_let_go(crowd: Crowd) -> None:
    crowd.turn()
    waiting = [number for number in range(COUNT) if number not in crowd.read]
    for number in waiting[:SOME]:
        crowd.loop.remove_reader(crowd.pairs[number][0])
    for _ in range(4):
        crowd.turn()
    assert set(crowd.read) == set(range(COUNT)) - set(waiting[:SOME])


def test_a_socket_that_is_awaited_anew_is_read_by_whoever_awaits_it(crowd: Crowd) -> None:
    crowd.turn()
    waiting = next(number for number in range(COUNT) if number not in crowd.read)
    near, taken = crowd.pairs[waiting][0], []
    crowd.loop.remove_reader(near)
    crowd.loop.add_reader(near, lambda: taken.append(near.recv(1)))
    for _ in range(5):
        crowd.turn()
    assert taken == [b"x"]
    assert waiting not in crowd.read


@pytest.mark.parametrize(("threads", "expected"), [(None, "None"), ("3", "3")])
def test_the_server_runs_on_such_a_loop(threads: str | None, expected: str) -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "realtime_project.settings", "DJANGO_SECRET_KEY": "x" * 50}
    if threads:
        environment["ASGI_THREADS"] = threads
    told = subprocess.run(
        [sys.executable, "-c", LOOP], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["_UnixSelectorEventLoop", "SomeAtOnce", expected]
