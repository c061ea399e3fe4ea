"""Addresses in the admin that no page there can have: with a NUL in them, which PostgreSQL takes in no text.

The rule: they are answered with 400 before Django's admin asks the database for them. Other pages look for themselves,
and forms refuse a NUL anyway.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

Answering = Callable[[HttpRequest], Any]


@sync_and_async_middleware
def without_nul(get_response: Answering) -> Answering | Callable[[HttpRequest], Awaitable[Any]]:
    if iscoroutinefunction(get_response):

        async def answer_soon(request: HttpRequest) -> Any:
            return _refused() if _has_nul(request) else await get_response(request)

        return answer_soon

    def answer(request: HttpRequest) -> Any:
        return _refused() if _has_nul(request) else get_response(request)

    return answer


def _has_nul(request: HttpRequest) -> bool:
    if not request.path_info.startswith("/admin/"):
        return False
    return "\0" in request.path_info or "%00" in request.META.get("QUERY_STRING", "")


def _refused() -> HttpResponse:
    return HttpResponse("No address has a NUL in it.\n", content_type="text/plain", status=400)
