"""What a log line looks like: JSON in production, for people in development; of a connection, with its id.

The rule: one record is one line that nobody else can write. Control characters are escaped, whoever they come from, and
the lines of a traceback are indented, so that no text of a client passes for a line of the log.
"""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Any

import structlog
from daphne.access import AccessLogGenerator
from django.core.exceptions import PermissionDenied
from structlog.typing import EventDict, Processor

# C0 and C1, what turns the direction of text around, line separators, and halves of characters, which no stream takes.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
INDENT = "    "


def escaped(text: str) -> str:
    r"""One line of it: a line feed as \n, an escape as \x1b."""
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def for_people(logger: Any, method: str, event: EventDict) -> str:
    """A line to be read: when, how grave, who says it, what, and of which connection."""
    said = escaped(str(event.pop("event")))
    moment, level, name = (event.pop(key, "") for key in ("timestamp", "level", "logger"))
    trace = str(event.pop("exception", ""))
    more = [f"{key}={escaped(str(value))}" for key, value in event.items() if str(value) not in said]
    line = " ".join([f"{moment} {level.upper()} {name}: {said}", *more])
    return "\n".join([line, *(INDENT + escaped(part) for part in trace.split("\n") if trace)])


def _local_time(logger: Any, method: str, event: EventDict) -> EventDict:
    record = event["_record"]
    event["timestamp"] = datetime.fromtimestamp(record.created).astimezone().isoformat(" ", "milliseconds")
    return event


def _utc(logger: Any, method: str, event: EventDict) -> EventDict:
    created = datetime.fromtimestamp(event["_record"].created, UTC)
    event["timestamp"] = created.isoformat(timespec="milliseconds")
    return event


def refusal_in_a_line(record: logging.LogRecord) -> bool:
    """That somebody may not do something is no failure of ours: a line, and no traceback."""
    if record.exc_info and isinstance(record.exc_info[1], PermissionDenied):
        record.exc_info = None
    return True


def stranger_in_a_line(record: logging.LogRecord) -> bool:
    """Nor that somebody asks for a host that is not ours, which anybody can: a warning."""
    record.levelno, record.levelname, record.exc_info = logging.WARNING, "WARNING", None
    return True


def configuration(for_machines: bool) -> dict[str, Any]:
    """Django's LOGGING. for_machines: a JSON object a line."""
    renderer: Processor = structlog.processors.JSONRenderer(ensure_ascii=True) if for_machines else for_people
    formatter = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [structlog.contextvars.merge_contextvars],
        "processors": [
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            _utc if for_machines else _local_time,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    }
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": formatter},
        "filters": {
            "refusals": {"()": "django.utils.log.CallbackFilter", "callback": refusal_in_a_line},
            "strangers": {"()": "django.utils.log.CallbackFilter", "callback": stranger_in_a_line},
        },
        "handlers": {
            "console": {"class": "logging.StreamHandler", "formatter": "line"},
            "errors": {"class": "realtime_project.figures.ErrorCounter"},
        },
        "root": {"handlers": ["console", "errors"], "level": "INFO"},
        "loggers": {
            "django": {"handlers": [], "level": "INFO"},  # once, through the root
            "django.request": {"filters": ["refusals"]},
            "django.security.DisallowedHost": {"filters": ["strangers"]},
            "daphne": {"level": "WARNING"},
            "channels_redis": {"level": "CRITICAL"},  # tracebacks while Redis is away; the hub says it in a line
            "axes": {"level": "WARNING"},
        },
    }


class AccessLog(AccessLogGenerator):  # type: ignore[misc]
    """Daphne's access log, a line an entry whatever is asked for."""

    def write_entry(self, host: Any, date: Any, request: str, *arguments: Any, **more: Any) -> None:
        super().write_entry(host, date, escaped(request).replace('"', '\\"'), *arguments, **more)
