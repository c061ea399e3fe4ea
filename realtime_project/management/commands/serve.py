"""manage.py serve: the server for production. Daphne's options, under our limits."""

import argparse
import logging
import sys
from typing import Any

from daphne.cli import DEFAULT_HOST, DEFAULT_PORT, CommandLineInterface
from daphne.endpoints import build_endpoint_description_strings
from daphne.management.commands.runserver import get_default_application
from django.core.checks import run_checks
from django.core.management.base import BaseCommand, CommandError, CommandParser

from realtime_project.lifetime import make_server
from realtime_project.logs import AccessLog

logger = logging.getLogger(__name__)

OURS = {  # said by settings, which the whole house reads; or by Django's own options
    "help",
    "application",
    "verbosity",
    "log_fmt",
    "websocket_max_message_size",
    "websocket_max_frame_size",
    "ping_timeout",
}


class Command(BaseCommand):
    help = (
        "Serves HTTP and WebSockets. Sizes and times of WebSockets are settings (WEBSOCKET_MAX_MESSAGE_SIZE and "
        "others, see docs/settings.md); SIGTERM drains. One process uses one core: run several behind a proxy."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        for action in CommandLineInterface().parser._actions:
            if action.dest not in OURS:
                parser._add_action(action)

    def check(self, *args: Any, **options: Any) -> None:
        """What Django finds at the start is a line of the log each, as all that a server says later."""
        found = [each for each in run_checks() if not each.is_silenced()]
        if any(each.is_serious() for each in found):
            super().check(*args, **options)  # which ends here
        for each in found:
            logger.warning("%s: %s %s", each.id, each.msg, each.hint or "")

    def handle(self, *args: Any, **options: Any) -> None:
        given = argparse.Namespace(**options)
        address = CommandLineInterface()
        host, port = given.host, given.port
        if not (given.unix_socket or given.file_descriptor is not None or given.socket_strings) or host or port:
            host, port = host or DEFAULT_HOST, DEFAULT_PORT if port is None else port
        endpoints = given.socket_strings + build_endpoint_description_strings(
            host=host, port=port, unix_socket=given.unix_socket, file_descriptor=given.file_descriptor
        )
        try:
            header, port_header = address._get_forwarded_host(given), address._get_forwarded_port(given)
        except argparse.ArgumentError as error:
            raise CommandError(str(error)) from None
        log = sys.stdout if given.access_log == "-" else open(given.access_log, "a", 1) if given.access_log else None  # noqa: SIM115  # for as long as the process lives
        server = make_server(
            get_default_application(),
            endpoints=sorted(endpoints),
            action_logger=AccessLog(log) if log else None,
            proxy_forwarded_address_header=header,
            proxy_forwarded_port_header=port_header,
            proxy_forwarded_proto_header="X-Forwarded-Proto" if given.proxy_headers else None,
            verbosity=given.verbosity,
            **{
                name: getattr(given, name)
                for name in (
                    "http_timeout",
                    "ping_interval",
                    "websocket_timeout",
                    "websocket_connect_timeout",
                    "application_close_timeout",
                    "root_path",
                    "server_name",
                )
            },
        )
        self.stdout.write(f"Serving at {', '.join(endpoints)}")
        server.run()
        if server.abort_start:
            raise SystemExit(1)
