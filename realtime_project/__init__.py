"""The foundation: connections, topics and the server. It knows none of the apps that stand on it."""

__version__ = "0.1.0"
