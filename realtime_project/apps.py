"""The foundation as a Django app, so that it has models and commands of its own."""

from importlib import import_module

from django.apps import AppConfig

from . import turns  # noqa: F401  # before Daphne makes an event loop


class RealtimeProjectConfig(AppConfig):
    name = "realtime_project"
    verbose_name = "Realtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import_module("realtime_project.checks")
        import_module("realtime_project.sessions").watch_users()
