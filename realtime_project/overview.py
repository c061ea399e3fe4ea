"""The topics of the cluster in one table: who reads them now, as the servers report it, and what the log keeps of them.

The rule: it is bounded by what is asked for, and of what servers report by metrics.TOPICS a server: a topic beyond the
busiest of every server is shown as if nobody read it.
"""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F

from . import registry
from .control import PREFIX as CONTROL
from .models import Server, TopicHead

Row = dict[str, Any]


def topics(search: str = "", limit: int = 50) -> tuple[list[Row], int]:
    """The busiest first, then by name: at most `limit` whose name holds `search`, and how many there are.

    [{"name", "durable", "subscribers", "rate": events a second or None where nobody reads, "offset": the last,
    "events": kept}], the last two None for topics without history.
    """
    found = _read_now(search)
    durable = TopicHead.objects.filter(name__icontains=search).exclude(name__startswith=CONTROL)
    count = durable.exclude(name__in=list(found)).count() + len(found)
    rows = sorted(found.values(), key=lambda row: (-row["rate"], -row["subscribers"], row["name"]))[:limit]
    missing = limit - len(rows)
    others = durable.exclude(name__in=list(found)).order_by("name").values_list("name", flat=True)
    rows += [_row(name, durable=True) for name in others[:missing]] if missing else []
    kept = {
        head["name"]: head
        for head in TopicHead.objects.filter(name__in=[row["name"] for row in rows]).values(
            "name", last=F("offset"), kept=Count("events")
        )
    }
    for row in rows:
        if head := kept.get(row["name"]):
            row["offset"], row["events"] = head["last"], head["kept"]
    return rows, count


def _read_now(search: str) -> dict[str, Row]:
    """What the live servers report, added up."""
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


def _row(name: str, durable: bool, rate: float | None = None) -> Row:
    return {"name": name, "durable": durable, "subscribers": 0, "rate": rate, "offset": None, "events": None}
