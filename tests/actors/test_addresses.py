"""Where outbound connections may lead: every way to write an address that is not of the internet is refused."""

from ipaddress import ip_address, ip_network

import pytest

from actors.addresses import Allowed, Forbidden, shown, special, target_of, unwrapped

INSIDE = [
    "127.0.0.1", "127.8.9.10", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:10.1.2.3", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001::1", "2001:db8::1", "3fff::1",
    "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "5f00::1", "100::1",
]  # fmt: skip
OUTSIDE = ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "2a00:1450:4001:80b::200e",
           "::ffff:8.8.8.8", "64:ff9b::808:808"]  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_that_is_not_of_the_internet_is_refused(address: str) -> None:
    with pytest.raises(Forbidden, match="OUTBOUND_ALLOW does not name it"):
        Allowed().judge("example.org", [address])


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_internet_is_not(address: str) -> None:
    assert special(unwrapped(ip_address(address))) is None
    assert Allowed().judge("example.org", [address]) == [address]


def test_one_inside_address_is_enough_to_refuse_a_name() -> None:
    with pytest.raises(Forbidden, match=r"example\.org leads to 10\.0\.0\.1, a private address"):
        Allowed().judge("example.org", ["93.184.216.34", "10.0.0.1"])
    with pytest.raises(Forbidden, match="has no address"):
        Allowed().judge("example.org", [])


def test_networks_and_hosts_are_allowed_by_name() -> None:
    networks = Allowed([ip_network("10.1.0.0/16"), ip_network("fd00::/8")])
    assert networks.judge("a", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"]) == ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"]
    with pytest.raises(Forbidden):
        networks.judge("a", ["10.2.0.1"])
    hosts = Allowed(["Queue.Internal"])
    assert hosts.judge("queue.internal.", ["192.168.0.4"]) == ["192.168.0.4"]
    for other in ("xqueue.internal", "queue.internal.example.org", "internal"):
        with pytest.raises(Forbidden):
            hosts.judge(other, ["192.168.0.4"])


def test_the_same_address_is_tried_once() -> None:
    assert Allowed().judge("a", ["8.8.8.8", "8.8.8.8", "1.1.1.1"]) == ["8.8.8.8", "1.1.1.1"]


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://example.org/", "scheme isn't ws or wss"),
        ("file:///etc/passwd", "scheme isn't ws or wss"),
        ("example.org", "scheme isn't ws or wss"),
        ("ws:///feed", "hostname isn't provided"),
        ("wss://ann:geheim@/feed", "hostname isn't provided"),
        ("wss://example.org/#geheim", "fragment"),
        ("wss://geheim@example.org/", "username provided without password"),
        ("wss://example.org:geheim/", "malformed"),
        ("wss://example.org:70000/?token=geheim", "Port out of range"),
        ("wss://example.org:0/?token=geheim", "there is no port 0"),
        ("wss://[::1/?token=geheim", "malformed"),
        ("wss://example.org/a b?token=geheim", "no blanks"),
        ("wss://example.org/\r\nX-Header: geheim", "no blanks"),
        ("ws://127.0.0.1\t.example.org/?geheim", "no blanks"),
        ("ws://" + "ä" * 70 + ".org/?geheim", "ASCII"),
        ("ws://" + "a" * 64 + ".org/?geheim", "no name of a host"),
        ("ws://example..org/?geheim", "no name of a host"),
        ("ws://.example.org/?geheim", "no name of a host"),
        ("", "1 to 2,000 characters"),
        ("ws://example.org/" + "a" * 2_000, "1 to 2,000 characters"),
    ],
)
def test_z60_a_bad_url_is_refused_without_repeating_it(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=why) as error:
        target_of(url)
    assert "geheim" not in str(error.value)
    assert error.value.__cause__ is None


def test_a_url_is_a_str() -> None:
    with pytest.raises(TypeError, match="not bytes"):
        target_of(b"ws://example.org/geheim")


def test_what_a_url_says() -> None:
    target = target_of("wss://ann:geheim@Example.org:444/feed?v=2")
    assert (target.host, target.port, target.uri.secure) == ("example.org", 444, True)
    assert target_of("ws://[2606:4700::1111]/").host == "2606:4700::1111"
    assert target_of("ws://bücher.example/").host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("ws://127.0.0.1:80@example.org/", "example.org"),
        ("ws://ann:example.org@127.0.0.1/", "127.0.0.1"),
        ("ws://ann:pw@example.org@127.0.0.1/", "127.0.0.1"),
        ("ws://ann:pw%40example.org@127.0.0.1/", "127.0.0.1"),
        ("ws://ann:pw@127.0.0.1\\@example.org/", "example.org"),
        ("ws://example.org:80?@127.0.0.1/", "example.org"),
        ("ws://[::1].example.org/", "::1"),
    ],
)
def test_what_is_judged_of_a_url_is_what_is_connected_to(url: str, host: str) -> None:
    """One parser reads it, so that no two can be of two minds about a user, a port or a backslash."""
    target = target_of(url)
    assert target.host == host == target.uri.host


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("wss://example.org/feed", "wss://example.org/feed"),
        ("wss://ann:geheim@example.org:444/feed", "wss://…@example.org:444/feed"),
        ("wss://example.org/?token=geheim&v=2&geheim", "wss://example.org/?token=…&v=…&…"),
        ("wss://a:b@c:geheim@example.org/?a=b=geheim", "wss://…@example.org/?a=…"),
        ("wss://[geheim/", "…"),
    ],
)
def test_what_is_shown_of_a_url_has_no_secret(url: str, seen: str) -> None:
    assert shown(url) == seen
