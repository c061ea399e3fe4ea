"""Who may not connect for a time: users and addresses that staff have banned.

The rule: every server keeps all bans that hold in memory and asks for them once a second, so a handshake costs no
query, and a ban needs neither an order nor the channel layer. A ban ends by itself, on the database's clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.db.models.functions import Now

from . import database
from .models import Ban
from .registry import registry

logger = logging.getLogger(__name__)

BEAT = 1.0  # seconds between two looks
BANNED = 4403  # close code
REASON = "banned for a time"
WIDEST = {4: 16, 6: 32}  # version → the shortest prefix that can be banned: a slip must not shut out the world
KEPT = timedelta(days=30)  # a ban that has ended is shown for so long

Network = IPv4Network | IPv6Network


# giving and lifting, from any thread or process -----------------------------------------------------------------
def ban(*, user: Any = None, address: str | None = None, hours: float, why: str = "", by: Any = None) -> Ban:
    """Let a user, or an address ("203.0.113.7", "2001:db8::/64"), connect nowhere for so many hours from now.

    Open connections are closed with 4403 within two seconds. Raises ValueError for what cannot be banned.
    """
    if (user is None) == (address is None):
        raise ValueError("a ban is of a user or of an address")
    if not 0 < hours <= 24 * 366:
        raise ValueError("a ban lasts for more than nothing, and a year at most")
    network = None if address is None else str(network_of(address))
    row = Ban(user=user, address=network, until=Now() + timedelta(hours=hours), why=why, by=by)
    row.save()
    row.refresh_from_db()
    return row


def lift(ban: Ban) -> None:
    """End a ban now."""
    ban.delete()


def holding() -> Any:
    """The bans that hold now."""
    return Ban.objects.filter(until__gt=Now())


def tidy() -> None:
    """Forget the bans that ended long ago."""
    Ban.objects.filter(until__lt=Now() - KEPT).delete()


def network_of(address: str) -> Network:
    """An address or a network, in one spelling. Raises ValueError, in words."""
    try:
        network = ip_network(address.strip(), strict=False)
    except ValueError:
        raise ValueError(f"{address!r} is no address: write 203.0.113.7 or 2001:db8::/64") from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped and network.prefixlen >= 96:
        network = ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96), strict=False)
    if network.prefixlen < WIDEST[network.version]:
        raise ValueError(f"{network} is too wide: /{WIDEST[network.version]} at the least")
    return network


def covers(network: str, address: str) -> bool:
    """Whether a ban of `network` would be one of `address`."""
    kept = Bans()
    kept.know(frozenset(), frozenset([str(network_of(network))]))
    return kept.refuse(None, address)


# keeping them ---------------------------------------------------------------------------------------------------
class Bans:
    """What this process knows of the bans."""

    def __init__(self) -> None:
        self._users: frozenset[Any] = frozenset()
        self._networks: frozenset[str] = frozenset()
        self._ranges: dict[tuple[int, int], set[int]] = {}  # (version, prefix length) → the beginnings of addresses
        self._known = False

    def refuse(self, user: Any, address: str) -> bool:
        """Whether somebody may not connect now. Asks nobody."""
        if self._users and getattr(user, "pk", None) in self._users:
            return True
        return bool(self._ranges) and self._covers(address)

    async def ready(self) -> None:
        """Return when the bans are known, which is at once but for the first moments of a process."""
        if not self._known:
            try:
                await self.look()
            except Exception as error:  # the database is away: nobody can be looked up there either
                logger.warning("who is banned is not known yet: %r", error)

    async def watch(self) -> None:
        """Look again and again, as long as this process serves."""
        while True:
            try:
                await self.look()
            except Exception as error:
                logger.warning("who is banned cannot be asked: %r", error)
            await asyncio.sleep(BEAT)

    async def look(self) -> None:
        """Ask for the bans that hold, and close the connections of who is newly banned."""
        rows = await database.run_apart(_read)
        users = frozenset(user for user, _ in rows if user is not None)
        networks = frozenset(address for _, address in rows if address is not None)
        if self.know(users, networks):
            async for connection in registry.crowd:
                if self.refuse(connection.user, connection.client_ip):
                    connection.close_soon(BANNED, REASON)

    def know(self, users: frozenset[Any], networks: frozenset[str]) -> bool:
        """These are banned, and nobody else. Whether that is news."""
        self._known = True
        if (users, networks) == (self._users, self._networks):
            return False
        self._users, self._networks, self._ranges = users, networks, _ranges(networks)
        return True

    def _covers(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:  # a socket in the file system has none
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        bits, number = found.max_prefixlen, int(found)
        return any(
            version == found.version and number >> (bits - length) in beginnings
            for (version, length), beginnings in self._ranges.items()
        )


def _ranges(networks: Iterable[str]) -> dict[tuple[int, int], set[int]]:
    ranges: dict[tuple[int, int], set[int]] = {}
    for network in map(ip_network, networks):
        beginning = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
        ranges.setdefault((network.version, network.prefixlen), set()).add(beginning)
    return ranges


def _read() -> list[tuple[Any, str | None]]:
    return list(holding().values_list("user_id", "address"))


bans = Bans()
