"""The tables of actor mode. Only store.py writes StoreEntry, only sessions.py ActorSession, and only recordings.py
Recording and Step. Of an OutboundClient staff write what it is, in the admin; outbound.py writes whether it is wanted
and how it goes.
"""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.functions import Now


class CodePointField(models.CharField):  # type: ignore[type-arg]  # which Django has for the checker alone
    """Text in the order of its code points on every database: a prefix is a range of the index."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        # SQLite compares bytes as it is; PostgreSQL does what the language of its cluster asks, unless told.
        return {**super().db_parameters(connection), "collation": "C" if connection.vendor == "postgresql" else None}


class StoreEntry(models.Model):
    """One key of a store and its value, as bytes: PostgreSQL's text cannot hold NUL."""

    store = models.CharField(max_length=100)
    key = CodePointField(max_length=200)
    content = models.BinaryField()
    is_json = models.BooleanField()  # otherwise the value is these bytes

    class Meta:
        verbose_name_plural = "store entries"
        constraints = [models.UniqueConstraint(fields=["store", "key"], name="a_key_once_a_store")]

    def __str__(self) -> str:
        return f"{self.store}: {self.key}"


class ActorSession(models.Model):
    """What a stored actor has come to. Its client may return to it with a token."""

    id = models.CharField(max_length=32, primary_key=True)
    token = models.CharField(max_length=64, unique=True, null=True)  # hashed; None: nobody can return
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    endpoint = models.CharField(max_length=255)  # the route, e.g. /ws/names/
    version = models.PositiveIntegerField()  # of the rules that wrote the state
    state = models.TextField()  # JSON
    timers = models.TextField(default="[]")  # JSON
    due_at = models.DateTimeField(null=True, db_index=True)  # when the first of them runs out
    owner = models.CharField(max_length=32, blank=True)  # the connection whose actor may write; "": nobody's
    server = models.CharField(max_length=32, blank=True)  # ... and where it is
    holder = models.CharField(max_length=50, default="")  # whose sessions are counted together: a user, an address
    started_at = models.DateTimeField()
    saved_at = models.DateTimeField(db_index=True)

    class Meta:
        indexes = [
            models.Index(fields=["holder"], name="sessions_of_a_holder"),
            models.Index(fields=["server"], name="sessions_of_a_server"),
        ]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.id}"


class OutboundClient(models.Model):
    """A connection to a server elsewhere that somebody wants kept up, and how that goes."""

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField("URL", max_length=2000)  # with its secrets: who may only look sees addresses.shown(url)
    in_stream_into = models.JSONField(default=list, blank=True)  # names of topics
    out_stream_from = models.JSONField(default=list, blank=True)
    actor = models.CharField(max_length=100, blank=True)  # or what drives it: see outbound.drive
    version = models.PositiveIntegerField(default=1)  # of what stands above: whoever runs it begins anew with another
    is_wanted = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_default=Now())
    # The lease: who runs it, on the database's clock.
    holder = models.CharField(max_length=32, blank=True, default="")
    held_by = models.CharField(max_length=255, blank=True, default="")  # for people: host and process
    held_until = models.DateTimeField(null=True, blank=True)
    # What the holder last reported.
    status = models.CharField(max_length=20, default="stopped")
    last_error = models.CharField(max_length=250, blank=True, default="")
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    connected_at = models.DateTimeField(null=True, blank=True)
    cursors = models.JSONField(default=dict, blank=True)  # {durable topic: [offset, epoch]} that the other end has
    messages_in = models.PositiveBigIntegerField(default=0)
    messages_out = models.PositiveBigIntegerField(default=0)
    bytes_in = models.PositiveBigIntegerField(default=0)
    bytes_out = models.PositiveBigIntegerField(default=0)
    dropped = models.PositiveBigIntegerField(default=0)
    unconfirmed = models.PositiveBigIntegerField(default=0)
    gaps = models.PositiveBigIntegerField(default=0)
    reconnects = models.PositiveBigIntegerField(default=0)

    class Meta:
        permissions = [("steer_outboundclient", "Can start and stop outbound clients")]

    def __str__(self) -> str:
        return self.name


class Recording(models.Model):
    """One actor's life on one connection, as the flight recorder saw it. It goes with its user's account."""

    id = models.CharField(max_length=32, primary_key=True)  # the connection's
    endpoint = models.CharField(max_length=255, db_index=True)
    session = models.CharField(max_length=32, null=True, db_index=True)  # where its state is stored, if it is
    server = models.CharField(max_length=32)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    begun_at = models.DateTimeField()
    last_at = models.DateTimeField(db_index=True)
    taken = models.PositiveBigIntegerField(default=0)  # steps, those that were dropped since included
    missed = models.PositiveBigIntegerField(default=0)  # steps that came faster than they could be kept
    state = models.CharField(max_length=100)  # the last one's name
    ended = models.BooleanField(default=False)

    class Meta:
        default_permissions = ["view", "delete"]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.id[:8]}"


class Step(models.Model):
    """What one message came to. The values are JSON, as portable.py writes them: cut, and without what is secret."""

    recording = models.ForeignKey(Recording, on_delete=models.CASCADE, related_name="steps")
    number = models.PositiveBigIntegerField()  # from 0, with holes where steps were missed
    at = models.DateTimeField(db_index=True)
    kind = models.CharField(max_length=10)  # portable.KINDS
    message = models.CharField(max_length=100, db_index=True)  # its type's name
    before = models.CharField(max_length=100)  # states' names
    after = models.CharField(max_length=100)
    rule = models.CharField(max_length=255, blank=True)
    took = models.FloatField()  # seconds that the handler took
    is_again = models.BooleanField(default=False)  # it had been put aside
    is_redacted = models.BooleanField(default=False)  # something of it was not kept
    told = models.TextField()  # the message
    was = models.TextField()  # the state before
    became = models.TextField()
    effects = models.TextField()  # a list
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["recording", "number"], name="one_step_a_number")]

    def __str__(self) -> str:
        return f"{self.message}: {self.before} → {self.after}"
