"""manage.py realtime …: see the cluster and steer it from a shell.

Tables to be read, or JSON (`--json`) to be processed. Whoever has a shell here may do everything; staff who have only a
browser have the panel. What clients say is shown in somebody's name only, and that is recorded.
"""

import asyncio
import getpass
import json
import os
import signal
import socket
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from inspect import signature
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.management.base import BaseCommand, CommandError
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from realtime_project import control, overview, registry
from realtime_project.follow import follow
from realtime_project.logs import escaped
from realtime_project.models import Connection
from realtime_project.topics import in_memory

from .publish import publish

Row = dict[str, Any]

LIMIT = 50  # rows
WIDEST = 60  # characters of a cell
COUNTERS = ["messages_in", "messages_out", "bytes_in", "bytes_out"]
CLIENT = [
    "id", "server", "channel_id", "endpoint", "path", "mode", "client_ip", "client_port", "origin", "user",
    "subprotocol", "connected_at", *COUNTERS, "rate_in", "rate_out", "unsent",
]  # fmt: skip
ORDERS: dict[str, list[Any]] = {  # what clients are sorted by, and how
    "age": [],
    "unsent": ["-unsent"],
    "rate": [(F("rate_in") + F("rate_out")).desc()],
    "messages": [(F("messages_in") + F("messages_out")).desc()],
}
ACTOR = ["id", "server", "endpoint", "path", "user", "state", "session", "connected_at", "last_message_at"]


class Command(BaseCommand):
    help = "Shows servers, endpoints, clients, topics, actors and frames; closes, stops, publishes, drains."
    requires_system_checks = []  # a table is asked for, not what could be set up better

    def add_arguments(self, parser: ArgumentParser) -> None:
        parts = parser.add_subparsers(dest="what", required=True, metavar="WHAT")

        def part(name: str, help: str, listed: bool = True, long: bool = True) -> ArgumentParser:
            added: ArgumentParser = parts.add_parser(name, help=help, description=help)
            added.set_defaults(part=getattr(self, name))
            added.add_argument("--json", action="store_true", help="print JSON")
            if listed and long:
                added.add_argument("--limit", type=_from(1), default=LIMIT, help=f"rows at most ({LIMIT})")
                added.add_argument("--offset", type=_from(0), default=0, help="rows to leave out (0)")
            return added

        part("servers", "The servers that are alive, with their load.", long=False)
        endpoints = part("endpoints", "Every WebSocket endpoint, with its mode and its clients.", long=False)
        endpoints.add_argument("server", nargs="?", help="the id of one server, or how it begins")
        clients = part("clients", "The open connections.")
        clients.add_argument("--server", help="of one server: its id, or how it begins")
        clients.add_argument("--path", help="of one endpoint (/ws/rooms/<room>/) or concrete path")
        clients.add_argument("--user", help="of one user: the name they log in with")
        clients.add_argument("--address", help="from one address")
        clients.add_argument("--sort", choices=list(ORDERS), default="age", help="the most of it first (age)")
        topics = part("topics", "Topics: their readers, events a second, last offset, and events kept.")
        topics.add_argument("--search", default="", help="part of the name")
        part("actors", "The connections in actor mode, oldest first.")
        stop = part("stop", "Stops an actor for good: its client is told 1000.", listed=False)
        stop.add_argument("connection", help="the id of its connection")
        close = part("close", "Closes connections. They are told the code and the reason.", listed=False)
        whose = close.add_mutually_exclusive_group(required=True)
        whose.add_argument("connection", nargs="?", help="the connection's id")
        whose.add_argument("--user", help="all connections of a user: the name they log in with")
        close.add_argument("--code", type=int, default=control.CLOSED, help=f"close code ({control.CLOSED})")
        close.add_argument("--reason", default=control.REASON, help=f"in at most {control.REASON_SIZE} bytes")
        publishing = part("publish", "Publishes a text to a topic, as manage.py publish does.", listed=False)
        publishing.add_argument("topic", help="the topic's name, for example: news")
        publishing.add_argument("text", help="what to publish")
        tail = part("tail", "Shows a client's frames as they pass, until Ctrl-C.", listed=False)
        tail.add_argument("connection", help="the connection's id")
        tail.add_argument("--by", help="whose look it is: the name of staff who may watch (the name you have here)")
        drain = part("drain", "Has a server leave as on SIGTERM: its clients are told 1012.", listed=False)
        drain.add_argument("server", help="the server's id, or how it begins")

    def handle(self, *args: Any, part: Callable[..., None], json: bool, **options: Any) -> None:
        self.as_json = json
        try:
            part(**{name: value for name, value in options.items() if name in signature(part).parameters})
        except (LookupError, ValueError, PermissionDenied) as error:
            raise CommandError(str(error)) from None

    # what there is --------------------------------------------------------------------------------------------
    def servers(self) -> None:
        now = timezone.now()
        rows = [overview.reported(row) for row in registry.servers()]
        shown = [
            {
                "server": row["id"],
                "address": f"{row['host']}:{row['port']}",
                "pid": str(row["pid"]),  # a name, not an amount
                "version": row["version"],
                "up for": _ago(now, row["started_at"]),
                "seen": _ago(now, row["seen_at"]) + (" draining" if row.get("draining") else ""),
                "clients": row.get("connections"),
                "in/s": row.get("rates", {}).get("messages_in"),
                "out/s": row.get("rates", {}).get("messages_out"),
                "post p99 ms": row.get("latency_p99"),
                "lag p99 ms": row.get("lag_p99"),
                "cpu %": row.get("cpu"),
                "MiB": round(row.get("memory", 0) / 2**20),
            }
            for row in rows
        ]
        self._show(rows, shown, len(rows))

    def endpoints(self, server: str | None) -> None:
        rows = overview.endpoints([_server(server)] if server else list(registry.servers()))
        shown = [
            {
                "server": row["server"],
                "path": row["path"],
                "mode": row["mode"],
                "clients": row["clients"],
                "in/s": row["rate_in"],
                "out/s": row["rate_out"],
                "max bytes": row.get("max_size"),
                "rate": f"{row['rate']:g}/s, {row['burst']:g} at once" if row.get("rate") else None,
                "queue": row.get("queue"),
            }
            for row in rows
        ]
        self._show(rows, shown, len(rows))

    def clients(
        self,
        server: str | None,
        path: str | None,
        user: str | None,
        address: str | None,
        sort: str,
        limit: int,
        offset: int,
    ) -> None:
        found = Connection.objects.filter(server__in=registry.servers()).order_by(*ORDERS[sort], "connected_at", "id")
        if server:
            found = found.filter(server=_server(server))
        if path:
            found = found.filter(Q(endpoint=path) | Q(path=path))
        if user:
            found = found.filter(user=_user(user))
        if address:
            found = found.filter(client_ip=address)
        rows = _rows(found, CLIENT, limit, offset)
        shown = [
            {
                "id": row["id"],
                "path": row["path"],
                "mode": row["mode"],
                "user": row["username"],
                "address": f"{row['client_ip']}:{row['client_port']}",
                "since": row["connected_at"],
                "in": row["messages_in"],
                "out": row["messages_out"],
                "in/s": row["rate_in"],
                "out/s": row["rate_out"],
                "unsent": row["unsent"],
            }
            for row in rows
        ]
        self._show(rows, shown, found.count(), offset)

    def topics(self, search: str, limit: int, offset: int) -> None:
        rows, count = overview.topics(search, limit + offset)
        rows = rows[offset:]
        self._show(rows, [row | {"durable": "yes" if row["durable"] else "no"} for row in rows], count, offset)

    def actors(self, limit: int, offset: int) -> None:
        found = registry.actors()
        rows = _rows(found, ACTOR, limit, offset)
        shown = [
            {
                "id": row["id"],
                "path": row["path"],
                "user": row["username"],
                "state": row["state"],
                "session": row["session"],
                "since": row["connected_at"],
                "last message": row["last_message_at"],
            }
            for row in rows
        ]
        self._show(rows, shown, found.count(), offset)

    # what can be ordered --------------------------------------------------------------------------------------
    def close(self, connection: str | None, user: str | None, code: int, reason: str) -> None:
        if user:
            control.close_user(_user(user), code, reason)
        else:
            assert connection
            control.close(connection, code, reason)
        self._say({"ordered": "close", "user": user, "connection": connection, "code": code, "reason": reason})

    def stop(self, connection: str) -> None:
        if control.stop(connection):
            self._say({"ordered": "stop", "connection": connection})
        else:
            self._say({"stopped": "already", "connection": connection})

    def publish(self, topic: str, text: str) -> None:
        self._say({"published": topic, "offset": publish(topic, text)})

    def drain(self, server: str) -> None:
        row = _server(server)
        control.drain(row.pk)
        self._say({"ordered": "drain", "server": row.pk})

    def tail(self, connection: str, by: str | None) -> None:
        if in_memory():
            raise LookupError("frames reach a shell through the channel layer: set REDIS_URL, as the servers have it")
        here = _name_here()
        try:
            person = _user(by or here)
        except LookupError as error:
            raise LookupError(f"{error}: a look is recorded with somebody's name. Say whose it is with --by") from None
        with suppress(KeyboardInterrupt, asyncio.CancelledError):
            asyncio.run(self._until_stopped(connection, person, f"from a shell, as {here}@{socket.gethostname()}"))
            self.stderr.write("The connection has ended.")

    async def _until_stopped(self, connection: str, person: Any, how: str) -> None:
        """Also where whoever started this process had it ignore Ctrl-C, as a shell does in the background."""
        task = asyncio.current_task()
        assert task
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await follow(person.pk, connection, how, self._frames)

    def _frames(self, frames: list[Row], skipped: int) -> None:
        """A line a frame, as it comes."""
        for frame in frames:
            if self.as_json:
                self.stdout.write(json.dumps(frame))
            else:
                at = timezone.localtime(datetime.fromtimestamp(frame["at"] / 1000, UTC)).strftime("%H:%M:%S.%f")[:-3]
                self.stdout.write(f"{at} {frame['way']:3} {frame['kind']} {frame['size']:,} {escaped(frame['text'])}")
        if skipped:
            self.stderr.write(f"{skipped:,} more were too many to show.")
        self.stdout.flush()

    # ----------------------------------------------------------------------------------------------------------
    def _say(self, done: Row) -> None:
        if self.as_json:
            self.stdout.write(json.dumps(done))
        else:
            words = [f"{name} {value}" for name, value in done.items() if value is not None]
            self.stdout.write(f"{escaped(', '.join(words)).capitalize()}.")

    def _show(self, rows: Sequence[Row], shown: Sequence[Row], count: int, offset: int = 0) -> None:
        """rows: for JSON; shown: for the table; count: how many there are in all."""
        if self.as_json:
            self.stdout.write(json.dumps(rows, cls=DjangoJSONEncoder, indent=2))
            return
        for line in _table(shown):
            self.stdout.write(line)
        if not shown:
            self.stdout.write("None." if not count else f"None from {offset} on; there are {count:,}.")
        elif len(shown) < count:
            self.stdout.write(f"{offset + 1:,} to {offset + len(shown):,} of {count:,}: see --limit and --offset.")


def _server(id: str) -> Any:
    """The one live server whose id begins so."""
    found = list(registry.servers().filter(pk__startswith=id)[:2])
    if len(found) != 1:
        alive = ", ".join(registry.servers().values_list("pk", flat=True)) or "none"
        raise registry.UnknownServer(f"{'several live servers have' if found else 'no live server has'} an id that "
                                     f"begins with {id!r}; alive: {alive}")  # fmt: skip
    return found[0]


def _user(name: str) -> Any:
    people = get_user_model()
    try:
        return people._default_manager.get_by_natural_key(name)
    except people.DoesNotExist:
        raise LookupError(f"there is no user {name!r}") from None


def _name_here() -> str:
    """What the system calls whoever runs this."""
    try:
        return getpass.getuser()
    except (LookupError, OSError):  # a container may have nobody of that number
        return f"user {os.getuid()}"


def _rows(found: QuerySet[Connection], names: Iterable[str], limit: int, offset: int) -> list[Row]:
    username = F(f"user__{get_user_model().USERNAME_FIELD}")
    return list(found.values(*names, username=username)[offset : offset + limit])


def _table(rows: Sequence[Row]) -> list[str]:
    """Columns as wide as what stands in them; nothing in them can steer the terminal."""
    if not rows:
        return []
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(isinstance(value, int | float | None) for value in column) for column in _columns(rows)]
    return [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, numeric, strict=True)
        ).rstrip()
        for line in cells
    ]


def _columns(rows: Sequence[Row]) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in rows[0]]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%Y-%m-%d %H:%M:%S")
    text = f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else escaped(str(value))
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _ago(now: datetime, then: datetime) -> str:
    seconds = max(0, int((now - then).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _from(least: int) -> Callable[[str], int]:
    """What argparse turns a number into."""

    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise ArgumentTypeError(f"a whole number is wanted, {least} or more, not {text!r}")
        return int(text)

    return number
