"""manage.py trim DAYS: forget the events of durable topics that nobody replays any more."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from realtime_project import history


class Command(BaseCommand):
    help = (
        "Deletes events that are older than so many days. Chat messages stay: a client that was away for longer loads "
        "its page again. Safe while servers run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("days", type=int, help="how many days of events to keep: 1 or more")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 1:
            raise CommandError("DAYS must be 1 or more.")
        deleted = 0
        while some := history.trim(timedelta(days=options["days"])):
            deleted += some
            self.stdout.write(f"  {deleted:,} events deleted", ending="\r")
        self.stdout.write(f"Deleted {deleted:,} events older than {options['days']} days.")
