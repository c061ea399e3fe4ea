"""Frames as bytes: what is written can be read by RFC 6455, and what is plain is read as it was written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_project.frames import close_reason, frame, legal_close_code, read, unmasked

PLENTY = 1 << 30


def masked(content: str | bytes, mask: bytes = b"\x01\xfe\x80\x7f", first: int | None = None) -> bytes:
    """A client's frame, written the slow and obvious way."""
    payload = content.encode() if isinstance(content, str) else content
    opcode = (0x81 if isinstance(content, str) else 0x82) if first is None else first
    if len(payload) < 126:
        size = bytes([0x80 | len(payload)])
    elif len(payload) < 1 << 16:
        size = bytes([0x80 | 126]) + len(payload).to_bytes(2)
    else:
        size = bytes([0x80 | 127]) + len(payload).to_bytes(8)
    return bytes([opcode]) + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


contents = st.one_of(st.text(max_size=300), st.binary(max_size=300))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_servers_frame_has_the_shortest_length_and_no_mask(size: int) -> None:
    written = frame(b"x" * size)
    header = {0: 2, 1: 4, 2: 10}[(size > 125) + (size > 65_535)]
    assert written == written[:header] + b"x" * size
    assert written[0] == 0x82
    assert written[1] == (size if size < 126 else 126 if size < 65_536 else 127)
    assert size < 126 or int.from_bytes(written[2:header]) == size


def test_text_and_bytes_keep_their_kind() -> None:
    assert frame("ż") == b"\x81\x02\xc5\xbc"
    assert frame(b"\xc5\xbc") == b"\x82\x02\xc5\xbc"


@given(st.lists(contents, max_size=6), st.binary(min_size=4, max_size=4), st.data())
def test_what_is_plain_is_read_however_it_is_cut(sent: list[str | bytes], mask: bytes, data: st.DataObject) -> None:
    stream = b"".join(masked(content, mask) for content in sent)
    got: list[str | bytes] = []
    rest = b""
    while stream:
        piece = data.draw(st.integers(1, len(stream)))
        rest, stream = rest + stream[:piece], stream[piece:]
        found = read(rest, PLENTY, 1_000)
        assert not found.strange
        got += found.messages
        rest = rest[found.used :]
    assert got == sent
    assert rest == b""


@given(st.binary(max_size=40))
def test_whatever_comes_is_read_or_left_and_never_both(stream: bytes) -> None:
    found = read(stream, PLENTY, 1_000)
    assert b"".join(unmask_again(stream[: found.used])) == b"".join(
        content.encode() if isinstance(content, str) else content for content in found.messages
    )


def unmask_again(stream: bytes) -> list[bytes]:
    """The payloads of small whole frames, read in another way."""
    payloads = []
    while stream:
        size = stream[1] & 0x7F
        assert size < 126
        mask, payload, stream = stream[2:6], stream[6 : 6 + size], stream[6 + size :]
        payloads.append(bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)))
    return payloads


@pytest.mark.parametrize(
    "strange",
    [
        masked(b"x", first=0x02),  # a first fragment
        masked(b"x", first=0x80),  # a continuation
        masked(b"", first=0x89),  # a ping
        masked(b"\x03\xe8", first=0x88),  # a close
        masked(b"x", first=0xC2),  # a reserved bit
        masked(b"x", first=0x83),  # a reserved opcode
        b"\x82\x01x",  # not masked
        b"\x89",  # seen from its first byte
        masked(b"\xff", first=0x81),  # not UTF-8
        masked(b"\xed\xa0\x80", first=0x81),  # a surrogate in UTF-8
        b"\x82\xfe\x00\x05" + bytes(9),  # not the shortest length
        masked(b"x" * 65_536),  # long
    ],
)
def test_what_is_not_plain_is_left_for_the_full_parser(strange: bytes) -> None:
    found = read(masked("before") + strange + masked("after"), PLENTY, 1_000)
    assert found.messages == ["before"]
    assert found.strange
    assert found.used == len(masked("before"))


def test_the_limit_is_exact_and_seen_in_the_header() -> None:
    assert read(masked(b"x" * 200), 200, 10).messages == [b"x" * 200]
    assert read(masked(b"x" * 201)[:8], 200, 10).strange


def test_no_more_is_read_than_there_is_room_for() -> None:
    found = read(masked("1") + masked("2") + masked("3"), PLENTY, 2)
    assert (found.messages, found.strange) == (["1", "2"], False)
    assert found.used == 2 * len(masked("1"))


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_a_mask_taken_off_twice_is_the_payload(payload: bytes, mask: bytes) -> None:
    assert unmasked(unmasked(payload, mask), mask) == payload


def test_close_codes() -> None:
    legal = {code for code in range(0x10000) if legal_close_code(code)}
    assert legal == {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}


def test_a_reason_is_cut_between_characters() -> None:
    assert close_reason("x" * 200) == b"x" * 123
    assert close_reason("ż" * 100) == "ż".encode() * 61
    assert close_reason("x" + "🐢" * 40) == ("x" + "🐢" * 30).encode()
