"""The quiz's page."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe


@require_safe
def quiz(request: HttpRequest, socket: str = "/ws/quiz/") -> HttpResponse:
    """The page of the quiz that is played at the endpoint `socket`. 404 where demonstrations are off."""
    if not settings.REALTIME_DEMOS:
        raise Http404("REALTIME_DEMOS is off")
    return render(request, "actors/quiz.html", {"socket": f"{reverse('home')}{socket.removeprefix('/')}"})
