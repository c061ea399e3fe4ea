"""What was measured, round by round, and what is asked of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

from .generator import Figures

Rounds = dict[str, list[Figures]]  # by who was measured


def median_of(rounds: list[Figures]) -> Figures:
    return {key: median(figures[key] for figures in rounds) for key in rounds[0]}


def times(rounds: Rounds, ours: str, theirs: str, key: str = "rate") -> float | None:
    """How many times theirs ours is: the median over the rounds, each of which measured both. None: of nothing."""
    pairs = list(zip(rounds.get(ours, []), rounds.get(theirs, []), strict=False))
    return median(a[key] / b[key] for a, b in pairs) if pairs and all(b[key] for _, b in pairs) else None


@dataclass
class Results:
    """Of one run. What was not measured is empty."""

    fanout: dict[tuple[int, str], Rounds] = field(default_factory=dict)  # by readers and mode; the opening is a mode
    echo: Rounds = field(default_factory=dict)
    posts: dict[str, Rounds] = field(default_factory=dict)  # by database: "lists" and "lists of one"
    transitions: Rounds = field(default_factory=dict)  # of stored actors: "lists" and "lists of one"
    servers: dict[str, Rounds] = field(default_factory=dict)  # by mode: "one server" and "two servers" over Redis
    commands: list[Figures] = field(default_factory=list)  # PUBLISH commands for each burst and each message
    watched: Rounds = field(default_factory=dict)  # watched.WITHOUT and WITH: the figures of each pair
    snapshots: list[Figures] = field(default_factory=list)  # milliseconds: the median and the longest
    stretches: dict[str, list[Figures]] = field(default_factory=dict)  # by mode: how long the loop is held (ms)
    recorded: Rounds = field(default_factory=dict)  # recording.FAST and PACED: with the flight recorder and without
    failures: dict[str, str] = field(default_factory=dict)  # who could not be measured, and why


@dataclass
class Target:
    """Something that should hold. `measured` is None where the run did not ask."""

    what: str
    wanted: float
    measured: float | None
    at_most: bool = False
    aim: bool = False  # hoped for, not asked
    show: Callable[[float], str] = "{:,.2f} ×".format

    @property
    def holds(self) -> bool:
        assert self.measured is not None
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    def row(self) -> str:
        assert self.measured is not None
        bound = "at most" if self.at_most else "at least"
        verdict = ("reached" if self.aim else "holds") if self.holds else ("not reached" if self.aim else "**missed**")
        aim = " (an aim)" if self.aim else ""
        return f"| {self.what} | {bound} {self.show(self.wanted)}{aim} | {self.show(self.measured)} | {verdict} |"
