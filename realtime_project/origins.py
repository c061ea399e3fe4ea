"""Which pages may open a WebSocket here: exact scheme, host and port.

Browsers let any page connect anywhere and send cookies along, so this is what keeps foreign pages out. A request
without an Origin does not come from a page and is let through.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from .connections import deny

logger = logging.getLogger(__name__)

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]
PORTS = {"http": 80, "https": 443}
LOCAL = [".localhost", "127.0.0.1", "[::1]"]  # what Django allows when DEBUG and nothing is set


class Origins:
    """ASGI middleware: refuses a WebSocket handshake (403) of a page that is not ours."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        origins = [value.decode("latin1") for name, value in scope["headers"] if name == b"origin"]
        host = next((value.decode("latin1") for name, value in scope["headers"] if name == b"host"), "")
        if not origins or (len(origins) == 1 and allowed(origins[0], host)):
            await self.app(scope, receive, send)
            return
        logger.warning("refused a WebSocket on %r: origin %r, host %r", scope["path"], ", ".join(origins), host)
        await deny(scope, send, 403, "Pages of another origin may not connect here.")


def allowed(origin: str, host: str) -> bool:
    """Whether a page of `origin` may connect to `host` (the Host header)."""
    page = _parts(origin)
    if page is None:
        return False
    if settings.ALLOWED_ORIGINS:
        return page in map(_parts, settings.ALLOWED_ORIGINS)
    domain, _ = split_domain_port(host)
    return validate_host(domain, settings.ALLOWED_HOSTS or LOCAL) and page == _parts(f"{page[0]}://{host}")


def _parts(origin: str) -> tuple[str, str, int] | None:
    """(scheme, host, port), or None for what is no origin of a web page."""
    try:
        url = urlsplit(origin.strip())
        port = url.port or PORTS[url.scheme]
    except (ValueError, KeyError):
        return None
    if not url.hostname or url.path or url.query or url.fragment or url.username is not None:
        return None
    return url.scheme, url.hostname, port
