"""manage.py restored: to be run after a backup was restored, before the servers start."""

from typing import Any

from django.core.management.base import BaseCommand

from realtime_project import history


class Command(BaseCommand):
    help = (
        "Begins a new epoch of the logs. Run it after restoring a backup: every client that had seen more than the "
        "backup holds then loads its pages again, instead of waiting for offsets that will mean something else."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"A new epoch has begun: {history.begin_epoch()}.")
