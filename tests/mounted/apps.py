"""An app of somebody else's project: what it mounts, it mounts as any installed app does."""

from django.apps import AppConfig


class MountedConfig(AppConfig):
    name = "tests.mounted"
    label = "mounted"
