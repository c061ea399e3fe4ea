"""What the flight recorder has, in lists: recordings, and the single steps of all of them. Only looked at; a recording
can be deleted, for instance because its person asks for that.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from realtime_project.listing import Live, is_number

from . import (
    outbound_admin,  # noqa: F401  # which registers its own
    watching,
)
from .models import Recording, Step

NEWEST = 3_000  # steps that are looked at for what one may filter by
CHOICES = 40  # of one filter


class Recorded(Live):
    """A list for who may see recordings."""

    class Media:
        css = {"all": ("actors/watching.css",)}

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(watching.SEE)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)


class When(admin.SimpleListFilter):
    title, parameter_name = "time", "since"
    minutes: ClassVar[dict[str, str]] = {
        "15": "last 15 minutes",
        "60": "last hour",
        "1440": "last day",
        "10080": "last week",
    }
    field = "at"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        return self.minutes.items()

    def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() not in self.minutes:
            return rows
        since = timezone.now() - timedelta(minutes=int(self.value() or 0))
        return rows.filter(**{f"{self.field}__gte": since})


class WhenLast(When):
    field = "last_at"


def among_the_newest(column: str, name: str, parameter: str) -> type[admin.SimpleListFilter]:
    """A filter by a column's most frequent values among the newest steps: bounded, and cheap however many there are."""

    class Among(admin.SimpleListFilter):
        title, parameter_name = name, parameter

        def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
            found = Counter(row[column] for row in _newest(request))
            chosen = request.GET.get(self.parameter_name)
            values = [value for value, _ in found.most_common(CHOICES)]
            return [(value, value) for value in sorted({*values, *([chosen] if chosen else [])})]

        def queryset(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
            return rows.filter(**{column: self.value()}) if self.value() else rows

        def has_output(self) -> bool:
            return True

    return Among


COLUMNS = {
    "recording__endpoint": ("endpoint", "endpoint"),
    "kind": ("what happened", "kind"),
    "message": ("message", "message"),
    "before": ("state before", "before"),
    "after": ("state after", "after"),
}


def _newest(request: HttpRequest) -> list[dict[str, str]]:
    """The newest steps' columns, read once a request."""
    known: Any = request
    if not hasattr(known, "_newest_steps"):
        known._newest_steps = list(Step.objects.order_by("-pk").values(*COLUMNS)[:NEWEST])
    return known._newest_steps  # type: ignore[no-any-return]


@admin.register(Recording)
class RecordingAdmin(Recorded):
    list_display = ["short", "endpoint", "person", "began", "lasted", "steps_taken", "missing", "state", "is_live"]
    list_filter = ["endpoint", WhenLast, "ended"]
    list_select_related = ["user"]
    ordering = ["-last_at"]
    search_help_text = "The beginning of an id, a session, or a name"
    actions = ["replay_selected"]
    actions_list = ["replay"]

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return ["id__startswith", "=session", f"user__{get_user_model().USERNAME_FIELD}"]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        return watching.recording(request, object_id)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Its steps go with it: they need no permission of their own, and no list of a thousand lines."""
        rows = list(objs)
        count = Step.objects.filter(recording__in=rows).count()
        return [str(row) for row in rows], {"recordings": len(rows), "steps": count}, set(), []

    @display(description="id", ordering="pk")
    def short(self, row: Recording) -> str:
        return row.pk[:8]

    @display(description="person", ordering="user", empty_value="–")
    def person(self, row: Recording) -> Any:
        return row.user

    @display(description="began", ordering="begun_at")
    def began(self, row: Recording) -> str:
        return f"{row.begun_at:%Y-%m-%d %H:%M:%S}"

    @display(description="lasted")
    def lasted(self, row: Recording) -> str:
        seconds = (row.last_at - row.begun_at).total_seconds()
        return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"

    @display(description="steps", ordering="taken")
    def steps_taken(self, row: Recording) -> str:
        return f"{row.taken:,}"

    @display(description="missed", ordering="missed")
    def missing(self, row: Recording) -> str:
        return f"{row.missed:,}" if row.missed else "–"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Recording]:
        return watching.with_life(super().get_queryset(request))

    @display(description="recording", label={"live": "success", "ended": "default", "cut off": "warning"})
    def is_live(self, row: Recording) -> str:
        return watching.life(row)

    @admin.action(description="Replay against today’s rules", permissions=["view"])
    def replay_selected(self, request: HttpRequest, rows: QuerySet[Recording]) -> HttpResponse:
        ids = list(rows.values_list("pk", flat=True)[: watching.MOST])
        return redirect(f"{reverse('actors:replay')}?{urlencode({'ids': ','.join(ids), 'run': '1'})}")

    @action(description="Replay…", permissions=["view"], icon="replay")
    def replay(self, request: HttpRequest) -> HttpResponse:
        return redirect("actors:replay")


@admin.register(Step)
class StepAdmin(Recorded):
    list_display = ["moment", "endpoint", "of", "message", "led", "handler", "duration", "happened"]
    list_filter = [*(among_the_newest(column, *names) for column, names in COLUMNS.items()), When]
    list_select_related = ["recording"]
    ordering = ["-at", "-pk"]
    search_help_text = "The beginning of a recording’s id, a session, a name, or a handler"

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        person = f"recording__user__{get_user_model().USERNAME_FIELD}"
        return ["recording__id__startswith", "=recording__session", person, "rule__startswith"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Step]:
        rows: QuerySet[Step] = super().get_queryset(request)
        return rows.defer("told", "was", "became", "effects")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        step = Step.objects.filter(pk=object_id).first() if is_number(object_id) else None
        if step is None:
            messages.warning(request, "That step has gone meanwhile.")
            return redirect("admin:actors_step_changelist")
        url = reverse("admin:actors_recording_change", args=[step.recording_id])
        return redirect(f"{url}?{urlencode({'step': step.number})}#step-{step.number}")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="time", ordering="at")
    def moment(self, step: Step) -> str:
        return f"{step.at:%Y-%m-%d %H:%M:%S}.{step.at.microsecond // 1000:03d}"

    @display(description="endpoint", ordering="recording__endpoint")
    def endpoint(self, step: Step) -> str:
        return step.recording.endpoint

    @display(description="recording", ordering="recording")
    def of(self, step: Step) -> SafeString:
        url = reverse("admin:actors_recording_change", args=[step.recording_id])
        return format_html('<a href="{}">{}</a>', url, step.recording_id[:8])

    @display(description="state")
    def led(self, step: Step) -> str:
        return step.before if step.before == step.after else f"{step.before} → {step.after}"

    @display(description="by", ordering="rule")
    def handler(self, step: Step) -> str:
        return step.rule.partition(" at ")[0] or "–"

    @display(description="took", ordering="took")
    def duration(self, step: Step) -> str:
        return f"{step.took * 1000:.2f} ms" if step.took else "–"

    @display(
        description="",
        label={"failed": "danger", "undone": "danger", "dropped": "warning", "begin": "info", "heard": "default"},
    )
    def happened(self, step: Step) -> str:
        return "" if step.kind == "rule" else step.kind
