"""Private topics: every connection has two, named by its server and its id. `conn.out:…` reaches that client and nobody
else; `conn.in:…` reaches whoever takes its messages, as if the client had sent them.

The rule: a connection costs the layer nothing. What is published travels through one group a server and is dispatched
there by a dictionary; in the server itself it needs no layer. Nobody can subscribe to a private topic, and no input is
ever a topic's whole name, so clients cannot reach one. Pure: names and a dictionary.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Sequence
from typing import Protocol

from .feeds import Content, Event, Run

logger = logging.getLogger(__name__)

SERVER = uuid.uuid4().hex  # this process, in the names of private topics, in the registry and in orders
OUT, IN = "conn.out:", "conn.in:"


class Client(Protocol):
    """What a connection does with what comes through its private topics. Neither waits."""

    def write(self, events: Sequence[Event]) -> None: ...
    def take(self, contents: Sequence[Content]) -> None: ...


clients: dict[str, Client] = {}  # the connections of this process that are open now, by id


def name_of(direction: str, server: str, connection: str) -> str:
    """A private topic's name, from OUT or IN and two ids."""
    return f"{direction}{server}:{connection}"


def server_of(name: str) -> str | None:
    """The server to which a private topic leads; None for any other topic."""
    return name.split(":", 2)[1] if name.startswith((OUT, IN)) else None


def group_of(server: str, number: int) -> str:
    """The layer's name for a server's seat. Numbered: two of its layers may be one Redis."""
    return f"server.{hashlib.sha256(server.encode()).hexdigest()[:40]}.{number}"


def deliver(name: str, contents: Sequence[Content]) -> None:
    """Hand over what was published to a private topic of this process. Who has gone gets nothing."""
    client = clients.get(name.rpartition(":")[2])
    if client is None:
        return
    try:
        if name.startswith(OUT):
            client.write(Run(map(Event, contents)))
        else:
            client.take(contents)
    except Exception:  # one client's trouble is not that of who published, or of the seat
        logger.exception("topic %r: its connection failed", name)
