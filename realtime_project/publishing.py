"""What publishing is made of: a topic's name, its content, and the wish to publish one to the other.

Pure, so that what only describes a publish (an actor's rules, say) needs neither Django nor the layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .feeds import Content


class Named:
    """What can be published to: topics, in their kinds."""

    name: str
    history: bool


@dataclass(frozen=True)
class Publish:
    """The effect of publishing `content` to `topic`: what an operation returns, in a list."""

    topic: Named
    content: Content

    def __post_init__(self) -> None:
        if not isinstance(self.topic, Named):
            raise TypeError(f"Publish needs a Topic, not {kind(self.topic)}")
        checked(self.content)


def checked(content: Any) -> Content:
    """The content, if it can be published. Raises TypeError, or UnicodeEncodeError for text that is none."""
    if not isinstance(content, str | bytes):
        raise TypeError(f"a topic carries str or bytes, not {kind(content)}")
    if isinstance(content, str) and not content.isascii():
        content.encode()  # a lone surrogate is no text: better an error here than at every reader
    found: Content = content
    return found


def kind(thing: Any) -> str:
    """How an error names what it was given."""
    return f"{type(thing).__name__} ({thing!r:.80})"
