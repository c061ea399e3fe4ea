"""`python -m benchmarks`: measures everybody in turn, prints every figure, and writes docs/benchmarks.md.

Servers and load generator are separate processes on different cores, and each measurement has servers of its own.
`--peers` measures the peers that `make bench-peers` installs as well; `--quick` is a glance: fewer rounds and shorter
ones, and nothing is written.
"""

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

from . import cluster, report, servers
from . import recording as recorder
from .client import Poller
from .contestants import AT_HOME, OURS, OURS_HELD, OURS_STORED, PEERS, PRODUCTION, Contestant, side_by_side
from .fanout import Crowd, Mode, quiet
from .generator import Figures
from .processes import PROJECT, Server
from .results import Results
from .services import Postgres, Redis

MODES = (Mode("1 in flight", 1), Mode("4 in flight", 4), Mode("bursts of 100", 100, bursts=True))
SHARED_MODES = (Mode("1 in flight", 1), Mode("64 in flight", 64))
TOGETHER = Mode("bursts of 64", 64, bursts=True)
SHARED_READERS = 1_000  # of all servers together
STORED = 64  # actors
ALONE = 4.0  # seconds in which Redis is only rung
PAIRS = 4  # of measurements with dashboards and without, a round
KNOWN = 3.0  # seconds in which the database learns of all connections
PICTURES = 50


class Plan(NamedTuple):
    """How much is measured: so many readers, by how many times the rounds; seconds of a measurement, or turns of it."""

    readers: dict[int, int]
    rounds: int
    seconds: float
    posting: float
    turns: int


FULL = Plan({100: 1, report.CROWD: 2, report.MANY: 1}, 3, 1.5, 4, recorder.TURNS)
QUICK = Plan({100: 1, report.CROWD: 1}, 1, 0.5, 1, 3)


class Failed(Exception):
    """A measurement ended with an error."""


def generate(module: str, log: Callable[[], str], **told: object) -> Any:
    """Runs a load generator; what it measured."""
    with servers.pinned(servers.GENERATOR_CORE):
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", json.dumps(told)],
            cwd=PROJECT,
            text=True,
            capture_output=True,
            check=False,
        )
    if done.returncode:
        raise Failed(f"{done.stderr}\nThe server's log ends:\n{log()[-2000:]}")
    return json.loads(done.stdout)


def say(who: str, figures: Figures) -> None:
    lost = f", {figures['lost']:.0%} lost" if figures.get("lost") else ""
    busy = f"generator {figures['generator']:.0%}, server {figures['server']:.0%} of its core"
    print(f"    {who}: {figures['rate']:,.0f}/s ({busy}{lost})", flush=True)


# Side by side ---------------------------------------------------------------------------------------------------


def fanout(results: Results, contestants: list[Contestant], template: Path, plan: Plan) -> None:
    modes = [asdict(mode) for mode in MODES]

    def measure(contestant: Contestant, readers: int) -> None:
        with servers.fresh(contestant, template) as server:
            told = {"path": contestant.broadcast, "socketio": contestant.socketio, "modes": modes}
            figures = generate(
                "fanout",
                server.log,
                ports=[server.port],
                servers=[server.pid],
                readers=readers,
                seconds=plan.seconds,
                **told,
            )
        print(f"  {contestant.name}")
        for mode, measured in figures.items():
            say(mode, measured)
            results.fanout.setdefault((readers, mode), {}).setdefault(contestant.name, []).append(measured)

    for readers, often in plan.readers.items():
        for number in range(rounds := plan.rounds * often):
            print(f"\nFan-out to {readers:,} readers, round {number + 1} of {rounds}")
            for contestant in side_by_side(contestants):
                if contestant.broadcast:
                    attempt(results, contestant, partial(measure, contestant, readers))


def echo(results: Results, contestants: list[Contestant], template: Path, plan: Plan) -> None:
    def measure(contestant: Contestant) -> None:
        with servers.fresh(contestant, template) as server:
            told = {"path": contestant.echo, "prefix": contestant.prefix, "socketio": contestant.socketio}
            figures = generate("echo", server.log, port=server.port, server=server.pid, seconds=plan.seconds, **told)
        say(contestant.name, figures)
        results.echo.setdefault(contestant.name, []).append(figures)

    for number in range(plan.rounds):
        print(f"\nEcho over 50 connections, round {number + 1} of {plan.rounds}")
        for contestant in contestants:
            if contestant.echo:
                attempt(results, contestant, partial(measure, contestant))


def attempt(results: Results, contestant: Contestant, measure: Callable[[], None]) -> None:
    """A peer that fails is named in the report; ours may not fail."""
    try:
        measure()
    except (Failed, AssertionError) as error:
        if contestant in AT_HOME:
            raise
        why = str(error).strip().splitlines()
        print(f"  {contestant.name} FAILED: {error}", flush=True)
        results.failures[contestant.name] = why[-1] if why else type(error).__name__


# Posts ----------------------------------------------------------------------------------------------------------


def posts(results: Results, contestants: list[Contestant], template: Path, plan: Plan) -> None:
    def measure(**settings: object) -> Figures:
        with servers.fresh(OURS, template, **settings) as server:
            figures = post(server, plan.posting)
            with closing(sqlite3.connect(server.database)) as database:
                [stored] = database.execute(COUNT).fetchone()
        assert stored == figures["acknowledged"], f"{stored} rows for {figures['acknowledged']} acks"
        return figures

    lists_and_ones(results, "SQLite", plan, measure)


COUNT = "SELECT count(*) FROM chat_message WHERE client_id LIKE 'c-%'"


def post(server: Server, seconds: float) -> Figures:
    cookie = servers.enter(server)
    figures: Figures = generate(
        "posts", server.log, port=server.port, server=server.pid, cookie=cookie, seconds=seconds
    )
    return figures


def lists_and_ones(results: Results, database: str, plan: Plan, measure: Callable[..., Figures]) -> None:
    rounds = results.posts.setdefault(database, {"lists": [], "lists of one": []})
    for number in range(plan.rounds):
        print(f"\nPosts on {database}, round {number + 1} of {plan.rounds}")
        for name, settings in (("lists", {}), ("lists of one", {"COMMIT_LIST": 1})):
            rounds[name].append(measure(**settings))
            say(name, rounds[name][-1])


def transitions(results: Results, contestants: list[Contestant], template: Path, plan: Plan) -> None:
    """Stored actors, each with one message under way: every answer is a state that was saved."""
    for number in range(plan.rounds):
        print(f"\nTransitions of {STORED} stored actors, round {number + 1} of {plan.rounds}")
        for name, settings in (("lists", {}), ("lists of one", {"COMMIT_LIST": 1})):
            with servers.fresh(OURS_STORED, template, **settings) as server:
                told = {"path": OURS_STORED.echo, "connections": STORED, "seconds": plan.posting}
                figures = generate("echo", server.log, port=server.port, server=server.pid, **told)
            say(name, figures)
            results.transitions.setdefault(name, []).append(figures)


# Several servers ------------------------------------------------------------------------------------------------


def shared(results: Results, contestants: list[Contestant], template: Path, plan: Plan) -> None:
    """One server and two, over one Redis and one PostgreSQL, which have the servers' core as well."""
    with servers.pinned(servers.SERVER_CORE):
        redis, postgres = Redis(), Postgres()
        redis.start()
        postgres.start()
    try:
        cluster.make_template(postgres)
        for number in range(plan.rounds):
            print(f"\nFan-out to {SHARED_READERS:,} readers over Redis, round {number + 1} of {plan.rounds}")
            for count, name in ((1, "one server"), (2, "two servers")):
                with running(postgres, redis, count) as started:
                    figures = over_redis(started, SHARED_READERS, SHARED_MODES, plan.seconds)
                for mode in SHARED_MODES:
                    say(f"{name}, {mode.name}", figures[mode.name])
                    results.servers.setdefault(mode.name, {}).setdefault(name, []).append(figures[mode.name])
            results.commands.append(commands(postgres, redis, plan))

        def measure(**settings: object) -> Figures:
            with running(postgres, redis, 1, **settings) as [server]:
                figures = post(server, plan.posting)
                with psycopg.connect(server.environment["DATABASE_URL"]) as database:
                    [stored] = database.execute(COUNT).fetchone() or (0,)
            assert stored == figures["acknowledged"], f"{stored} rows for {figures['acknowledged']} acks"
            return figures

        lists_and_ones(results, "PostgreSQL", plan, measure)
    finally:
        redis.kill()
        postgres.remove()


@contextmanager
def running(postgres: Postgres, redis: Redis, count: int, **settings: Any) -> Iterator[list[Server]]:
    """So many servers that share a fresh database."""
    name = f"benchmark_{time.time_ns()}"
    started = cluster.Cluster(servers.folder(), postgres, [redis], name, count, **(PRODUCTION | settings))
    try:
        with servers.pinned(servers.SERVER_CORE):
            started.start()
        yield started.servers
    finally:
        started.stop()


def over_redis(started: list[Server], readers: int, modes: tuple[Mode, ...], seconds: float) -> dict[str, Figures]:
    figures: dict[str, Figures] = generate(
        "fanout",
        lambda: "\n".join(server.log() for server in started),
        ports=[server.port for server in started],
        servers=[server.pid for server in started],
        path=OURS.broadcast,
        readers=readers,
        modes=[asdict(mode) for mode in modes],
        seconds=seconds,
    )
    return figures


def commands(postgres: Postgres, redis: Redis, plan: Plan) -> Figures:
    """PUBLISH commands, as Redis counts them: for a burst that comes in one segment, so in one turn of the loop.

    Each server rings itself now and then. How often is measured first, and taken off.
    """
    with running(postgres, redis, 2) as started:
        before, began = redis.published(), time.monotonic()
        time.sleep(ALONE)
        rings = (redis.published() - before) / (time.monotonic() - began)
        before, began = redis.published(), time.monotonic()
        figures = over_redis(started, 2, (TOGETHER,), plan.seconds)[TOGETHER.name]
        sent = redis.published() - before - rings * (time.monotonic() - began)
    bursts = figures["published"] / TOGETHER.in_flight
    print(f"    {sent / bursts:.2f} PUBLISH commands for each of {bursts:,.0f} bursts of {TOGETHER.in_flight} messages")
    return {"a burst": sent / bursts, "a message": sent / figures["published"], "bursts": bursts}


# Watched --------------------------------------------------------------------------------------------------------


def watching(results: Results, contestants: list[Contestant], template: Path, plan: Plan) -> None:
    """What it costs that staff watch, and how long one picture of the cluster takes."""
    readers = max(plan.readers)
    for number in range(plan.rounds):
        print(f"\nFan-out to {readers:,} readers while staff watch, round {number + 1} of {plan.rounds}")
        with servers.fresh(OURS, template) as server:
            results.snapshots.append(snapshots(server, readers))
            told = {"path": OURS.broadcast, "cookie": servers.employ(server), "readers": readers}
            figures = generate(
                "watched", server.log, port=server.port, server=server.pid, seconds=plan.posting, pairs=PAIRS, **told
            )
        for name, measured in figures.items():
            results.watched.setdefault(name, []).extend(measured)
            for each in measured:
                say(name, each)


def snapshots(server: Server, readers: int) -> Figures:
    """Milliseconds that a picture takes, from the question to its text, with so many connections and nothing to do."""
    assert OURS.broadcast
    poller = Poller()
    with servers.pinned(servers.GENERATOR_CORE):
        try:
            poller.open(server.port, Crowd(OURS.broadcast, readers, socketio=False).readers)
            quiet(poller, KNOWN)
            figures: Figures = server.python(SNAPSHOT)
        finally:
            poller.close()
    assert figures["connections"] == readers, f"{figures['connections']:,.0f} of {readers:,} connections are known"
    print(f"    a snapshot: {figures['median']:.1f} ms, {figures['longest']:.1f} at the longest of {PICTURES}")
    return figures


SNAPSHOT = f"""
from time import perf_counter
import msgspec
from admin_panel import snapshot
from realtime_project.models import Connection
snapshot.read()  # which connects
took = []
for _ in range({PICTURES}):
    began = perf_counter()
    msgspec.json.encode(snapshot.picture(snapshot.read()))
    took.append(1000 * (perf_counter() - began))
took.sort()
print(json.dumps({{"median": took[{PICTURES} // 2], "longest": took[-1], "connections": Connection.objects.count()}}))
"""


def stretches(results: Results, contestants: list[Contestant], template: Path, plan: Plan) -> None:
    """How long the event loop is held at a stretch."""
    readers = max(plan.readers)
    for number in range(plan.rounds):
        print(f"\nThe loop's stretches with {readers:,} readers, round {number + 1} of {plan.rounds}")
        with servers.fresh(OURS_HELD, template) as server:
            told = {"path": OURS_HELD.broadcast, "readers": readers, "modes": [asdict(mode) for mode in MODES]}
            figures = generate(
                "stretches", server.log, port=server.port, server=server.pid, seconds=plan.posting, **told
            )
        for mode, measured in figures.items():
            results.stretches.setdefault(mode, []).append(measured)
            longest = (
                f"{measured['longest']:.1f} ms, {measured['most']:.1f} of them worked, p99.9 {measured['p999']:.1f}"
            )
            print(f"    {mode}: {measured['rate']:,.0f}/s; the longest of {measured['stretches']:,.0f}: {longest}")


# Recorded -------------------------------------------------------------------------------------------------------


def recording(results: Results, contestants: list[Contestant], template: Path, plan: Plan) -> None:
    """What a transition costs that the flight recorder notes."""
    for number in range(plan.rounds):
        print(f"\nTransitions with the flight recorder and without, round {number + 1} of {plan.rounds}")
        figures = generate("recording", lambda: "", turns=plan.turns, seconds=plan.seconds)
        for name, measured in figures.items():
            print(f"    {name}: {recorder.in_words(measured)}", flush=True)
            results.recorded.setdefault(name, []).append(measured)


COMPARISONS = {
    "fanout": fanout,
    "echo": echo,
    "posts": posts,
    "transitions": transitions,
    "servers": shared,
    "watching": watching,
    "stretches": stretches,
    "recording": recording,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="the peers too (`make bench-peers` installs them)")
    parser.add_argument("--quick", action="store_true", help="a glance: one short round each, nothing is written")
    parser.add_argument("--only", choices=list(COMPARISONS), help="one part; nothing is written")
    parser.add_argument("--rounds", type=int, help=f"instead of {FULL.rounds}; more are steadier, and take longer")
    options = parser.parse_args()

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # inherited: a server and a generator hold 5,000 each
    told = report.circumstances(peers=options.peers)
    print(told, flush=True)
    began = time.monotonic()
    template, plan, results = servers.template(), QUICK if options.quick else FULL, Results()
    if options.rounds:
        plan = plan._replace(rounds=options.rounds)
    contestants = [*AT_HOME, *(PEERS if options.peers else ())]
    for name, compare in COMPARISONS.items():
        if options.only in (None, name):
            compare(results, contestants, template, plan)
    minutes = (time.monotonic() - began) / 60
    print(f"\n{report.verdicts(results)}\n\nIt took {minutes:.0f} minutes.")
    if not (options.quick or options.only):
        report.write(results, told, plan.rounds, minutes)
        print(f"Written to {report.PAGE.relative_to(PROJECT)} and {report.PICTURE.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
