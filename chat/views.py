"""Pages and the JSON beside them: thin, over forms.py, rooms.py and timeline.py.

Whoever has no session is asked for a name first, and comes back. No header says where a request comes from: the
socket's address counts (Daphne's --proxy-headers puts the right one there, behind a proxy that overwrites the header).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial, wraps
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.views import LoginView, redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render, resolve_url
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import cache_control
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from realtime_project.identity import household

from . import edits, invitations, rooms, timeline
from .forms import GuestForm, LogInForm, PersonForm, RoomForm, SignUpForm
from .models import Invitation, Room, User

FIRST_ROOM = "lobby"  # where new people find themselves, if it exists
ROOMS_AN_HOUR = 20  # that one person may create
HOUR = timedelta(hours=1)
PASSWORDS = "django.contrib.auth.backends.ModelBackend"

View = Callable[..., HttpResponse]
visited = require_http_methods(["GET", "HEAD", "POST"])
unstored = cache_control(no_store=True)


# People ---------------------------------------------------------------------------------------------------------


def address_of(request: HttpRequest) -> str | None:
    """Where a request comes from, for counting."""
    return household(request.META.get("REMOTE_ADDR", ""))


def destination(request: HttpRequest) -> str:
    """The `next` of a form or a link if it leads to another page of ours, else ""."""
    asked = request.POST.get("next") or request.GET.get("next") or ""
    ours = url_has_allowed_host_and_scheme(asked, {request.get_host()}, require_https=request.is_secure())
    return asked if ours and urlsplit(asked).path != request.path else ""


def crowded(address: str | None) -> bool:
    """Whether an address has brought enough new people for this hour. Of those who ask at once, a few more may pass."""
    lately = User.objects.filter(created_from=address, date_joined__gt=timezone.now() - HOUR)
    return lately.count() >= settings.GUESTS_PER_ADDRESS


def typed(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def enter(request: HttpRequest, form: PersonForm, template: str) -> HttpResponse:
    """Shows the form, or lets its person in."""
    status = HTTPStatus.OK
    if form.is_bound:
        status = HTTPStatus.UNPROCESSABLE_ENTITY
        is_new = form.person.pk is None
        if form.is_valid():
            if is_new and crowded(form.person.created_from):
                form.add_error(None, "Many people have come from your network lately. Please try again in an hour.")
                status = HTTPStatus.TOO_MANY_REQUESTS
            elif form.save():
                login(request, form.person, PASSWORDS)
                if is_new:
                    welcome(form.person)
                return HttpResponseRedirect(destination(request) or reverse("home"))
    return render(request, template, {"form": form, "next": destination(request)}, status=status)


def welcome(person: User) -> None:
    with suppress(Room.DoesNotExist):
        rooms.join(person.pk, FIRST_ROOM)


@unstored
@visited
def guest(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        return HttpResponseRedirect(destination(request) or reverse("home"))
    person = User(created_from=address_of(request))
    return enter(request, GuestForm(typed(request), person=person), "chat/guest.html")


@unstored
@sensitive_post_parameters("password1", "password2")
@visited
def signup(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        person = User(created_from=address_of(request))
    elif request.user.is_guest:
        person = User.objects.get(pk=request.user.pk)  # not the page's own: the form changes it
    else:
        return HttpResponseRedirect(destination(request) or reverse("home"))
    form = SignUpForm(typed(request), person=person, initial={"name": person.name})
    return enter(request, form, "chat/signup.html")


@method_decorator(unstored, "dispatch")
class LogIn(LoginView):
    """Guests may log in as somebody else; who has logged in already has no business here."""

    template_name = "chat/login.html"
    authentication_form = LogInForm

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if request.user.is_authenticated and not request.user.is_guest:
            return HttpResponseRedirect(destination(request) or reverse("home"))
        return super().dispatch(request, *args, **kwargs)


def locked(request: HttpRequest, *_: object) -> HttpResponse:
    """After too many wrong passwords from one address (settings.AXES_LOCKOUT_CALLABLE)."""
    minutes = round(settings.AXES_COOLOFF_TIME * 60)
    detail = f"There were too many attempts to log in. Wait {minutes} minutes, then try again."
    return render(request, "chat/locked.html", {"detail": detail}, status=HTTPStatus.TOO_MANY_REQUESTS)


# Rooms ----------------------------------------------------------------------------------------------------------


def person_required(view: View) -> View:
    """Hands the view its person. Who has no session is asked for a name, and comes back to the room, or home."""

    @wraps(view)
    def asked(request: HttpRequest, **kwargs: str) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, request.user, **kwargs)
        return redirect_to_login(resolve_url("room" if kwargs else "home", **kwargs))

    return asked


def app(request: HttpRequest, person: User, current: Room | None, form: RoomForm, status: int = 200) -> HttpResponse:
    boot = {
        "me": {
            "id": person.pk,
            "name": person.name,
            "is_guest": person.is_guest,
            "may_delete": edits.may_delete(person),
        },
        "room": current.slug if current else None,
        "rooms": timeline.rooms_for(person, current),
    }
    return render(request, "chat/app.html", {"room": current, "boot": boot, "room_form": form}, status=status)


@unstored
@require_safe
@person_required
def home(request: HttpRequest, person: User) -> HttpResponse:
    return app(request, person, None, RoomForm())


@unstored
@require_safe
@person_required
def room(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    return app(request, person, get_object_or_404(Room.objects.open_to(person.pk), slug=slug), RoomForm())


@unstored
@require_POST
@person_required
def rooms_create(request: HttpRequest, person: User) -> HttpResponse:
    form = RoomForm(request.POST)
    if not form.is_valid():
        return app(request, person, None, form, HTTPStatus.UNPROCESSABLE_ENTITY)
    lately = Room.objects.filter(created_by=person, created_at__gt=timezone.now() - HOUR)
    if lately.count() >= ROOMS_AN_HOUR:
        form.add_error(None, f"You have created {ROOMS_AN_HOUR} rooms within an hour. Please wait a little.")
        return app(request, person, None, form, HTTPStatus.TOO_MANY_REQUESTS)
    return redirect("room", slug=form.save(person).slug)


@unstored
@require_POST
@person_required
def room_join(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    with missing_is_404():
        rooms.join(person.pk, slug)
    return redirect("room", slug=slug)


@unstored
@require_POST
@person_required
def room_leave(request: HttpRequest, person: User, slug: str) -> HttpResponse:
    with missing_is_404():
        rooms.leave(person.pk, slug)
    return redirect("home")


@unstored
@visited
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Shows who invites where, to anybody who has the link; who has a name can join."""
    try:
        found = invitations.find(token)
        if not request.user.is_authenticated:
            if request.method == "POST":
                return redirect_to_login(request.path)
        elif request.method == "POST":
            return redirect("room", slug=invitations.accept(request.user.pk, token).slug)
        elif found.room.members.filter(pk=request.user.pk).exists():
            return redirect("room", slug=found.room.slug)
    except Invitation.DoesNotExist:
        raise Http404("There is no such invitation.") from None
    return render(request, "chat/invitation.html", {"invitation": found, "room": found.room})


@contextmanager
def missing_is_404() -> Iterator[None]:
    try:
        yield
    except Room.DoesNotExist:
        raise Http404("There is no such room.") from None


# JSON -----------------------------------------------------------------------------------------------------------


class Refusal(Exception):
    """Becomes {"error": {"code", "detail"}}."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail


def api(view: Callable[..., dict[str, Any]], allowed: Callable[[View], View] = require_safe) -> View:
    """Answers with JSON, also where it refuses."""

    @unstored
    @allowed
    @wraps(view)
    def answered(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            if not request.user.is_authenticated:
                raise Refusal(HTTPStatus.UNAUTHORIZED, "unauthenticated", "Log in, or enter as a guest.")
            try:
                return JsonResponse(view(request, request.user, **kwargs))
            except Room.DoesNotExist:
                raise Refusal(HTTPStatus.NOT_FOUND, *rooms.NO_ROOM) from None
            except PermissionDenied as reason:
                raise Refusal(HTTPStatus.FORBIDDEN, "forbidden", str(reason)) from None
        except Refusal as refusal:
            error = {"code": refusal.code, "detail": refusal.detail}
            return JsonResponse({"error": error}, status=refusal.status)

    return answered


posted = partial(api, allowed=require_POST)


def whole(request: HttpRequest, name: str) -> int | None:
    """The query's whole number `name`, 1 or more; None where it is not given."""
    text = request.GET.get(name)
    if text is None:
        return None
    digits = text.lstrip("0") if text.isascii() and text.isdigit() else ""
    if not digits:
        raise Refusal(HTTPStatus.BAD_REQUEST, "invalid", f"{name} must be a whole number, 1 or more.")
    return int(digits) if len(digits) < 20 else timeline.LAST_OFFSET


@api
def api_rooms(request: HttpRequest, person: User) -> dict[str, Any]:
    return {"me": person.pk, "rooms": timeline.rooms_for(person)}


@api
def api_messages(request: HttpRequest, person: User, slug: str) -> dict[str, Any]:
    before, limit = whole(request, "before"), whole(request, "limit")
    room = Room.objects.open_to(person.pk).get(slug=slug)
    return timeline.page(room, before, min(limit or timeline.PAGE, timeline.LARGEST_PAGE), person.pk)


@api
def api_members(request: HttpRequest, person: User, slug: str) -> dict[str, Any]:
    room = Room.objects.filter(members=person.pk).get(slug=slug)
    return timeline.members(room, person, invitations.valid().filter(room=room).order_by("pk"))


@posted
def api_member_remove(request: HttpRequest, person: User, slug: str, user: int) -> dict[str, Any]:
    return {"removed": rooms.remove(person.pk, slug, user)}


@posted
def api_invite(request: HttpRequest, person: User, slug: str) -> dict[str, Any]:
    try:
        token, made = invitations.make(person.pk, slug)
    except invitations.TooMany:
        detail = f"{invitations.MOST} links lead here already. End one of them first."
        raise Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too_many", detail) from None
    url = request.build_absolute_uri(resolve_url("invitation", token=token))
    return {"id": made.pk, "url": url, "expires_at": timeline.timestamp(made.expires_at)}


@posted
def api_invitation_end(request: HttpRequest, person: User, slug: str, number: int) -> dict[str, Any]:
    invitations.end(person.pk, slug, number)
    return {}
