"""Actor mode: connections as state machines."""

from importlib import import_module
from importlib.util import find_spec

from django.apps import AppConfig


class ActorsConfig(AppConfig):
    name = "actors"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # As in chat: the routing declares topics and rules, and every process that may publish needs them.
        if find_spec("actors.routing"):
            import_module("actors.routing")
