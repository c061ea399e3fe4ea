"""A token bucket: how much a client may ask for in a while."""

from collections.abc import Callable


class Bucket:
    """Holds `burst` tokens at most and gains `rate` of them a second. A rate of 0 is no limit."""

    __slots__ = ("_at", "_clock", "_tokens", "burst", "rate")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float]) -> None:
        self.rate, self.burst, self._clock = rate, burst, clock
        self._tokens, self._at = burst, clock()

    def take(self) -> float:
        """0 if a token was there; else the seconds until there is one."""
        if not self.rate:
            return 0
        now = self._clock()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return (1 - self._tokens) / self.rate

    @property
    def full(self) -> bool:
        """Whether nothing is lost with this bucket: a new one would be as full."""
        return self._tokens + (self._clock() - self._at) * self.rate >= self.burst
