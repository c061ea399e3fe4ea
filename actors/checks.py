"""What `manage.py check` says of rules: states that nothing leaves, messages that nothing handles; and, with
`--database default`, stored states that today's code cannot read.
"""

from collections import Counter
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import connections

from realtime_project.topics import Topic

from .endpoints import setups
from .graph import Table
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


@register()
def rule_tables(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """One warning a state that nothing leaves, and one a message that nothing handles somewhere, of every endpoint."""
    found: list[CheckMessage] = []
    for path, setup in sorted(setups().items()):
        table = Table(setup.rules, setup.initial_state, setup.decoder.messages)
        found += [
            Warning(
                f"{path}: nothing leaves the state {state}, and nothing but coming and going is handled there.",
                hint=f"Add a rule that does, or say that it is meant: rules.ignore(Any, {state}).",
                id="actors.W002",
            )
            for state in table.dead_ends()
        ]
        unhandled: dict[str, list[str]] = {}
        for message, state in table.unhandled():
            unhandled.setdefault(message, []).append(state)
        found += [
            Warning(
                f"{path}: nothing handles {message} in {_and(states)}: it is dropped there.",
                hint=f"Add a rule, or say that it is meant: rules.ignore({message}, {' | '.join(states)}).",
                id="actors.W003",
            )
            for message, states in unhandled.items()
        ]
    return found


def _and(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
