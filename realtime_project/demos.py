"""Demonstrations: endpoints that anybody may try, each described for the page at /demos/ where it is declared.

They are served where REALTIME_DEMOS is on: in development, unless told otherwise.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from django.urls import URLPattern


class Demo(URLPattern):
    """A route of an app's `routing.urlpatterns` that is a demonstration: `Demo(path("ws/echo/", …), "Says it again.")`.

    about: what it does, in a sentence or two. address: one that leads to it, where the route has parts to fill in.
    samples: messages worth sending. subprotocols: those worth offering. page: the name of the URL of a page of its own,
    and what a link to it says. Raises ValueError for a wrong address.
    """

    def __init__(
        self,
        route: URLPattern,
        about: str,
        *,
        address: str = "",
        samples: Sequence[str] = (),
        subprotocols: Sequence[str] = (),
        page: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(route.pattern, route.callback, route.default_args, route.name)
        if isinstance(samples, str) or isinstance(subprotocols, str):
            raise TypeError("samples and subprotocols are lists of str, not a str")
        self.about, self.samples, self.subprotocols, self.page = about, samples, subprotocols, page
        self.address = address or f"/{route.pattern}"
        if "<" in self.address or not route.pattern.match(urlsplit(self.address).path.removeprefix("/")):
            raise ValueError(f"a demonstration needs an address that leads to {route.pattern}, unlike {self.address}")
