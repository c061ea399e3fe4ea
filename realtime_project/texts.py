"""Texts of strangers: what a client says of itself, and names that it has made up.

The rule: every database takes what is kept of them. One row that none takes would keep all others of its batch out.
Pure.
"""


def storable(text: str, size: int) -> str:
    """At most so many characters of it, without NUL and halves of characters."""
    return text[:size].encode(errors="replace").decode().replace("\0", "\\0")[:size]
