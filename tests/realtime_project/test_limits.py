"""The token bucket and the origins: pure rules."""

import pytest
from django.test import override_settings

from realtime_project.limits import Bucket
from realtime_project.origins import allowed


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    now = 0.0
    bucket = Bucket(rate=2, burst=3, clock=lambda: now)
    assert [bucket.take() for _ in range(3)] == [0, 0, 0]
    assert bucket.take() == 0.5
    now = 0.5
    assert bucket.take() == 0
    assert bucket.take() > 0
    now = 1_000
    assert [bucket.take() > 0 for _ in range(4)] == [False, False, False, True]


def test_a_rate_of_zero_is_no_limit() -> None:
    bucket = Bucket(rate=0, burst=1, clock=lambda: 0)
    assert not any(bucket.take() for _ in range(1_000))


@pytest.mark.parametrize(
    ("origin", "answer"),
    [
        ("https://chat.example.org", True),
        ("https://chat.example.org:443", True),
        ("HTTPS://Chat.Example.org", True),
        ("http://chat.example.org", False),
        ("https://chat.example.org:8443", False),
        ("https://chat.example.org.evil.example", False),
        ("https://evil.example", False),
        ("https://chat.example.org/path", False),
        ("null", False),
        ("", False),
        ("https://[::1", False),
        ("https://chat.example.org:port", False),
    ],
)
@override_settings(ALLOWED_ORIGINS=["https://chat.example.org"], ALLOWED_HOSTS=["chat.example.org"])
def test_a_named_origin_is_exact_in_scheme_host_and_port(origin: str, answer: bool) -> None:
    assert allowed(origin, "chat.example.org") is answer


@pytest.mark.parametrize(
    ("origin", "host", "answer"),
    [
        ("http://localhost:8000", "localhost:8000", True),
        ("https://localhost:8000", "localhost:8000", True),
        ("http://localhost:8000", "localhost:9000", False),
        ("http://localhost", "localhost:80", True),
        ("http://[::1]:8000", "[::1]:8000", True),
        ("http://evil.example:8000", "evil.example:8000", False),
        ("http://localhost:8000", "evil.example:8000", False),
        ("http://127.0.0.1:8000", "localhost:8000", False),
    ],
)
@override_settings(ALLOWED_ORIGINS=[], ALLOWED_HOSTS=[])
def test_without_a_list_a_page_may_reach_its_own_host(origin: str, host: str, answer: bool) -> None:
    assert allowed(origin, host) is answer
