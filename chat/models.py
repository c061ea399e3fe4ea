"""People, rooms and what is said in them.

Only rooms.py writes rooms and memberships and adds messages; only edits.py changes these and writes reactions.
"""

import unicodedata
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models.functions import Now

# Invisible, and needed inside emoji: ❤️ and 👩‍🚀
AS_EMOJI = "\ufe0f"
JOINER = "\u200d"


class PeopleManager(UserManager["User"]):
    """Creates people by the name they show; what they log in with is derived from it."""

    def _create_user_object(self, username: str, email: str | None, password: str | None, **extra: Any) -> "User":
        extra.setdefault("name", username)
        user: User = super()._create_user_object(username, email, password, **extra)  # type: ignore[misc]
        return user


class User(AbstractUser):
    """A person. `name` is shown; `username` is the same name folded, so that no two people look alike."""

    name = models.CharField(max_length=40)
    is_guest = models.BooleanField(default=False)
    created_from = models.GenericIPAddressField(null=True, blank=True)

    objects: ClassVar[PeopleManager] = PeopleManager()

    class Meta(AbstractUser.Meta):
        # how many new people an address has brought lately
        indexes = [models.Index(fields=["created_from", "date_joined"], name="people_from_an_address")]

    @classmethod
    def normalize_username(cls, username: str) -> str:
        """One spelling of a name, whatever its case and width: NFKC, folded, single spaces, no joiners."""
        username = username.replace(AS_EMOJI, "").replace(JOINER, "")
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", username).casefold())
        return " ".join(folded.split())

    def __str__(self) -> str:
        return self.name or self.username


class RoomQuerySet(models.QuerySet["Room"]):
    def open_to(self, user_id: int) -> models.QuerySet["Room"]:
        """The rooms that there are for this person. One query, whether a room is missing or not theirs to see."""
        mine = Membership.objects.filter(room=models.OuterRef("pk"), user=user_id)
        return self.filter(models.Q(is_private=False) | models.Exists(mine))


class Room(models.Model):
    """A durable topic with members. For who is no member, a private one does not exist: ask through open_to()."""

    slug = models.SlugField(max_length=60, unique=True, allow_unicode=True)
    name = models.CharField(max_length=60)
    description = models.CharField(max_length=200, blank=True)
    is_private = models.BooleanField(default=False)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    members = models.ManyToManyField(User, through="Membership", related_name="rooms")

    objects = RoomQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def topic_name(self) -> str:
        return room_topic(self.pk)


def room_topic(room_id: int) -> str:
    """The durable topic of a room. Input never is a whole topic name: a slug is looked up, the number is ours."""
    return f"chat.room:{room_id}"


class Membership(models.Model):
    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    joined_at = models.DateTimeField(db_default=Now())
    read_offset = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["room", "user"], name="a_member_once")]


class Invitation(models.Model):
    """A link that lets its holders join a room. Only the hash of its token is kept; one that is ended is deleted."""

    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="invitations")
    created_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    token_hash = models.CharField(max_length=64, unique=True)  # SHA-256, in hexadecimal
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()


class Message(models.Model):
    room = models.ForeignKey(Room, on_delete=models.CASCADE, related_name="messages")
    author = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    offset = models.PositiveBigIntegerField()  # of its message.created event
    client_id = models.CharField(max_length=64)
    text = models.TextField()
    html = models.TextField()
    created_at = models.DateTimeField()
    edited_at = models.DateTimeField(null=True)
    deleted_at = models.DateTimeField(null=True)  # then text and html are empty
    changed_offset = models.PositiveBigIntegerField(null=True)  # of its newest message.edited, or its message.deleted

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["room", "offset"], name="one_message_an_offset"),
            # makes a retry safe
            models.UniqueConstraint(fields=["room", "author", "client_id"], name="a_post_once"),
        ]


class Reaction(models.Model):
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="reactions")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    emoji = models.CharField(max_length=16)
    offset = models.PositiveBigIntegerField()  # of its message.reacted event

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "user", "emoji"], name="a_reaction_once")]
