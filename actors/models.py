"""The tables of actor mode. Only store.py writes StoreEntry."""

from typing import Any

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
