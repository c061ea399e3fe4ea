"""What is kept of actors: opened, saved and left in lists, one transaction each, and told apart by their owners.

The rule: only the connection that owns a session writes it. Another that comes with its token becomes the owner, and
whatever the former one still wanted to save is refused, with everything that came with it.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from realtime_project import control, database, history, registry
from realtime_project.feeds import Content

from .models import ActorSession

MOVED = 4409  # close code: the session was taken up by another connection
PART = 500  # owners a query
MOST = 1_000  # of one holder deleted at once: who opened more at one time loses them one opening after the other
AGAIN = timedelta(hours=1)  # until what could not be read is tried again
FIELDS = ["version", "state", "timers", "due_at", "owner", "server", "saved_at"]


class Claim(NamedTuple):
    """A connection that comes, with a token or for the first time."""

    owner: str
    server: str
    endpoint: str
    user: int | None
    token: str | None  # what the client brought
    fresh: str | None  # the token of a session that has to begin; None: nobody will return to it
    version: int
    state: str  # ... and what it begins with
    path: str = ""  # the address that the client asked for, of those that the endpoint has
    holder: str = ""  # whose sessions are counted together


class Session(NamedTuple):
    """What does not change of a session while an actor has it."""

    id: str
    token: str | None  # hashed
    endpoint: str
    user: int | None
    owner: str  # the connection
    server: str  # ... and where it is
    started_at: datetime


class Opened(NamedTuple):
    """A session, now the claimant's."""

    session: Session
    token: str | None  # in clear
    is_resumed: bool
    version: int
    state: str
    timers: str
    is_lost: bool = False  # somebody else has claimed it at the same moment


class Save(NamedTuple):
    """What one transition wants kept, all of it or nothing."""

    session: Session | None  # None: an actor that is not stored
    version: int
    state: str
    timers: str
    due: float | None  # seconds since 1970
    is_final: bool  # nothing of it is kept
    is_left: bool  # the owner has gone
    publishes: Sequence[tuple[str, Content]] = ()  # to durable topics
    writes: Sequence[tuple[Callable[..., Any], Sequence[Any]]] = ()


class Lost(NamedTuple):
    """The answer to a Save whose session has another owner, or has been deleted."""

    session: str


def new_token() -> str:
    return secrets.token_urlsafe(32)


def digest(token: str, path: str) -> str:
    """What is stored of a token: whoever reads the database cannot take up a session with it. Another path of the same
    endpoint, as of another room, has another one.
    """
    return hashlib.sha256(f"{path}\0{token}".encode(errors="replace")).hexdigest()


def open_all(claims: list[Claim]) -> list[Opened]:
    """Find or begin a session for each claim, and make the claimant its owner. Called in a transaction."""
    asked = [digest(claim.token, claim.path) for claim in claims if claim.token]
    rows = {row.token: row for row in _locked(ActorSession.objects.filter(token__in=asked))} if asked else {}
    now = timezone.now()
    opened, begun, resumed = [], [], {}
    coming = {claim.owner for claim in claims}  # nobody can close these yet: of several for one session the last has it
    for claim in claims:
        row = rows.get(digest(claim.token, claim.path)) if claim.token else None
        is_resumed = row is not None and (row.endpoint, row.user_id) == (claim.endpoint, claim.user)
        if row and is_resumed:
            if row.owner and row.owner not in coming:
                control.order([row.server], control.Close(MOVED, "the session was taken up elsewhere", row.owner))
            resumed[row.pk] = row
        else:
            row = ActorSession(
                id=uuid.uuid4().hex,
                token=claim.fresh and digest(claim.fresh, claim.path),
                user_id=claim.user,
                endpoint=claim.endpoint,
                version=claim.version,
                state=claim.state,
                holder=claim.holder,
                started_at=now,
                saved_at=now,
            )
            begun.append(row)
        row.owner, row.server = claim.owner, claim.server
        token = claim.token if is_resumed else claim.fresh
        opened.append(Opened(session_of(row), token, is_resumed, row.version, row.state, row.timers))
    _make_room(begun, resumed)
    ActorSession.objects.bulk_create(begun)
    ActorSession.objects.bulk_update(resumed.values(), ["owner", "server"])
    lost = [each.is_resumed and resumed[each.session.id].owner != each.session.owner for each in opened]
    return [each._replace(is_lost=is_lost) for each, is_lost in zip(opened, lost, strict=True)]


def save_all(saves: list[Save]) -> list[list[int] | Lost]:
    """Keep what transitions came to, each with its publishes and writes: the offsets of the publishes.

    Called in a transaction. What a write raises is raised.
    """
    assert connection.in_atomic_block, "sessions.save_all needs a transaction"
    stored = [save.session.id for save in saves if save.session]
    owners = {row.pk: row.owner for row in _locked(ActorSession.objects.filter(pk__in=stored))} if stored else {}
    now = timezone.now()
    rows, ended = [], []
    ours = [save.session is None or owners.get(save.session.id) == save.session.owner for save in saves]
    kept = [save for save, is_ours in zip(saves, ours, strict=True) if is_ours]
    for save in kept:
        session = save.session
        if session is None:
            continue
        if save.is_final or (save.is_left and session.token is None and save.due is None):
            ended.append(session.id)  # it is over, or nobody can come back to it
        else:
            rows.append(_row(session, save, now))
    if rows:
        ActorSession.objects.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=FIELDS)
    if ended:
        ActorSession.objects.filter(pk__in=ended).delete()
    published = [item for save in kept for item in save.publishes]
    offsets = iter(history.publish(published) if published else [])
    for save in sorted(kept, key=_place):
        for function, arguments in save.writes:
            function(*arguments)
    return [
        [next(offsets) for _ in save.publishes] if is_ours else Lost(save.session.id if save.session else "")
        for save, is_ours in zip(saves, ours, strict=True)
    ]


def due(owner: str, server: str, most: int, readable: Mapping[str, int]) -> list[Opened]:
    """Become the owner of sessions that nobody has and whose timers have run out. Called in a transaction.

    server: who asks; it has none of its own actors' sessions taken from them, although it may be too busy to report.
    readable: endpoints, each with the latest version of states that it knows. Others are left to who knows them.
    """
    now = timezone.now()
    nobodys = _nobodys() & (Q(owner="") | ~Q(server=server))
    ours = reduce(or_, (Q(endpoint=path, version__lte=version) for path, version in readable.items()))
    waiting = ActorSession.objects.filter(nobodys, ours, due_at__lte=now)
    found = waiting.order_by("due_at").values_list("pk", flat=True)
    rows = list(_locked(ActorSession.objects.filter(nobodys, pk__in=list(found[:most]), due_at__lte=now)))
    for row in rows:
        row.owner, row.server = owner, server
    ActorSession.objects.bulk_update(rows, ["owner", "server"])
    return [Opened(session_of(row), None, True, row.version, row.state, row.timers) for row in rows]


def forget(age: timedelta, most: int = 5_000) -> int:
    """Delete sessions that nobody has and that were not saved for `age`, at most so many: the number deleted."""
    return _delete(ActorSession.objects.filter(saved_at__lt=timezone.now() - age), most)


def give_back(session: Session) -> None:
    """Who has taken it cannot read it: it is left as it was."""
    ActorSession.objects.filter(pk=session.id, owner=session.owner).update(owner="", server="")


def put_aside(session: Session) -> None:
    """Its timers cannot run out: let them wait for its client, or for other code, which may come within the hour."""
    again = timezone.now() + AGAIN
    ActorSession.objects.filter(pk=session.id, owner=session.owner).update(owner="", server="", due_at=again)


def owners(server: str) -> set[str]:
    """Who has sessions at a server."""
    return set(ActorSession.objects.filter(server=server).values_list("owner", flat=True))


def leave(server: str, owners: Collection[str]) -> None:
    """Leave the sessions of owners who have gone and could not say so, and drop those that nobody can come back to."""
    for some in database.parts(owners, PART):
        rows = ActorSession.objects.filter(server=server, owner__in=some)
        rows.filter(token=None, due_at=None).delete()
        rows.update(owner="", server="")


def _make_room(begun: Sequence[ActorSession], resumed: Collection[str]) -> None:
    """Of those who have more sessions than anybody needs, delete the ones that were left the longest ago."""
    coming = Counter(row.holder for row in begun)
    counts = ActorSession.objects.filter(holder__in=coming).values_list("holder").annotate(number=Count("pk"))
    for holder, number in counts.order_by():
        if (more := number + coming[holder] - settings.SESSIONS_PER_ADDRESS) > 0:
            rows = ActorSession.objects.filter(holder=holder).exclude(pk__in=resumed)
            _delete(rows.order_by("saved_at"), min(more, MOST))


def _delete(rows: QuerySet[ActorSession], most: int) -> int:
    """Delete the first so many that nobody has, nor takes up meanwhile: their number."""
    first = list(rows.filter(_nobodys()).values_list("pk", flat=True)[:most])
    return ActorSession.objects.filter(_nobodys(), pk__in=first).delete()[0]


def _place(save: Save) -> list[tuple[str, str]]:
    """Where its writes go, as far as that can be seen: two lists that go to the same places go in the same order."""
    return [
        (
            repr(getattr(function, "__self__", None) or function.__qualname__),
            str(arguments[0]) if arguments and isinstance(arguments[0], str | int) else "",
        )
        for function, arguments in save.writes
    ]


def _nobodys() -> Q:
    """Left, or of a server that is no more."""
    return Q(owner="") | ~Q(server__in=registry.servers().values("pk"))


def session_of(row: ActorSession) -> Session:
    return Session(row.pk, row.token, row.endpoint, row.user_id, row.owner, row.server, row.started_at)


def _locked(rows: Any) -> Any:
    """In one order, so that no two lists wait for each other."""
    return rows.select_for_update().order_by("pk")


def _row(session: Session, save: Save, now: datetime) -> ActorSession:
    return ActorSession(
        id=session.id,
        token=session.token,
        user_id=session.user,
        endpoint=session.endpoint,
        version=save.version,
        state=save.state,
        timers=save.timers,
        due_at=None if save.due is None else datetime.fromtimestamp(save.due, UTC),
        owner="" if save.is_left else session.owner,
        server="" if save.is_left else session.server,
        started_at=session.started_at,
        saved_at=now,
    )
