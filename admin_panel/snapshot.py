"""One read-only picture of the cluster: what every server last reported, in one query.

The rule: a picture is honest. A server that has stopped reporting is shown as stale, with what it last said, until its
lease ends; the totals are of those that report. Where the database does not answer, the last picture is shown again,
and says so.

    {"time": "2026-11-20T10:00:00.000Z",
     "servers": [{"id", "host", "port", "pid", "version", "started_at", "seen_at", "stale", "draining",
                  **numbers}],
     "totals": {"servers", **numbers},
     "database": {"ok", "latency_ms"}, "layer": {"ok"},
     "history": [{"time", **numbers}]}     five minutes, a point every five seconds: only where it is asked for

numbers: metrics.CURRENT (connections, latency_p99, …) as they are now, metrics.COUNTED (requests, errors, …) since the
server began, and "rates": {…} has those of COUNTED a second. In the history COUNTED are a second. Times of posts and
of the loop's lag are milliseconds; a total of those is the slowest server's, since quantiles do not add up.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from django.db.models.functions import Now

from realtime_project import overview, registry
from realtime_project.metrics import COUNTED, CURRENT, POINT, hears
from realtime_project.models import Server

Json = dict[str, Any]

SILENT = timedelta(seconds=3.5)  # a server reports every second
WORST = {"latency_p50", "latency_p99", "lag_p50", "lag_p99"}  # of which a total is the highest

NOTHING: Json = {**dict.fromkeys((*CURRENT, *COUNTED), 0), "rates": dict.fromkeys(COUNTED, 0)}


class Reports(NamedTuple):
    """What the database says, or said."""

    rows: Sequence[Server] = ()
    now: datetime | None = None  # by the database's clock
    read_at: float = 0.0  # seconds, monotonic
    latency: float = 0.0  # seconds
    history: bool = False  # was read too


def read(history: bool = False) -> Reports:
    """Ask the database, on a thread that may."""
    began = time.perf_counter()
    query = registry.servers() if not history else registry.servers().defer(None).defer("topics")
    rows = list(query.annotate(now=Now()))
    now = rows[0].now if rows else None
    return Reports(rows, now, time.monotonic(), time.perf_counter() - began, history)


def picture(reports: Reports, answered: bool = True) -> Json:
    """`reports` as staff see them. answered: whether the database said so just now."""
    now = reports.now or datetime.now(UTC)
    now += timedelta(seconds=time.monotonic() - reports.read_at) if reports.rows else timedelta()
    servers = [_server(row, now) for row in reports.rows]
    reporting = [server for server in servers if not server["stale"]]
    found: Json = {
        "time": now,
        "servers": servers,
        "totals": {"servers": len(servers), **_sum(reporting)},
        "database": {"ok": answered, "latency_ms": round(1000 * reports.latency, 2) if answered else None},
        "layer": {"ok": hears() and all(server["layer"] for server in reporting)},
    }
    if reports.history:
        found["history"] = _history(reports.rows)
    return found


def _server(row: Server, now: datetime) -> Json:
    unknown = {"draining": False, "layer": False, **NOTHING}
    return unknown | overview.reported(row) | {"stale": now - row.seen_at > SILENT}


def _sum(servers: Iterable[Json]) -> Json:
    total: Json = {**NOTHING, "rates": dict(NOTHING["rates"])}
    for server in servers:
        for name in (*CURRENT, *COUNTED):
            total[name] = max(total[name], server[name]) if name in WORST else total[name] + server[name]
        for name in COUNTED:
            total["rates"][name] = round(total["rates"][name] + server["rates"].get(name, 0), 1)
    total["cpu"] = round(total["cpu"], 1)
    return total


def _history(rows: Iterable[Server]) -> list[Json]:
    """Every server's points, added up by their time, oldest first."""
    found: dict[float, Json] = {}
    for row in rows:
        for numbers in row.history:
            point = dict(zip(POINT, numbers, strict=False))
            total = found.setdefault(point["time"], dict.fromkeys(POINT, 0))
            for name in (*CURRENT, *COUNTED):
                value = point.get(name, 0)
                total[name] = max(total[name], value) if name in WORST else round(total[name] + value, 1)
    return [found[moment] | {"time": datetime.fromtimestamp(moment, UTC)} for moment in sorted(found)]
