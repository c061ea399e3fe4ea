"""What staff may order of the servers, and of who is connected to them.

The rule: one way for all. What an order is stands in realtime_project/actions.py; nothing is done for who lacks its
permission, whatever page they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib.auth import get_user_model
from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from realtime_project import bans, control
from realtime_project.actions import Action, Data, Done, Gone, Reasoned, count, names_of, publishable
from realtime_project.feeds import Content
from realtime_project.models import Ban, Connection, Server, TopicHead
from realtime_project.record import Target, target_of
from realtime_project.topics import Topic, topic_out

from .models import Actor

SHOWN = 120  # characters of a content in the record


# the forms ------------------------------------------------------------------------------------------------------
class CloseForm(Reasoned):
    code = forms.IntegerField(
        initial=control.CLOSED, widget=UnfoldAdminIntegerFieldWidget, help_text="1000, or 4000 on"
    )
    reason = forms.CharField(
        initial=control.REASON, required=False, widget=UnfoldAdminTextInputWidget, help_text="The client sees it."
    )


class ContentForm(Reasoned):
    content = forms.CharField(required=False, strip=False, widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}))
    as_bytes = forms.BooleanField(
        label="Bytes, as hexadecimal digits", required=False, widget=UnfoldBooleanSwitchWidget
    )

    def clean(self) -> Data:
        data: Data = super().clean() or self.cleaned_data
        if data.get("as_bytes"):
            try:
                data["content"] = bytes.fromhex(data["content"])
            except ValueError:
                self.add_error("content", "Write each byte as two hexadecimal digits, such as 00 ff 2a.")
        return data


class PublishForm(ContentForm):
    topic = forms.ChoiceField(choices=publishable, widget=UnfoldAdminSelectWidget)


class AnnounceForm(Reasoned):
    text = forms.CharField(max_length=control.ANNOUNCED, widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}))


class BanForm(Reasoned):
    person = forms.CharField(required=False, widget=UnfoldAdminTextInputWidget, help_text="The name they log in with")
    address = forms.CharField(
        required=False, widget=UnfoldAdminTextInputWidget, help_text="Such as 203.0.113.7 or 2001:db8::/64"
    )
    hours = forms.TypedChoiceField(
        label="For",
        coerce=int,
        initial=24,
        choices=[(1, "an hour"), (24, "a day"), (168, "a week"), (720, "thirty days"), (8760, "a year")],
        widget=UnfoldAdminSelectWidget,
    )

    def clean_person(self) -> Any:
        name = self.cleaned_data["person"]
        if not name:
            return None
        people: Any = get_user_model()
        try:
            return people._default_manager.get_by_natural_key(people.normalize_username(name))
        except ObjectDoesNotExist:
            raise forms.ValidationError("Nobody has this name.") from None

    def clean_address(self) -> str | None:
        if not self.cleaned_data["address"]:
            return None
        try:
            return str(bans.network_of(self.cleaned_data["address"]))
        except ValueError as error:
            raise forms.ValidationError(f"{error}.") from None

    def clean(self) -> Data:
        data: Data = super().clean() or self.cleaned_data
        if not self.errors and bool(data["person"]) == bool(data["address"]):
            raise forms.ValidationError("Give a person or an address.")
        return data


# carrying them out ----------------------------------------------------------------------------------------------
def close(request: HttpRequest, rows: Sequence[Connection], data: Data) -> Done:
    gone = control.close_all([row.pk for row in rows], data["code"], data["reason"])
    if not gone:
        raise Gone
    what = f"Closed with {data['code']} {data['reason']}".strip()
    return Done(f"Closing {count(len(gone), 'connection')}.", what, [target_of(row) for row in rows if row.pk in gone])


def close_user(request: HttpRequest, people: Sequence[Any], data: Data) -> Done:
    for person in people:
        control.close_user(person, data["code"], data["reason"])
    what = f"Closed everywhere with {data['code']} {data['reason']}".strip()
    return Done(f"Closing all connections of {names_of(people)}.", what, [target_of(person) for person in people])


def stop(request: HttpRequest, rows: Sequence[Connection], data: Data) -> Done:
    gone = control.stop_all([row.pk for row in rows])
    if not gone:
        raise Gone
    return Done(f"Stopping {count(len(gone), 'actor')}.", "Stopped", [target_of(row) for row in rows if row.pk in gone])


def ban(request: HttpRequest, _: Sequence[Any], data: Data) -> Done:
    person, address = data["person"], data["address"]
    me: Any = request.user
    if person == me:
        raise ValueError("You cannot ban yourself.")
    if person and person.is_superuser and not me.is_superuser:
        raise ValueError("Only a superuser can ban a superuser.")
    if address and bans.covers(address, request.META.get("REMOTE_ADDR", "")):
        raise ValueError("That is your own address.")
    row = bans.ban(user=person, address=address, hours=data["hours"], why=data["why"], by=me)
    said = f"{row} is banned until {row.until:%Y-%m-%d %H:%M} UTC."
    return Done(said, f"Banned until {row.until:%Y-%m-%d %H:%M} UTC", [target_of(row)])


def lift(request: HttpRequest, rows: Sequence[Ban], data: Data) -> Done:
    targets = [target_of(row) for row in rows]
    for row in rows:
        bans.lift(row)
    return Done(f"{names_of(rows)} may connect again.", "Lifted the ban", targets)


def publish(request: HttpRequest, _: Sequence[Any], data: Data) -> Done:
    name = data["topic"]
    offset = Topic.known()[name].publish_sync(data["content"])
    what = f"Published {_short(data['content'])}" + ("" if offset is None else f" at offset {offset}")
    return Done(f"Published to {name}.", what, [Target(TopicHead, None, name)])


def announce(request: HttpRequest, _: Sequence[Any], data: Data) -> Done:
    control.announce(data["text"])
    return Done("Announced to everyone.", f"Announced: {data['text']}", [Target(Server, None, "everyone")])


def drain(request: HttpRequest, rows: Sequence[Server], data: Data) -> Done:
    gone = control.drain_all([row.pk for row in rows])
    if not gone:
        raise Gone
    rows = [row for row in rows if row.pk in gone]
    return Done(f"{names_of(rows)} drains, and ends.", "Ordered to drain", [target_of(row) for row in rows])


def message(request: HttpRequest, rows: Sequence[Connection], data: Data) -> Done:
    for row in rows:
        topic_out(row).publish_sync(data["content"])
    return Done("Sent.", f"Sent {_short(data['content'])}", [target_of(row) for row in rows])


def _short(content: Content) -> str:
    text = content if isinstance(content, str) else content.hex(" ")
    return f"“{text[:SHOWN]}{'…' if len(text) > SHOWN else ''}”"


# all of them ----------------------------------------------------------------------------------------------------
CLIENTS, TOPICS = "admin:realtime_project_connection_changelist", "admin:realtime_project_topichead_changelist"
SERVERS, BANS = "admin:realtime_project_server_changelist", "admin:realtime_project_ban_changelist"
ACTORS = "admin:admin_panel_actor_changelist"
CLOSE = "realtime_project.close_connection"

ACTIONS = [
    Action(
        "close", CLOSE, "Close connections",
        "Each client is told the code and the reason. It may connect again at once.",
        "Close", CloseForm, close, CLIENTS, Connection, grave=True,
    ),
    Action(
        "close-user", CLOSE, "Close all connections of a person",
        "On every server, whatever they are connected to. They may connect again at once.",
        "Close all", CloseForm, close_user, CLIENTS, "user", grave=True,
    ),
    Action(
        "stop", "realtime_project.stop_connection", "Stop actors",
        "The actor handles that its client leaves, and is over: what is stored of it is deleted, its timers too. "
        "Its client is told 1000, and begins anew if it comes again.",
        "Stop", Reasoned, stop, ACTORS, Actor, grave=True,
    ),
    Action(
        "message", "realtime_project.message_connection", "Send a message",
        "It reaches this client alone, as it stands: the client must understand it.",
        "Send", ContentForm, message, CLIENTS, Connection,
    ),
    Action(
        "ban", "realtime_project.add_ban", "Ban for a time",
        "Open connections are closed with 4403, and new ones refused, on every server. It ends by itself.",
        "Ban", BanForm, ban, BANS, grave=True,
    ),
    Action(
        "lift", "realtime_project.delete_ban", "Lift bans", "They may connect again at once.",
        "Lift", Reasoned, lift, BANS, Ban,
    ),
    Action(
        "publish", "realtime_project.publish_topichead", "Publish to a topic",
        "Every subscriber receives it, on every server. It cannot be taken back.",
        "Publish", PublishForm, publish, TOPICS, grave=True,
    ),
    Action(
        "announce", "realtime_project.announce_server", "Announce to everyone",
        "Everybody who has the chat open sees it at once. It cannot be taken back.",
        "Announce", AnnounceForm, announce, "admin:index", grave=True,
    ),
    Action(
        "drain", "realtime_project.drain_server", "Drain a server",
        "It takes no new connections, tells every client to come again (1012), and its process ends. "
        "Whatever supervises it may start another.",
        "Drain", Reasoned, drain, SERVERS, Server, grave=True,
    ),
]  # fmt: skip
