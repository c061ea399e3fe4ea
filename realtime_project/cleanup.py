"""What a Channels consumer must give back, it gives back once: also when one of its handlers raises.

The rule: a consumer that has not been told `websocket.disconnect` when it fails is told then. Channels forgets that.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from channels.exceptions import StopConsumer

logger = logging.getLogger(__name__)

App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]

HANDLER = "websocket_disconnect"


def for_one_connection(app: App) -> App:
    """What to call instead of `app`, once: the consumer that it would make, or `app` where it is nothing of the sort.

    A function around `SomeConsumer.as_asgi()` stays in the way, even one that has borrowed its attributes.
    """
    consumer_class: Any = getattr(app, "consumer_class", None)
    if consumer_class is None or consumer_class != getattr(app, "__wrapped__", None):
        return app
    consumer: Any = consumer_class(**app.consumer_initkwargs)  # type: ignore[attr-defined]
    handler = getattr(consumer, HANDLER, None)
    if handler is not None:

        def first_time(message: dict[str, Any]) -> Any:
            del vars(consumer)[HANDLER]
            return handler(message)

        vars(consumer)[HANDLER] = first_time
    return consumer  # type: ignore[no-any-return]


async def leave(app: Any, code: int) -> None:
    """Tell a failed consumer that its connection is over, unless it has been told. Never raises but to be cancelled."""
    if HANDLER not in vars(app):
        return
    try:
        await app.dispatch({"type": "websocket.disconnect", "code": code, "reason": ""})
    except StopConsumer:
        pass
    except Exception:
        logger.exception("a failed consumer failed again in its disconnect")
