"""Store: a dictionary in the database. In process, against a dict; and in several processes, on both databases."""

import pickle
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule, run_state_machine_as_test

from actors.models import StoreEntry
from actors.store import DEPTH, MANY, VALUE, Store
from benchmarks.services import Postgres
from tests.helpers import Server, unique

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store() -> Store:
    return Store("inventory")


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels - 1):
        value = [value]
    return value


# One key --------------------------------------------------------------------------------------------------------


async def test_h31_what_is_set_is_got_and_what_is_missing_is_none(store: Store) -> None:
    assert await store.get("apples") is None
    assert await store.get("apples", 0) == 0
    await store.set("apples", 3)
    await store.set("apples", {"red": 2, "green": [1, None]})
    assert await store.get("apples") == {"red": 2, "green": [1, None]}
    assert await store.get("Apples") is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        1.0,
        -0.0,
        2**200,
        1e300,
        "",
        "a\0b",
        "żółw 👩‍🚀",
        b"",
        b"\x00\xff",
        b"1",
        [],
        {},
        {"": [{"a": None}]},
        nested(DEPTH),
    ],
    ids=repr,
)
async def test_h31_a_value_comes_back_as_it_was_and_of_its_kind(store: Store, value: Any) -> None:
    await store.set("kept", value)
    kept = await store.get("kept", "missing")
    assert (kept, repr(kept)) == (value, repr(value))


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    "value",
    [
        (1, 2),
        {1: "a"},
        {1, 2},
        bytearray(b"a"),
        datetime(2026, 1, 1, tzinfo=UTC),
        Decimal("1.5"),
        Colour.RED,
        OrderedDict(a=1),
        Store("inventory"),
        object(),
        [b"inside"],
        {"deep": [{"in": (1,)}]},
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_would_come_back_as_something_else_is_refused(store: Store, value: Any) -> None:
    await store.set("kept", "before")
    with pytest.raises(TypeError, match=r"plain JSON, not|keys of a JSON object are str, not"):
        await store.set("kept", value)
    assert await store.get("kept") == "before"


def itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("a" * VALUE, "at most 1048576 bytes, not 1048578"),  # with its quotes
        (b"a" * (VALUE + 1), "at most 1048576 bytes, not 1048577"),
        (nested(DEPTH + 1), "at most 100 levels"),
        (itself(), "at most 100 levels"),
        (float("nan"), "JSON has no nan"),
        ([float("-inf")], "JSON has no -inf"),
        ("\ud800", "surrogates not allowed"),
        (10**5000, "4300 digits"),
    ],
    ids=["text", "bytes", "nested", "itself", "nan", "infinity", "surrogate", "digits"],
)
async def test_a_value_has_limits(store: Store, value: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        await store.set("kept", value)
    assert await store.keys() == []


async def test_the_largest_value_is_kept(store: Store) -> None:
    await store.set("large", b"a" * VALUE)
    assert len(await store.get("large")) == VALUE


@pytest.mark.parametrize(
    ("key", "error", "why"),
    [
        (5, TypeError, re.escape("a key is a str, not int (5)")),
        (b"a", TypeError, "a key is a str, not bytes"),
        (None, TypeError, "a key is a str, not NoneType"),
        ("", ValueError, "a key has 1 to 200 characters, not 0"),
        ("k" * 201, ValueError, "a key has 1 to 200 characters, not 201"),
        ("a\0", ValueError, "holds no NUL"),
        ("\udfff", ValueError, "surrogates not allowed"),
    ],
)
async def test_a_key_that_is_none_is_refused_by_every_operation(
    store: Store, key: Any, error: type[Exception], why: str
) -> None:
    operations: list[Callable[[], Any]] = [
        lambda: store.get(key),
        lambda: store.set(key, 1),
        lambda: store.add(key, 1),
        lambda: store.delete(key),
        lambda: store.incr(key),
        lambda: store.get_many([key]),
        lambda: store.set_many({key: 1}),
    ]
    for operation in operations:
        with pytest.raises(error, match=why):
            await operation()


async def test_the_longest_key_is_kept_in_any_script(store: Store) -> None:
    await store.set("🐢" * 200, 1)
    assert await store.keys("🐢" * 200) == ["🐢" * 200]


async def test_h32_deleting_says_whether_it_was_there(store: Store) -> None:
    await store.set("apples", 3)
    assert await store.delete("apples") is True
    assert await store.delete("apples") is False
    assert await store.get("apples") is None


async def test_h32_adding_takes_a_place_that_is_free(store: Store) -> None:
    assert await store.add("seat", "ann") is True
    assert await store.add("seat", "bob") is False
    assert await store.get("seat") == "ann"
    await store.delete("seat")
    assert await store.add("seat", "bob") is True


def test_a_place_that_is_taken_does_not_spoil_the_callers_transaction(store: Store) -> None:
    with transaction.atomic():
        store.set_sync("seat", "ann")
        assert store.add_sync("seat", "bob") is False
        store.set_sync("other", "bob")
    assert store.get_many_sync(["seat", "other"]) == {"seat": "ann", "other": "bob"}


# change ---------------------------------------------------------------------------------------------------------


async def test_a_change_is_given_what_is_there_and_returns_what_it_put(store: Store) -> None:
    assert await store.change("basket", lambda basket: [basket, "apple"]) == [None, "apple"]
    assert await store.change("basket", lambda basket: [*basket, "pear"]) == [None, "apple", "pear"]
    assert await store.change("raw", lambda _: b"\x00") == b"\x00"
    assert await store.get_many(["basket", "raw"]) == {"basket": [None, "apple", "pear"], "raw": b"\x00"}


async def test_a_change_that_fails_has_not_happened(store: Store) -> None:
    await store.set("basket", ["apple"])

    def fail(basket: Any) -> Any:
        raise LookupError("no room")

    for key in ("basket", "missing"):
        with pytest.raises(LookupError):
            await store.change(key, fail)
        with pytest.raises(TypeError, match="plain JSON"):
            await store.change(key, lambda _: object())
    assert await store.get("basket") == ["apple"]
    assert await store.keys() == ["basket"], "nothing is left where nothing was"


# incr -----------------------------------------------------------------------------------------------------------


async def test_h33_incr_counts_from_nothing(store: Store) -> None:
    assert await store.incr("visits") == 1
    assert await store.incr("visits", 4) == 5
    assert await store.incr("visits", -0.5) == 4.5
    assert await store.get("visits") == 4.5
    assert await store.incr("debts", -2) == -2
    assert await store.incr("atoms", 2**100) == 2**100


@pytest.mark.parametrize("value", ["5", None, True, [1], {"a": 1}, b"5"], ids=repr)
async def test_h33_incr_on_what_is_no_number_is_an_error_and_the_value_stays(store: Store, value: Any) -> None:
    await store.set("kept", value)
    said = rf"incr needs a number under 'kept' in Store\(name='inventory'\), not {type(value).__name__}"
    with pytest.raises(TypeError, match=said):
        await store.incr("kept")
    assert await store.get("kept") == value


@pytest.mark.parametrize("delta", [True, "1", None, b"1", Decimal(1)], ids=repr)
async def test_incr_by_what_is_no_number_is_an_error(store: Store, delta: Any) -> None:
    with pytest.raises(TypeError, match=rf"incr adds a number, not {type(delta).__name__}"):
        await store.incr("kept", delta)
    assert await store.keys() == []


@pytest.mark.parametrize(("value", "delta"), [(1e308, 1e308), (0, float("nan")), (10**400, 0.5)])
async def test_incr_beyond_what_a_number_can_be_is_an_error_and_the_value_stays(
    store: Store, value: float, delta: float
) -> None:
    await store.set("kept", value)
    with pytest.raises(ValueError, match=r"JSON has no|too large"):
        await store.incr("kept", delta)
    assert await store.get("kept") == value


# keys -----------------------------------------------------------------------------------------------------------


async def test_h34_keys_begin_with_the_prefix_to_the_letter(store: Store) -> None:
    keys = ["%", "%a", "_", "_a", "a", "a%b", "a*", "a\\b", "aXb", "a_b", "A", "Ab", "ä", "\U0010ffff", "\U0010ffffz"]
    await store.set_many(dict.fromkeys(keys, 1))
    for prefix in ["", "%", "_", "a", "a_", "a%", "a*", "a\\", "A", "Ä", "ä", "\U0010ffff", "b"]:
        assert await store.keys(prefix) == sorted(key for key in keys if key.startswith(prefix)), prefix


async def test_h34_keys_come_in_pages(store: Store) -> None:
    await store.set_many({f"user:{number:03}": number for number in range(150)})
    await store.set_many({"other": 1, "user": 1, "user;": 1})
    listed: list[str] = []
    sizes = []
    while page := await store.keys("user:", after=listed[-1] if listed else "", limit=60):
        listed += page
        sizes.append(len(page))
    assert sizes == [60, 60, 30]
    assert listed == [f"user:{number:03}" for number in range(150)]


async def test_a_wrong_question_for_keys_is_refused(store: Store) -> None:
    with pytest.raises(TypeError, match="a prefix is a str, not int"):
        await store.keys(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="a limit is a whole number above zero, not int"):
        await store.keys(limit=0)


def test_a_key_is_found_by_the_index(store: Store) -> None:
    query = StoreEntry.objects.filter(store="a", key__gte="b", key__lte="c").order_by("key").values_list("key")
    assert "USING COVERING INDEX" in query.explain()


# many -----------------------------------------------------------------------------------------------------------


async def test_h35_many_are_set_and_got_at_once(store: Store) -> None:
    await store.set("b", "old")
    await store.set_many({"c": None, "a": b"\x00", "b": [1]})
    assert await store.get_many(["b", "missing", "a", "c", "b"]) == {"b": [1], "a": b"\x00", "c": None}
    assert await store.get_many([]) == {}
    await store.set_many({})


async def test_h35_many_with_one_that_is_refused_change_nothing(store: Store) -> None:
    with pytest.raises(TypeError, match="not set"):
        await store.set_many({"a": 1, "b": set()})
    assert await store.keys() == []


async def test_many_have_a_limit(store: Store) -> None:
    with pytest.raises(ValueError, match="at most 200 keys at once, not 201"):
        await store.set_many({str(number): 1 for number in range(MANY + 1)})
    with pytest.raises(ValueError, match="at most 200 keys at once, not 201"):
        await store.get_many(map(str, range(MANY + 1)))


async def test_what_is_not_many_is_refused(store: Store) -> None:
    with pytest.raises(TypeError, match="get_many takes several keys, not str"):
        await store.get_many("apples")
    with pytest.raises(TypeError, match="set_many takes a dict, not list"):
        await store.set_many([("a", 1)])  # type: ignore[arg-type]


def test_h35_many_are_one_query(store: Store) -> None:
    keys = [str(number) for number in range(MANY)]
    with (
        CaptureQueriesContext(
            connection,
        ) as queries,
        transaction.atomic(),
    ):
        store.set_many_sync(dict.fromkeys(keys, 1))
        store.set_many_sync(dict.fromkeys(keys, 2))
        assert store.get_many_sync(keys) == dict.fromkeys(keys, 2)
    assert [query["sql"].split()[0] for query in queries] == ["BEGIN", "INSERT", "INSERT", "SELECT", "COMMIT"]


# Transactions ---------------------------------------------------------------------------------------------------


def test_sync_forms_take_part_in_the_callers_transaction(store: Store) -> None:
    store.set_sync("a", 1)
    store.incr_sync("b")
    with transaction.atomic():
        store.set_sync("a", 2)
        store.incr_sync("b")
        store.incr_sync("c")
        store.delete_sync("a")
        assert store.keys_sync() == ["b", "c"]
        transaction.set_rollback(True)
    assert store.get_many_sync(["a", "b", "c"]) == {"a": 1, "b": 1}


def test_a_refusal_does_not_spoil_the_callers_transaction(store: Store) -> None:
    with transaction.atomic():
        store.set_sync("a", "text")
        for refused in (lambda: store.incr_sync("a"), lambda: store.set_sync("b", ()), lambda: store.set_sync("", 1)):
            with pytest.raises((TypeError, ValueError)):
                refused()
        store.set_sync("c", 1)
    assert store.get_many_sync(["a", "b", "c"]) == {"a": "text", "c": 1}


async def test_a_sync_form_in_the_event_loop_is_an_error(store: Store) -> None:
    with pytest.raises(SynchronousOnlyOperation):
        store.get_sync("a")


async def test_async_forms_work_on_the_pools_threads(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[str] = []
    get = Store.get_many_sync

    def watched(store: Store, keys: list[str]) -> dict[str, Any]:
        threads.append(threading.current_thread().name)
        return get(store, keys)

    monkeypatch.setattr(Store, "get_many_sync", watched)
    assert await store.get("a") is None
    assert [name.rpartition("_")[0] for name in threads] == ["database"]


# What it is -----------------------------------------------------------------------------------------------------


class Shopping(msgspec.Struct, frozen=True, tag=True):
    """A state that holds a store, as actors' states do."""

    store: Store
    basket: tuple[str, ...] = ()


def test_a_store_is_its_name_and_may_stand_in_a_state(store: Store) -> None:
    assert Store("inventory") == store != Store("other")
    assert hash(Store("inventory")) == hash(store)
    assert pickle.loads(pickle.dumps(store)) == store
    state = Shopping(store, ("apples",))
    stored = msgspec.json.encode(state)
    assert stored == b'{"type":"Shopping","store":{"name":"inventory"},"basket":["apples"]}'
    assert msgspec.json.decode(stored, type=Shopping) == state


async def test_stores_are_apart_and_one_name_is_one_store() -> None:
    await Store("one").set("a", 1)
    await Store("one" * 10).set("a", 2)
    assert await Store("one").get("a") == 1
    assert await Store("two").get("a") is None
    assert await Store("two").delete("a") is False
    assert await Store("two").keys() == []


@pytest.mark.parametrize(
    ("name", "error", "why"),
    [
        (5, TypeError, "a store's name is a str, not int"),
        (["a"], TypeError, "a store's name is a str, not list"),
        ("", ValueError, "a store's name has 1 to 100 characters, not 0"),
        ("n" * 101, ValueError, "a store's name has 1 to 100 characters, not 101"),
        ("a\0", ValueError, "holds no NUL"),
    ],
)
def test_a_wrong_name_is_refused_when_the_store_is_built(name: Any, error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        Store(name)


# Against a dict -------------------------------------------------------------------------------------------------

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.one_of(st.sampled_from(["a", "A", "a%", "a_", "b"]), TEXT.filter(lambda text: text and "\0" not in text))
NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
PLAIN = st.one_of(st.none(), st.booleans(), NUMBERS, TEXT)
JSON = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=10)
VALUES = st.one_of(JSON, st.binary(max_size=20))


def exact(value: Any) -> str:
    """1, 1.0 and True are equal; what was kept must be of the same kind too. -0.0 and the order of keys included."""
    return repr(value)


class AgainstADict(RuleBasedStateMachine):
    """Whatever is done to a store is done to a dict, and both answer the same."""

    keys: Bundle[str] = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.store, self.model = Store(unique("model")), dict[str, Any]()

    @rule(target=keys, key=KEYS)
    def choose(self, key: str) -> str:
        return key

    @rule(key=keys, value=VALUES)
    def set(self, key: str, value: Any) -> None:
        self.store.set_sync(key, value)
        self.model[key] = value

    @rule(key=keys, value=VALUES)
    def add(self, key: str, value: Any) -> None:
        assert self.store.add_sync(key, value) == (key not in self.model)
        self.model.setdefault(key, value)

    @rule(values=st.dictionaries(KEYS, VALUES, max_size=5))
    def set_many(self, values: dict[str, Any]) -> None:
        self.store.set_many_sync(values)
        self.model.update(values)

    @rule(key=consumes(keys))
    def delete(self, key: str) -> None:
        assert self.store.delete_sync(key) == (key in self.model)
        self.model.pop(key, None)

    @rule(key=keys, delta=NUMBERS)
    def incr(self, key: str, delta: float) -> None:
        before = self.model.get(key, 0)
        if type(before) not in (int, float):
            with pytest.raises(TypeError, match="incr needs a number"):
                self.store.incr_sync(key, delta)
        elif abs(before + delta) == float("inf"):
            with pytest.raises(ValueError, match="JSON has no"):
                self.store.incr_sync(key, delta)
        else:
            self.model[key] = before + delta
            assert exact(self.store.incr_sync(key, delta)) == exact(before + delta)

    @rule(key=keys, value=VALUES)
    def change(self, key: str, value: Any) -> None:
        given: list[Any] = []

        def changed(found: Any) -> Any:
            given.append(found)
            return value

        assert exact(self.store.change_sync(key, changed)) == exact(value)
        assert exact(given) == exact([self.model.get(key)])
        self.model[key] = value

    @rule(key=keys)
    def get(self, key: str) -> None:
        assert exact(self.store.get_sync(key, "missing")) == exact(self.model.get(key, "missing"))

    @rule(prefix=TEXT.filter(lambda text: "\0" not in text), limit=st.integers(1, 5))
    def list(self, prefix: str, limit: int) -> None:
        wanted = sorted(key for key in self.model if key.startswith(prefix))
        assert self.store.keys_sync(prefix, limit=limit) == wanted[:limit]

    @invariant()
    def same(self) -> None:
        keys = self.store.keys_sync()
        assert keys == sorted(self.model)
        assert exact(self.store.get_many_sync(keys)) == exact({key: self.model[key] for key in keys})


QUIET = hypothesis_settings(max_examples=40, stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow])


def test_h31_to_h35_a_store_answers_as_a_dict_does() -> None:
    run_state_machine_as_test(AgainstADict, settings=QUIET)


@hypothesis_settings(QUIET, max_examples=100)
@given(value=VALUES)
def test_any_value_comes_back_exactly(value: Any) -> None:
    store = Store("any")
    store.set_sync("value", value)
    assert exact(store.get_sync("value")) == exact(value)


# In several processes -------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Server:
    """A database of this test's own, and the means to start processes on it; nothing serves."""
    if request.param == "sqlite":
        return Server(tmp_path, request.getfixturevalue("template"))
    postgres: Postgres = request.getfixturevalue("postgres")
    return Server(tmp_path, DATABASE_URL=postgres.copy(unique("store")))


WRITERS = """
    import asyncio
    from actors.store import Store
    store = Store("shared")

    async def write(number):
        await store.incr("count")
        await store.set(f"{process}:{number}", number)
        await store.incr("count", 2)
        await store.change("names", lambda names: [*(names or []), f"{process}:{number}"])
        await store.set_many({"last": f"{process}:{number}", "first": 0})
        await store.delete("first")
        if await store.add(f"seat:{number}", process):
            await store.incr("seated")

    async def main():
        await store.incr("started")
        while await store.get("started") < 2:
            await asyncio.sleep(0.01)
        await asyncio.gather(*(write(number) for number in range(50)))

    asyncio.run(main())
    print("true")
"""


def in_processes(server: Server, scripts: list[str]) -> list[Any]:
    with ThreadPoolExecutor(len(scripts)) as threads:
        return list(threads.map(server.python, scripts))


def test_z46_writers_in_two_processes_lose_nothing(database: Server) -> None:
    writers = [f"    process = {process}\n{WRITERS}" for process in (1, 2)]
    assert in_processes(database, writers) == [True, True]
    count, seated, last, missing, keys = database.python("""
        from actors.store import Store
        store = Store("shared")
        print(json.dumps([*(store.get_sync(key) for key in ("count", "seated", "last", "first")), store.keys_sync()]))
    """)
    assert (count, seated) == (2 * 50 * 3, 50)
    assert missing is None
    names = database.python("from actors.store import Store\nprint(json.dumps(Store('shared').get_sync('names')))")
    assert len(set(names)) == len(names) == 100
    seats = [f"seat:{number}" for number in range(50)]
    written = [f"{process}:{number}" for process in (1, 2) for number in range(50)]
    assert keys == sorted(["count", "last", "names", "seated", "started", *seats, *written])
    assert last in written


def test_z47_what_one_process_stores_another_reads_when_it_has_gone(database: Server) -> None:
    assert (
        database.python("""
        from actors.store import Store
        Store("inventory").set_many_sync({"apples": 3, "raw": b"\\x00", "nul": "a\\0b"})
        print(json.dumps(Store("inventory").get_sync("pears")))
    """)
        is None
    )
    assert database.python("""
        from actors.store import Store
        store = Store("inventory")
        print(json.dumps([store.get_sync("apples"), store.get_sync("raw").hex(), store.get_sync("nul")]))
    """) == [3, "00", "a\0b"]


def test_h34_keys_have_one_order_on_every_database(database: Server) -> None:
    keys = ["%", "B", "_", "a", "a b", "aB", "a_b", "ab", "ä", "z", "Ω", "\U0010ffff", "\U0010ffffz"]
    told = database.python(f"""
        from actors.store import Store
        store = Store("order")
        store.set_many_sync(dict.fromkeys({keys!r}, 1))
        print(json.dumps([store.keys_sync(prefix) for prefix in ("", "a", "a_", "\\U0010ffff")]))
    """)
    assert told == [sorted(keys), ["a", "a b", "aB", "a_b", "ab"], ["a_b"], ["\U0010ffff", "\U0010ffffz"]]
