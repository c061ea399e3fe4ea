"""The pages that belong to no app."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from . import routing


@require_safe
def demos(request: HttpRequest) -> HttpResponse:
    """Every demonstration that is served, each to be tried in the browser. 404 where there is none."""
    if not routing.demos:
        raise Http404("REALTIME_DEMOS is off")
    return render(request, "realtime_project/demos.html", {"demos": routing.demos})
