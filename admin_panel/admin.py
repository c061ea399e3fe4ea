"""The lists: servers, clients, actors, topics, bans, and the record of what staff ordered. All of them are only looked
at; what can be done starts at a button and leads to the order's own page.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from realtime_project import overview
from realtime_project.actions import MOST, collect
from realtime_project.control import PREFIX as CONTROL
from realtime_project.listing import Linked, Live, ago, ordering
from realtime_project.models import Ban, Connection, Server, TopicHead

from .models import Actor
from .snapshot import SILENT
from .views import order

DANGER = ActionVariant.DANGER
OWN = re.compile(r"Topic\('(conn\.(?:in|out)):[0-9a-f]{32}:[0-9a-f]{32}'\)")  # its client's
ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24}\b")
GLANCE = 140  # characters of a state in a list


def busiest() -> list[dict[str, Any]]:
    """The topics that are read now, kept or not, the busiest first."""
    return [row for row in overview.topics(limit=12)[0] if row["subscribers"]]


class Watched(Linked, Live):
    """A list of what is, which only the house itself writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        messages.warning(request, "It has gone meanwhile.")
        return redirect(f"admin:{opts.app_label}_{opts.model_name}_changelist")

    def may(self, request: HttpRequest, name: str) -> bool:
        return collect()[name].allowed(request.user)


@admin.register(Server)
class ServerAdmin(Watched):
    list_display = ["address", "short", "version", "clients", "cpu", "memory", "started", "reported", "holds"]
    ordering = ["started_at", "id"]
    search_fields = ["id__startswith", "host", "version"]
    fields = ["id", "host", "port", "pid", "version", "started_at", "seen_at", "clients", "paths"]
    readonly_fields = ["clients", "load", "paths"]
    actions_detail = ["drain"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Server]:
        rows: QuerySet[Server] = super().get_queryset(request)
        return rows.defer("history", "topics").annotate(load=Count("connections"))

    @display(description="address", ordering="host")
    def address(self, server: Server) -> str:
        return f"{server.host or '–'}:{server.port or '–'} · {server.pid}"

    @display(description="id")
    def short(self, server: Server) -> str:
        return server.pk[:8]

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [self.linked(request, name) for name in super().get_list_display(request)]

    def linked(self, request: HttpRequest, name: str) -> Any:
        sees_them = request.user.has_perm("realtime_project.view_connection")
        return "load" if name == "clients" and not sees_them else super().linked(request, name)

    @display(description="clients", ordering="load")
    def load(self, server: Any) -> str:
        return str(server.load)

    @display(description="clients", ordering="load")
    def clients(self, server: Any) -> SafeString:
        url = reverse("admin:realtime_project_connection_changelist")
        return format_html('<a href="{}?server__id__exact={}">{}</a>', url, server.pk, server.load)

    @display(description="CPU")
    def cpu(self, server: Server) -> str:
        return f"{server.figures.get('cpu', 0)} %"

    @display(description="memory")
    def memory(self, server: Server) -> str:
        return filesizeformat(server.figures.get("memory", 0))

    @display(description="runs for", ordering="started_at")
    def started(self, server: Server) -> str:
        return ago(server.started_at)

    @display(description="reported", ordering="seen_at")
    def reported(self, server: Server) -> str:
        return f"{ago(server.seen_at)} ago"

    @display(
        description="lease", label={"holds": "success", "silent": "warning", "drains": "warning", "ended": "danger"}
    )
    def holds(self, server: Server) -> str:
        silent = timezone.now() - server.seen_at
        if silent.total_seconds() > settings.SERVER_LEASE:
            return "ended"
        if silent > SILENT:
            return "silent"
        return "drains" if server.figures.get("draining") else "holds"

    @display(description="endpoints")
    def paths(self, server: Server) -> str:
        return ", ".join(f"{endpoint['path']} ({endpoint['mode']})" for endpoint in server.endpoints)

    def has_drain_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "drain")

    @action(description="Drain…", permissions=["drain"], variant=DANGER, icon="logout")
    def drain(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return ordering("drain", targets=object_id)


class ConnectionAdmin(Watched):
    """What clients and actors have in common."""

    list_select_related = ["user", "server"]
    ordering = ["-connected_at"]
    actions = ["close_selected"]
    actions_detail: ClassVar[list[Any]] = [
        "close",
        "stop",
        "message",
        {"title": "More", "icon": "more_vert", "items": ["close_user", "ban_user", "ban_address"]},
    ]
    search_help_text = "Name, address, path, or the beginning of an id"
    change_form_outer_after_template = "admin_panel/tail.html"

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        name = f"user__{get_user_model().USERNAME_FIELD}"
        return ["id__startswith", "client_ip__startswith", "path", name, "=session"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("realtime_project.view_connection")

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    @display(description="id")
    def short(self, row: Connection) -> str:
        return row.pk[:8]

    @display(description="address", ordering="client_ip")
    def address(self, row: Connection) -> str:
        return f"{row.client_ip}:{row.client_port}" if row.client_port else row.client_ip

    @display(description="person", ordering="user", empty_value="–")
    def person(self, row: Connection) -> Any:
        return row.user

    @display(description="on", ordering="server")
    def place(self, row: Connection) -> str:
        return f":{row.server.port}" if row.server.port else row.server_id[:8]

    @display(description="for", ordering="-connected_at")
    def age(self, row: Connection) -> str:
        return ago(row.connected_at)

    @display(description="in", ordering="messages_in")
    def received(self, row: Connection) -> str:
        return f"{row.messages_in:,}"

    @display(description="out", ordering="messages_out")
    def sent(self, row: Connection) -> str:
        return f"{row.messages_out:,}"

    @display(description="bytes in", ordering="bytes_in")
    def size_in(self, row: Connection) -> str:
        return filesizeformat(row.bytes_in)

    @display(description="bytes out", ordering="bytes_out")
    def size_out(self, row: Connection) -> str:
        return filesizeformat(row.bytes_out)

    @display(description="in/s", ordering="rate_in")
    def pace_in(self, row: Connection) -> str:
        return f"{row.rate_in:,.1f}"

    @display(description="out/s", ordering="rate_out")
    def pace_out(self, row: Connection) -> str:
        return f"{row.rate_out:,.1f}"

    @display(description="unsent", ordering="unsent")
    def waits(self, row: Connection) -> str:
        return filesizeformat(row.unsent) if row.unsent else "0"

    @display(description="last message", ordering="last_message_at")
    def told(self, row: Connection) -> str:
        return f"{ago(row.last_message_at)} ago" if row.last_message_at else "–"

    # orders ---------------------------------------------------------------------------------------------------
    def has_close_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "close")

    def has_stop_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """obj: in a list None, and on a client's page its id: what has no actor cannot be stopped."""
        if not self.may(request, "stop"):
            return False
        return obj is None or not Connection.objects.filter(pk=getattr(obj, "pk", obj)).exclude(mode="actor").exists()

    def has_message_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "message")

    def has_ban_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "ban")

    @admin.action(description="Close…", permissions=["close"])
    def close_selected(self, request: HttpRequest, rows: QuerySet[Connection]) -> HttpResponse | None:
        return self._order_all(request, "close", rows)

    def _order_all(self, request: HttpRequest, name: str, rows: QuerySet[Connection]) -> HttpResponse | None:
        ids = list(rows.values_list("pk", flat=True)[: MOST + 1])
        if len(ids) > MOST:
            messages.error(request, f"One order is about {MOST:,} at most. Choose fewer, or find them by a filter.")
            return None
        return order(request, name, ids)

    @action(description="Close…", permissions=["close"], variant=DANGER, icon="close")
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return ordering("close", targets=object_id)

    @action(description="Stop…", permissions=["stop"], variant=DANGER, icon="stop_circle")
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return ordering("stop", targets=object_id)

    @action(description="Send a message…", permissions=["message"], icon="send")
    def message(self, request: HttpRequest, object_id: str) -> HttpResponse:
        back = reverse("admin:realtime_project_connection_change", args=[object_id])
        return ordering("message", targets=object_id, back=back)

    @action(description="Close all of this person…", permissions=["close"], icon="person_off")
    def close_user(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._person_of(request, object_id)
        return ordering("close-user", targets=row.user_id) if row else self._nobody(request, object_id)

    @action(description="Ban this person…", permissions=["ban"], icon="block")
    def ban_user(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = self._person_of(request, object_id)
        return ordering("ban", person=row.user.get_username()) if row else self._nobody(request, object_id)  # type: ignore[union-attr]

    @action(description="Ban this address…", permissions=["ban"], icon="wifi_off")
    def ban_address(self, request: HttpRequest, object_id: str) -> HttpResponse:
        row = Connection.objects.filter(pk=object_id).first()
        return ordering("ban", address=row.client_ip) if row else self._nobody(request, object_id)

    def _person_of(self, request: HttpRequest, object_id: str) -> Connection | None:
        return Connection.objects.filter(pk=object_id).exclude(user=None).select_related("user").first()

    def _nobody(self, request: HttpRequest, object_id: str) -> HttpResponse:
        messages.warning(request, "Nobody is logged in there, or they have left.")
        return redirect("admin:realtime_project_connection_changelist")


class Choice(admin.SimpleListFilter):
    """A filter of a few conditions, each with a name."""

    conditions: ClassVar[dict[str, tuple[str, dict[str, Any]]]]  # value in the address → (words, lookups)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(value, words) for value, (words, _) in self.conditions.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        _, condition = self.conditions.get(self.value() or "", ("", {}))
        return queryset.filter(**condition)


class Waiting(Choice):
    """Slow readers: what was written to them waits in the server."""

    title, parameter_name = "unsent bytes", "unsent"
    conditions: ClassVar = {
        "some": ("some: slow readers", {"unsent__gt": 0}),
        "much": ("half the limit or more", {"unsent__gte": settings.WEBSOCKET_MAX_BUFFER / 2}),
    }


class Known(Choice):
    title, parameter_name = "person", "person"
    conditions: ClassVar = {
        "somebody": ("logged in", {"user__isnull": False}),
        "nobody": ("anonymous", {"user__isnull": True}),
    }


class Stored(Choice):
    title, parameter_name = "state", "stored"
    conditions: ClassVar = {
        "yes": ("stored", {"session__isnull": False}),
        "no": ("in memory alone", {"session__isnull": True}),
    }


@admin.register(Connection)
class ClientAdmin(ConnectionAdmin):
    list_display = [
        "short", "person", "path", "mode", "address", "place", "age", "pace_in", "pace_out", "waits",
        "received", "sent",
    ]  # fmt: skip
    list_filter = ["mode", "endpoint", "server", Waiting, Known]
    fieldsets = [
        (None, {"fields": ["id", "user", "address", "origin", "connected_at", "age"]}),
        ("Where", {"fields": ["server", "channel_id", "endpoint", "path", "mode", "subprotocol"]}),
        ("Traffic", {"fields": ["messages_in", "messages_out", "size_in", "size_out", "pace_in", "pace_out", "waits"]}),
        ("Actor", {"fields": ["state", "session", "told"]}),
    ]
    readonly_fields = ["address", "age", "told", "size_in", "size_out", "pace_in", "pace_out", "waits"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sets = super().get_fieldsets(request, obj)
        return sets if obj and obj.mode == "actor" else sets[:-1]


@admin.register(Actor)
class ActorAdmin(ConnectionAdmin):
    list_display = ["short", "endpoint", "glance", "kept", "person", "address", "age", "told"]
    list_filter = ["endpoint", "server", Stored]
    search_help_text = "Name, address, path, state, session, or the beginning of an id"
    actions = ["stop_selected", "close_selected"]
    fieldsets = ClientAdmin.fieldsets
    readonly_fields = ClientAdmin.readonly_fields

    @display(description="state", ordering="state", empty_value="–")
    def glance(self, row: Connection) -> Any:
        """As much of it as a list has room for: identifiers are cut, and so is the rest. The client's page has all."""
        if row.state is None:
            return None
        words = ID.sub(r"\1…", OWN.sub(r"Topic(\1)", row.state))
        return words if len(words) <= GLANCE else f"{words[: GLANCE - 1]}…"

    @display(description="session", ordering="session", empty_value="–")
    def kept(self, row: Connection) -> str | None:
        return row.session and f"{row.session[:8]}…"

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        return [*super().get_search_fields(request), "state"]

    @admin.action(description="Stop…", permissions=["stop"])
    def stop_selected(self, request: HttpRequest, rows: QuerySet[Connection]) -> HttpResponse | None:
        return self._order_all(request, "stop", rows)


@admin.register(TopicHead)
class TopicAdmin(Watched):
    list_display = ["name", "subscribers", "rate", "offset", "retained", "since"]
    search_fields = ["name"]
    ordering = ["name"]
    fields = ["name", "subscribers", "rate", "offset", "retained", "since"]
    list_before_template = "admin_panel/busiest.html"
    readonly_fields = ["subscribers", "rate", "retained", "since"]
    actions_list = ["publish"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[TopicHead]:
        rows: QuerySet[TopicHead] = super().get_queryset(request)
        return overview.with_first(rows.exclude(name__startswith=CONTROL))  # those are between servers

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changes = super().get_changelist_instance(request)
        now = overview.read_now()
        for topic in changes.result_list:
            topic.now = now.get(topic.name)
        return changes

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        return super().changelist_view(request, {**(extra_context or {}), "busiest": busiest()})

    @display(description="subscribers")
    def subscribers(self, topic: Any) -> str:
        return f"{now['subscribers']:,}" if (now := self._now(topic)) else "–"

    @display(description="events/s")
    def rate(self, topic: Any) -> str:
        return f"{now['rate']:,}" if (now := self._now(topic)) else "–"

    def _now(self, topic: Any) -> dict[str, Any] | None:
        """What the servers report of it, if it is read and among their busiest."""
        if not hasattr(topic, "now"):
            topic.now = overview.read_now(topic.name).get(topic.name)
        found: dict[str, Any] | None = topic.now
        return found

    @display(description="events kept")
    def retained(self, topic: Any) -> str:
        return f"{overview.kept(topic):,}"

    @display(description="since", empty_value="–")
    def since(self, topic: Any) -> Any:
        return topic.first_at

    def has_publish_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "publish")

    @action(description="Publish…", permissions=["publish"], icon="send")
    def publish(self, request: HttpRequest) -> HttpResponse:
        return ordering("publish")


@admin.register(Ban)
class BanAdmin(Watched):
    list_display = ["whom", "until", "holds", "why", "by", "created_at"]
    list_select_related = ["user", "by"]
    search_fields = ["address", "why"]
    ordering = ["-until"]
    fields = ["user", "address", "until", "why", "by", "created_at"]
    actions = ["lift_selected"]
    actions_list = ["ban"]

    @display(description="whom")
    def whom(self, ban: Ban) -> str:
        return str(ban)

    @display(description="state", label={"holds": "danger", "over": "default"})
    def holds(self, ban: Ban) -> str:
        return "holds" if ban.until > timezone.now() else "over"

    def has_ban_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "ban")

    def has_lift_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "lift")

    @action(description="Ban…", permissions=["ban"], icon="block")
    def ban(self, request: HttpRequest) -> HttpResponse:
        return ordering("ban")

    @admin.action(description="Lift…", permissions=["lift"])
    def lift_selected(self, request: HttpRequest, rows: QuerySet[Ban]) -> HttpResponse:
        return order(request, "lift", [str(row) for row in rows.values_list("pk", flat=True)[:MOST]])


@admin.register(LogEntry)
class RecordAdmin(Watched):
    list_display = ["action_time", "user", "kind", "about", "said"]
    list_select_related = ["user", "content_type"]
    search_fields = ["object_repr", "change_message"]
    list_filter = ["action_time", "content_type"]
    ordering = ["-action_time"]
    fields = ["action_time", "user", "kind", "object_id", "about", "said"]
    readonly_fields = ["kind", "about", "said"]

    @display(description="kind", ordering="content_type", empty_value="–")
    def kind(self, entry: LogEntry) -> str | None:
        return entry.content_type.name if entry.content_type else None

    @display(description="about", ordering="object_repr")
    def about(self, entry: LogEntry) -> str:
        return entry.object_repr

    @display(description="what and why")
    def said(self, entry: LogEntry) -> str:
        return entry.get_change_message()
