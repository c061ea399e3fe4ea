"""What counts as one emoji."""

import pytest

from chat.emoji import one


@pytest.mark.parametrize(
    "text", ["👍", "❤️", "✅", "👍🏽", "☝🏽", "🇵🇹", "1️⃣", "👩‍🚀", "🕵️‍♂️", "🏳️‍🌈", "👨‍👩‍👧‍👦", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "🫡"]
)
def test_a_whole_emoji_is_one_emoji(text: str) -> None:
    assert one(text) == text


@pytest.mark.parametrize(("typed", "spelled"), [("❤", "❤️"), ("👍️", "👍"), ("⭐️", "⭐"), ("1⃣", "1️⃣"), ("🏳‍🌈", "🏳️‍🌈")])
def test_one_picture_has_one_spelling(typed: str, spelled: str) -> None:
    assert one(typed) == spelled


NONE = [
    "",
    " ",
    "a",
    "1",
    "#",
    "ab",
    "👍👍",
    "👍 ",
    "👍a",
    "🇵",
    "🇵🇹🇵🇹",
    "🏽",
    "\u200d",
    "\ufe0f",
    "👩‍",
    "\0",
    "\ud800",
    "<b>",
]


@pytest.mark.parametrize("text", [*NONE, "👨‍👩‍👧‍👦" * 3, "👍" * 17, "x" * 60_000], ids=lambda text: ascii(text)[:30])
def test_nothing_else_is(text: str) -> None:
    assert one(text) is None
