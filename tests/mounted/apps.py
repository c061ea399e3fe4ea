"""An app of somebody else's project: what it mounts, it mounts as any installed app does."""

from importlib import import_module

from django.apps import AppConfig


class MountedConfig(AppConfig):
    name = "tests.mounted"
    label = "mounted"

    def ready(self) -> None:
        import_module("tests.mounted.routing")  # its operations run in whatever process publishes
