"""The project's settings, and one more app."""

from realtime_project.settings import *  # noqa: F403
from realtime_project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "tests.acted.apps.ActedConfig"]
ROOT_URLCONF = "tests.acted.urls"
