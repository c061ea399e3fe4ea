"""manage.py runserver: the development server, which is the one for production under the reloader."""

import os
import signal
from typing import Any

from daphne.management.commands.runserver import Command as RunserverCommand
from django.conf import settings
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from realtime_project.connections import is_loopback
from realtime_project.lifetime import make_server
from realtime_project.server import Server

RELOAD = 2.0  # seconds that a reload may wait for the goodbyes


class Command(RunserverCommand):  # type: ignore[misc]
    reloaded: Server | None = None  # what the reloader is to end politely

    def run(self, **options: Any) -> None:
        """With the reloader there are two processes: one watches over the other, which serves in a thread."""
        if options["use_reloader"] and os.environ.get(DJANGO_AUTORELOAD_ENV) != "true":
            signal.signal(signal.SIGINT, _leave_it_to_the_other)
        try:
            super().run(**options)
        finally:  # here threads still run, and so do queries
            if self.reloaded:
                self.reloaded.drain_from_outside(RELOAD)

    def server_cls(self, application: Any, **options: Any) -> Server:
        """The name is Daphne's. Sizes and times come from the settings."""
        for ours in ("websocket_handshake_timeout", "websocket_max_message_size", "websocket_max_frame_size"):
            options.pop(ours)
        server = make_server(application, **options)
        if not options["signal_handlers"]:  # the reloader has the main thread, and ends this one with it
            self.reloaded = server
        return server

    def inner_run(self, *args: Any, **options: Any) -> None:
        if settings.DEBUG and not is_loopback(self.addr):
            self.stderr.write(
                self.style.ERROR(
                    f"WARNING: DEBUG is on and the server listens on {self.addr}: whoever reaches it sees settings and "
                    "tracebacks. Set DEBUG=0, or listen on 127.0.0.1."
                )
            )
        super().inner_run(*args, **options)


def _leave_it_to_the_other(*_: object) -> None:
    """Ctrl-C comes to both processes: who serves ends, and then who watches. Python would kill it after 0.25 s."""
