"""Code of the server that is no actor: it publishes what it is told, and tells what runs."""

import asyncio
import json
from typing import Any

from channels.layers import get_channel_layer

from actors import runtime
from actors.models import ActorSession
from realtime_project import database
from realtime_project.models import Connection
from realtime_project.registry import registry
from realtime_project.topics import Topic, hub


async def post(scope: Any, receive: Any, send: Any) -> None:
    """Publishes what it is told, [topic, content], to a topic by its name."""
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if "text" in message:
            name, content = json.loads(message["text"])
            await Topic(name).publish(content)


async def running(scope: Any, receive: Any, send: Any) -> None:
    """Tells which actors run: "list", "state <id>", "waiting <id>", "stop <id>"."""
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if "text" in message:
            word, _, id = message["text"].partition(" ")
            actor = runtime.actors.get(id)
            if word == "list":
                answer: Any = {id: actor.endpoint for id, actor in runtime.actors.items()}
            elif word == "waiting":
                answer = actor and len(actor._mailbox)
            elif word == "state":
                answer = actor and repr(actor.state)
            else:
                answer = runtime.end(id)
            await send({"type": "websocket.send", "text": json.dumps(answer)})


async def left(scope: Any, receive: Any, send: Any) -> None:
    """Counts what this process holds of others."""
    await send({"type": "websocket.accept"})
    tasks = sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks())  # type: ignore[union-attr]
    scheduled: Any = asyncio.get_running_loop()
    timers = [each for each in scheduled._scheduled if not each.cancelled() and "Actor" in repr(each)]
    layer: Any = get_channel_layer()
    told = {
        "actors": len(runtime.actors),
        "feeds": sum(not name.startswith(("control:", "presence")) for name in hub().feeds),
        "tasks": [name for name in tasks if not name.startswith(("Feed.", "Orders."))],
        "sessions": await database.run(ActorSession.objects.count),
        "connections": len(registry.connections),
        "timers": len(timers),
        "groups": len(layer.groups),
        "rows": await database.run(Connection.objects.exclude(endpoint="/ws/acted/left/").count),
    }
    await send({"type": "websocket.send", "text": json.dumps(told)})
    while (await receive())["type"] != "websocket.disconnect":
        pass
