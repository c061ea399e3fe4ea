"""manage.py forget DAYS: drop the sessions of actors to which nobody has returned, what was recorded of actors, and the
quiz's games that nobody ends.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from actors import recordings, sessions
from actors.quiz import table


class Command(BaseCommand):
    help = (
        "Deletes the stored sessions of actors that nobody has now and that did nothing for so many days, and the "
        "recordings whose last step is that old; and games of the quiz that nobody follows any more. A client that "
        "returns later begins anew. Safe while servers run."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("days", type=int, help="how many days they are kept: 1 or more")
        parser.add_argument("--recordings", action="store_true", help="only the recordings")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["days"] < 1:
            raise CommandError("DAYS must be 1 or more.")
        age, days = timedelta(days=options["days"]), options["days"]
        if not options["recordings"]:
            deleted = self._all(sessions.forget, age, "sessions")
            self.stdout.write(f"Deleted {deleted:,} sessions that were left {days} days ago or longer.")
            self.stdout.write(f"Deleted {table.forget():,} games of the quiz that nobody follows.")
        deleted = self._all(recordings.forget, age, "recordings")
        self.stdout.write(f"Deleted {deleted:,} recordings that ended {days} days ago or longer.")

    def _all(self, forget: Callable[[timedelta], int], age: timedelta, what: str) -> int:
        deleted = 0
        while some := forget(age):
            deleted += some
            self.stdout.write(f"  {deleted:,} {what} deleted", ending="\r")
        return deleted
