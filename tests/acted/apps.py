"""An app with actors that say what the tests want to know."""

from importlib import import_module

from django.apps import AppConfig


class ActedConfig(AppConfig):
    name = "tests.acted"
    label = "acted"

    def ready(self) -> None:
        import_module("tests.acted.routing")
