"""manage.py outbound: runs the outbound clients that staff have started, as one of as many processes as one likes."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from actors import outbound
from realtime_project.topics import hub, in_memory


class Command(BaseCommand):
    help = (
        "Keeps up the connections of outbound clients. Each is run by one process at a time; start several, and what "
        "one leaves or loses another takes over. SIGTERM closes them and ends it."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if in_memory():
            raise CommandError(
                "The in-memory channel layer reaches one process, and so the server itself runs outbound clients. "
                "Set REDIS_URL to run them here."
            )
        self.stdout.write("Running outbound clients. Ctrl-C ends.")
        asyncio.run(self.run())

    async def run(self) -> None:
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end.set)
        serving = hub()
        serving.start()
        try:
            await outbound.run_here(end)
        finally:
            serving.close()
