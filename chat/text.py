"""Markdown → safe HTML.

Two guards stand one behind the other: the parser knows no raw HTML and accepts no link but http, https and mailto,
and whatever it produced passes an explicit list of tags and attributes. Nobody else may mark a message's text as safe.
"""

import re
from collections.abc import Sequence
from html import escape
from typing import Any

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token

SCHEMES = {"http", "https", "mailto"}
TAGS = {"p", "br", "hr", "strong", "em", "s", "a", "code", "pre", "blockquote", "ul", "ol", "li"}
ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}

# Without a scheme in front only these make a link: with all of them, README.md, main.py and "over.in" would be domains.
BARE_DOMAINS = ["com", "org", "net", "edu", "gov", "info", "biz", "dev", "app", "io"]

# The parser's time grows faster than the number of these. Ordinary messages have a few dozen.
MARKS = re.compile(r"[\[<>*_~`:@&\\|$+^=\uff5c]|//")
MOST_MARKS = 250

# Nor does the search for addresses stay quick in a long word in which one could begin at every other character. What
# people write has few such places: an address of a thousand characters, or a language that writes no blanks.
LONG_WORD = re.compile(r"\S{200,}")
BEGINNINGS = re.compile(r"[.|$+^=\uff5c]")
MOST_BEGINNINGS = 25

EMPTY = re.compile(r"(?:<(?!hr)[^>]*>|\s)*")


def _heading(_: RendererHTML, tokens: Sequence[Token], position: int, __: Any, ___: Any) -> str:
    """A chat has no headings: a strong paragraph."""
    return "<p><strong>" if tokens[position].nesting > 0 else "</strong></p>\n"


def _image(_: RendererHTML, tokens: Sequence[Token], position: int, __: Any, ___: Any) -> str:
    """A picture from elsewhere would tell its host who reads: a link instead."""
    source = str(tokens[position].attrs["src"])
    return f'<a href="{escape(source)}">{escape(tokens[position].content or source)}</a>'


def _parser() -> MarkdownIt:
    parser = MarkdownIt("js-default", {"html": False, "linkify": True, "breaks": True, "maxNesting": 20})
    # Underlined headings and reference definitions would swallow lines that were meant to be read; a table of 4,000
    # characters would become 670,000.
    parser.disable(["lheading", "reference", "table"])
    parser.validateLink = lambda url: url.partition(":")[0].lower() in SCHEMES  # type: ignore[method-assign]
    assert parser.linkify
    parser.linkify.tlds(BARE_DOMAINS)
    parser.add_render_rule("heading_open", _heading)
    parser.add_render_rule("heading_close", _heading)
    parser.add_render_rule("image", _image)
    return parser


_markdown = _parser()
_cleaner = nh3.Cleaner(
    tags=TAGS,
    attributes=ATTRIBUTES,
    url_schemes=SCHEMES,
    url_relative="deny",
    link_rel="nofollow noopener noreferrer",
    set_tag_attribute_values={"a": {"target": "_blank"}},
)


def render(text: str) -> str:
    """The HTML of a message, safe to insert into a page as it is.

    Text that is all marks, or that would show nothing, is shown as it was typed.
    """
    if _takes_long(text):
        return as_typed(text)
    html = _cleaner.clean(_markdown.render(text)).strip()
    return as_typed(text) if EMPTY.fullmatch(html) else html


def _takes_long(text: str) -> bool:
    if len(text) > MOST_MARKS and len(MARKS.findall(text)) > MOST_MARKS:
        return True
    return any(len(BEGINNINGS.findall(word)) > MOST_BEGINNINGS for word in LONG_WORD.findall(text))


def as_typed(text: str) -> str:
    """One paragraph, nothing interpreted but the ends of lines."""
    return _cleaner.clean("<p>" + escape(text.strip(), quote=False).replace("\n", "<br>\n") + "</p>")
