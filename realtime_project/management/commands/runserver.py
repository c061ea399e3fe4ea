"""manage.py runserver: Daphne's development server, which says so when it can be reached from elsewhere."""

from typing import Any

from daphne.management.commands.runserver import Command as RunserverCommand
from django.conf import settings

from realtime_project.connections import is_loopback


class Command(RunserverCommand):  # type: ignore[misc]
    def inner_run(self, *args: Any, **options: Any) -> None:
        if settings.DEBUG and not is_loopback(self.addr):
            self.stderr.write(
                self.style.ERROR(
                    f"WARNING: DEBUG is on and the server listens on {self.addr}: whoever reaches it sees settings and "
                    "tracebacks. Set DEBUG=0, or listen on 127.0.0.1."
                )
            )
        super().inner_run(*args, **options)
