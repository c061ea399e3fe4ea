"""A rule table → a state diagram, as SVG: readable in light and in dark, and by who cannot see it.

The rule: it is drawn from the table alone, so it is right as long as the table is. The same table gives the same text,
so a diagram that is kept in a file can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from .graph import ANYWHERE, NOWHERE, Edge, Graph, Label, Node, Table, members_of
from .layout import Link, Point, Route, Size, plan
from .rules import Rules

STATE, NOTE, LABEL = 8.6, 6.7, 7.3  # pixels a character, at most
LINE = 17.0  # pixels from one line of labels to the next
TALL, WIDEST = 40.0, 28.0  # of a state's box; what its text leaves free at its sides, together
LOOP = 34.0  # how far a state's line to itself reaches out
EDGE = 18.0  # around the whole
ROUND = 9.0  # the radius of the beginning and of the end

COLOURS = """
.state-diagram { --ink: #1f2328; --soft: #59636e; --line: #818b98; --box: #f6f8fa; --edge: #d1d9e0; --ground: #ffffff;
  --timer: #9a6700; --asked: #8250df; --now: #0969da }
@media (prefers-color-scheme: dark) {
  .state-diagram { --ink: #f0f6fc; --soft: #9198a1; --line: #7d8590; --box: #151b23; --edge: #3d444d; --ground: #0d1117;
    --timer: #d29922; --asked: #ab7df8; --now: #4493f8 }
}
"""
STYLE = """
.state-diagram text { font: 12px ui-monospace, SFMono-Regular, Menlo, "DejaVu Sans Mono", monospace; fill: var(--ink) }
.state-diagram .ground { fill: var(--ground) }
.state-diagram .box { fill: var(--box); stroke: var(--edge); stroke-width: 1.5 }
.state-diagram .pseudo .box { fill: none; stroke-dasharray: 4 4 }
.state-diagram .name { font: 600 14px system-ui, sans-serif; text-anchor: middle }
.state-diagram .note { font-size: 11px; fill: var(--soft); text-anchor: middle }
.state-diagram .pseudo .name { font-weight: 400; font-style: italic; fill: var(--soft) }
.state-diagram .line { fill: none; stroke: var(--line); stroke-width: 1.5 }
.state-diagram .unknown .line { stroke-dasharray: 4 4 }
.state-diagram .tip, .state-diagram .dot { fill: var(--line) }
.state-diagram .ring { fill: none; stroke: var(--line); stroke-width: 1.5 }
.state-diagram .life { fill: var(--soft) }
.state-diagram .timeout { fill: var(--timer) }
.state-diagram .predicate { fill: var(--asked); font-style: italic }
"""


def draw(
    rules: Rules, initial: Any = None, messages: Sequence[type] = (), *, title: str = "", alone: bool = True
) -> str:
    """The diagram of a rule table.

    initial: the state, or the function, that an endpoint begins with. messages: the types that its clients' JSON has.
    alone: with colours and a ground of its own, for a file; else for a page that has both.
    """
    return render(Table(rules, initial, messages).graph(), title, alone=alone)


def render(graph: Graph, title: str = "", *, alone: bool = True) -> str:
    """A graph as SVG."""
    loops = {edge.source: edge for edge in graph.edges if edge.source == edge.target}
    links = [edge for edge in graph.edges if edge.source != edge.target]
    sizes = {node.name: _size(node, loops.get(node.name)) for node in graph.nodes}
    begins = [node.name for node in graph.nodes if node.is_first]
    boxes: dict[Any, Size] = {**sizes, **{("begin", name): Size(ROUND, ROUND, 2 * ROUND) for name in begins}}
    drawn = [Link(("begin", name), name, Size(6, 6, 0)) for name in begins]
    drawn += [Link(edge.source, edge.target, _label_size(edge.labels)) for edge in links]
    placed = plan(boxes, drawn, [("begin", name) for name in begins])
    width, height = placed.width + 2 * EDGE, placed.height + 2 * EDGE
    name = escape(title or "State diagram")
    said = [f"<title>{name}</title>", f"<desc>{escape(describe(graph))}</desc>"]
    lines = [_route(route, None) for route in placed.routes[: len(begins)]]
    lines += [_route(route, edge) for route, edge in zip(placed.routes[len(begins) :], links, strict=True)]
    dots = [_dot(placed.boxes["begin", name]) for name in begins]
    nodes = [_node(node, placed.boxes[node.name], sizes[node.name], loops.get(node.name)) for node in graph.nodes]
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="state-diagram" role="img" {size}>',
        *said,
        *(
            [f"<style>{COLOURS}{STYLE}</style>", '<rect class="ground" width="100%" height="100%" rx="8"/>']
            if alone
            else []
        ),
        f'<g transform="translate({EDGE:g} {EDGE:g})">',
        *lines,
        *dots,
        *nodes,
        "</g>",
        "</svg>",
        "",
    ]
    return "\n".join(parts)


def describe(graph: Graph) -> str:
    """The graph in words, a sentence a line of the picture."""
    names = {node.name: " or ".join(members_of(node.name)) or shown_name(node.name) for node in graph.nodes}
    said = [f"Begins in {node.name}." for node in graph.nodes if node.is_first]
    for edge in graph.edges:
        by = ", ".join(label.text for label in edge.labels)
        if edge.source == edge.target:
            said.append(f"{names[edge.source]} stays on {by}.")
        else:
            said.append(f"{names[edge.source]} leads to {names[edge.target]} on {by}.")
    return " ".join(said)


def shown_name(name: str) -> str:
    """A node's name as people read it."""
    if name.startswith("<") and ":" in name:  # <Step.FIRST: 1>, a member of an enumeration
        return name[1:].partition(":")[0]
    if members := members_of(name):
        return f"any of {len(members)}"
    return "any state" if name == ANYWHERE else "not known" if name.startswith(NOWHERE) else name


# sizes ----------------------------------------------------------------------------------------------------------
def _wide(node: Node) -> float:
    if node.is_final or node.name.startswith(NOWHERE):
        return 2 * ROUND + 4
    text = len(shown_name(node.name)) * STATE
    return max(90.0, text + WIDEST, *(len(note) * NOTE + WIDEST for note in node.notes))


def _tall(node: Node) -> float:
    if node.is_final or node.name.startswith(NOWHERE):
        return 2 * ROUND + 4
    return TALL + LINE * len(node.notes)


def _size(node: Node, loop: Edge | None) -> Size:
    half, tall = _wide(node) / 2, _tall(node)
    beside = max((len(label.text) for label in loop.labels), default=0) * LABEL + LOOP + 8 if loop else 0.0
    if node.is_final:
        beside = 6 + len(node.name) * STATE
    return Size(half, half + beside, max(tall, LINE * len(loop.labels) + 6 if loop else 0), tall)


def _label_size(labels: Sequence[Label]) -> Size:
    return Size(8, 8 + max(len(label.text) for label in labels) * LABEL, LINE * len(labels))


# parts ----------------------------------------------------------------------------------------------------------
def _node(node: Node, at: Point, size: Size, loop: Edge | None) -> str:
    wide, tall = _wide(node), _tall(node)
    top, middle = at.y + (size.height - tall) / 2, at.y + size.height / 2
    kind = "node pseudo" if node.name.startswith((ANYWHERE, NOWHERE)) else "node"
    parts = [f'<g class="{kind}" data-state="{escape(node.name)}">']
    if node.is_final:
        parts += [
            f'<circle class="ring" cx="{at.x:.1f}" cy="{middle:.1f}" r="{ROUND + 2:g}"/>',
            f'<circle class="dot" cx="{at.x:.1f}" cy="{middle:.1f}" r="{ROUND - 3:g}"/>',
            f'<text class="life" x="{at.x + ROUND + 8:.1f}" y="{middle + 4:.1f}">{escape(node.name)}</text>',
        ]
    elif node.name.startswith(NOWHERE):
        parts += [
            f'<circle class="box" cx="{at.x:.1f}" cy="{middle:.1f}" r="{ROUND + 2:g}"/>',
            f'<text class="name" x="{at.x:.1f}" y="{middle + 5:.1f}">?</text>',
        ]
    else:
        place = f'x="{at.x - wide / 2:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
        parts += [
            f'<rect class="box" {place} rx="10"/>',
            f'<text class="name" x="{at.x:.1f}" y="{top + 25:.1f}">{escape(shown_name(node.name))}</text>',
        ]
        parts += [
            f'<text class="note" x="{at.x:.1f}" y="{top + 25 + LINE * number:.1f}">{escape(note)}</text>'
            for number, note in enumerate(node.notes, 1)
        ]
    if loop:
        parts += _loop(at.x + wide / 2, middle, loop)
    return "\n".join([*parts, "</g>"])


def _loop(x: float, y: float, edge: Edge) -> list[str]:
    """Out of the right side and back into it, with its labels beside it."""
    path = f"M{x:.1f} {y - 8:.1f} C{x + LOOP:.1f} {y - 20:.1f} {x + LOOP:.1f} {y + 20:.1f} {x + 7:.1f} {y + 9.5:.1f}"
    tip = f"M{x + 1:.1f} {y + 8:.1f} l9.5 -1.5 l-3.4 7.6 z"
    first = y - LINE * (len(edge.labels) - 1) / 2 + 4
    return [
        f'<path class="line" d="{path}"/>',
        f'<path class="tip" d="{tip}"/>',
        *_labels(edge.labels, x + LOOP - 2, first),
    ]


def _labels(labels: Sequence[Label], x: float, y: float, *, ends: bool = False) -> list[str]:
    anchor = ' text-anchor="end"' if ends else ""
    return [
        f'<text class="{label.kind}" x="{x:.1f}" y="{y + LINE * number:.1f}"{anchor}>'
        f"<title>{escape(label.rule)}</title>{escape(label.text)}</text>"
        for number, label in enumerate(labels)
    ]


def _route(route: Route, edge: Edge | None) -> str:
    pieces = list(route.pieces)
    end = pieces[-1][1]
    goes_down = end.y > pieces[0][0].y
    stop = end._replace(y=end.y + (-8 if goes_down else 8))  # where the tip begins
    pieces[-1] = (stop if pieces[-1][0] == end else pieces[-1][0], stop)
    before = pieces[0][1]
    path = [f"M{before.x:.1f} {pieces[0][0].y:.1f}", f"V{before.y:.1f}"]
    for begin, finish in pieces[1:]:
        half = (begin.y - before.y) / 2
        path.append(
            f"C{before.x:.1f} {before.y + half:.1f} {begin.x:.1f} {begin.y - half:.1f} {begin.x:.1f} {begin.y:.1f}"
        )
        path.append(f"V{finish.y:.1f}")
        before = finish
    back = -9 if goes_down else 9
    kind = "edge unknown" if edge and edge.target.startswith(NOWHERE) else "edge"
    parts = [
        f'<g class="{kind}">',
        f'<path class="line" d="{" ".join(path)}"/>',
        f'<path class="tip" d="M{end.x:.1f} {end.y:.1f} l-4.5 {back} h9 z"/>',
    ]
    if edge:
        aside = -8 if route.is_left else 8
        parts += _labels(edge.labels, route.label.x + aside, route.label.y + 12.5, ends=route.is_left)
    return "\n".join([*parts, "</g>"])


def _dot(at: Point) -> str:
    return f'<circle class="dot" cx="{at.x:.1f}" cy="{at.y + ROUND:.1f}" r="{ROUND - 2:g}"/>'
