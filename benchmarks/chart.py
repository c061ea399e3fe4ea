"""Bars as SVG: readable in light and in dark, wherever the picture is shown."""

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, NAMES, VALUES, ROW, TITLE, GAP = 430, 160, 66, 20, 34, 20  # pixels
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 13px }
.ground { fill: #ffffff }
.bar { fill: #8c959f }
.ours { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 }
  .ground { fill: #0d1117 }
  .bar { fill: #656c76 }
  .ours { fill: #4493f8 }
}
"""


class Bar(NamedTuple):
    name: str
    value: float
    ours: bool


class Panel(NamedTuple):
    title: str
    bars: Sequence[Bar]


def chart(panels: Sequence[Panel], label: str) -> str:
    """Panels two a row, each with a scale of its own that begins at zero."""
    heights = [TITLE + ROW * max(len(panel.bars) for panel in panels[at : at + 2]) for at in range(0, len(panels), 2)]
    width, height = 2 * WIDTH + 3 * GAP, sum(heights) + GAP * (len(heights) + 1)
    size, name = f"0 0 {width} {height}", escape(label)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{size}" role="img" aria-label="{name}">',
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{width}" height="{height}" rx="8"/>',
    ]
    for number, panel in enumerate(panels):
        line, column = divmod(number, 2)
        left = GAP + column * (WIDTH + GAP)
        top = GAP + sum(heights[:line]) + GAP * line
        parts += _panel(panel, left, top)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, left: int, top: int) -> list[str]:
    largest = max((bar.value for bar in panel.bars), default=0) or 1
    parts = [f'<text class="title" x="{left}" y="{top + 13}">{escape(panel.title)}</text>']
    for number, bar in enumerate(panel.bars):
        y, length = top + TITLE + number * ROW, max(1.0, (WIDTH - NAMES - VALUES) * bar.value / largest)
        kind = "ours" if bar.ours else "bar"
        parts += [
            f'<text x="{left + NAMES - 8}" y="{y + 4}" text-anchor="end">{escape(bar.name)}</text>',
            f'<rect class="{kind}" x="{left + NAMES}" y="{y - 7}" width="{length:.1f}" height="14" rx="2"/>',
            f'<text x="{left + NAMES + length + 6:.1f}" y="{y + 4}">{short(bar.value)}</text>',
        ]
    return parts


def short(value: float) -> str:
    """13,100,000 → 13 M; 2,540 → 2.5 k."""
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if value >= unit:
            return f"{value / unit:.1f}{name}" if value < 10 * unit else f"{value / unit:.0f}{name}"
    return f"{value:.0f}"
