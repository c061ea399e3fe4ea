"""Our server as the settings ask for it, and what begins and ends with it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from .commits import Commits
from .limits import Limits
from .server import Server
from .serving import serving


def make_server(application: Any, **options: Any) -> Server:
    """The server that both `serve` and `runserver` run, with the limits of the settings."""
    limits = Limits(
        idle_timeout=settings.WEBSOCKET_IDLE_TIMEOUT,
        max_message=settings.WEBSOCKET_MAX_MESSAGE_SIZE,
        max_buffer=settings.WEBSOCKET_MAX_BUFFER,
        max_queue=settings.WEBSOCKET_MAX_QUEUE,
        max_body=settings.HTTP_MAX_BODY,
        handshake_timeout=settings.WEBSOCKET_HANDSHAKE_TIMEOUT,
        drain=settings.WEBSOCKET_DRAIN,
    )

    def begin() -> None:
        from .routing import endpoints

        serving.begin(server.listening_addresses[0] if server.listening_addresses else None, endpoints, drain)

    def drain() -> None:
        if not server.draining:  # a second time would mean: at once
            server.drain()

    server = Server(application, limits=limits, on_start=begin, on_drain=serving.leaving, on_stop=end, **options)
    return server


async def end() -> None:
    """What was acknowledged or is about to be is committed; then this process leaves the registry."""
    if Commits.here:
        await Commits.here.finish()
    await serving.end()
