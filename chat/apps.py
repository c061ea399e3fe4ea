"""Topic mode and the chat UI."""

from importlib import import_module

from django.apps import AppConfig


class ChatConfig(AppConfig):
    name = "chat"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # The routing declares topics and their `on_publish` operations: every process that may publish needs them.
        import_module("chat.routing")
        import_module("realtime_project.serving").serving.companions.append(import_module("chat.announcements").tell)
