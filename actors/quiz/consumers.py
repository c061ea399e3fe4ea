"""The quiz's endpoint."""

from __future__ import annotations

from typing import Any

from ..consumers import ActorConsumer
from .game import Format
from .players import MESSAGES, Arriving, quiz


class QuizConsumer(ActorConsumer):
    """Players' connections: their actors are kept, so that nothing is lost with a server."""

    max_size = 4 * 1024  # bytes: nobody has more to say

    @classmethod
    def of(cls, format: Format) -> Any:
        """An endpoint whose games have this format."""
        return cls.as_asgi(initial_state=Arriving(format), rules=quiz, messages=MESSAGES, persist=True)
