"""The bytes of WebSocket frames (RFC 6455, section 5.2): whole, unmasked ones out; whole, masked ones in.

The rule: only what is plain is done here, and everything else is left to the server's full parser. A server's frames
carry no mask, so the same bytes serve every client. Pure: no I/O, no framework.
"""

from __future__ import annotations

from typing import NamedTuple

EXTENSION = "websocket.wire"  # in scope["extensions"]: the server's end, which takes finished frames (see wire.py)

TEXT, BINARY = 0x81, 0x82  # the first byte of a frame that is a whole message: FIN and the opcode
PING = b"\x89\x00"  # a whole frame
MASKED = 0x80  # of the second byte
NO_MASK = bytes(4)  # legal, and costs nothing to take off
REASON = 123  # bytes of a close frame's reason (section 5.5.1: a control frame has 125, the code takes two)

Content = str | bytes


def frame(content: Content) -> bytes:
    """A whole message as a server sends it, str as text. Raises UnicodeEncodeError for a lone surrogate."""
    if isinstance(content, str):
        first, payload = TEXT, content.encode()
    else:
        first, payload = BINARY, content
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126, size >> 8, size & 0xFF)) + payload
    return bytes((first, 127)) + size.to_bytes(8) + payload


class Read(NamedTuple):
    """What `read` found: messages, where the first byte stands that it did not use, and whether that is not plain."""

    messages: list[Content]
    used: int
    strange: bool


def read(data: bytes, limit: int, most: int) -> Read:
    """Whole, masked, unfragmented messages at the beginning of `data`, at most `most`, of at most `limit` bytes each.

    Where it stops, the rest begins with a frame that has not come whole, or (`strange`) with one that somebody else has
    to judge: a control frame, a fragment, one of 64 KiB or more, or anything that breaks a rule.
    """
    messages: list[Content] = []
    at, end = 0, len(data)
    while at < end and len(messages) < most:
        first = data[at]
        if first != TEXT and first != BINARY:
            return Read(messages, at, True)
        if end - at < 2:
            break
        size, payload = data[at + 1] - MASKED, at + 6
        if size < 0 or size == 127:
            return Read(messages, at, True)
        if size == 126:
            if end - at < 4:
                break
            size, payload = data[at + 2] << 8 | data[at + 3], at + 8
            if size < 126:  # not the shortest form
                return Read(messages, at, True)
        if size > limit:
            return Read(messages, at, True)
        after = payload + size
        if after > end:
            break
        content = unmasked(data[payload:after], data[payload - 4 : payload])
        if first == TEXT:
            try:
                messages.append(content.decode())
            except UnicodeDecodeError:
                return Read(messages, at, True)
        else:
            messages.append(content)
        at = after
    return Read(messages, at, False)


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """`payload` with the client's mask taken off (section 5.3), all of it in one operation on a long number."""
    if mask == NO_MASK:
        return payload
    size = len(payload)
    key = (mask * ((size + 3) // 4))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def legal_close_code(code: int) -> bool:
    """Whether a close frame may carry this code (section 7.4 and the registry of close codes)."""
    return (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999


def close_reason(reason: str) -> bytes:
    """A close frame's reason: cut to 123 bytes, never inside a character."""
    return reason.encode(errors="replace")[:REASON].decode(errors="ignore").encode()
