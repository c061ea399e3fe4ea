"""An app of somebody else's project: what it mounts, it mounts as any installed app does."""

import os
from importlib import import_module

from django.apps import AppConfig


class MountedConfig(AppConfig):
    name = "tests.mounted"
    label = "mounted"

    def ready(self) -> None:
        import_module("tests.mounted.routing")  # its operations run in whatever process publishes
        if look := os.environ.get("REVOCATION_LOOK"):  # seconds: what is told at once is seen without the look
            vars(import_module("realtime_project.revocation"))["LOOK"] = float(look)
