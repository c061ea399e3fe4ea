"""People with a browser, for the tests of the chat in process."""

from django.test import Client

from chat.models import User


def logged_in(user: User) -> Client:
    """The browser of somebody who has logged in; the back end is named because there are several."""
    client = Client()
    client.force_login(user, "django.contrib.auth.backends.ModelBackend")
    return client
