"""What the tests of the chat in process share."""

from typing import Any

import pytest

from chat.models import User


@pytest.fixture(autouse=True)
def no_static_files(settings: Any) -> None:
    """Every test client would list all static files first: 40 ms."""
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("servestatic.")]


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("Ann")


@pytest.fixture
def bob() -> User:
    return User.objects.create_user("Bob")
