"""What staff see of actors: the diagram of an endpoint with the connections in each state, a recording step by step,
and recordings played again against today's rules.

The rule: a recording is of a person. Whoever sees one, plays it again or takes it away needs the permission to see
recordings, and that one was taken away is on the record.
"""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

import msgspec
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import StrIndex, Substr
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_GET, require_POST

from realtime_project import registry
from realtime_project.listing import is_number
from realtime_project.models import Connection

from .diagram import STYLE, render, shown_name
from .endpoints import replays, setups
from .export import export
from .graph import ANYWHERE, NOWHERE, Table
from .models import Recording, Step
from .portable import shown
from .replay import OTHERWISE, SAME, UNKNOWN, Report, replay
from .targets import UNKNOWN as UNREAD

SEE = "actors.view_recording"
STATES = 200  # of one endpoint that are counted
PAGE = 100  # steps
MOST, SECONDS = 200, 8.0  # recordings that are played again for one page, and how long that may take
DAYS = {"": "at any time", "1": "in the last day", "7": "in the last week", "30": "in the last month"}


# diagrams -------------------------------------------------------------------------------------------------------
@require_GET
def diagrams(request: HttpRequest) -> HttpResponse:
    """One endpoint's rules, and how many connections are in each state now; with `now`, these numbers alone."""
    if not request.user.has_perm("realtime_project.view_connection"):
        raise PermissionDenied
    known = setups()
    path = request.GET.get("path") or next(iter(known), "")
    if path not in known:
        if path:
            raise Http404("nothing in actor mode is there")
        return _page(request, "diagrams", "Diagrams", known=known)
    if "now" in request.GET:
        return JsonResponse(counts(path))
    setup = known[path]
    table = Table(setup.rules, setup.initial_state, setup.decoder.messages)
    graph = table.graph()
    names = [node.name for node in graph.nodes if not node.is_final and not node.name.startswith((ANYWHERE, NOWHERE))]
    return _page(
        request,
        "diagrams",
        "Diagrams",
        known=known,
        path=path,
        setup=setup,
        # drawn by diagram.py, which escapes every text
        svg=mark_safe(render(graph, f"States of {path}", alone=False)),
        style=mark_safe(STYLE),
        states=[(name, shown_name(name)) for name in names],
        dead_ends=table.dead_ends(),
        unhandled=table.unhandled(),
        unread=[rule for rule, led in table.led.items() if UNREAD in led],
        now=counts(path),
    )


def counts(path: str) -> dict[str, Any]:
    """{"states": {name: connections}, "total"}: as the registry shows them, by how a state's repr begins."""
    alive = [server.pk for server in registry.servers()]
    plain = Q(state__startswith="'") | Q(state__startswith='"') | Q(state__startswith="<") | ~Q(state__contains="(")
    name = Case(When(plain, then=F("state")), default=Substr("state", 1, StrIndex(F("state"), Value("(")) - Value(1)))
    rows = Connection.objects.filter(endpoint=path, server__in=alive, state__isnull=False).annotate(name=name)
    found = rows.values("name").annotate(count=Count("pk")).order_by("-count", "name")
    states = {row["name"]: row["count"] for row in found[:STATES]}
    return {"states": states, "total": sum(states.values())}


# recordings -----------------------------------------------------------------------------------------------------
def recording(request: HttpRequest, id: str) -> HttpResponse:
    """One recording, step by step; with `replay`, what today's rules would make of each."""
    _may_see(request)
    row = with_life(Recording.objects.select_related("user")).filter(pk=id).first()
    if row is None:
        messages.warning(request, "That recording has gone meanwhile.")
        return redirect("admin:actors_recording_changelist")
    setup = setups().get(row.endpoint)
    steps = row.steps.order_by("number")
    report: Report | None = None
    if "replay" in request.GET and setup:
        report = replay(setup.rules, steps, setup.redact or ())
    verdicts = {verdict.step.number: verdict for verdict in report.verdicts} if report else {}
    pages = Paginator(steps, PAGE)
    page = pages.get_page(request.GET.get("page") or _page_of(steps, request.GET.get("step", "")))
    lines, before = [], None
    for step in page.object_list:
        lines.append(_line(step, before, verdicts.get(step.number)))
        before = step
    return _page(
        request,
        "recording",
        str(row),
        recording=row,
        life=life(row),
        setup=setup,
        page=page,
        lines=lines,
        report=report,
        words=[(word, len(report.of(word))) for word in (SAME, OTHERWISE, UNKNOWN)] if report else [],
        may_delete=request.user.has_perm("actors.delete_recording"),
        opts=Recording._meta,
    )


def with_life(rows: QuerySet[Recording]) -> QuerySet[Recording]:
    """With `is_here`: whether the connection is open, as far as the registry has written it."""
    alive = Connection.objects.filter(pk=OuterRef("pk"), server__in=registry.servers().values("pk"))
    return rows.annotate(is_here=Exists(alive))


def life(row: Any) -> str:
    """live, ended, or cut off: its server was killed, and nobody could say that it has ended."""
    if row.ended:
        return "ended"
    is_new = timezone.now() - row.last_at < timedelta(seconds=10)
    return "live" if row.is_here or is_new else "cut off"


def _page_of(steps: Any, number: str) -> int:
    """The page on which a step stands."""
    return steps.filter(number__lt=int(number)).count() // PAGE + 1 if is_number(number) else 1


def _line(step: Step, before: Step | None, verdict: Any) -> dict[str, Any]:
    """A step as it is shown."""
    return {
        "step": step,
        "after": None if before is None else step.at - before.at,
        "missing": before is not None and step.number - before.number - 1,
        "told": _shown(step.told),
        "became": _shown(step.became),
        "was": _shown(step.was),
        "changed": step.was != step.became,
        "effects": [shown(effect) for effect in _read(step.effects)],
        "handler": step.rule.partition(" at ")[0],
        "where": step.rule.partition(" at ")[2],
        "took": f"{step.took * 1000:.2f} ms" if step.took else "",
        "verdict": verdict,
    }


def _read(text: str) -> Any:
    plain = msgspec.json.decode(text)
    return plain if isinstance(plain, list) else [plain]


def _shown(text: str) -> str:
    return shown(msgspec.json.decode(text))


@require_POST
def exported(request: HttpRequest, id: str) -> HttpResponse:
    """The recording as a pytest file, and a line on the record."""
    _may_see(request)
    row = get_object_or_404(Recording, pk=id)
    setup = setups().get(row.endpoint)
    if setup is None:
        messages.error(request, f"Nothing is at {row.endpoint} any more, so there are no rules to play it with.")
        return redirect("admin:actors_recording_change", row.pk)
    text = export(row, list(row.steps.order_by("number")), setup.rules, sorted(setup.redact or ()))
    staff: Any = request.user
    LogEntry.objects.create(
        user_id=staff.pk,
        content_type=ContentType.objects.get_for_model(Recording),
        object_id=row.pk,
        object_repr=str(row)[:200],
        action_flag=CHANGE,
        change_message="Exported as a test.",
    )
    name = re.sub(r"[\W_]+", "_", f"test_recorded_{row.endpoint}_{row.pk[:8]}").strip("_")
    return HttpResponse(
        text,
        content_type="text/x-python; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.py"'},
    )


@require_GET
def replayed(request: HttpRequest) -> HttpResponse:
    """Many recordings against today's rules: those that would go otherwise first. Asked for with `run`."""
    _may_see(request)
    endpoint, days, ids = (request.GET.get(name, "") for name in ("endpoint", "days", "ids"))
    rows = Recording.objects.select_related("user").order_by("-last_at")
    if endpoint:
        rows = rows.filter(endpoint=endpoint)
    if days in DAYS and days:
        rows = rows.filter(last_at__gte=timezone.now() - timedelta(days=int(days)))
    if ids:
        rows = rows.filter(pk__in=ids.split(",")[:MOST])
    found: list[dict[str, Any]] = []
    if "run" in request.GET:
        begun = time.monotonic()
        for row, report in replays(rows[:MOST]):
            found.append(_judged(row, report))
            if time.monotonic() - begun > SECONDS:
                break
        found.sort(key=lambda each: (OTHERWISE, UNKNOWN, SAME, "").index(each["word"]))
    total = rows.count()
    endpoints = sorted({*setups(), *Recording.objects.values_list("endpoint", flat=True).distinct()})
    return _page(
        request,
        "replays",
        "Replay",
        rows=found,
        total=total,
        left=total - len(found),
        ran="run" in request.GET,
        words=[(word, sum(each["word"] == word for each in found)) for word in (SAME, OTHERWISE, UNKNOWN)],
        gone=sum(not each["word"] for each in found),
        endpoint=endpoint,
        endpoints=endpoints,
        days=days,
        periods=DAYS,
        ids=ids,
    )


def _judged(row: Recording, report: Report | None) -> dict[str, Any]:
    word = report.word if report else ""
    first = next(iter(report.of(word)), None) if report and word != SAME else None
    url = reverse("admin:actors_recording_change", args=[row.pk])
    if first:
        url = f"{url}?{urlencode({'replay': 1, 'step': first.step.number})}#step-{first.step.number}"
    return {"row": row, "word": word, "first": first, "number": len(report.of(word)) if report else 0, "url": url}


def _may_see(request: HttpRequest) -> None:
    if not request.user.has_perm(SEE):
        raise PermissionDenied


def _page(request: HttpRequest, name: str, title: str, **context: Any) -> HttpResponse:
    known = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, f"actors/{name}.html", known)
