"""Actor mode: connections as state machines."""

from importlib import import_module

from django.apps import AppConfig


class ActorsConfig(AppConfig):
    name = "actors"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # As in chat: the routing declares topics and rules, and every process that may publish needs them.
        import_module("actors.routing")
        import_module("actors.checks")
        from realtime_project.serving import serving

        serving.companions.append(import_module("actors.keeper").keep)
        serving.companions.append(import_module("actors.outbound").accompany)  # and with it its effects
        serving.companions.append(import_module("actors.recorder").recorder.keep)
