"""Any ASGI application beside ours, under a path of its own: Starlette, FastAPI, or a bare callable."""

from collections.abc import Awaitable, Callable
from typing import Any

from django.urls import URLPattern, path

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def mount(prefix: str, app: App) -> URLPattern:
    """A route that hands everything below `prefix` to `app`, which routes by what follows.

    mount("ws/fastapi/", app): the application's own /ws/lobby is then /ws/fastapi/ws/lobby. It finds the prefix in
    scope["root_path"], as the ASGI specification says.
    """

    async def mounted(scope: dict[str, Any], receive: Any, send: Any) -> None:
        root = f"{scope.get('root_path', '')}/{prefix.strip('/')}"
        await app({**scope, "root_path": root}, receive, send)

    return path(f"{prefix.strip('/')}/<path:below>", mounted)  # type: ignore[arg-type]  # Django's types know views
