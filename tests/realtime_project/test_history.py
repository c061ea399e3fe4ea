"""The log of durable topics, on a real database."""

import threading

import pytest
from django.db import connection, transaction

from realtime_project import history
from realtime_project.history import Entry
from realtime_project.models import TopicEvent

pytestmark = pytest.mark.django_db(transaction=True)


def log(name: str) -> list[tuple[int | None, str | bytes]]:
    return [(event.offset, event.content) for event in history.page(name, 0, None, 1_000)[1]]


def test_numbers_begin_at_one_and_have_no_holes() -> None:
    with transaction.atomic():
        assert history.take(["a", "b", "a"]) == [1, 1, 2]
        history.append([Entry("a", 1, "one"), Entry("b", 1, "uno"), Entry("a", 2, "two")])
    with transaction.atomic():
        assert history.publish([("a", "three")]) == [3]
    assert log("a") == [(1, "one"), (2, "two"), (3, "three")]
    assert history.heads(["a", "b", "c"])[1] == {"a": 3, "b": 1}


def test_text_and_bytes_keep_their_kind() -> None:
    contents: list[str | bytes] = ["", "a\0b", "żółw", b"", b"\x00\xff"]
    with transaction.atomic():
        history.publish([("kinds", content) for content in contents])
    assert [content for _, content in log("kinds")] == contents


def test_without_a_transaction_nothing_is_numbered_or_written() -> None:
    with pytest.raises(AssertionError, match="needs a transaction"):
        history.take(["a"])
    with pytest.raises(AssertionError, match="needs a transaction"):
        history.append([Entry("a", 1, "x")])


def test_a_number_that_was_not_taken_is_refused() -> None:
    with transaction.atomic():
        history.take(["a", "a"])
        with pytest.raises(RuntimeError, match="expected offsets from 1 on"):
            history.append([Entry("a", 2, "the second alone")])
    assert log("a") == []


def test_a_rollback_takes_the_numbers_back() -> None:
    with transaction.atomic():
        history.publish([("a", "never")])
        transaction.set_rollback(True)
    with transaction.atomic():
        assert history.publish([("a", "first")]) == [1]


def test_an_event_has_a_limit() -> None:
    with pytest.raises(ValueError, match="at most 1048576 bytes"), transaction.atomic():
        history.publish([("a", "ż" * 600_000)])


def test_pages_are_bounded_on_both_sides() -> None:
    with transaction.atomic():
        history.publish([("a", str(number)) for number in range(1, 11)])
    page = history.page("a", 3, 8, 3)[1]
    assert [event.offset for event in page] == [4, 5, 6]
    assert [event.offset for event in history.page("a", 6, 8, 100)[1]] == [7, 8]


def test_the_epoch_is_one_and_stays() -> None:
    assert history.epoch() == history.epoch() == history.heads([])[0]
    assert len(history.epoch()) == 32


def test_threads_that_write_lists_in_any_order_neither_deadlock_nor_leave_holes() -> None:
    topics = ["a", "b", "c"]
    failures: list[Exception] = []

    def write(seed: int) -> None:
        try:
            for turn in range(10):
                names = topics[(seed + turn) % 3 :] + topics[: (seed + turn) % 3]
                with transaction.atomic():
                    history.publish([(name, f"{seed}:{turn}") for name in names])
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for name in topics:
        assert [offset for offset, _ in log(name)] == list(range(1, 81))
    assert TopicEvent.objects.count() == 240


def test_earlier_events_are_rewritten_in_the_same_transaction_and_in_their_topic_alone() -> None:
    with transaction.atomic():
        history.publish([("a", "one"), ("a", "two"), ("b", "one")])
    with transaction.atomic():
        assert history.take(["a"]) == [3]
        history.append([Entry("a", 3, "one is gone")], rewritten=[Entry("a", 1, "")])
    assert log("a") == [(1, ""), (2, "two"), (3, "one is gone")]
    assert log("b") == [(1, "one")]


def test_what_is_rolled_back_has_rewritten_nothing() -> None:
    with transaction.atomic():
        history.publish([("a", "one")])
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        history.take(["a"])
        history.append([Entry("a", 2, "one is gone")], rewritten=[Entry("a", 1, "")])
        raise ZeroDivisionError
    assert log("a") == [(1, "one")]
