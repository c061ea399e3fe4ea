"""What the admin's lists of live things have in common: they renew themselves, say how long ago something was, and lead
from a button to the page of an order, and to nothing that one may not see.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from unfold.admin import ModelAdmin
from unfold.decorators import display

SOUGHT = 12  # words: each is looked for in every column, and a database takes no question of any length


class Live(ModelAdmin):  # type: ignore[misc]
    """A list that renews itself while it is looked at."""

    show_full_result_count = False
    list_per_page = 100
    list_fullwidth = True
    actions_list_hide_default = False

    class Media:
        js = (Script("admin_panel/live.js", type="module"),)
        css = {"all": ("admin_panel/panel.css",)}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, within_reason(search_term))
        return found


class Linked:
    """An admin whose pages lead to what a row belongs to only where one may see that."""

    opts: Any

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        sets = super().get_fieldsets(request, obj)  # type: ignore[misc]
        return [
            (title, {**options, "fields": [self.linked(request, name) for name in options["fields"]]})
            for title, options in sets
        ]

    def linked(self, request: HttpRequest, name: str) -> Any:
        """The field, or how it is shown instead."""
        other = {each.name: each.related_model for each in self.opts.concrete_fields}.get(name)
        if other is None or not admin.site.is_registered(other):
            return name
        return name if admin.site.get_model_admin(other).has_view_permission(request) else unlinked(name)


@cache
def unlinked(name: str) -> Callable[[Any], Any]:
    """A field of a row as words."""

    def shown(row: Any) -> Any:
        return getattr(row, name)

    shown.__name__ = name
    return display(description=name, empty_value="–")(shown)  # type: ignore[no-any-return]


def is_number(text: str) -> bool:
    """Whether an address names a row by a number that a database can hold."""
    return text.isdecimal() and len(text) < 19


def within_reason(sought: str) -> str:
    """What is looked for, of what somebody has pasted."""
    return " ".join(sought.split()[:SOUGHT])


def ago(moment: datetime | None) -> str:
    """12 s, 5 min, 3 h, 4 d: how long ago something was."""
    if moment is None:
        return "–"
    seconds = max(0, int((timezone.now() - moment).total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size}\N{NO-BREAK SPACE}{unit}"
    return f"{seconds}\N{NO-BREAK SPACE}s"


def ordering(name: str, **query: Any) -> HttpResponse:
    """Leads to the page of an order."""
    return redirect(f"{reverse('admin_panel:order', args=[name])}?{urlencode(query)}")
