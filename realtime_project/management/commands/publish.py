"""manage.py publish TOPIC TEXT: publish to a topic from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from realtime_project.topics import PublishError, Topic


class Command(BaseCommand):
    help = "Publishes a text to a topic. A durable topic reaches every running server within two seconds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("topic", help="the topic's name, for example: news")
        parser.add_argument("text", help="what to publish")

    def handle(self, *args: Any, **options: Any) -> None:
        offset = publish(options["topic"], options["text"])
        self.stdout.write(f"Published to {options['topic']}" + (f", offset {offset}." if offset else "."))


def publish(name: str, text: str) -> int | None:
    """Publish, as the topic is declared: the offset in a durable topic. Raises CommandError, in words for a shell."""
    known = Topic.known()
    try:
        return (known.get(name) or Topic(name)).publish_sync(text)
    except (PublishError, ValueError) as error:
        durable = ", ".join(name for name, topic in known.items() if topic.history) or "none"
        raise CommandError(f"{error}\nDurable topics: {durable}") from None
