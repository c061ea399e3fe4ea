"""What this process counts on its way: plain integers, and two histograms. metrics.py adds them up, once a second.

The rule: counting costs an addition, where it is done at all. What every connection counts for itself anyway is not
counted here again, but once when it ends. Pure: no I/O but a look at this process's memory, no framework.
"""

from __future__ import annotations

import logging
import os
import resource
import sys
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from itertools import accumulate
from typing import Protocol

BOUNDS = [0.000_25 * 2 ** (step / 2) for step in range(32)]  # seconds: a quarter of a millisecond to 12 s
RECENT = 5  # beats that a quantile looks back


class Ended(Protocol):
    """A connection that has ended."""

    messages_in: int
    bytes_in: int

    @property
    def messages_out(self) -> int: ...
    @property
    def bytes_out(self) -> int: ...


class Counters:
    """Since this process began. Messages and bytes are those of connections that have ended."""

    def __init__(self) -> None:
        self.opened = self.closed = 0  # connections
        self.messages_in = self.messages_out = self.bytes_in = self.bytes_out = 0
        self.requests = 0  # HTTP
        self.errors = 0  # lines in the log that say ERROR, or worse
        self.drops = 0  # messages that were taken and reached nobody, for want of room, a layer or a rule
        self.rate_limited = 0  # messages that were refused, or had to wait, because their sender was too fast
        self.slow_readers = 0  # connections closed with 1013, because they let too much wait

    def ended(self, connection: Ended) -> None:
        self.closed += 1
        self.messages_in += connection.messages_in
        self.messages_out += connection.messages_out
        self.bytes_in += connection.bytes_in
        self.bytes_out += connection.bytes_out


class Histogram:
    """How long something took: how often it was at most each of BOUNDS, and longer than the last."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0  # seconds
        self._marks = deque([list(self.counts)], RECENT)

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    def mark(self) -> None:
        """A beat has passed."""
        self._marks.append(list(self.counts))

    def recent(self, share: float) -> float:
        """Seconds that this share of the last RECENT beats' took at most, within a fifth; 0 where there were none."""
        counts = [now - before for now, before in zip(self.counts, self._marks[0], strict=True)]
        wanted = share * sum(counts)
        if not wanted:
            return 0.0
        upto = list(accumulate(counts))
        found = next(index for index, total in enumerate(upto) if total >= wanted)
        low = BOUNDS[found - 1] if found else 0.0
        high = BOUNDS[min(found, len(BOUNDS) - 1)]
        return high - (high - low) * (upto[found] - wanted) / counts[found]

    @property
    def buckets(self) -> Sequence[tuple[str, float]]:
        """As Prometheus has them: (at most so many seconds, how often), the last without a bound."""
        names = [*(f"{bound:.6g}" for bound in BOUNDS), "+Inf"]
        return list(zip(names, map(float, accumulate(self.counts)), strict=True))


class ErrorCounter(logging.Handler):
    """Counts what is logged as an error, wherever in the house: what fails is always logged."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)

    def emit(self, record: logging.LogRecord) -> None:
        counters.errors += 1


def memory() -> int:
    """Bytes of memory that this process holds; its most so far where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


counters = Counters()
posts = Histogram()  # from the moment that a post is taken from its connection to its acknowledgement
lag = Histogram()  # how late the event loop was
