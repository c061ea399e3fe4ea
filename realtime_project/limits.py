"""What a client may ask for: the limits of every connection, and a token bucket. All of it pure."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What every connection gets. Seconds, bytes and counts, all above zero."""

    idle_timeout: float = 60  # without a byte from the client: 4408
    max_message: int = 16 * 1024 * 1024  # one message, its fragments added up: 1009
    max_buffer: int = 1024 * 1024  # waiting for a slow reader: 1013
    max_queue: int = 64  # messages, or
    max_queue_size: int = 1024 * 1024  # bytes, that wait for a busy application: reading pauses
    max_body: int = 10 * 1024 * 1024  # of an HTTP request: 413
    handshake_timeout: float = 10  # for a request to arrive: the connection is cut
    drain: float = 10  # from SIGTERM to the end

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"{name} must be above zero, not {value!r}")


class Bucket:
    """Holds `burst` tokens at most and gains `rate` of them a second. A rate of 0 is no limit."""

    __slots__ = ("__weakref__", "_at", "_clock", "_tokens", "burst", "rate")

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
