"""The servers, topics and endpoints of the cluster, as tables: what is there, and what passes there now.

The rule: a table is bounded by what is asked for, and of what servers report by metrics.TOPICS a server: a topic beyond
the busiest of every server is shown as if nobody read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum

from . import registry
from .control import PREFIX as CONTROL
from .models import Connection, Server, TopicEvent, TopicHead

Row = dict[str, Any]


def topics(search: str = "", limit: int = 50) -> tuple[list[Row], int]:
    """The busiest first, then by name: at most `limit` whose name holds `search`, and how many there are.

    [{"name", "durable", "subscribers", "rate": events a second or None where nobody reads, "offset": the last,
    "events": kept}], the last two None for topics without history.
    """
    found = read_now(search)
    durable = TopicHead.objects.filter(name__icontains=search).exclude(name__startswith=CONTROL)
    count = durable.exclude(name__in=list(found)).count() + len(found)
    rows = sorted(found.values(), key=lambda row: (-row["rate"], -row["subscribers"], row["name"]))[:limit]
    missing = limit - len(rows)
    others = durable.exclude(name__in=list(found)).order_by("name").values_list("name", flat=True)
    rows += [_row(name, durable=True) for name in others[:missing]] if missing else []
    heads = {head.name: head for head in with_first(TopicHead.objects.filter(name__in=[row["name"] for row in rows]))}
    for row in rows:
        if head := heads.get(row["name"]):
            row["offset"], row["events"] = head.offset, kept(head)
    return rows, count


def reported(server: Server) -> Row:
    """A server as its row has it: what it is, and the figures of its last report."""
    names = ("host", "port", "pid", "version", "started_at", "seen_at")
    return {"id": server.pk, **{name: getattr(server, name) for name in names}, **server.figures}


def with_first(heads: QuerySet[TopicHead]) -> QuerySet[TopicHead]:
    """With `first` and `first_at` of the events that are kept."""
    events = TopicEvent.objects.filter(topic=OuterRef("pk")).order_by("offset")
    return heads.annotate(
        first=Subquery(events.values("offset")[:1]), first_at=Subquery(events.values("created_at")[:1])
    )


def kept(head: Any) -> int:
    """How many events of a topic are kept. They have no holes, so that nobody need count a million of them."""
    return head.offset - head.first + 1 if head.first else 0


def read_now(search: str = "") -> dict[str, Row]:
    """The topics that live servers report somebody to read, added up: name → a row without what the log keeps."""
    found: dict[str, Row] = {}
    alive = Server.objects.filter(pk__in=list(registry.servers().values_list("pk", flat=True)))
    for reported in alive.values_list("topics", flat=True):
        for topic in reported:
            if search.casefold() in topic["name"].casefold():
                row = found.setdefault(topic["name"], _row(topic["name"], topic["durable"], rate=0))
                row["subscribers"] += topic["subscribers"]
                # Each server delivers every event of a topic that is read there.
                row["rate"] = max(row["rate"], topic["rate"])
    return found


def endpoints(servers: Sequence[Server]) -> list[Row]:
    """Every endpoint of these servers, with its limits (see routing.described) and its clients of this moment.

    [{"server", "path", "mode", "max_size", "rate", "burst", "queue", "clients", "rate_in", "rate_out", "messages_in",
    "messages_out", "bytes"}]: messages a second, messages, and bytes both ways, of the connections that are open now.
    """
    live = Connection.objects.filter(server__in=[server.pk for server in servers]).values("server", "endpoint")
    sums = {name: Sum(name) for name in ("rate_in", "rate_out", "messages_in", "messages_out")}
    counted = live.annotate(clients=Count("pk"), bytes=Sum("bytes_in") + Sum("bytes_out"), **sums).order_by()
    found = {(row.pop("server"), row.pop("endpoint")): row for row in map(dict[str, Any], counted)}
    nothing = dict.fromkeys(("clients", "bytes", *sums), 0)
    rows = [
        {"server": server.pk, **endpoint, **nothing, **found.get((server.pk, endpoint["path"]), {})}
        for server in servers
        for endpoint in server.endpoints
    ]
    for row in rows:
        row["rate_in"], row["rate_out"] = round(row["rate_in"], 1), round(row["rate_out"], 1)
    return rows


def _row(name: str, durable: bool, rate: float | None = None) -> Row:
    return {"name": name, "durable": durable, "subscribers": 0, "rate": rate, "offset": None, "events": None}
