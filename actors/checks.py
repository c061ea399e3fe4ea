"""`manage.py check --database default` names the stored states that today's code cannot read."""

from collections import Counter
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connections

from realtime_project.topics import Topic

from .keeper import setups
from .models import ActorSession
from .stored import Own, Unreadable

READ = 500  # rows in memory at a time


@register(Tags.database)
def stored_states(app_configs: Any, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """One warning an endpoint: how many, and why the first one."""
    unreadable: Counter[str] = Counter()
    reasons: dict[str, str] = {}
    known = setups()
    nobody = Own(Topic("actors.check.in"), Topic("actors.check.out"))
    for database in databases or ():
        if ActorSession._meta.db_table not in connections[database].introspection.table_names():
            continue  # not migrated yet
        fields = "id", "endpoint", "version", "state", "timers"
        for row in ActorSession.objects.using(database).only(*fields).iterator(READ):
            try:
                setup = known.get(row.endpoint)
                if setup is None or setup.codec is None:
                    raise Unreadable("nothing that stores states is there any more")
                setup.codec.decode(row.state, row.version, nobody)
                setup.codec.decode_timers(row.timers, 0)
            except Unreadable as error:
                unreadable[row.endpoint] += 1
                reasons.setdefault(row.endpoint, f"session {row.pk}: {error}")
    return [
        Warning(
            f"{endpoint}: {number} stored state{'' if number == 1 else 's'} cannot be read; {reasons[endpoint]}",
            hint="Add an upcaster (@rules.upcast), or forget them: manage.py forget DAYS. Their clients begin anew.",
            id="actors.W001",
        )
        for endpoint, number in sorted(unreadable.items())
    ]
