"""The tables of actor mode. Only store.py writes StoreEntry, only sessions.py ActorSession, and only recordings.py
Recording and Step.
"""

from typing import Any

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


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
    started_at = models.DateTimeField()
    saved_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.endpoint} {self.id}"


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
