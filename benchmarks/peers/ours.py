"""This project's server with the raw ASGI application and nothing else. `python -m … PORT`."""

import sys

from realtime_project.server import Server

from .raw import application

if __name__ == "__main__":
    Server(application=application, endpoints=[f"tcp:{sys.argv[1]}:interface=127.0.0.1"]).run()
