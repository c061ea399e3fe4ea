"""Whom no server lets in: what can be banned, and what a ban covers. Real servers keep it in tests/admin_panel."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from realtime_project import bans
from realtime_project.crowd import Crowd
from realtime_project.models import Ban


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("203.0.113.7/24", "203.0.113.255", "203.0.114.0"),
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.8"),
        ("203.0.113.7", "::ffff:203.0.113.7", "::ffff:203.0.113.8"),
        ("2001:db8::1/64", "2001:db8::ffff", "2001:db8:0:1::1"),
    ],
)
def test_a_ban_covers_its_addresses_and_no_other(network: str, inside: str, outside: str) -> None:
    assert bans.covers(network, inside)
    assert not bans.covers(network, outside)
    assert not bans.covers(network, "")
    assert not bans.covers(network, "/run/a.sock")


@pytest.mark.parametrize("wrong", ["", "somewhere", "1.2.3", "1.2.3.4/99", "10.0.0.0/8", "::/0", "0.0.0.0/0"])
def test_what_is_no_address_or_too_many_cannot_be_banned(wrong: str) -> None:
    with pytest.raises(ValueError, match=r"is no address|is too wide"):
        bans.network_of(wrong)


@pytest.mark.django_db
def test_what_holds_is_judged_by_the_databases_clock_and_tidied_later() -> None:
    ann: Any = get_user_model().objects.create_user("ann")
    short = bans.ban(user=ann, hours=1)
    assert (short.until - timezone.now()).total_seconds() == pytest.approx(3600, abs=60)
    bans.ban(address="203.0.113.7", hours=2, why="spam", by=ann)
    assert {str(ban) for ban in bans.holding()} == {"ann", "203.0.113.7/32"}
    Ban.objects.filter(pk=short.pk).update(until=timezone.now() - timedelta(seconds=1))
    assert {str(ban) for ban in bans.holding()} == {"203.0.113.7/32"}
    bans.tidy()
    assert Ban.objects.count() == 2
    Ban.objects.filter(pk=short.pk).update(until=timezone.now() - bans.KEPT - timedelta(seconds=2))
    bans.tidy()
    assert [str(ban) for ban in Ban.objects.all()] == ["203.0.113.7/32"]
    ann.delete()
    assert Ban.objects.get().by is None


@pytest.mark.django_db
@pytest.mark.parametrize("wrong", [{}, {"user": 1, "address": "1.2.3.4"}, {"address": "1.2.3.4", "hours": 0}])
def test_a_ban_of_nobody_or_of_no_length_is_an_error(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a ban (is of|lasts)"):
        bans.ban(**{"hours": 1, **wrong})


class Guest:
    def __init__(self, user: Any, client_ip: str) -> None:
        self.user, self.client_ip = SimpleNamespace(pk=user), client_ip
        self.closes: list[int] = []

    def close_soon(self, code: int, reason: str) -> None:
        self.closes.append(code)


@pytest.mark.django_db
async def test_those_who_are_newly_banned_are_closed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, holding = bans.Bans(), [(1, None), (None, "10.9.0.0/16")]
    ann, bob, eve = people = [Guest(1, "10.0.0.1"), Guest(None, "10.0.0.2"), Guest(3, "10.9.0.3")]
    monkeypatch.setattr(bans, "registry", SimpleNamespace(crowd=Crowd(people)))
    monkeypatch.setattr(bans, "_read", lambda: list(holding))
    await kept.look()
    await kept.look()
    assert (ann.closes, bob.closes, eve.closes) == ([bans.BANNED], [], [bans.BANNED])
    holding.clear()
    await kept.look()
    assert not any(kept.refuse(each.user, each.client_ip) for each in people)
