"""Links into rooms: a member makes one, and who has it may join until it expires or is ended.

The rule: the token is in the link and nowhere else. The database keeps its hash, so that a backup lets nobody in.
"""

import hashlib
import secrets
from datetime import timedelta

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from realtime_project import history

from . import rooms
from .models import Invitation, Room

BYTES = 32  # of randomness in a token
LIVES = timedelta(days=7)
MOST = 20  # links to one room that are good at one time


class TooMany(Exception):
    """The room has enough links."""


def valid() -> QuerySet[Invitation]:
    """Those that still let somebody in."""
    return Invitation.objects.filter(expires_at__gt=Now()).select_related("room", "created_by")


@transaction.atomic
def make(user_id: int, slug: str) -> tuple[str, Invitation]:
    """A new link's token, shown this once, and what is kept of it.

    Raises Room.DoesNotExist also for who is no member of it, and TooMany.
    """
    room = Room.objects.filter(members=user_id).get(slug=slug)
    history.take([room.topic_name])  # locks the room: a removal ends every link, this one too
    Room.objects.filter(members=user_id).get(slug=slug)
    room.invitations.filter(expires_at__lte=Now()).delete()
    if room.invitations.count() >= MOST:
        raise TooMany
    token = secrets.token_urlsafe(BYTES)
    expires = timezone.now() + LIVES
    invitation = Invitation.objects.create(
        room=room, created_by_id=user_id, token_hash=hash_of(token), expires_at=expires
    )
    return token, invitation


def find(token: str) -> Invitation:
    """The invitation behind a link. Raises Invitation.DoesNotExist if it is unknown, ended or expired."""
    return valid().get(token_hash=hash_of(token))


@transaction.atomic
def accept(user_id: int, token: str) -> Room:
    """The room, which the user is now in. Raises Invitation.DoesNotExist."""
    room = find(token).room
    history.take([room.topic_name])  # locks the room: somebody may be ending its links
    find(token)
    rooms.admit(user_id, room)
    return room


@transaction.atomic
def end(user_id: int, slug: str, number: int) -> None:
    """End a link: who made it may, and who made the room. Raises Room.DoesNotExist and PermissionDenied."""
    room = Room.objects.filter(members=user_id).get(slug=slug)
    invitation = room.invitations.filter(pk=number).first()
    if invitation is None:
        return  # ended already
    if user_id not in (invitation.created_by_id, room.created_by_id):
        raise PermissionDenied("Only who made the link or the room may end it.")
    invitation.delete()


def hash_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
