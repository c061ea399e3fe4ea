"""The panel's side bar: what there is to see, and only what the one who looks may see."""

from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy

Item = dict[str, Any]


def sidebar(request: HttpRequest) -> list[Item]:
    """The groups of links for one member of staff."""

    def item(title: str, icon: str, url: str, permission: str = "") -> Item:
        may = not permission or request.user.has_perm(permission)
        return {"title": title, "icon": icon, "link": reverse_lazy(url), "permission": lambda request: may}

    def listed(title: str, icon: str, model: str, permission: str = "") -> Item:
        app, name = model.split(".")
        return item(title, icon, f"admin:{app}_{name}_changelist", permission or f"{app}.view_{name}")

    return [
        {
            "title": "Live",
            "items": [
                item("Dashboard", "monitoring", "admin:index"),
                listed("Servers", "dns", "realtime_project.server"),
                item("Endpoints", "lan", "admin_panel:endpoints", "realtime_project.view_server"),
                listed("Clients", "group", "realtime_project.connection"),
                listed("Actors", "smart_toy", "admin_panel.actor", "realtime_project.view_connection"),
                item("Diagrams", "account_tree", "actors:diagrams", "realtime_project.view_connection"),
                listed("Outbound", "output", "actors.outboundclient"),
                listed("Topics", "forum", "realtime_project.topichead"),
            ],
        },
        {
            "title": "Flight recorder",
            "items": [
                listed("Recordings", "voicemail", "actors.recording"),
                listed("Steps", "footprint", "actors.step", "actors.view_recording"),
                item("Replay", "replay", "actors:replay", "actors.view_recording"),
            ],
        },
        {
            "title": "Steer",
            "items": [
                item("Console", "terminal", "admin_panel:console", "realtime_project.view_server"),
                listed("Bans", "block", "realtime_project.ban"),
                ordered("Publish", "send", "publish", item),
                ordered("Announce", "campaign", "announce", item),
                listed("Record", "history", "admin.logentry"),
            ],
        },
        {
            "title": "Chat",
            "items": [
                listed("People", "person", "chat.user"),
                listed("Rooms", "meeting_room", "chat.room"),
                listed("Messages", "chat", "chat.message"),
                listed("Groups", "admin_panel_settings", "auth.group"),
            ],
        },
    ]


def ordered(title: str, icon: str, name: str, item: Any) -> Item:
    """The link to an order's page, for who may give it."""
    from realtime_project.actions import collect

    found: Item = item(title, icon, "admin:index", collect()[name].permission)
    found["link"] = reverse_lazy("admin_panel:order", args=[name])
    return found
