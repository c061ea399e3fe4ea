"""What an order of staff is made of: a permission, a question, and what carries it out.

The rule: an app declares its orders as ACTIONS in its own `actions.py`; the panel, which finds them there, gives each a
page. An order is a form with a reason; it is carried out and recorded in one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

from django import forms
from django.apps import apps
from django.contrib.auth import get_user_model
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from . import control, registry
from .record import Target
from .topics import Topic

MOST = 1_000  # targets of one order
RESERVED = {registry.presence.name, control.announcements.name}  # written by the house alone


class Gone(LookupError):
    """All that an order is about has gone between the question and the deed: nothing to do, and no mistake."""


class Done(NamedTuple):
    said: str  # to who ordered it
    what: str  # for the record
    targets: Sequence[Target]


Data = dict[str, Any]
CarryOut = Callable[[HttpRequest, Sequence[Any], Data], Done]


class Reasoned(forms.Form):
    """Every order says why."""

    why = forms.CharField(
        label="Why", help_text="For the record. Only staff see it.", max_length=200, widget=UnfoldAdminTextInputWidget
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields([name for name in self.fields if name != "why"])  # the reason comes last


@dataclass(frozen=True)
class Action:
    """One order that staff may give."""

    name: str  # in its address
    permission: str
    title: str
    warning: str  # what will happen, before it does
    button: str
    form: type[Reasoned]
    carry_out: CarryOut
    back: str  # the page that one then sees
    targets: Any = None  # the model of what it is about; None: what the form says
    grave: bool = False  # cannot be undone

    def find(self, ids: Sequence[str]) -> list[Any]:
        """Those of the targets that are still there."""
        if self.targets is None:
            return []
        model = get_user_model() if self.targets == "user" else self.targets
        try:
            found = list(model._default_manager.filter(pk__in=[id for id in ids[:MOST] if "\0" not in id]))
        except (ValueError, OverflowError):  # what is no key
            return []
        return found

    def allowed(self, user: Any) -> bool:
        return bool(user.has_perm(self.permission))


@cache
def collect() -> dict[str, Action]:
    """The orders of all apps, by their names."""
    return {
        action.name: action
        for app in apps.get_app_configs()
        if app.name != __package__ and find_spec(f"{app.name}.actions")
        for action in getattr(import_module(f"{app.name}.actions"), "ACTIONS", [])
        if isinstance(action, Action)
    }


# words and choices ----------------------------------------------------------------------------------------------
def names_of(rows: Sequence[Any]) -> str:
    return ", ".join(map(str, rows[:5])) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")


def count(number: int, thing: str) -> str:
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def publishable() -> list[tuple[str, str]]:
    """The topics that anybody may be let to publish to. One whose name has a colon belongs to one thing, such as a
    room or a server, and to the code that writes it."""
    known = Topic.known().values()
    return [
        (topic.name, f"{topic.name} (kept)" if topic.history else topic.name)
        for topic in known
        if ":" not in topic.name and topic.name not in RESERVED
    ]
