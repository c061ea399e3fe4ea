"""What nobody thought of: legal streams in any order and segmentation come back exactly; garbage harms nobody.

The watch over the servers' logs (tests/conftest.py) fails these tests when garbage leaves a traceback.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import frames
from tests.wire.client import Everywhere, Target, wire
from tests.wire.frames import Message, Opcode

EXAMPLES = int(os.environ.get("WIRE_EXAMPLES", "60"))
MOST_PIECES = 60  # each takes a millisecond
examples = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture], database=None)

masks = st.binary(min_size=4, max_size=4)
sizes = st.one_of(st.integers(0, 140), st.sampled_from([125, 126, 127, 65_535, 65_536]))


@dataclass
class Legal:
    """A stream and what it is answered with."""

    stream: bytes
    messages: list[Message]
    pongs: list[Message]

    def __repr__(self) -> str:
        """Its beginning: Hypothesis looks for small ones anyhow, and refuses to print large ones."""
        return f"<{len(self.stream)} bytes, {len(self.messages)} messages: {self.stream[:2_000]!r}>"


@st.composite
def legal_streams(draw: st.DrawFn) -> Legal:
    """Messages whole or in fragments, and pings and pongs wherever they may stand."""
    stream, messages, pongs = b"", [], []

    def controls() -> bytes:
        sent = b""
        for opcode in draw(st.lists(st.sampled_from([Opcode.PING, Opcode.PONG]), max_size=2)):
            payload = draw(st.binary(max_size=125))
            sent += frames.frame(opcode, payload, mask=draw(masks))
            if opcode == Opcode.PING:
                pongs.append(Message(Opcode.PONG, payload))
        return sent

    for _ in range(draw(st.integers(1, 6))):
        kind = draw(st.sampled_from([Opcode.TEXT, Opcode.BINARY]))
        seed = draw(st.text(min_size=1, max_size=20)).encode() if kind == Opcode.TEXT else draw(st.binary(min_size=1))
        content = seed * (draw(sizes) // len(seed))
        cuts = sorted(draw(st.lists(st.integers(0, len(content)), max_size=4)))
        pieces = [content[start:end] for start, end in zip([0, *cuts], [*cuts, len(content)], strict=True)]
        for number, piece in enumerate(pieces):
            stream += controls()
            opcode = kind if number == 0 else Opcode.CONTINUATION
            stream += frames.frame(opcode, piece, fin=number == len(pieces) - 1, mask=draw(masks))
        messages.append(Message(kind, content))
    return Legal(stream + controls(), messages, pongs)


def cut(stream: bytes, steps: Sequence[int]) -> list[bytes]:
    """Segments of these sizes, again and again."""
    pieces, at, number = [], 0, 0
    while at < len(stream):
        step = steps[number % len(steps)]
        pieces.append(stream[at : at + step])
        at, number = at + step, number + 1
    return pieces


@pytest.mark.parametrize("name", ["bare", "application"])
@examples
@given(legal=legal_streams(), steps=st.lists(st.one_of(st.integers(1, 20), st.integers(50, 70_000)), min_size=1))
async def test_h54_whatever_is_legal_comes_back_exactly(
    echo: Everywhere, name: str, legal: Legal, steps: list[int]
) -> None:
    pieces = cut(legal.stream, steps)
    if len(pieces) > MOST_PIECES:
        pieces = cut(legal.stream, [len(legal.stream) // MOST_PIECES + 1])
    async with echo.targets[name].open() as connection:
        await connection.send_pieces(pieces)
        came = await connection.receive_many(len(legal.messages) + len(legal.pongs))
        await connection.bye()
    assert [message for message in came if message.opcode != Opcode.PONG] == legal.messages
    assert [message for message in came if message.opcode == Opcode.PONG] == legal.pongs


wild_frames = st.builds(
    lambda opcode, fin, rsv, payload, length, mask: frames.frame(
        opcode, payload, fin=fin, rsv=rsv, length=length, mask=mask
    ),
    opcode=st.integers(0, 15),
    fin=st.booleans(),
    rsv=st.sampled_from([0, 0, 0, 0, 1, 2, 4]),
    payload=st.binary(max_size=200),
    length=st.one_of(st.none(), st.none(), st.binary(min_size=1, max_size=1), st.just(b"\x7f\x00\x00\x00\x00\x00")),
    mask=st.one_of(masks, masks, masks, st.none()),
)
garbage = st.one_of(
    st.binary(min_size=1, max_size=2_000),
    st.lists(st.one_of(wild_frames, st.binary(max_size=20)), min_size=1, max_size=8).map(b"".join),
)


async def serves(target: Target) -> None:
    """Somebody else comes, and is answered."""
    await target.answers(frames.text("still served"), [Message(Opcode.TEXT, b"still served")])


@pytest.mark.parametrize("name", ["bare", "application"])
@examples
@given(noise=garbage, step=st.sampled_from([None, 1, 5, 100]))
async def test_h54_garbage_after_the_handshake_harms_nobody_else(
    echo: Everywhere, name: str, noise: bytes, step: int | None
) -> None:
    target = echo.targets[name]
    async with target.open() as connection:
        with suppress(ConnectionError):  # cut off before it was through
            await connection.send(noise[:200] if step == 1 else noise, step)
    await serves(target)


lines = st.text(alphabet=st.characters(max_codepoint=255), max_size=80).map(lambda line: line.encode("latin1"))
requests = st.one_of(
    st.binary(min_size=1, max_size=500),
    st.lists(lines, max_size=8).map(lambda parts: b"GET / HTTP/1.1\r\n" + b"\r\n".join(parts) + b"\r\n\r\n"),
    st.tuples(st.integers(0, 200), st.binary(min_size=1, max_size=5)),
)


@pytest.mark.parametrize("name", ["bare", "application"])
@examples
@given(asked=requests)
async def test_h54_garbage_for_a_handshake_harms_nobody_else(
    echo: Everywhere, name: str, asked: bytes | tuple[int, bytes]
) -> None:
    target = echo.targets[name]
    if isinstance(asked, tuple):  # a good one, with something wrong in it
        at, wrong = asked
        good = target.handshake()
        asked = good[:at] + wrong + good[at + len(wrong) :]
    async with wire(target.port) as connection:
        await connection.send(asked)
    await serves(target)
