"""A crowd has all who came and have not gone, in parts that stay small, also while somebody goes round."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from realtime_project.crowd import PART, Crowd

steps = st.lists(st.tuples(st.booleans(), st.integers(0, 3 * PART)), max_size=8 * PART)


def everybody(crowd: Crowd[int]) -> list[int]:
    return sorted(one for part in crowd.parts() for one in part)


@given(steps)
def test_it_has_who_came_and_has_not_gone(steps: list[tuple[bool, int]]) -> None:
    crowd, there = Crowd[int](), set[int]()
    for comes, one in steps:
        (crowd.add if comes else crowd.discard)(one)
        (there.add if comes else there.discard)(one)
    assert everybody(crowd) == sorted(there)
    assert len(crowd) == len(there)
    assert all(len(part) <= PART for part in crowd.parts())


def test_room_that_became_free_is_used_again() -> None:
    crowd = Crowd(range(10 * PART))
    for one in range(0, 10 * PART, 2):
        crowd.discard(one)
    for one in range(5 * PART):
        crowd.add(10 * PART + one)
    assert [len(part) for part in crowd.parts()] == [PART] * 10


def test_each_of_so_many_rounds_has_its_share_and_together_they_have_all() -> None:
    crowd = Crowd(range(7 * PART))
    shares = [[one for part in crowd.parts(which, 3) for one in part] for which in range(3)]
    assert [len(share) for share in shares] == [3 * PART, 2 * PART, 2 * PART]
    assert sorted(one for share in shares for one in share) == list(range(7 * PART))


def test_who_comes_and_goes_meanwhile_neither_ends_a_round_nor_hides_the_others() -> None:
    crowd, seen = Crowd(range(4 * PART)), list[int]()
    for number, part in enumerate(crowd.parts()):
        seen += part
        crowd.discard(part[0])
        crowd.discard(4 * PART - 1)
        crowd.add(1_000_000 + number)
    assert set(seen) >= set(range(4 * PART - 1))
    assert 4 * PART - 1 not in seen


async def test_the_loop_turns_after_each_part() -> None:
    crowd, seen = Crowd(range(3 * PART)), list[int]()

    async def go_round() -> None:
        async for one in crowd:
            seen.append(one)

    going = asyncio.create_task(go_round())
    for parts in range(1, 4):
        await asyncio.sleep(0)
        assert len(seen) == parts * PART
    await going
    assert sorted(seen) == list(range(3 * PART))
