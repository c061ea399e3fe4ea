"""Outbound clients in the admin: what they are is written here, how they go is looked at, orders start and stop them.

The rule: who may only look sees no secret of a URL.
"""

from __future__ import annotations

import socket
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from realtime_project.actions import MOST, collect, publishable
from realtime_project.listing import Live, ago, is_number, ordering

from . import outbound
from .addresses import Allowed, Forbidden, shown, target_of
from .models import OutboundClient

WORDS = ["name", "url", "in_stream_into", "out_stream_from", "actor"]  # what staff write
COLOURS = {
    "connected": "success",
    "connecting": "info",
    "waiting": "warning",
    "unattended": "warning",
    "refused": "danger",
    "stopping": "info",
    "stopped": "default",
}


class OutboundForm(forms.ModelForm):  # type: ignore[type-arg]
    """What cannot work is refused here, in the words of the client itself."""

    url = forms.CharField(
        label="URL",
        max_length=2000,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "wss://example.org/feed", "class": "w-full"}),
        help_text="wss:// or ws://. Its login and its query are shown to those alone who may change it.",
    )
    in_stream_into = forms.MultipleChoiceField(
        label="What comes goes into",
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        choices=publishable,
    )
    out_stream_from = forms.MultipleChoiceField(
        label="What goes out comes from",
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        choices=publishable,
    )
    actor = forms.ChoiceField(
        label="Or driven by",
        required=False,
        widget=UnfoldAdminSelectWidget,
        choices=lambda: [("", "no actor: between the topics above"), *((name, name) for name in outbound.driven)],
        help_text="An actor that the code declares with outbound.drive(…).",
    )

    class Meta:
        model = OutboundClient
        fields = WORDS
        widgets = {"name": UnfoldAdminTextInputWidget}

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            target = target_of(url)
            _judge_numbers(target.host, target.port)
        except (ValueError, Forbidden) as error:
            raise forms.ValidationError(f"{error}.") from None
        return url

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                outbound.client_of(OutboundClient(**{name: data[name] for name in WORDS}))
            except (TypeError, ValueError, LookupError) as error:
                raise forms.ValidationError(f"{error}.") from None
        return data


def _judge_numbers(host: str, port: int) -> None:
    """An address, in whatever way it is written, is judged at once; a name not before the connection."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except OSError:
        return
    Allowed(settings.OUTBOUND_ALLOW).judge(host, [str(each[4][0]) for each in found])


@admin.register(OutboundClient)
class OutboundAdmin(Live):
    form = OutboundForm
    list_display = ["name", "address", "between", "state", "since", "received", "sent", "lost", "place"]
    list_filter = ["is_wanted"]
    search_fields = ["name"]
    ordering = ["name"]
    actions = ["start_selected", "stop_selected"]
    actions_detail = ["start", "stop", "again"]
    change_form_outer_before_template = "actors/outbound.html"
    readonly_fields = ["address"]

    class Media:
        js = ("actors/outbound.js",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[OutboundClient]:
        return outbound.conditions().order_by("name")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return WORDS if may else ["address" if name == "url" else name for name in WORDS]

    def save_model(self, request: HttpRequest, obj: OutboundClient, form: Any, change: bool) -> None:
        """What its holder reports meanwhile is left as it is."""
        if change:
            obj.version += 1
            if "url" in form.changed_data or "out_stream_from" in form.changed_data:
                obj.cursors = {}  # what was confirmed elsewhere says nothing of this one
            obj.save(update_fields=[*WORDS, "version", "cursors"])
        else:
            obj.save()

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        row = self.get_queryset(request).filter(pk=object_id).first() if is_number(object_id) else None
        extra = {**(options.pop("extra_context", None) or {}), "outbound": row and picture(row)}
        answer: HttpResponse = super().change_view(request, object_id, *args, extra_context=extra, **options)
        return answer

    # the columns ----------------------------------------------------------------------------------------------
    @display(description="URL")
    def address(self, row: OutboundClient) -> str:
        return shown(row.url)

    @display(description="between")
    def between(self, row: OutboundClient) -> str:
        return between(row)

    @display(description="state", ordering="condition", label=COLOURS)
    def state(self, row: Any) -> str:
        return str(row.condition)

    @display(description="since")
    def since(self, row: Any) -> str:
        return moment(row)

    @display(description="in", ordering="messages_in")
    def received(self, row: OutboundClient) -> str:
        return f"{row.messages_in:,}"

    @display(description="out", ordering="messages_out")
    def sent(self, row: OutboundClient) -> str:
        return f"{row.messages_out:,}"

    @display(description="lost", ordering="dropped")
    def lost(self, row: OutboundClient) -> str:
        return f"{row.dropped + row.unconfirmed:,}"

    @display(description="run by")
    def place(self, row: Any) -> str:
        return row.held_by if row.is_held else "–"

    # orders ---------------------------------------------------------------------------------------------------
    def has_steer_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return collect()["start-client"].allowed(request.user)

    @admin.action(description="Start…", permissions=["steer"])
    def start_selected(self, request: HttpRequest, rows: QuerySet[OutboundClient]) -> HttpResponse:
        return _ordering("start-client", rows.filter(is_wanted=False) or rows)

    @admin.action(description="Stop…", permissions=["steer"])
    def stop_selected(self, request: HttpRequest, rows: QuerySet[OutboundClient]) -> HttpResponse:
        return _ordering("stop-client", rows.filter(is_wanted=True) or rows)

    @action(description="Start…", permissions=["steer"], icon="play_arrow", variant=ActionVariant.PRIMARY)
    def start(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return ordering("start-client", targets=object_id)

    @action(description="Stop…", permissions=["steer"], icon="stop", variant=ActionVariant.DANGER)
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return ordering("stop-client", targets=object_id)

    @action(description="Try again now…", permissions=["steer"], icon="refresh")
    def again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return ordering("again-client", targets=object_id)


def _ordering(name: str, rows: QuerySet[OutboundClient]) -> HttpResponse:
    return ordering(name, targets=",".join(str(pk) for pk in rows.values_list("pk", flat=True)[:MOST]))


def between(row: OutboundClient) -> str:
    if row.actor:
        return f"driven by {row.actor}"
    into, out = ", ".join(row.in_stream_into), ", ".join(row.out_stream_from)
    return " · ".join(part for part in (f"into {into}" if into else "", f"from {out}" if out else "") if part)


def moment(row: Any) -> str:
    """For how long it is connected, or when it is tried again."""
    if row.condition == "connected":
        return ago(row.connected_at)
    if row.condition in ("waiting", "refused") and row.next_attempt_at:
        seconds = max(0, round((row.next_attempt_at - timezone.now()).total_seconds()))
        return f"again in {seconds} s"
    return "–"


def picture(row: Any) -> dict[str, Any]:
    """How a client goes, for its page."""
    said = {
        "connected": f"Connected for {ago(row.connected_at)}.",
        "connecting": "Connecting …",
        "waiting": f"Not connected: {moment(row)}.",
        "refused": f"Refused: somebody has to change something. {moment(row).capitalize()}."
        if row.next_attempt_at
        else "It cannot be run as it is.",
        "unattended": "Nobody runs it: start `manage.py outbound`.",
        "stopping": "Closing …",
        "stopped": "Stopped.",
    }
    return {
        "condition": row.condition,
        "tone": {"success": "good", "warning": "warn", "danger": "bad"}.get(COLOURS.get(row.condition, ""), ""),
        "said": said.get(row.condition, ""),
        "error": row.last_error,
        "place": row.held_by if row.is_held else "",
        "numbers": [
            ("Received", f"{row.messages_in:,}", filesizeformat(row.bytes_in)),
            ("Sent", f"{row.messages_out:,}", filesizeformat(row.bytes_out)),
            ("Not sent", f"{row.dropped:,}", "no room, or too large"),
            ("Unconfirmed", f"{row.unconfirmed:,}", "sent, perhaps lost"),
            ("Gaps", f"{row.gaps:,}", ""),
            ("Reconnects", f"{row.reconnects:,}", ""),
        ],
    }
