"""What machines ask a server for: is it alive, is it ready."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from . import readiness


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
