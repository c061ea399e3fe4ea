"""The tables of the foundation: who serves, who is connected, and the log of every durable topic.

Only registry.py writes Server and Connection; only history.py writes TopicHead, TopicEvent and Epoch; only bans.py
writes Ban. So staff may be let to see them and to give orders, never to change a row.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


def new_epoch() -> str:
    return uuid.uuid4().hex


class Server(models.Model):
    """One process that serves. Its lease is `seen_at`: a server that stops reporting is gone."""

    id = models.CharField(max_length=32, primary_key=True)
    host = models.CharField(max_length=255)
    port = models.PositiveIntegerField(null=True)
    pid = models.PositiveIntegerField()
    version = models.CharField(max_length=40)
    endpoints = models.JSONField(default=list)  # see routing.described()
    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    # What it last reported, bounded: see metrics.py.
    figures = models.JSONField(default=dict)  # now
    history = models.JSONField(default=list)  # the last five minutes: [numbers in the order of metrics.POINT]
    topics = models.JSONField(default=list)  # the busiest

    class Meta:
        default_permissions = ["view"]
        permissions = [
            ("drain_server", "Can have a server leave"),
            ("announce_server", "Can announce to everyone"),
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.port} ({self.pid})"


class Connection(models.Model):
    """One WebSocket that is open now."""

    id = models.CharField(max_length=32, primary_key=True)
    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="connections")
    channel_id = models.PositiveBigIntegerField()  # counts from 0 on its server
    endpoint = models.CharField(max_length=255)  # the route, e.g. /ws/rooms/<room>/
    path = models.CharField(max_length=2048)
    mode = models.CharField(max_length=20)
    client_ip = models.CharField(max_length=45)
    client_port = models.PositiveIntegerField(null=True)
    origin = models.CharField(max_length=255, null=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    subprotocol = models.CharField(max_length=255, null=True)
    connected_at = models.DateTimeField()
    state = models.CharField(max_length=1000, null=True)  # an actor's, as it shows itself
    session = models.CharField(max_length=32, null=True)  # ... and where it is stored, if it is
    last_message_at = models.DateTimeField(null=True)  # ... and when it was last told something
    messages_in = models.PositiveBigIntegerField(default=0)
    messages_out = models.PositiveBigIntegerField(default=0)
    bytes_in = models.PositiveBigIntegerField(default=0)
    bytes_out = models.PositiveBigIntegerField(default=0)
    # As they were at the last look, at most five seconds ago. Defaults of the database's too: a server of the version
    # before, which is still running, does not know these columns.
    unsent = models.PositiveBigIntegerField(default=0, db_default=0)  # bytes that wait in the server for a slow reader
    rate_in = models.FloatField(default=0, db_default=0)  # messages a second
    rate_out = models.FloatField(default=0, db_default=0)

    class Meta:
        verbose_name = "client"
        default_permissions = ["view"]
        permissions = [
            ("close_connection", "Can close connections"),
            ("stop_connection", "Can stop actors"),
            ("message_connection", "Can send a message to one connection"),
            ("tail_connection", "Can watch the frames of a connection"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["server", "channel_id"], name="channel_id_is_unique_on_a_server")
        ]

    def __str__(self) -> str:
        return f"{self.client_ip} on {self.path}"


class TopicHead(models.Model):
    """The last offset of a durable topic. Its row is the lock that numbers the topic's events."""

    name = models.CharField(max_length=200, unique=True)
    offset = models.PositiveBigIntegerField(default=0)

    class Meta:
        verbose_name = "topic"
        default_permissions = ["view"]
        permissions = [("publish_topichead", "Can publish to a topic")]

    def __str__(self) -> str:
        return f"{self.name} at {self.offset}"


class TopicEvent(models.Model):
    """One event of a durable topic, as bytes: PostgreSQL's text cannot hold NUL."""

    topic = models.ForeignKey(TopicHead, on_delete=models.CASCADE, related_name="events")
    offset = models.PositiveBigIntegerField()
    content = models.BinaryField()
    is_text = models.BooleanField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "offset"], name="one_event_an_offset")]


class Epoch(models.Model):
    """The life of this database's logs: one row. A restored backup is given a new one."""

    value = models.CharField(max_length=32, default=new_epoch)
    begun_at = models.DateTimeField(db_default=Now())


class Ban(models.Model):
    """Whom no server lets in for a time: a user, or an address."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    address = models.CharField(max_length=50, null=True)  # a network: 203.0.113.7/32
    until = models.DateTimeField(db_index=True)
    why = models.CharField(max_length=200, default="")  # for staff
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        default_permissions = ["view", "add", "delete"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(user=None) ^ models.Q(address=None), name="a_ban_is_of_a_user_or_an_address"
            )
        ]

    def __str__(self) -> str:
        return str(self.user or self.address)
