"""manage.py actors …: what the rules say, and what actors did, from a shell."""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from actors.consumers import Setup
from actors.diagram import draw
from actors.endpoints import replays, setups
from actors.export import export
from actors.models import Recording
from actors.replay import OTHERWISE, SAME, UNKNOWN
from realtime_project.logs import escaped

LIMIT = 50  # recordings
READ = 100  # ... in memory at a time
SHOWN = 5  # steps of a recording that would be otherwise


class Command(BaseCommand):
    help = "Draws state diagrams of the endpoints in actor mode; lists, exports and replays what was recorded of them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parts = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
        diagram = parts.add_parser("diagram", help="Draws an endpoint's rules as SVG.")
        diagram.set_defaults(part=self.diagram)
        diagram.add_argument("path", nargs="?", help="the endpoint, for example /ws/names/")
        diagram.add_argument("--output", type=Path, help="the file to write; without it the SVG is printed")
        diagram.add_argument("--all", type=Path, metavar="FOLDER", help="write every endpoint's, a file each")

        listed = parts.add_parser("recordings", help="Lists what the flight recorder has, the newest first.")
        listed.set_defaults(part=self.recordings)
        listed.add_argument("path", nargs="?", help="of one endpoint")
        listed.add_argument("--limit", type=int, default=LIMIT, help=f"rows at most ({LIMIT})")
        exported = parts.add_parser("export", help="Prints a recording as a pytest file that plays it again.")
        exported.set_defaults(part=self.export)
        exported.add_argument("recording", help="its id, or how it begins")
        replayed = parts.add_parser("replay", help="Says which recordings today's rules would treat otherwise.")
        replayed.set_defaults(part=self.replay)
        replayed.add_argument("path", nargs="?", help="of one endpoint")
        replayed.add_argument("--recording", help="one of them: its id, or how it begins")
        replayed.add_argument("--days", type=float, help="only those with a step in the last so many days")

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

    # what was recorded ----------------------------------------------------------------------------------------
    def recordings(self, options: dict[str, Any]) -> None:
        rows = Recording.objects.select_related("user").order_by("-last_at")
        if options["path"]:
            rows = rows.filter(endpoint=options["path"])
        for row in rows[: options["limit"]]:
            missed = f", {row.missed:,} missed" if row.missed else ""
            who = row.user.get_username() if row.user else "–"
            self.stdout.write(
                f"{row.pk}  {row.begun_at:%Y-%m-%d %H:%M:%S}  {row.endpoint}  {escaped(who)}  "
                f"{row.taken:,} steps{missed}, last {escaped(row.state)}"
            )

    def export(self, options: dict[str, Any]) -> None:
        recording = self._recording(options["recording"])
        setup = self._setup(recording.endpoint)
        steps = list(recording.steps.order_by("number"))
        self.stdout.write(export(recording, steps, setup.rules, sorted(setup.redact or ())), ending="")

    def replay(self, options: dict[str, Any]) -> None:
        rows = Recording.objects.order_by("begun_at")
        if options["path"]:
            self._setup(options["path"])
            rows = rows.filter(endpoint=options["path"])
        if options["recording"]:
            rows = rows.filter(pk=self._recording(options["recording"]).pk)
        if options["days"] is not None:
            rows = rows.filter(last_at__gte=timezone.now() - timedelta(days=options["days"]))
        found: Counter[str] = Counter()
        for recording, report in replays(rows.iterator(READ)):
            word = report.word if report else "gone"
            found[word] += 1
            if report and word == OTHERWISE:
                self.stdout.write(f"{recording.pk}  {recording.endpoint}")
                for verdict in report.of(OTHERWISE)[:SHOWN]:
                    step = verdict.step
                    self.stdout.write(
                        f"  step {step.number}, {step.message} in {escaped(step.before)}: {escaped(verdict.why)}"
                    )
                if (more := len(report.of(OTHERWISE)) - SHOWN) > 0:
                    self.stdout.write(f"  and {more} more")
        total = sum(found.values())
        self.stdout.write(
            f"{total:,} recording{'' if total == 1 else 's'}: {found[SAME]:,} the same, "
            f"{found[OTHERWISE]:,} otherwise, "
            f"{found[UNKNOWN]:,} that cannot be told in every step, {found['gone']:,} of endpoints that are gone."
        )
        if found[OTHERWISE]:
            raise SystemExit(1)

    def _recording(self, id: str) -> Recording:
        found = list(Recording.objects.filter(pk__startswith=id)[:2])
        if len(found) != 1:
            raise CommandError(f"{'Several recordings begin' if found else 'No recording begins'} with {id!r}.")
        return found[0]

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
