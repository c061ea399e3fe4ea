"""Where an outbound connection may lead: to an address of the internet, or to what OUTBOUND_ALLOW names.

The rule: addresses are judged, never names, and all that a name leads to is judged. Who connects goes to an address
that was judged, so that a name cannot lead elsewhere a moment later. What is shown of a URL has no secret. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from websockets.exceptions import InvalidURI
from websockets.uri import WebSocketURI, parse_uri

from realtime_project.publishing import kind

LONGEST = 2_000  # characters of a URL
BLANK = re.compile(r"[\s\x00-\x1f\x7f]")  # which URL parsers remove, each in its own way
NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
UNICAST = IPv6Network("2000::/3")  # all that IANA has given out of IPv6
# What the standard library takes for addresses like any other: RFC 6890, 7526, 3068, 3056, 9637.
SPECIAL = [ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "2002::/16", "3fff::/20")]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class Forbidden(Exception):
    """Nothing connects there."""


class Target(NamedTuple):
    """What a URL says."""

    url: str  # with its secrets
    uri: WebSocketURI
    shown: str  # without

    @property
    def host(self) -> str:
        return self.uri.host

    @property
    def port(self) -> int:
        return self.uri.port


def target_of(url: Any) -> Target:
    """A URL, checked. Raises TypeError, or ValueError with a text that repeats nothing of the URL but its host."""
    if not isinstance(url, str):
        raise TypeError(f"a URL is a str, not {type(url).__name__}")
    if not 0 < len(url) <= LONGEST:
        raise ValueError(f"a URL has 1 to {LONGEST:,} characters, not {len(url):,}")
    if BLANK.search(url):
        raise ValueError("a URL has no blanks and no control characters")
    try:
        uri = parse_uri(url)
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError("there is no port 0")
    except InvalidURI as error:  # whose own text has all of the URL
        raise ValueError(f"not the URL of a WebSocket, ws://… or wss://…: {error.msg}") from None
    except UnicodeError:
        raise ValueError("the host or the user of this URL cannot be written in ASCII") from None
    except ValueError as error:  # of the standard library: a port, or the brackets of an IPv6 address
        raise ValueError(f"not a URL: {_harmless(error)}") from None
    try:
        uri.host.encode("idna")  # as every look-up does
    except UnicodeError:
        raise ValueError(f"{uri.host} is no name of a host") from None
    return Target(url, uri, shown(url))


def shown(url: str) -> str:
    """A URL without its secrets: neither who logs in, nor the values of its query.

    >>> shown("wss://ann:pw@example.org/feed?token=abc&v=2")
    'wss://…@example.org/feed?token=…&v=…'
    """
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")
        names = [part.partition("=") for part in parts.query.split("&")] if parts.query else []
    except ValueError:
        return "…"
    login = "…@" if host[1] else ""
    query = "&".join(f"{name}=…" if equals else "…" for name, equals, _ in names)
    return f"{parts.scheme}://{login}{host[2]}{parts.path}{'?' if query else ''}{query}"


class Allowed:
    """Networks and hosts that one may connect to although they are not of the internet.

    places: networks, and names of hosts. A host that is named may lead anywhere.
    """

    def __init__(self, places: Iterable[Network | str] = ()) -> None:
        self.networks: list[Network] = []
        self.hosts: set[str] = set()
        for place in places:
            if isinstance(place, str):
                self.hosts.add(_plain(place))
            elif isinstance(place, Network):
                self.networks.append(place)
            else:
                raise TypeError(f"a place is a network or the name of a host, not {kind(place)}")

    def judge(self, host: str, addresses: Sequence[str]) -> list[str]:
        """The addresses that a host was resolved to, in their order. Raises Forbidden if one of them is."""
        if not addresses:
            raise Forbidden(f"{host} has no address")
        if _plain(host) not in self.hosts:
            for text in addresses:
                self._judge(host, text)
        return list(dict.fromkeys(addresses))

    def _judge(self, host: str, text: str) -> None:
        address = unwrapped(ip_address(text))
        reason = special(address)
        if reason and not any(address in network for network in self.networks if network.version == address.version):
            leads = "is" if text == host else f"leads to {text},"
            raise Forbidden(f"{host} {leads} {reason}: OUTBOUND_ALLOW does not name it")


def unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for, where it does; else the address itself."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped:
            return address.ipv4_mapped
        if address in NAT64:
            return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def special(address: Address) -> str | None:
    """What keeps an address, unwrapped, from being one of the internet; None if nothing does."""
    if address.is_loopback:
        return "a loopback address"
    if address.is_unspecified:
        return "the unspecified address"
    if address.is_link_local:
        return "a link-local address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_private:
        return "a private address"
    is_given = isinstance(address, IPv4Address) or address in UNICAST
    if not (is_given and address.is_global) or any(address in net for net in SPECIAL if net.version == address.version):
        return "a reserved address"
    return None


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _harmless(error: ValueError) -> str:
    """What the standard library says of a URL, unless it repeats a part of it."""
    text = str(error)
    return text if text.startswith(("Port out of range", "there is no port")) else "its host or port is malformed"
