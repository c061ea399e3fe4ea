"""What was measured → docs/benchmarks.md: medians, every pair, the machine and the versions."""

import os
import platform
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

from . import servers
from .processes import PROJECT

FILE = PROJECT / "docs" / "benchmarks.md"
PACKAGES = ("Django", "channels", "daphne", "Twisted", "autobahn", "msgspec")

Figures = dict[str, float]


@dataclass
class Comparison:
    """Pairs of measurements, taken in turn."""

    title: str
    first: str
    second: str
    target: float  # how many times the second's rate the first's should be
    pairs: list[tuple[Figures, Figures]] = field(default_factory=list)

    @property
    def rates(self) -> tuple[float, float]:
        return median(a["rate"] for a, _ in self.pairs), median(b["rate"] for _, b in self.pairs)

    @property
    def times(self) -> float:
        return median(a["rate"] / b["rate"] for a, b in self.pairs)

    def verdict(self) -> str:
        a, b = self.rates
        reached = "reached" if self.times >= self.target else "missed"
        return (
            f"{self.first} {a:,.0f}/s, {self.second} {b:,.0f}/s: {self.times:.1f} times as many "
            f"(target {self.target:g}, {reached})"
        )

    def table(self) -> str:
        rows = [
            f"| {number} | {a['rate']:,.0f} | {b['rate']:,.0f} | {a['rate'] / b['rate']:.1f} "
            f"| {a['generator']:.0%} / {b['generator']:.0%} | {a['server']:.0%} / {b['server']:.0%} "
            f"| {per_processor_second(a) / per_processor_second(b):.1f} |"
            for number, (a, b) in enumerate(self.pairs, 1)
        ]
        a, b = self.rates
        ratios = median(per_processor_second(a) / per_processor_second(b) for a, b in self.pairs)
        rows.append(f"| **median** | **{a:,.0f}** | **{b:,.0f}** | **{self.times:.1f}** | | | **{ratios:.1f}** |")
        head = (
            f"| pair | {self.first} | {self.second} | times | generator busy | server busy | times, by processor time |"
        )
        return "\n".join([head, "|---|--:|--:|--:|--:|--:|--:|", *rows])


def per_processor_second(figures: Figures) -> float:
    """The rate for each second that the server really had its core."""
    return figures["rate"] / figures["server"]


def machine() -> str:
    names = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = f"{names[0] if names else platform.machine()}, {len(servers.CORES)} cores"
    return f"{processor}, {memory:.0f} GiB, Linux {platform.release().split('-')[0]}"


def load() -> str:
    return f"Load average before the start: {os.getloadavg()[0]:.1f}"


def versions() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"Python {platform.python_version()}, {packages}, SQLite {sqlite3.sqlite_version}"


def write(comparisons: list[Comparison], load: str) -> None:
    fanout, posts = comparisons
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(f"""# Benchmarks

`make bench` measures and writes this page; `make bench ARGS=--quick` is a glance that writes nothing.

{machine()}. {versions()}. {datetime.now(UTC):%Y-%m-%d}.
{load}; what else runs takes from both sides, and the last column of each table, which counts the processor time that
the server really had, suffers least from it.

The server has one core, the load generator another; they are separate processes. The two sides take turns within one
run (A B A B …), each time with a fresh server and a fresh database, and warm up before the window of a few seconds
that counts. Absolute figures are this machine's; the ratios travel better.

## {fanout.title}

{fanout.verdict()[0].upper()}{fanout.verdict()[1:]}.

{fanout.table()}

Messages of 128 bytes, four in flight: the next is published when all readers have the first. Plain Channels is
[the tutorial's chat](../benchmarks/plain_channels/consumers.py) (`AsyncWebsocketConsumer`, `group_send`, the in-memory
layer) under stock Daphne; ours is `manage.py serve`. The bytes on the wire are the same.

## {posts.title}

{posts.verdict()[0].upper()}{posts.verdict()[1:]}.

{posts.table()}

One connection to `ws/chat/`, no limit on its rate, nobody subscribed. An acknowledged post is committed, with SQLite's
`synchronous` at FULL and its file on a disk ({servers.filesystem(PROJECT)}); afterwards the rows are counted and
compared with the acks. "Lists of one" is the same server with `COMMIT_LIST=1`: a transaction a post.
""")
