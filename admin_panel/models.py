"""Actors, as staff see them: connections whose endpoint is in actor mode. A view of the registry, with no table."""

from typing import ClassVar

from django.db import models

from realtime_project.models import Connection


class ActorManager(models.Manager["Actor"]):
    def get_queryset(self) -> models.QuerySet["Actor"]:
        return super().get_queryset().filter(mode="actor")


class Actor(Connection):
    """A connection with an actor. Who may see connections may see it."""

    objects: ClassVar[ActorManager] = ActorManager()

    class Meta:
        proxy = True
        default_permissions = ()
