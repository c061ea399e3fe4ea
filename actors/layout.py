"""Where a graph's boxes, lines and labels stand: in layers from top to bottom, so that nothing lies on anything else.

The rule: everything that takes room is a box in a layer, and boxes of a layer never overlap: states in the even layers,
labels of lines in the odd ones, and what a line needs to pass a layer. Lines run straight through layers and bend
between them. The steps are those of K. Sugiyama, S. Tagawa and M. Toda, "Methods for visual understanding of
hierarchical system structures" (1981): break circles, choose layers, order them with few crossings, then place.

Pure: sizes and positions are pixels.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

APART = 28.0  # between boxes of a layer
LINES_APART = 20.0  # between lines that pass a layer
ROOM = 26.0  # between layers, where lines bend
SWEEPS = 24
STRAIGHT = 40.0  # how much more a line wants to be straight than a state wants to be near its neighbours

Name = Hashable


class Size(NamedTuple):
    """Of a box, around the line or centre that it is placed by."""

    left: float
    right: float
    height: float
    body: float = 0.0  # of what lines lead to, in the middle of the box; 0: all of it


class Link(NamedTuple):
    source: Name
    target: Name
    label: Size


class Point(NamedTuple):
    x: float
    y: float


class Route(NamedTuple):
    """A line from one box to another: straight pieces, each (from, to), with bends between them; and its label's place,
    the top of the label on the line, and whether it stands to the left of it."""

    pieces: Sequence[tuple[Point, Point]]
    label: Point
    is_left: bool


class Plan(NamedTuple):
    width: float
    height: float
    boxes: Mapping[Name, Point]  # the top of each box, on the line or centre that it is placed by
    routes: Sequence[Route]  # as the links were given


@dataclass(eq=False)
class Item:
    """A box in a layer: a state, a label, or the room of a line that passes."""

    size: Size
    layer: int
    name: Name = None
    above: list[Item] = field(default_factory=list)
    below: list[Item] = field(default_factory=list)
    at: int = 0  # its place in the layer
    x: float = 0.0
    y: float = 0.0
    is_left: bool = False  # a label to the left of its line

    @property
    def is_line(self) -> bool:
        return self.name is None


def plan(boxes: Mapping[Name, Size], links: Sequence[Link], first: Iterable[Name] = ()) -> Plan:
    """Place boxes and links between different ones. `first` come on top."""
    order = _order(boxes, links, [name for name in first if name in boxes])
    forward = [
        (link.source, link.target) if order[link.source] < order[link.target] else (link.target, link.source)
        for link in links
    ]
    depth = _layers(order, forward)
    items = {name: Item(size, 2 * depth[name], name) for name, size in boxes.items()}
    chains = [_chain(items[up], items[down], link.label) for (up, down), link in zip(forward, links, strict=True)]
    everything = [*items.values(), *(item for chain in chains for item in chain[1:-1])]
    layers = _ordered(everything, order)
    _turn(layers, {id(item) for item in everything if item.is_line and item.size.right != LINES_APART / 2})
    _place(layers)
    height = _stack(layers)
    left = min((item.x - item.size.left for item in everything), default=0.0)
    for item in everything:
        item.x -= left
    routes = _routes(links, chains)
    width = max((item.x + item.size.right for item in everything), default=0.0)
    return Plan(width, height, {name: Point(item.x, item.y) for name, item in items.items()}, routes)


# layers ---------------------------------------------------------------------------------------------------------
def _order(boxes: Mapping[Name, Size], links: Sequence[Link], first: list[Name]) -> dict[Name, int]:
    """A place for every box such that only links which close a circle lead back: a walk's last box comes first."""
    leads: dict[Name, list[Name]] = defaultdict(list)
    entered: dict[Name, int] = defaultdict(int)
    for link in links:
        leads[link.source].append(link.target)
        entered[link.target] += 1
    roots = [*first, *(name for name in boxes if not entered[name]), *boxes]
    done: list[Name] = []
    seen: set[Name] = set()

    def walk(name: Name) -> None:
        seen.add(name)
        for each in leads[name]:
            if each not in seen:
                walk(each)
        done.append(name)

    for root in roots:
        if root not in seen:
            walk(root)
    return {name: place for place, name in enumerate(reversed(done))}


def _layers(order: Mapping[Name, int], forward: Sequence[tuple[Name, Name]]) -> dict[Name, int]:
    """As high as what leads to a box allows; then what nothing leads to comes down to what it leads to."""
    depth = dict.fromkeys(order, 0)
    for name in sorted(order, key=order.__getitem__):
        above = [depth[up] for up, down in forward if down == name]
        depth[name] = max(above, default=-1) + 1
    entered = {down for _, down in forward}
    for name in order:
        below = [depth[down] for up, down in forward if up == name]
        if name not in entered and below:
            depth[name] = min(below) - 1
    return depth


def _chain(up: Item, down: Item, label: Size) -> list[Item]:
    """The boxes of a link from one layer to another: its label in the middle, room to pass in the other layers."""
    middle = _labelled(up, down)
    between = [
        Item(label if layer == middle else Size(LINES_APART / 2, LINES_APART / 2, 0.0), layer)
        for layer in range(up.layer + 1, down.layer)
    ]
    chain = [up, *between, down]
    for one, other in itertools.pairwise(chain):
        one.below.append(other)
        other.above.append(one)
    return chain


def _labelled(up: Item, down: Item) -> int:
    """The layer of a link's label: an odd one about the middle."""
    return (up.layer + down.layer - 1) // 2 | 1


# order within layers --------------------------------------------------------------------------------------------
def _ordered(items: Sequence[Item], order: Mapping[Name, int]) -> list[list[Item]]:
    """Layers with few crossings: each is sorted by its neighbours' middle, down and up again; the best is kept."""
    count = max((item.layer for item in items), default=-1) + 1
    layers: list[list[Item]] = [[] for _ in range(count)]
    for item in items:
        layers[item.layer].append(item)
    for layer in layers:
        layer.sort(key=lambda item: order.get(item.name, len(order)))
        _number(layer)
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            layer.sort(key=lambda item: _middle(item, item.above if down else item.below))
            _number(layer)
        _swap(layers)
        now = _crossings(layers)
        if now < fewest:
            best, fewest = [list(layer) for layer in layers], now
    for layer in best:
        _number(layer)
    return best


def _number(layer: list[Item]) -> None:
    for place, item in enumerate(layer):
        item.at = place


def _middle(item: Item, neighbours: list[Item]) -> float:
    return sum(each.at for each in neighbours) / len(neighbours) if neighbours else float(item.at)


def _swap(layers: list[list[Item]]) -> None:
    """Let neighbours change places wherever that spares a crossing."""
    for layer in layers:
        for place in range(len(layer) - 1):
            one, other = layer[place], layer[place + 1]
            if _between(one, other) > _between(other, one):
                layer[place], layer[place + 1] = other, one
                one.at, other.at = other.at, one.at


def _between(left: Item, right: Item) -> int:
    """The crossings of two boxes' lines, with one to the left of the other."""
    return sum(
        a.at > b.at for one, other in ((left.above, right.above), (left.below, right.below)) for a in one for b in other
    )


def _crossings(layers: Sequence[Sequence[Item]]) -> int:
    return sum(
        a.at > b.at
        for layer in layers
        for place, left in enumerate(layer)
        for right in layer[place + 1 :]
        for a in left.below
        for b in right.below
    )


def _turn(layers: Sequence[Sequence[Item]], labels: set[int]) -> None:
    """Of several lines between the same layers from one box, the first has its label on the left."""
    for layer in layers:
        groups: dict[int, list[Item]] = defaultdict(list)
        for item in layer:
            if item.is_line:
                groups[id(item.above[0])].append(item)
        for group in groups.values():
            first = group[0]
            if len(group) > 1 and id(first) in labels:
                first.is_left = True
                first.size = first.size._replace(left=first.size.right, right=first.size.left)


# places ---------------------------------------------------------------------------------------------------------
def _place(layers: Sequence[Sequence[Item]]) -> None:
    """Across: every box as near to its neighbours as the order and the room between boxes allow."""
    for layer in layers:
        x = 0.0
        for left, item in zip([None, *layer], layer, strict=False):
            x += _apart(left, item) if left else 0.0
            item.x = x
    for sweep in range(6 * SWEEPS):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wishes, weights = [], []
            for item in layer:
                near = [*item.above, *item.below] if sweep >= SWEEPS else item.above if sweep % 2 == 0 else item.below
                pulls = [(each.x, STRAIGHT if each.is_line and item.is_line else 1.0) for each in near]
                weight = sum(pull for _, pull in pulls)
                wishes.append(sum(x * pull for x, pull in pulls) / weight if weight else item.x)
                weights.append(weight or 0.1)
            _settle(layer, wishes, weights)


def _apart(left: Item, right: Item) -> float:
    room = LINES_APART if left.is_line and right.is_line else APART
    return left.size.right + room + right.size.left


def _settle(layer: Sequence[Item], wishes: Sequence[float], weights: Sequence[float]) -> None:
    """The places nearest to the wishes, by least squares, that keep boxes apart: neighbours that would overlap are
    moved as one block, to the mean of what they wish (the pool-adjacent-violators algorithm)."""
    blocks: list[list[float]] = []  # [sum of weighted wishes, weight, boxes]
    offsets, offset = [], 0.0
    for place, item in enumerate(layer):
        offset += _apart(layer[place - 1], item) if place else 0.0
        offsets.append(offset)
        blocks.append([weights[place] * (wishes[place] - offset), weights[place], 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [one + other for one, other in zip(blocks[-1], last, strict=True)]
    place = 0
    for total, weight, number in blocks:
        for _ in range(int(number)):
            layer[place].x = total / weight + offsets[place]
            place += 1


def _stack(layers: Sequence[Sequence[Item]]) -> float:
    """Down: each layer as high as its highest box, boxes in the middle of it. Returns the whole height."""
    y = 0.0
    for number, layer in enumerate(layers):
        height = max((item.size.height for item in layer), default=0.0)
        if number:
            y += ROOM if height else ROOM / 2
        for item in layer:
            item.y = y if item.is_line else y + (height - item.size.height) / 2
            item.size = item.size._replace(height=height) if item.is_line else item.size
        y += height
    return y


def _routes(links: Sequence[Link], chains: Sequence[list[Item]]) -> list[Route]:
    """Each link's line. Those that leave a box on one side share its width, in the order of where they go."""
    down: dict[int, list[tuple[float, int]]] = defaultdict(list)
    up: dict[int, list[tuple[float, int]]] = defaultdict(list)
    for number, chain in enumerate(chains):
        down[id(chain[0])].append((chain[1].x, number))
        up[id(chain[-1])].append((chain[-2].x, number))
    routes = []
    for number, (link, chain) in enumerate(zip(links, chains, strict=True)):
        top, bottom = chain[0], chain[-1]
        begin = Point(_port(top, down[id(top)], number), top.y + top.size.height)
        end = Point(_port(bottom, up[id(bottom)], number), bottom.y)
        pieces = [(begin._replace(y=begin.y - _aside(top)), begin)]
        pieces += [(Point(item.x, item.y), Point(item.x, item.y + item.size.height)) for item in chain[1:-1]]
        pieces.append((end, end._replace(y=end.y + _aside(bottom))))
        label = chain[_labelled(top, bottom) - top.layer]
        if top.name != link.source:
            pieces = [(to, from_) for from_, to in reversed(pieces)]
        place = Point(label.x, label.y + (label.size.height - link.label.height) / 2)
        routes.append(Route(pieces, place, label.is_left))
    return routes


def _aside(box: Item) -> float:
    """From the edge of a box to its body."""
    return (box.size.height - box.size.body) / 2 if box.size.body else 0.0


def _port(box: Item, lines: list[tuple[float, int]], number: int) -> float:
    """Where one of the lines of a box's side begins: around the centre, in order, not beyond the box."""
    ordered = [each for _, each in sorted(lines)]
    reach = max(0.0, min(box.size.left, box.size.right) - 14)
    step = min(26.0, 2 * reach / max(1, len(ordered) - 1))
    return box.x + (ordered.index(number) - (len(ordered) - 1) / 2) * step
