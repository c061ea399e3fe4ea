"""The sizes of screens that pages are tried on, and what fits on them."""

from typing import Any

from playwright.sync_api import Locator, ViewportSize

NARROW: ViewportSize = {"width": 390, "height": 844}


def measured(target: Locator) -> tuple[float, float]:
    """Its width and its right edge. Again, where it was drawn anew between being found and being measured."""
    found = None
    while found is None:
        found = target.evaluate(
            """target => {
                const box = target.getBoundingClientRect();
                return target.isConnected ? [box.width, box.right] : null;
            }"""
        )
    width, right = found
    return width, right


def too_small(targets: Locator) -> list[Any]:
    """Those of the targets that a finger misses, being less than 44 CSS pixels wide or high: names with sizes.

    Rounded, since a row that is still sliding in measures 43.99999. Again, where one was drawn anew between being found
    and being measured, and has no size any more.
    """
    found: list[Any] | None = None
    while found is None:
        found = targets.evaluate_all(
            """targets => targets.some((target) => !target.isConnected) ? null : targets
                .map((target) => [target.ariaLabel ?? target.textContent.trim(), target.getBoundingClientRect()])
                .map(([name, box]) => [name, Math.round(box.width), Math.round(box.height)])
                .filter(([name, width, height]) => width < 44 || height < 44)"""
        )
    return found
