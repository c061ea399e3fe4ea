"""manage.py actors …: what the rules say, from a shell."""

from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from actors.consumers import Setup
from actors.diagram import draw
from actors.endpoints import setups


class Command(BaseCommand):
    help = "Draws the state diagrams of the endpoints in actor mode."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parts = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        diagram = parts.add_parser("diagram", help="Draws an endpoint's rules as SVG.")
        diagram.set_defaults(part=self.diagram)
        diagram.add_argument("path", nargs="?", help="the endpoint, for example /ws/names/")
        diagram.add_argument("--output", type=Path, help="the file to write; without it the SVG is printed")
        diagram.add_argument("--all", type=Path, metavar="FOLDER", help="write every endpoint's, a file each")

    def handle(self, *args: Any, part: Callable[..., None], **options: Any) -> None:
        part(options)

    def diagram(self, options: dict[str, Any]) -> None:
        if bool(options["path"]) == bool(options["all"]):
            raise CommandError("Give the path of an endpoint, or --all FOLDER.")
        if options["all"]:
            options["all"].mkdir(parents=True, exist_ok=True)
            for path, setup in setups().items():
                target = options["all"] / file_name(path)
                target.write_text(drawn(path, setup))
                self.stdout.write(str(target))
        elif options["output"]:
            options["output"].write_text(drawn(options["path"], self._setup(options["path"])))
        else:
            self.stdout.write(drawn(options["path"], self._setup(options["path"])), ending="")

    def _setup(self, path: str) -> Setup:
        known = setups()
        if path not in known:
            raise CommandError(f"{path} is no endpoint in actor mode; these are: {', '.join(known) or 'none'}")
        return known[path]


def drawn(path: str, setup: Setup) -> str:
    return draw(setup.rules, setup.initial_state, setup.decoder.messages, title=f"States of {path}")


def file_name(path: str) -> str:
    """/ws/rooms/<room>/ → ws-rooms-room.svg"""
    return "-".join(part.strip("<>").replace(":", "-") for part in path.split("/") if part) + ".svg"
