"""A person in front of the chat's page, in the words of the page's test ids."""

import re
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page

# What the network says while a server is away is expected; everything else in the console is a mistake of ours.
OF_THE_NETWORK = re.compile(r"net::ERR_|WebSocket connection to|Failed to load resource")


@dataclass
class Person:
    """Somebody at a page of the chat."""

    name: str
    page: Page
    mistakes: list[str] = field(default_factory=list)

    def hears(self, said: ConsoleMessage) -> None:
        if said.type in ("error", "warning") and not OF_THE_NETWORK.search(said.text):
            self.mistakes.append(said.text)

    @property
    def timeline(self) -> Locator:
        return self.page.get_by_test_id("timeline")

    @property
    def composer(self) -> Locator:
        return self.page.get_by_test_id("composer")

    @property
    def messages(self) -> Locator:
        return self.page.get_by_test_id("message")

    @property
    def banner(self) -> Locator:
        return self.page.get_by_test_id("banner")

    def message(self, text: str) -> Locator:
        return self.messages.filter(has_text=text)

    def sent(self, text: str) -> Locator:
        """The message, once the server has it."""
        return self.page.locator('[data-testid=message][data-state=sent]:not([data-offset=""])').filter(has_text=text)

    def room_link(self, slug: str) -> Locator:
        return self.page.locator(f'[data-testid=room-link][data-slug="{slug}"]')

    def say(self, text: str) -> None:
        self.composer.fill(text)
        self.composer.press("Enter")

    def found(self, pattern: str) -> list[str]:
        """What in the timeline's messages matches, in the order of the page."""
        return re.findall(pattern, "\n".join(self.messages.all_inner_texts()))

    def offsets(self) -> list[int]:
        attributes: list[str] = self.messages.evaluate_all("rows => rows.map((row) => row.dataset.offset)")
        return [int(offset) for offset in attributes if offset]

    def born(self) -> Any:
        """When this document was made: another value means that the page was loaded again."""
        return self.page.evaluate("window.__born")


def end_compositions(field: Locator) -> None:
    """The Enter that ends an input method's composition, as most browsers tell of it and as Safari does."""
    for key in ({"isComposing": True}, {"keyCode": 229}):
        kept = field.evaluate(
            """(field, init) => field.dispatchEvent(
                new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...init }))""",
            key,
        )
        assert kept, "the input method's own Enter was taken away from it"
