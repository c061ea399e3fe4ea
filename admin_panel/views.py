"""The panel's pages beside the lists: endpoints, the console, and the one page on which every order is given."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.template.defaultfilters import filesizeformat
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme, urlencode

from realtime_project import overview, registry, routing
from realtime_project.actions import MOST, Action, Gone, collect
from realtime_project.commits import Unavailable
from realtime_project.record import record
from realtime_project.topics import PublishError

from . import typed

SUMMED = ("clients", "rate_in", "rate_out", "messages_in", "messages_out", "bytes")


def order(request: HttpRequest, name: str, ids: list[str] | None = None) -> HttpResponse:
    """Asks, and then does it. `ids` is given by a list in which they were ticked; else they stand in `targets`."""
    action = collect().get(name)
    if action is None:
        raise Http404("there is no such order")
    if not action.allowed(request.user):
        raise PermissionDenied
    confirmed = request.method == "POST" and "confirmed" in request.POST
    given = request.POST if confirmed else request.GET
    ids = [part for part in given.get("targets", "").split(",") if part] if ids is None else ids
    back = given.get("back", "")
    if not url_has_allowed_host_and_scheme(back, {request.get_host()}, request.is_secure()):
        back = reverse(action.back)
    targets = action.find(ids)
    if action.targets and not targets:
        return _nothing_left(request, back)
    form = action.form(request.POST) if confirmed else action.form(initial=request.GET.dict())
    if confirmed and form.is_valid():
        try:
            with transaction.atomic():
                done = action.carry_out(request, targets, form.cleaned_data)
                record(request.user, done.what, form.cleaned_data["why"], done.targets)
        except Gone:
            return _nothing_left(request, back)
        except (LookupError, ValueError, PublishError, Unavailable) as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, done.said)
            return redirect(back)
    return TemplateResponse(request, "admin_panel/order.html", _context(request, action, form, ids, targets, back))


def _nothing_left(request: HttpRequest, back: str) -> HttpResponse:
    messages.warning(request, "There is nothing left to do: they have gone.")
    return redirect(back)


def _context(
    request: HttpRequest, action: Action, form: Any, ids: list[str], targets: list[Any], back: str
) -> dict[str, Any]:
    return {
        **admin.site.each_context(request),
        "title": action.title,
        "action": action,
        "form": form,
        "ids": ",".join(ids[:MOST]),
        "targets": targets[:20],
        "more": len(targets) - 20,
        "back": back,
    }


def endpoints(request: HttpRequest) -> HttpResponse:
    """Every WebSocket endpoint that some server has, with its limits and what passes there now."""
    if not request.user.has_perm("realtime_project.view_server"):
        raise PermissionDenied
    servers = list(registry.servers())
    clients = reverse("admin:realtime_project_connection_changelist")
    found: dict[str, dict[str, Any]] = {}
    for row in overview.endpoints(servers):
        total = found.setdefault(row["path"], {"path": row["path"], "servers": 0})
        total["servers"] += 1
        for name in SUMMED:
            total[name] = round(total.get(name, 0) + row[name], 1)
        total["url"] = f"{clients}?{urlencode({'endpoint__exact': row['path']})}"
        for name, words in (("mode", row["mode"]), *_limits(row)):
            if words not in total.setdefault(name, []):  # servers may have been told different limits
                total[name].append(words)
    rows = [found[path] for path in sorted(found)]
    context = {**admin.site.each_context(request), "title": "Endpoints", "rows": rows}
    return TemplateResponse(request, "admin_panel/endpoints.html", context)


def _limits(endpoint: dict[str, Any]) -> list[tuple[str, str]]:
    """What an endpoint allows a client, in words."""
    if "max_size" not in endpoint:  # of a server of an earlier version
        return [("largest", "–"), ("pace", "–"), ("queue", "–")]
    rate, burst = endpoint["rate"], endpoint["burst"]
    pace = f"{rate:g}/s · {burst:g}" if rate else "no limit"
    return [("largest", filesizeformat(endpoint["max_size"])), ("pace", pace), ("queue", f"{endpoint['queue']:,}")]


def console(request: HttpRequest) -> HttpResponse:
    """Every endpoint of this server, to be tried as a client."""
    if not request.user.has_perm("realtime_project.view_server"):
        raise PermissionDenied
    described = {f"/{demo.pattern}": demo for demo in routing.demos}
    found = [_tried(endpoint, described.get(endpoint["path"])) for endpoint in routing.endpoints]
    return render(request, "admin_panel/console.html", {"demos": found})


def _tried(endpoint: dict[str, Any], demo: Any) -> dict[str, Any]:
    """What the console says of an endpoint, and the messages that it offers there."""
    path = endpoint["path"]
    return {
        "pattern": path.removeprefix("/"),
        "about": demo.about if demo else f"In {endpoint['mode']} mode.",
        "address": demo.address if demo else path,
        "subprotocols": demo.subprotocols if demo else (),
        "page": demo.page if demo else None,
        "samples": demo.samples if demo else _asked(path, "samples"),
        "forms": typed.forms(_asked(path, "types")),
    }


def _asked(path: str, name: str) -> list[Any]:
    """What an endpoint's consumer says of itself, where it is one of ours."""
    app: Any = routing.applications[path]
    say = getattr(getattr(app, "consumer_class", None), name, None)
    return list(say(**app.consumer_initkwargs)) if say else []
