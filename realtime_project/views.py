"""The pages that belong to no app: what machines ask a server for, and the demonstrations."""

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from . import metrics, readiness, routing


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers. Asks nobody else: a database that is away is no reason to restart this."""
    return JsonResponse({"alive": True})


@never_cache
@require_safe
async def readyz(request: HttpRequest) -> JsonResponse:
    """503 and what is missing, until all that is needed answers; and while the server drains."""
    missing = await readiness.missing()
    return JsonResponse({"ready": not missing, "missing": missing}, status=503 if missing else 200)


@never_cache
@require_safe
async def measured(request: HttpRequest) -> HttpResponse:
    """This process's numbers, for Prometheus. 404 for who may not have them."""
    if not metrics.may_read(request):
        return HttpResponse("There is no such page.\n", content_type="text/plain", status=404)
    return HttpResponse(await metrics.exposition(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


@require_safe
def demos(request: HttpRequest) -> HttpResponse:
    """Every demonstration that is served, those with a page of their own first. 404 where there is none."""
    if not routing.demos:
        raise Http404("REALTIME_DEMOS is off")
    listed = sorted(routing.demos, key=lambda demo: demo.page is None)
    return render(request, "realtime_project/demos.html", {"demos": listed})
