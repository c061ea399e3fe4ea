"""Compares what every client saw with the database, which is the truth."""

import json
from collections.abc import Sequence

from tests.faults.clients import Poster, Reader
from tests.helpers import Server

LOG = """
from realtime_project.models import TopicEvent
from chat.models import Room
room = Room.objects.get(slug={room!r})
rows = TopicEvent.objects.filter(topic__name=room.topic_name).order_by("offset").values_list("offset", "content")
print(json.dumps([[offset, bytes(content).decode()] for offset, content in rows]))
"""


def read_log(server: Server, room: str = "lobby") -> list[tuple[int, str]]:
    return [(offset, text) for offset, text in server.python(LOG.format(room=room))]


def check(log: list[tuple[int, str]], posters: Sequence[Poster], readers: Sequence[Reader]) -> None:
    """Nothing acknowledged is lost, nothing doubled, nothing out of order, and every view is the log."""
    assert [offset for offset, _ in log] == list(range(1, len(log) + 1)), "the log has holes"
    for reader in readers:
        assert reader.frames == log, f"a view differs from the log: {difference(reader.frames, log)}"
    events = [(offset, json.loads(text)) for offset, text in log]
    created = [
        (event["message"]["client_id"], offset) for offset, event in events if event["type"] == "message.created"
    ]
    assert len({id for id, _ in created}) == len(created), "stored twice"
    for poster in posters:
        lost = set(poster.acknowledged.items()) - set(created)
        assert not lost, f"acknowledged and lost: {sorted(lost)[:5]}"
        numbers = [int(id.rsplit("-", 1)[1]) for id, _ in created if id.startswith(f"{poster.name}-")]
        assert numbers == sorted(numbers), "out of order"


def difference(view: list[tuple[int, str]], log: list[tuple[int, str]]) -> str:
    for index, (seen, true) in enumerate(zip(view, log, strict=False)):
        if seen != true:
            return f"at {index}: saw {seen[0]}, the log has {true[0]}"
    return f"saw {len(view)} of {len(log)}"
