"""manage.py forget DAYS: drop the sessions of actors to which nobody has returned."""

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from actors import sessions


class Command(BaseCommand):
    help = (
        "Deletes the stored sessions of actors that nobody has now and that did nothing for so many days. A client "
        "that returns later begins anew. Safe while servers run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("days", type=int, help="how many days a session is kept: 1 or more")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 1:
            raise CommandError("DAYS must be 1 or more.")
        deleted = 0
        while some := sessions.forget(timedelta(days=options["days"])):
            deleted += some
            self.stdout.write(f"  {deleted:,} sessions deleted", ending="\r")
        self.stdout.write(f"Deleted {deleted:,} sessions that were left {options['days']} days ago or longer.")
