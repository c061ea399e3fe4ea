"""What was measured → docs/benchmarks.md and its picture: medians, targets, the machine and the versions."""

import os
import platform
import sqlite3
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from . import recording, servers
from .chart import Bar, Panel, chart
from .contestants import DAPHNE_RAW, NODE_WS, OURS, OURS_ACTOR, OURS_RAW, PLAIN, UVICORN_RAW, ZEF, peers_versions
from .generator import Figures
from .processes import PROJECT
from .results import Results, Rounds, Target, median_of, times
from .watched import WITH, WITHOUT

PAGE = PROJECT / "docs" / "benchmarks.md"
PICTURE = PROJECT / "docs" / "benchmarks.svg"
PACKAGES = ("Django", "channels", "daphne", "Twisted", "autobahn", "channels-redis", "msgspec")
MODES = ("1 in flight", "4 in flight", "bursts of 100")
CROWD = 1_000  # readers that the targets and the picture are about
MANY = 5_000  # connections of which memory is asked


# The circumstances ----------------------------------------------------------------------------------------------


def machine() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = f"{names[0] if names else platform.machine()}, {len(servers.CORES)} cores"
    return f"{processor}, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}"


def circumstances(peers: bool) -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    ours = f"Python {platform.python_version()}, {packages}, SQLite {sqlite3.sqlite_version}"
    load = f"Load average before the start: {os.getloadavg()[0]:.1f}"
    return f"{machine()}. {ours}{f', {peers_versions()}' if peers else ''}. {datetime.now(UTC):%Y-%m-%d}. {load}."


# The targets ----------------------------------------------------------------------------------------------------


def targets(results: Results) -> list[Target]:
    """All that this run can say something about."""

    def fanout(mode: str, theirs: str) -> float | None:
        return times(results.fanout.get((CROWD, mode), {}), OURS.name, theirs)

    def echo(theirs: str) -> float | None:
        return times(results.echo, OURS_RAW.name, theirs)

    def actor(theirs: str) -> float | None:
        return times(results.echo, OURS_ACTOR.name, theirs)

    def shared(mode: str, key: str) -> float | None:
        return times(results.servers.get(mode, {}), "two servers", "one server", key)

    watched = times(results.watched, WITH, WITHOUT)
    crowd = int(results.snapshots[0]["connections"]) if results.snapshots else MANY  # a glance has fewer
    idle = results.fanout.get((MANY, "opening"), {}).get(OURS.name)
    two = results.servers.get("64 in flight", {}).get("two servers")
    where = f"{CROWD:,} readers"
    all_targets = [
        Target(f"{where}, 4 in flight: times plain Channels", 100, fanout(MODES[1], PLAIN.name)),
        Target(f"{where}, 4 in flight: times ws", 3.5, fanout(MODES[1], NODE_WS.name)),
        Target(f"{where}, 4 in flight: times Zef", 1.5, fanout(MODES[1], ZEF.name)),
        Target(f"{where}, 1 in flight: times ws", 1, fanout(MODES[0], NODE_WS.name)),
        Target(f"{where}, 1 in flight: times Zef", 1, fanout(MODES[0], ZEF.name)),
        Target(f"{where}, 1 in flight: times ws", 1.15, fanout(MODES[0], NODE_WS.name), aim=True),
        Target(f"{where}, 1 in flight: times Zef", 1.15, fanout(MODES[0], ZEF.name), aim=True),
        Target(f"{where}, bursts of 100: times ws", 50, fanout(MODES[2], NODE_WS.name)),
        Target("Echo, raw ASGI: times Daphne", 2.5, echo(DAPHNE_RAW.name)),
        Target("Echo, raw ASGI: times uvicorn", 1, echo(UVICORN_RAW.name), aim=True),
        Target("Echo by an actor: times a plain Channels consumer on Daphne", 4, actor(PLAIN.name)),
        Target("Echo by an actor: times Zef's actor", 3, actor(ZEF.name)),
        Target("Stored actors: lists, times lists of one", 5, times(results.transitions, "lists", "lists of one")),
        Target(
            f"Memory of one of {MANY:,} connections",
            30_000,
            median_of(idle)["bytes"] if idle else None,
            at_most=True,
            show=lambda size: f"{size / 1000:.1f} KB",
        ),
        Target(
            "Two servers, 64 in flight: deliveries a second",
            300_000,
            median_of(two)["rate"] if two else None,
            show="{:,.0f}".format,
        ),
        *(
            Target(
                f"Processor time a delivery, {mode}: two servers, times one", 1.2, shared(mode, "cost"), at_most=True
            )
            for mode in ("1 in flight", "64 in flight")
        ),
        Target(
            "Redis commands for a topic and a turn of the loop",
            1,
            round(median(each["a burst"] for each in results.commands), 2) if results.commands else None,
            at_most=True,
            show="{:.2f}".format,
        ),
        Target(
            f"{crowd:,} readers, 4 in flight: what three dashboards take of the deliveries",
            0.03,
            None if watched is None else 1 - watched,
            at_most=True,
            show="{:.1%}".format,
        ),
        Target(
            "Processor time a delivery meanwhile: times that without",
            1.03,
            times(results.watched, WITH, WITHOUT, "cost"),
            at_most=True,
            show="{:.3f} ×".format,
        ),
        Target(
            f"A snapshot of {crowd:,} connections",
            20,
            median(each["median"] for each in results.snapshots) if results.snapshots else None,
            at_most=True,
            show="{:.1f} ms".format,
        ),
        Target(
            "A fan-out: the event loop is held at a stretch for",
            10,
            max(each["most"] for rounds in results.stretches.values() for each in rounds)
            if results.stretches
            else None,
            at_most=True,
            show="{:.1f} ms".format,
        ),
        *(
            Target(
                f"A transition that is recorded, {name}: times one that is not",
                recording.MOST,
                times_recorded(rounds),
                at_most=True,
            )
            for name, rounds in results.recorded.items()
        ),
        *(
            Target(f"Posts on {database}: lists, times lists of one", 5, times(rounds, "lists", "lists of one"))
            for database, rounds in results.posts.items()
        ),
    ]
    return [target for target in all_targets if target.measured is not None]


def verdicts(results: Results) -> str:
    return "\n".join(["| | asked | measured | |", "|---|--:|--:|---|", *(target.row() for target in targets(results))])


# The tables -----------------------------------------------------------------------------------------------------


def percent(*shares: float) -> str:
    return " / ".join(f"{share:.0%}" for share in shares).replace("% /", " /")


def ours_first(rounds: Rounds) -> Rounds:
    """Whatever the order in which they were measured."""
    return dict(sorted(rounds.items(), key=lambda each: each[0] != OURS.name))


def fanout_table(results: Results, readers: int) -> str:
    """Those who were measured, by mode: the rate, and how many times that ours is."""
    modes = [mode for mode in MODES if (readers, mode) in results.fanout]
    head = "".join(f" {mode} | ours |" for mode in modes)
    lines = [f"| |{head} lost | generator busy | server busy |", f"|---|{'--:|' * (2 * len(modes) + 3)}"]
    for name in ours_first(results.fanout[readers, modes[0]]):
        figures = [median_of(results.fanout[readers, mode][name]) for mode in modes]
        cells = ""
        for mode, measured in zip(modes, figures, strict=True):
            ours = times(results.fanout[readers, mode], OURS.name, name)
            cells += f" {measured['rate']:,.0f} | {'' if name == OURS.name or ours is None else f'{ours:,.1f} ×'} |"
        lost = max(measured["lost"] for measured in figures)
        lines.append(
            f"| {name} |{cells} {f'{lost:.0%}' if lost else ''} "
            f"| {percent(*(measured['generator'] for measured in figures))} "
            f"| {percent(*(measured['server'] for measured in figures))} |"
        )
    return "\n".join(lines)


def opening_table(results: Results, readers: int) -> str:
    lines = ["| | KB a connection | connections/s | generator busy | server busy |", "|---|--:|--:|--:|--:|"]
    for name, rounds in ours_first(results.fanout[readers, "opening"]).items():
        figures = median_of(rounds)
        busy = f"{figures['generator']:.0%} | {figures['server']:.0%}"
        lines.append(f"| {name} | {figures['bytes'] / 1000:.1f} | {figures['rate']:,.0f} | {busy} |")
    return "\n".join(lines)


def rate_table(rounds: Rounds, ours: str, what: str) -> str:
    lines = [f"| | {what} | {ours} is | generator busy | server busy |", "|---|--:|--:|--:|--:|"]
    for name, measured in rounds.items():
        figures, ratio = median_of(measured), times(rounds, ours, name)
        share = "" if name == ours or ratio is None else f"{ratio:,.1f} ×"
        busy = f"{figures['generator']:.0%} | {figures['server']:.0%}"
        lines.append(f"| {name} | {figures['rate']:,.0f} | {share} | {busy} |")
    return "\n".join(lines)


def watched_table(results: Results) -> str:
    head = "| | deliveries/s | times unwatched | µs of processor time each | times unwatched "
    lines = [f"{head}| generator busy | server busy |", f"|---|{'--:|' * 6}"]
    for name, rounds in results.watched.items():
        figures = median_of(rounds)
        rate, cost = (
            "" if name == WITHOUT else f"{times(results.watched, name, WITHOUT, key):.3f} ×" for key in ("rate", "cost")
        )
        busy = f"{figures['generator']:.0%} | {figures['server']:.0%}"
        spent = f"{figures['cost'] * 1e6:.3f}"
        lines.append(f"| {name} | {figures['rate']:,.0f} | {rate} | {spent} | {cost} | {busy} |")
    return "\n".join(lines)


def stretches_table(results: Results) -> str:
    lines = [
        "| | deliveries/s | stretches | p99.9 | the longest | processor time of the longest |",
        f"|---|{'--:|' * 5}",
    ]
    for mode, rounds in results.stretches.items():
        figures = median_of(rounds)
        longest, most = (max(each[key] for each in rounds) for key in ("longest", "most"))
        times = f"{figures['p999']:.1f} ms | {longest:.1f} ms | {most:.1f} ms"
        lines.append(f"| {mode} | {figures['rate']:,.0f} | {figures['stretches']:,.0f} | {times} |")
    return "\n".join(lines)


def times_recorded(rounds: list[Figures]) -> float:
    """How many times a transition without the flight recorder one with it takes: the median over the rounds."""
    return median(figures["recorded"] / figures["without"] for figures in rounds)


def recorded_table(results: Results) -> str:
    lines = ["| | µs a transition | recorded | times | steps written |", "|---|--:|--:|--:|--:|"]
    for name, rounds in results.recorded.items():
        figures = median_of(rounds)
        ratio, share = times_recorded(rounds), figures["written"] / figures["taken"]
        lines.append(f"| {name} | {figures['without']:.1f} | {figures['recorded']:.1f} | {ratio:.2f} × | {share:.0%} |")
    return "\n".join(lines)


def servers_table(results: Results) -> str:
    lines = ["| | deliveries/s | µs of processor time each | generator busy | servers busy |", "|---|--:|--:|--:|--:|"]
    for mode, rounds in results.servers.items():
        for name, measured in rounds.items():
            figures = median_of(measured)
            busy = f"{figures['generator']:.0%} | {figures['server']:.0%}"
            lines.append(f"| {name}, {mode} | {figures['rate']:,.0f} | {figures['cost'] * 1e6:.2f} | {busy} |")
    return "\n".join(lines)


# The page -------------------------------------------------------------------------------------------------------


def picture(results: Results) -> str:
    measured = {f"{mode}: deliveries/s": ours_first(results.fanout[CROWD, mode]) for mode in MODES}
    measured["Echo over 50 connections: round trips/s"] = results.echo
    panels = [
        Panel(title, [Bar(name, median_of(each)["rate"], "this " in name) for name, each in rounds.items()])
        for title, rounds in measured.items()
    ]
    return chart(panels, f"Fan-out to {CROWD:,} readers and echo, side by side")


def write(results: Results, told: str, rounds: int, minutes: float) -> None:
    crowds = sorted({readers for readers, _ in results.fanout})
    fanout = "\n\n".join(f"### {readers:,} readers\n\n{fanout_table(results, readers)}" for readers in crowds)
    failures = "".join(f"\n{name} could not be measured: {why}\n" for name, why in results.failures.items())
    tables = {name: rate_table(rounds, "lists", "posts/s") for name, rounds in results.posts.items()}
    posts = "\n\n".join(f"{name}:\n\n{table}" for name, table in tables.items())
    commands = median_of(results.commands)
    watching, snapshot = median_of(results.watched[WITH]), median_of(results.snapshots)
    PICTURE.write_text(picture(results))
    PAGE.write_text(f"""# Benchmarks

Written by one run of `make bench-peers`, or of `make bench`, which leaves out the peers that have to be installed;
`ARGS=--quick` is a glance that writes nothing, `ARGS="--only echo"` one part, `ARGS="--rounds 9"` a steadier run.
This one had {rounds} {"rounds" if rounds > 1 else "round"} and took {minutes:.0f} minutes. The fan-out to
{CROWD:,} readers, of which most is asked, has twice as many rounds.

{told} What else runs takes from everybody.

The server has one core, the load generator another; they are separate processes. Everybody is measured in turn within
one round (A B C, A B C …), those that are asked about next to each other, each time with a fresh server, and figures
are medians of the rounds. "Ours" says how many times the peer's figure that of this project is: the median over the
rounds. "Busy" is the share of its core that a process had. A generator near 100 % would be measuring itself; where the
server is at 100 %, the server is the limit. Absolute figures are this machine's; the ratios travel better.
{failures}
## What is asked, and whether it holds

{verdicts(results)}

![Fan-out and echo, side by side](benchmarks.svg)

## Fan-out: deliveries a second

Each message goes to every reader. With some in flight, the next is published when all readers have the first; in
bursts, a hundred are sent at once when all readers have the last hundred. Where three shares stand, they are of the
three modes. "Lost" is the share that never came.

{fanout}

The messages have 128 bytes; Socket.IO adds its envelope. "Plain Channels" is
[the tutorial's chat](../benchmarks/peers/plain_channels/consumers.py) with the in-memory layer; ours is
`manage.py serve` with the in-memory layer, its limits and counters on; the others are in
[benchmarks/peers](../benchmarks/peers), each as its own documentation has it. All have one process.

## {MANY if MANY in crowds else crowds[-1]:,} connections

{opening_table(results, MANY if MANY in crowds else crowds[-1])}

Opened forty at a time, all subscribed. Memory is what the process grew by, divided by the connections.

## Echo: round trips a second over 50 connections

{rate_table(results.echo, OURS_RAW.name, "round trips/s")}

One message of 128 bytes under way on each connection. "Raw ASGI" is
[one and the same callable](../benchmarks/peers/raw.py) under each server; "{OURS.name}" is `ws/asgi/echo/`, behind
sessions, origins, the door and its counters.

"{OURS_ACTOR.name}" is [two rules](../benchmarks/acting/routing.py), and Zef's is an actor too;
"plain Channels" is a consumer of three lines.

## Saved transitions a second, 64 stored actors

{rate_table(results.transitions, "lists", "transitions/s")}

Each actor has one message under way and answers once its new state is committed to SQLite, with `synchronous` at FULL.
"Lists of one" is the same server with `COMMIT_LIST=1`.

## Posts acknowledged a second, 64 in flight

{posts}

One connection to `ws/chat/`, no limit on its rate, nobody subscribed. An acknowledged post is committed: SQLite with
`synchronous` at FULL, PostgreSQL as it comes, both on a disk ({servers.filesystem(PROJECT)}), and with PostgreSQL the
doorbell rings through Redis. Afterwards the rows are counted and compared with the acks. "Lists of one" is the same
server with `COMMIT_LIST=1`: a transaction a post.

## Two servers over Redis

{servers_table(results)}

{CROWD:,} readers in all. Both servers, Redis and PostgreSQL share one core. A burst of 64 messages that arrives in one
turn of the loop costs {commands["a burst"]:.2f} PUBLISH commands, as Redis counts them (each server's rings every two
seconds taken off): {commands["bursts"]:,.0f} bursts were counted.

## While staff watch

{watched_table(results)}

{MANY:,} readers, 4 in flight. The readers stay and the dashboards come and go, so that each of the
{len(results.watched[WITH])} pairs was measured on the same connections, one after the other; ratios are medians over
the pairs, and that of the processor time is the steadier one. A dashboard was sent {watching["pictures"]:.0f} pictures
meanwhile, for which the database took {watching["asked"]:.1f} ms each beside the fan-out. With {MANY:,} connections and
nothing else to do, a snapshot (asked, added up and written as JSON)
took {snapshot["median"]:.1f} ms, and {snapshot["longest"]:.1f} at the longest.

## How long the loop is held

{stretches_table(results)}

{MANY:,} readers. A stretch is one turn of the loop, in which nobody else is served. The longest is
of all rounds. What the system gave to other processes meanwhile is no work of the loop: it is in the time, and not in
the processor time, of which at most 10 ms are asked.

## With the flight recorder on

{recorded_table(results)}

{recording.ACTORS} actors of the same rules in one process, by turns with the recorder and without it; the recorder
writes to SQLite meanwhile, in a thread of its own. What comes faster than it writes is counted as missed.
""")
