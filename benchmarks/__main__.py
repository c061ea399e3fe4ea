"""`python -m benchmarks`: measures A B A B …, prints every figure, and writes docs/benchmarks.md.

Server and load generator are separate processes on different cores, and each measurement has a server of its own.
`--quick` is a glance: fewer and shorter, and nothing is written.
"""

import argparse
import json
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from . import report, servers
from .processes import PROJECT, Server
from .report import Comparison, Figures

READERS = 1_000
FANOUT_TARGET = 18.0  # times plain Channels
POSTS_TARGET = 5.0  # times one transaction a post


class Plan(NamedTuple):
    """How much is measured: pairs, and in each measurement at least so many seconds and rounds of messages."""

    pairs: int
    seconds: float
    rounds: int


FULL, QUICK = Plan(5, 5, 10), Plan(2, 2, 3)


def generate(module: str, server: Server, **arguments: object) -> Figures:
    """Runs a load generator against the server; its figures."""
    told = json.dumps({"port": server.port, "server": server.pid, **arguments})
    with servers.pinned(servers.GENERATOR_CORE):
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", told],
            cwd=PROJECT,
            text=True,
            capture_output=True,
            check=False,
        )
    if done.returncode:
        raise SystemExit(f"{done.stderr}\nThe server's log ends:\n{server.log()[-2000:]}")
    figures: Figures = json.loads(done.stdout)
    return figures


def alternate(comparison: Comparison, first: Callable[[], Figures], second: Callable[[], Figures], pairs: int) -> None:
    """A B A B …, so that whatever drifts drifts for both."""
    print(f"\n{comparison.title}")
    for number in range(1, pairs + 1):
        comparison.pairs.append((first(), second()))
        a, b = comparison.pairs[-1]
        names = f"{comparison.first} {a['rate']:,.0f}/s, {comparison.second} {b['rate']:,.0f}/s"
        busy = f"generator {a['generator']:.0%} and {b['generator']:.0%} of its core"
        print(f"  {number}: {names} ({a['rate'] / b['rate']:.1f} ×), {busy}")
    print(f"  medians: {comparison.verdict()}")


def fanout(template: Path, plan: Plan) -> Comparison:
    def measured(kind: type[Server], database: Path | None) -> Figures:
        with servers.fresh(kind, database) as server:
            amount = {"readers": READERS, "seconds": plan.seconds, "rounds": plan.rounds}
            return generate("fanout", server, path="/ws/broadcast/", **amount)

    title = f"Fan-out to {READERS:,} readers: deliveries a second"
    comparison = Comparison(title, "this project", "plain Channels", FANOUT_TARGET)
    alternate(comparison, lambda: measured(Server, template), lambda: measured(servers.PlainServer, None), plan.pairs)
    return comparison


def posts(template: Path, plan: Plan) -> Comparison:
    def measured(**settings: object) -> Figures:
        with servers.fresh(Server, template, **settings) as server:
            figures = generate("posts", server, cookie=servers.enter(server), seconds=plan.seconds)
            with closing(sqlite3.connect(server.database)) as database:
                [stored] = database.execute("SELECT count(*) FROM chat_message WHERE client_id LIKE 'c-%'").fetchone()
        assert stored == figures["acknowledged"], f"{stored} rows for {figures['acknowledged']} acks"
        return figures

    comparison = Comparison("Posts acknowledged a second, 64 in flight", "lists", "lists of one", POSTS_TARGET)
    alternate(comparison, measured, lambda: measured(COMMIT_LIST=1), plan.pairs)
    return comparison


COMPARISONS = {"fanout": fanout, "posts": posts}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a glance: two short pairs each, nothing is written")
    parser.add_argument("--only", choices=list(COMPARISONS), help="one comparison; nothing is written")
    options = parser.parse_args()

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # inherited: a server and a generator hold 1,000 each
    load = report.load()
    print(f"{report.machine()}\n{load}")
    template, plan = servers.template(), QUICK if options.quick else FULL
    comparisons = [compare(template, plan) for name, compare in COMPARISONS.items() if options.only in (None, name)]
    if not (options.quick or options.only):
        report.write(comparisons, load)
        print(f"\nWritten to {report.FILE.relative_to(PROJECT)}")


if __name__ == "__main__":
    main()
